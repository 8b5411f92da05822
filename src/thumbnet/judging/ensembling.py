"""Soft voting: several networks as one, and whether that beats the best of them.

The best member is the one chosen on validation, as an honest user would choose it; the test set is only read off.
Files are left to `thumbnet.judging.predictions`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thumbnet.errors import UserError
from thumbnet.judging.metrics import judge_overall
from thumbnet.judging.predictions import Predictions

MemberPredictions = Mapping[str, Mapping[str, Predictions]]  # member -> split -> predictions


def soft_vote(probabilities: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The mean of the members' probabilities.

    Args:
        probabilities: one array (n, classes) per member, one member or more.

    Returns:
        float32, (n, classes).
    """
    return np.asarray(np.mean(np.stack(probabilities), axis=0, dtype=np.float64), dtype=np.float32)


def vote(members: MemberPredictions) -> dict[str, Predictions]:
    """The ensemble's predictions on every split.

    Args:
        members: each member's predictions, by name of member and of split.

    Returns:
        The soft vote, by name of split, in the first member's order.

    Raises:
        UserError: the members were not evaluated on the same splits, images and classes.
    """
    first, *others = members
    for other in others:
        _check_same_images(first, members[first], other, members[other])
    return {
        split: Predictions(soft_vote([member[split].probabilities for member in members.values()]), judged.labels)
        for split, judged in members[first].items()
    }


def _check_same_images(
    first: str, expected: Mapping[str, Predictions], other: str, given: Mapping[str, Predictions]
) -> None:
    remedy = f"evaluate both again: dvc repro -f -s evaluate@{first} evaluate@{other}"
    if set(expected) != set(given):
        raise UserError(f"{first} was evaluated on {', '.join(expected)}, {other} on {', '.join(given)}; {remedy}")
    for split, judged in expected.items():
        if not np.array_equal(judged.labels, given[split].labels):
            raise UserError(f"{first} and {other} disagree on the labels of the {split} split; {remedy}")
        if judged.probabilities.shape != given[split].probabilities.shape:
            numbers = f"{judged.probabilities.shape[1]} and {given[split].probabilities.shape[1]}"
            raise UserError(f"{first} and {other} know different numbers of classes, {numbers}; {remedy}")


def best_member(validation_accuracies: Mapping[str, float]) -> str:
    """The member with the highest validation accuracy; on a tie the one that comes first."""
    return max(validation_accuracies, key=lambda member: validation_accuracies[member])


def compare(members: MemberPredictions, ensemble: Mapping[str, Predictions], confidence: float) -> dict[str, Any]:
    """The ensemble beside its best member, ready for JSON.

    Args:
        members: each member's predictions on `validation` and `test`, by name of member and of split.
        ensemble: what `vote` made of them.
        confidence: level of the intervals, e.g. 0.95.

    Returns:
        `members` (their names), `validation` and `test` (what `judge_overall` returns, of the ensemble), `best_member`
        (its name), `gain_validation_points` and `gain_test_points` (ensemble minus best member, in percentage points).

    Raises:
        UserError: a split has no images.
    """
    judged = {split: judge_overall(ensemble[split].probabilities, ensemble[split].labels, confidence)
              for split in ("validation", "test")}  # fmt: skip
    best = best_member({name: _accuracy(splits["validation"]) for name, splits in members.items()})
    gains = {split: 100 * (_accuracy(ensemble[split]) - _accuracy(members[best][split])) for split in judged}
    return {
        "members": list(members),
        **judged,
        "best_member": best,
        "gain_validation_points": round(gains["validation"], 4),
        "gain_test_points": round(gains["test"], 4),
    }


def _accuracy(predictions: Predictions) -> float:
    return float((predictions.predicted == predictions.labels).mean())
