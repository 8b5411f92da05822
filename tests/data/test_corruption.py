"""Noise on a training split: as much of it as was asked for, by the seed, and nowhere else."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thumbnet.data import arrays
from thumbnet.data.arrays import DatasetInfo, load_split, save_info, save_split
from thumbnet.data.corruption import add_pixel_noise, draw_labels, load_true_labels
from thumbnet.data.split import split
from thumbnet.params import CorruptionParams, SplitParams

LABELS = np.random.default_rng(0).integers(5, size=20_000)


@settings(deadline=None)
@given(count=st.integers(0, 60), share=st.floats(0, 1), classes=st.integers(2, 5), seed=st.integers(0, 2**31 - 1))
def test_no_more_labels_change_than_are_drawn_anew(count: int, share: float, classes: int, seed: int) -> None:
    labels = LABELS[:count] % classes
    before = labels.copy()
    noisy = draw_labels(labels, share, classes, seed)
    assert noisy.dtype == np.int64
    assert np.count_nonzero(noisy != labels) <= round(share * count)
    assert ((noisy >= 0) & (noisy < classes)).all()
    np.testing.assert_array_equal(labels, before)


@pytest.mark.parametrize("share", [0.2, 0.5, 1.0])
def test_new_labels_are_drawn_evenly_from_all_classes_whatever_the_old_one_was(share: float) -> None:
    noisy = draw_labels(LABELS, share, 5, seed=1)
    counts = np.array([np.bincount(noisy[label == LABELS], minlength=5) for label in range(5)])  # (true, noisy)
    shares = counts / counts.sum(1, keepdims=True)
    expected = (1 - share) * np.eye(5) + share / 5
    np.testing.assert_allclose(shares, expected, atol=0.03)
    assert np.mean(noisy != LABELS) == pytest.approx(share * 4 / 5, abs=0.01)


def test_exactly_the_share_is_drawn_anew() -> None:
    """Of so many classes that hardly a label is drawn that was there before."""
    drawn = np.count_nonzero(draw_labels(np.zeros(1_000, np.int64), 0.2004, 1_000_000, seed=1))
    assert drawn == 200


def test_more_noise_keeps_the_wrong_labels_of_less() -> None:
    less, more = (draw_labels(LABELS, share, 5, seed=1) for share in (0.2, 0.4))
    changed = less != LABELS
    np.testing.assert_array_equal(more[changed], less[changed])
    assert np.count_nonzero(more != LABELS) > np.count_nonzero(changed)


@pytest.mark.parametrize("variance", [0.0004, 0.01])
def test_pixel_noise_has_its_mean_and_variance(variance: float) -> None:
    images = np.full((300, 10, 10, 3), 128, np.uint8)
    add_pixel_noise(images, variance, seed=1)
    noise = (images - 128.0) / 255
    assert abs(noise.mean()) < 0.001
    assert noise.var() == pytest.approx(variance + 1 / 12 / 255**2, rel=0.02), "rounding adds a little"
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.2


def test_pixels_are_clipped_not_wrapped() -> None:
    images = np.stack([np.zeros((50, 50, 1), np.uint8), np.full((50, 50, 1), 255, np.uint8)])
    add_pixel_noise(images, 0.01, seed=1)
    assert images[0].max() < 150
    assert images[1].min() > 105
    assert np.mean(images[0] == 0) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("rows", [1, 7, 100])
def test_the_size_of_the_pieces_changes_nothing(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.random.default_rng(0).integers(0, 256, (100, 5, 3, 3), dtype=np.uint8)
    pieces = whole.copy()
    add_pixel_noise(whole, 0.1, seed=1)
    monkeypatch.setattr(arrays, "CHUNK_BYTES", rows * 45)
    add_pixel_noise(pieces, 0.1, seed=1)
    np.testing.assert_array_equal(pieces, whole)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    folder.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (400, 4, 3, 1), dtype=np.uint8)
    labels = np.arange(400) % 4
    save_split(folder, "train", images[:300], labels[:300])
    save_split(folder, "test", images[300:], labels[300:])
    save_info(folder, DatasetInfo("mnist", tuple("abcd"), (4, 3, 1), {"train": 300, "test": 100}, {}))
    return folder


Splits = dict[str, tuple[np.ndarray, np.ndarray]]


def divided(
    raw: Path, name: str, noise: dict[str, float] | None = None, seed: int = 0
) -> tuple[Splits, dict[str, str], Path]:
    """Each split's images and labels, its hash, and the folder of all."""
    destination = raw.parent / name
    corruption = CorruptionParams.model_validate({"label_noise": 0, "pixel_noise": 0} | (noise or {}))
    info = split(raw, destination, SplitParams(kind="holdout", validation=100.0), corruption, seed)
    return {split: load_split(destination, split) for split in info.counts}, info.sha256, destination


@pytest.mark.parametrize("noise", [{"label_noise": 0.3}, {"pixel_noise": 0.05}, {"label_noise": 1, "pixel_noise": 0.5}])
def test_only_the_training_split_is_noisy_and_only_as_asked(raw: Path, noise: dict[str, float]) -> None:
    (clean, hashes, _), (noisy, noisy_hashes, folder) = divided(raw, "clean"), divided(raw, "noisy", noise)
    for name in ("validation", "test"):
        np.testing.assert_array_equal(noisy[name][0], clean[name][0])
        np.testing.assert_array_equal(noisy[name][1], clean[name][1])
        assert noisy_hashes[name] == hashes[name]
    assert np.array_equal(noisy["train"][0], clean["train"][0]) == ("pixel_noise" not in noise)
    assert np.array_equal(noisy["train"][1], clean["train"][1]) == ("label_noise" not in noise)
    assert noisy_hashes["train"] != hashes["train"]
    truth = load_true_labels(folder)
    assert (truth is None) == ("label_noise" not in noise)
    assert truth is None or np.array_equal(truth, clean["train"][1])


def test_noise_follows_the_seed_and_one_kind_leaves_the_other_alone(raw: Path) -> None:
    both = {"label_noise": 0.5, "pixel_noise": 0.1}
    first, again, other = (divided(raw, str(n), both, seed)[1]["train"] for n, seed in enumerate((1, 1, 2)))
    assert first == again != other
    alone, together = divided(raw, "labels", {"label_noise": 0.5}, 1)[0], divided(raw, "both", both, 1)[0]
    np.testing.assert_array_equal(alone["train"][1], together["train"][1])


def test_what_was_done_is_told(raw: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean = divided(raw, "clean")[0]["train"][1]
    assert "noise" not in capsys.readouterr().out
    noisy = divided(raw, "noisy", {"label_noise": 0.25, "pixel_noise": 0.1})[0]["train"][1]
    wrong = np.count_nonzero(noisy != clean)
    told = capsys.readouterr().out
    assert f"label noise: 50 of 200 training labels drawn anew, {wrong} of them are wrong now" in told
    assert "pixel noise: of variance 0.1 on 200 training images" in told
