"""The file that carries predictions from stage to stage."""

import re
from pathlib import Path

import numpy as np
import pytest

from thumbnet.errors import UserError
from thumbnet.judging.predictions import Predictions, load_predictions, save_predictions


def some_predictions(n: int = 7, classes: int = 3, seed: int = 0) -> Predictions:
    random = np.random.default_rng(seed)
    return Predictions(random.dirichlet(np.ones(classes), n).astype(np.float32), random.integers(0, classes, n))


def test_what_was_saved_is_loaded_in_the_same_order(tmp_path: Path) -> None:
    saved = {"validation": some_predictions(5), "test": some_predictions(9)}
    save_predictions(tmp_path / "new" / "bn.npz", saved)
    loaded = load_predictions(tmp_path / "new" / "bn.npz")
    assert list(loaded) == ["validation", "test"]
    for split, predictions in saved.items():
        np.testing.assert_array_equal(loaded[split].probabilities, predictions.probabilities)
        np.testing.assert_array_equal(loaded[split].labels, predictions.labels)
        assert loaded[split].probabilities.dtype == np.float32
        assert loaded[split].labels.dtype == np.int64


def test_further_seeds_are_kept_in_their_order(tmp_path: Path) -> None:
    first, *others = (some_predictions(5, seed=seed) for seed in range(3))
    stored = Predictions(first.probabilities, first.labels, np.stack([each.probabilities for each in others]))
    save_predictions(tmp_path / "bn.npz", {"validation": stored, "test": first})
    loaded = load_predictions(tmp_path / "bn.npz")
    for given, seed in zip([first, *others], loaded["validation"].by_seed(), strict=True):
        np.testing.assert_array_equal(seed.probabilities, given.probabilities)
        np.testing.assert_array_equal(seed.labels, first.labels)
    assert loaded["test"].other_seeds is None
    assert len(loaded["test"].by_seed()) == 1


def test_accuracy_is_the_share_that_is_right() -> None:
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.2, 0.8]], dtype=np.float32)
    assert Predictions(probabilities, np.array([0, 1, 1])).accuracy == pytest.approx(2 / 3)


def test_the_file_has_the_layout_that_other_tools_read(tmp_path: Path) -> None:
    save_predictions(tmp_path / "bn.npz", {"test": some_predictions(9)})
    with np.load(tmp_path / "bn.npz") as arrays:
        assert {name: arrays[name].shape for name in arrays} == {"test_probabilities": (9, 3), "test_labels": (9,)}


def test_the_same_predictions_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "first.npz", tmp_path / "second.npz"
    save_predictions(first, {"test": some_predictions()})
    first.touch()
    save_predictions(second, {"test": some_predictions()})
    assert first.read_bytes() == second.read_bytes()


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ValueError, match=re.escape("(3, 2)")):
        Predictions(np.zeros((3, 2), dtype=np.float32), np.zeros(4, dtype=np.int64))
    with pytest.raises(ValueError, match=re.escape("(1, 4, 2)")):
        Predictions(np.zeros((3, 2), np.float32), np.zeros(3, np.int64), np.zeros((1, 4, 2), np.float32))


@pytest.mark.parametrize("content", [None, b"", b"not a zip file"], ids=["missing", "empty", "rubbish"])
def test_a_file_that_cannot_be_used_is_told_with_its_remedy(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "bn.npz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"dvc repro .*evaluate@bn"):
        load_predictions(path)
