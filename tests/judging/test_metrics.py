"""Figures against values worked out by hand or published."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support, top_k_accuracy_score

from thumbnet.errors import UserError
from thumbnet.judging.calibration import apply_temperature
from thumbnet.judging.metrics import (
    count_pairs,
    cross_entropy,
    judge_classes,
    judge_overall,
    judge_scaled,
    most_confused,
    share_in_top,
    spread_evenly,
    wilson_interval,
    write_confused,
    write_confusion,
    write_per_class,
)
from thumbnet.judging.predictions import Predictions

CLASSES = ["cat", "dog", "owl"]
LABELS = np.array([0, 0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.3, 0.5, 0.2], [0.1, 0.8, 0.1], [0.6, 0.3, 0.1], [0.9, 0.05, 0.05]],
    dtype=np.float32,
)  # right: images 0 and 3


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [  # R. G. Newcombe, Statistics in Medicine 17 (1998), 857-872, table I, method 3, at 95 %
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),  # mirrors 0 of 20
    ],
)
def test_wilson_interval_has_its_published_values(successes: int, trials: int, low: float, high: float) -> None:
    assert wilson_interval(successes, trials, 0.95) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000), st.data(), st.floats(0.5, 0.9999))
def test_wilson_interval_is_that_of_scipy(trials: int, data: st.DataObject, confidence: float) -> None:
    successes = data.draw(st.integers(0, trials))
    expected = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    assert wilson_interval(successes, trials, confidence) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_higher_confidence_widens_the_interval() -> None:
    low_90, high_90 = wilson_interval(80, 100, 0.90)
    low_99, high_99 = wilson_interval(80, 100, 0.99)
    assert 0 < low_99 < low_90 < 0.8 < high_90 < high_99 < 1


@pytest.mark.parametrize(
    ("count", "most", "places"),
    [(5, 0, [0, 1, 2, 3, 4]), (5, 9, [0, 1, 2, 3, 4]), (5, 3, [0, 2, 4]), (5, 1, [0]), (1, 1, [0])],
)
def test_images_are_spread_evenly(count: int, most: int, places: list[int]) -> None:
    assert spread_evenly(count, most).tolist() == places


@given(st.integers(1, 500), st.integers(0, 500))
def test_no_image_is_judged_twice(count: int, most: int) -> None:
    places = spread_evenly(count, most)
    assert len(set(places.tolist())) == len(places) == (min(count, most) or count)
    assert places.min() == 0
    assert places.max() < count


def test_cross_entropy_is_the_mean_log_in_nats() -> None:
    uniform = np.full((5, 10), 0.1, dtype=np.float32)
    assert cross_entropy(uniform, np.arange(5)) == pytest.approx(math.log(10), rel=1e-6)


def test_cross_entropy_of_certain_nonsense_is_large_but_finite() -> None:
    certain = np.array([[0.0, 1.0]], dtype=np.float32)
    assert cross_entropy(certain, np.array([0])) == pytest.approx(126 * math.log(2))


def test_cross_entropy_of_a_network_that_is_sure_and_wrong_is_that_of_its_logits() -> None:
    logits = np.array([[0.0, 30.0, 1.0], [25.0, 0.0, 0.0], [3.0, 0.0, 1.0]])
    logarithms = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    labels = np.array([0, 2, 0])
    found = cross_entropy(np.exp(logarithms).astype(np.float32), labels)
    assert found == pytest.approx(-logarithms[np.arange(3), labels].mean(), rel=1e-6)


@pytest.mark.parametrize(
    ("probabilities", "loss"),
    [([[1.0], [1.0]], 0.0), ([[0.5, 0.5], [math.nan, math.nan]], math.nan)],
    ids=["one class", "a training that diverged"],
)
def test_cross_entropy_where_there_is_little_to_tell(probabilities: list[list[float]], loss: float) -> None:
    found = cross_entropy(np.array(probabilities, dtype=np.float32), np.zeros(2, dtype=np.int64))
    assert found == pytest.approx(loss, nan_ok=True)


def test_judge_counts_by_hand() -> None:
    judged = judge_overall(PROBABILITIES, LABELS, 0.95)
    assert judged["accuracy"] == pytest.approx(2 / 6, abs=1e-6)
    assert (judged["low"], judged["high"]) == pytest.approx(wilson_interval(2, 6, 0.95), abs=1e-6)
    truth = [0.8, 0.2, 0.3, 0.8, 0.3, 0.05]
    assert judged["loss"] == pytest.approx(-sum(map(math.log, truth)) / 6, abs=1e-6)
    assert judged["top2"] == pytest.approx(5 / 6, abs=1e-6)  # all but the last
    assert judged["macro_f1"] == pytest.approx((1 / 3 + 0.4 + 0) / 3, abs=1e-6)


@pytest.mark.parametrize("mistaken_for", [1, 2], ids=["a class with images", "a class without"])
def test_macro_f1_is_over_the_classes_that_have_images(mistaken_for: int) -> None:
    labels = np.repeat([0, 1], 6)
    predicted = np.where(np.arange(12) == 5, mistaken_for, labels)
    judged = judge_overall(np.eye(3, dtype=np.float32)[predicted], labels, 0.95)
    other = {1: 12 / 13, 2: 1.0}[mistaken_for]  # F1 of class 1: one image too many, or none
    assert judged["macro_f1"] == pytest.approx((10 / 11 + other) / 2, abs=1e-6)


@pytest.mark.parametrize(("top", "share"), [(1, 0.5), (2, 0.75), (3, 1.0)])
def test_of_equal_probabilities_the_first_classes_count(top: int, share: float) -> None:
    probabilities = np.array([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2], [1.0, 0.0, 0.0], [1 / 3] * 3], dtype=np.float32)
    assert share_in_top(probabilities, np.array([0, 1, 0, 2]), top) == share


def test_top2_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(1)
    probabilities = generator.dirichlet(np.ones(6), 400).astype(np.float32)
    labels = generator.integers(5, size=400)  # one class has no images, and is predicted all the same
    judged = judge_overall(probabilities, labels, 0.95)
    assert judged["top2"] == pytest.approx(top_k_accuracy_score(labels, probabilities, k=2, labels=range(6)), abs=1e-6)


def test_scaled_figures_are_those_of_the_scaled_probabilities() -> None:
    scaled = judge_overall(apply_temperature(PROBABILITIES, 2.0), LABELS, 0.95)
    expected = {"scaled_loss": scaled["loss"], "scaled_ece": scaled["ece"]}
    assert judge_scaled(Predictions(PROBABILITIES, LABELS), 2.0) == expected


def test_classes_are_counted_by_hand() -> None:
    assert judge_classes(PROBABILITIES.argmax(axis=1), LABELS, CLASSES) == {
        "cat": {"precision": 0.333333, "recall": 0.333333, "f1": 0.333333, "images": 3},
        "dog": {"precision": 0.333333, "recall": 0.5, "f1": 0.4, "images": 2},
        "owl": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 1},  # never predicted
    }


@pytest.mark.parametrize("classes", [2, 5, 40])  # of 40 some have no images, and some are never predicted
def test_figures_of_classes_are_those_of_scikit_learn(classes: int) -> None:
    random = np.random.default_rng(0)
    labels = random.integers(classes, size=60)
    probabilities = random.random((60, classes), dtype=np.float32)
    probabilities[np.arange(60), labels] += 0.5
    predicted = probabilities.argmax(axis=1)
    every = np.arange(classes)
    assert np.array_equal(count_pairs(labels, predicted, classes), confusion_matrix(labels, predicted, labels=every))
    judged = judge_classes(predicted, labels, [str(number) for number in every])
    told = [[each[name] or 0.0 for each in judged.values()] for name in ("precision", "recall", "f1", "images")]
    expected = precision_recall_fscore_support(labels, predicted, labels=every, zero_division=0)
    np.testing.assert_allclose(told, expected, atol=1e-6)
    macro = f1_score(labels, predicted, labels=np.unique(labels), average="macro", zero_division=0)
    assert judge_overall(probabilities, labels, 0.95)["macro_f1"] == pytest.approx(macro, abs=1e-6)


def test_a_class_without_images_is_listed() -> None:
    judged = judge_classes(PROBABILITIES[:3].argmax(axis=1), LABELS[:3], CLASSES)
    assert judged["owl"] == {"precision": 0.0, "recall": None, "f1": None, "images": 0}


def test_rows_of_the_matrix_are_true_classes() -> None:
    assert count_pairs(LABELS, PROBABILITIES.argmax(axis=1), 4).tolist() == [
        [1, 2, 0, 0],
        [1, 1, 0, 0],
        [1, 0, 0, 0],
        [0, 0, 0, 0],
    ]


def test_no_images_is_an_error_that_says_where_to_look() -> None:
    with pytest.raises(UserError, match=r"split\.kind"):
        judge_overall(PROBABILITIES[:0], LABELS[:0], 0.95)


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (1, [("cat", "dog", 2)]),
        (2, [("cat", "dog", 2), ("dog", "cat", 1)]),  # on a tie in the order of the classes
        (9, [("cat", "dog", 2), ("dog", "cat", 1), ("owl", "cat", 1)]),  # pairs that never occur are left out
    ],
)
def test_most_confused(n: int, expected: list[tuple[str, str, int]]) -> None:
    assert most_confused(LABELS, PROBABILITIES.argmax(axis=1), CLASSES, n) == expected


def read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.reader(file))


def test_the_confusion_table_has_the_pairs_that_occur_and_the_diagonal(tmp_path: Path) -> None:
    splits = {"test": Predictions(PROBABILITIES, LABELS), "train": Predictions(PROBABILITIES[:1], LABELS[:1])}
    write_confusion(tmp_path / "bn.csv", splits, CLASSES)
    assert read(tmp_path / "bn.csv") == [
        ["split", "actual", "predicted", "images", "share"],
        ["test", "cat", "cat", "1", "0.333333"],
        ["test", "cat", "dog", "2", "0.666667"],
        ["test", "dog", "cat", "1", "0.5"],
        ["test", "dog", "dog", "1", "0.5"],
        ["test", "owl", "cat", "1", "1.0"],
        ["test", "owl", "owl", "0", "0.0"],
        ["train", "cat", "cat", "1", "1.0"],
        ["train", "dog", "dog", "0", "0.0"],
        ["train", "owl", "owl", "0", "0.0"],
    ]


def test_the_commonest_mistakes_as_a_table(tmp_path: Path) -> None:
    write_confused(tmp_path / "bn.csv", {"test": Predictions(PROBABILITIES, LABELS)}, CLASSES, 2)
    assert read(tmp_path / "bn.csv") == [
        ["split", "pair", "actual", "predicted", "images", "share"],
        ["test", "cat → dog", "cat", "dog", "2", "0.666667"],
        ["test", "dog → cat", "dog", "cat", "1", "0.5"],
    ]


def test_figures_per_class_of_every_split_are_one_table(tmp_path: Path) -> None:
    of_cats = {"precision": 0.5, "recall": 1.0, "f1": 0.666667, "images": 3}
    write_per_class(tmp_path / "bn.csv", {"train": {"cat": of_cats}, "test": {"cat": of_cats}})
    assert read(tmp_path / "bn.csv") == [
        ["split", "class", "precision", "recall", "f1", "images"],
        ["train", "cat", "0.5", "1.0", "0.666667", "3"],
        ["test", "cat", "0.5", "1.0", "0.666667", "3"],
    ]
