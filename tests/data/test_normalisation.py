"""The statistics are exact, whatever the size of the pieces, and the files say the same as the arrays."""

import json

import numpy as np
import pytest

from thumbnet.data import arrays, normalisation

IMAGES = np.random.default_rng(0).integers(0, 256, (53, 6, 5, 3), np.uint8)
IMAGES[:, 0, 0, 0] = 7  # a pixel that never changes


def expected(kind: str) -> tuple[np.ndarray, np.ndarray]:
    values = IMAGES.astype(np.float64)
    match kind:
        case "none":
            return np.zeros(3), np.ones(3)
        case "unit":
            return np.zeros(3), np.full(3, 255.0)
        case "channel":
            return values.mean((0, 1, 2)), values.std((0, 1, 2))
        case _:
            std = values.std(0)
            std[0, 0, 0] = 1
            return values.mean(0), std


@pytest.mark.parametrize("kind", ["none", "unit", "channel", "pixel"])
@pytest.mark.parametrize("images_per_chunk", [1, 10, 52, 53, 54])
def test_agrees_with_the_whole_array_at_once(kind, images_per_chunk, monkeypatch):
    monkeypatch.setattr(arrays, "CHUNK_BYTES", images_per_chunk * IMAGES[0].nbytes)
    statistics = normalisation.compute(IMAGES, kind)
    mean, std = expected(kind)
    assert statistics.mean.dtype == statistics.std.dtype == np.float64
    np.testing.assert_allclose(statistics.mean, mean, rtol=1e-13)
    np.testing.assert_allclose(statistics.std, std, rtol=1e-12)


def test_sums_do_not_overflow():
    """The product of the count and the sum of the squares of this many white pixels exceeds 64 bits."""
    images = np.full((1100, 128, 128, 1), 255, np.uint8)
    images[0, 0, 0] = 0
    n = images.size
    assert n * n * 255**2 > 2**64
    statistics = normalisation.compute(images, "channel")
    assert statistics.mean[0] == 255 * (n - 1) / n
    assert statistics.std[0] == pytest.approx(255 * np.sqrt((n - 1) / n**2), rel=1e-12)


def test_constant_pixels_keep_a_std_of_one():
    statistics = normalisation.compute(np.full((9, 2, 2, 1), 200, np.uint8), "pixel")
    np.testing.assert_array_equal(statistics.mean, np.full((2, 2, 1), 200.0))
    np.testing.assert_array_equal(statistics.std, np.ones((2, 2, 1)))


@pytest.mark.parametrize("kind", ["channel", "pixel"])
def test_what_is_saved_is_loaded_and_has_the_same_bytes_each_time(kind, tmp_path):
    statistics = normalisation.compute(IMAGES, kind)
    for name in ("first.npz", "second.npz"):
        normalisation.save(statistics, tmp_path / name)
    loaded = normalisation.load(tmp_path / "first.npz")
    np.testing.assert_array_equal(loaded.mean, statistics.mean)
    np.testing.assert_array_equal(loaded.std, statistics.std)
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("kind", ["channel", "pixel"])
def test_metrics_are_per_channel(kind, tmp_path):
    path = tmp_path / "metrics/normalisation.json"
    normalisation.save_metrics(normalisation.compute(IMAGES, kind), kind, len(IMAGES), path)
    content = json.loads(path.read_text())
    assert (content["kind"], content["images"]) == (kind, 53)
    means = IMAGES.mean((0, 1, 2))
    assert content["mean"] == {str(channel): pytest.approx(means[channel], abs=1e-6) for channel in range(3)}
    assert set(content["std"]) == {"0", "1", "2"}
