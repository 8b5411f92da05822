"""Soft voting, and the honest choice of the best member."""

import json

import numpy as np
import pytest

from thumbnet.errors import UserError
from thumbnet.judging.ensembling import best_member, compare, soft_vote, vote
from thumbnet.judging.predictions import Predictions


def predictions(first_class: list[float], labels: list[int]) -> Predictions:
    """Two classes, given by the probability of the first."""
    first = np.array(first_class, dtype=np.float32)
    return Predictions(np.stack([first, 1 - first], axis=1), np.array(labels, dtype=np.int64))


# On validation `sure` is right on 3 of 4 images and `meek` on 2; on test `sure` is right on 1 of 4 and `meek` on 3.
MEMBERS = {
    "meek": {"validation": predictions([0.6, 0.6, 0.45, 0.45], [0, 0, 0, 0]),
             "test": predictions([0.6, 0.6, 0.6, 0.45], [0, 0, 0, 0])},
    "sure": {"validation": predictions([0.1, 0.9, 0.9, 0.9], [0, 0, 0, 0]),
             "test": predictions([0.9, 0.3, 0.45, 0.1], [0, 0, 0, 0])},
}  # fmt: skip


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([[0.2, 0.8]], [0.2, 0.8]),
        ([[0.2, 0.8], [0.6, 0.4]], [0.4, 0.6]),
        ([[1.0, 0.0], [0.0, 1.0], [0.2, 0.8]], [0.4, 0.6]),
    ],
)
def test_soft_vote_is_the_mean(members: list[list[float]], expected: list[float]) -> None:
    voted = soft_vote([np.array([row], dtype=np.float32) for row in members])
    np.testing.assert_allclose(voted, [expected], atol=1e-7)
    assert voted.dtype == np.float32


@pytest.mark.parametrize(
    ("accuracies", "best"),
    [({"bn": 0.91, "gn": 0.92}, "gn"), ({"bn": 0.92, "gn": 0.92, "ln": 0.9}, "bn"), ({"ln": 0.9, "bn": 0.9}, "ln")],
)
def test_best_member_is_the_first_with_the_highest_accuracy(accuracies: dict[str, float], best: str) -> None:
    assert best_member(accuracies) == best


def test_compare_chooses_on_validation_and_reads_test_off() -> None:
    comparison = compare(MEMBERS, vote(MEMBERS), 0.95)
    assert comparison["members"] == ["meek", "sure"]
    assert comparison["best_member"] == "sure"  # 0.75 on validation, 0.25 on test
    # Means on validation: 0.35, 0.75, 0.675, 0.675; on test: 0.75, 0.45, 0.525, 0.275.
    assert comparison["validation"]["accuracy"] == 0.75
    assert comparison["test"]["accuracy"] == 0.5
    assert comparison["gain_validation_points"] == 0
    assert comparison["gain_test_points"] == 25
    assert comparison["test"]["low"] < 0.5 < comparison["test"]["high"]
    assert json.loads(json.dumps(comparison)) == comparison


def test_one_member_is_its_own_ensemble() -> None:
    alone = {"sure": MEMBERS["sure"]}
    voted = vote(alone)
    np.testing.assert_array_equal(voted["test"].probabilities, MEMBERS["sure"]["test"].probabilities)
    assert compare(alone, voted, 0.95)["gain_test_points"] == 0


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"validation": predictions([0.5], [1])}, "labels of the validation split"),
        ({"validation": predictions([0.5, 0.5], [0, 0])}, "labels of the validation split"),
        ({"test": predictions([0.5], [0])}, "bn was evaluated on validation, gn on test"),
        ({"validation": Predictions(np.full((1, 3), 1 / 3, np.float32), np.array([0]))}, "numbers of classes, 2 and 3"),
    ],
    ids=["labels", "images", "splits", "classes"],
)
def test_members_that_do_not_fit_together_are_told(other: dict[str, Predictions], told: str) -> None:
    members = {"bn": {"validation": predictions([0.5], [0])}, "gn": other}
    with pytest.raises(UserError, match=told) as error:
        vote(members)
    assert "evaluate@bn evaluate@gn" in str(error.value)
