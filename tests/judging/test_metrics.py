"""Figures against values worked out by hand or published."""

import math

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from thumbnet.errors import UserError
from thumbnet.judging.metrics import (
    count_pairs,
    cross_entropy,
    judge_classes,
    judge_overall,
    most_confused,
    wilson_interval,
)

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


def test_a_higher_confidence_widens_the_interval() -> None:
    low_90, high_90 = wilson_interval(80, 100, 0.90)
    low_99, high_99 = wilson_interval(80, 100, 0.99)
    assert 0 < low_99 < low_90 < 0.8 < high_90 < high_99 < 1


def test_cross_entropy_is_the_mean_log_in_nats() -> None:
    uniform = np.full((5, 10), 0.1, dtype=np.float32)
    assert cross_entropy(uniform, np.arange(5)) == pytest.approx(math.log(10), rel=1e-6)


def test_cross_entropy_of_certain_nonsense_is_large_but_finite() -> None:
    certain = np.array([[0.0, 1.0]], dtype=np.float32)
    assert cross_entropy(certain, np.array([0])) == pytest.approx(-math.log(2**-23))


def test_judge_counts_by_hand() -> None:
    judged = judge_overall(PROBABILITIES, LABELS, 0.95)
    assert judged["accuracy"] == pytest.approx(2 / 6, abs=1e-6)
    assert (judged["low"], judged["high"]) == pytest.approx(wilson_interval(2, 6, 0.95), abs=1e-6)
    truth = [0.8, 0.2, 0.3, 0.8, 0.3, 0.05]
    assert judged["loss"] == pytest.approx(-sum(map(math.log, truth)) / 6, abs=1e-6)


def test_classes_are_counted_by_hand() -> None:
    assert judge_classes(PROBABILITIES.argmax(axis=1), LABELS, CLASSES) == {
        "cat": {"precision": 0.333333, "recall": 0.333333, "f1": 0.333333, "images": 3},
        "dog": {"precision": 0.333333, "recall": 0.5, "f1": 0.4, "images": 2},
        "owl": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 1},  # never predicted
    }


def test_a_class_without_images_is_listed() -> None:
    judged = judge_classes(PROBABILITIES[:3].argmax(axis=1), LABELS[:3], CLASSES)
    assert judged["owl"] == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "images": 0}


def test_classes_are_judged_as_scikit_learn_judges_them() -> None:
    generator = np.random.default_rng(0)
    labels, predicted = generator.integers(7, size=500), generator.integers(1, 7, size=500)
    expected = precision_recall_fscore_support(labels, predicted, zero_division=0)

    judged = judge_classes(predicted, labels, list("abcdefg"))

    told = zip(*([*figures.values()] for figures in judged.values()), strict=True)
    for ours, theirs in zip(told, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs.round(6))
    assert np.array_equal(count_pairs(labels, predicted, 7), confusion_matrix(labels, predicted))


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
