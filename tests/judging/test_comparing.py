"""Networks in pairs, against scipy and numpy; the ensemble beside the best network that validation chose."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest, chi2

from thumbnet.judging.comparing import compare, compare_pairs, holm, mcnemar
from thumbnet.judging.ensembling import METHODS, combine, list_networks
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


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (5, 5), (3, 9), (0, 24), (12, 12), (20, 4)])
def test_few_disagreements_are_tested_exactly(first: int, second: int) -> None:
    p, test = mcnemar(first, second)
    expected = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert test == "exact binomial"
    assert p == pytest.approx(expected, rel=1e-9)
    assert mcnemar(second, first) == (p, test)


@pytest.mark.parametrize(
    ("first", "second", "statistic"),
    [(5, 20, 14**2 / 25), (12, 13, 0.0), (155, 84, 70**2 / 239), (25, 25, 0.0), (0, 500, 499**2 / 500)],
)
def test_many_disagreements_are_tested_with_continuity_correction(first: int, second: int, statistic: float) -> None:
    p, test = mcnemar(first, second)
    assert test == "chi-squared"
    assert p == pytest.approx(chi2.sf(statistic, 1), rel=1e-9)


@pytest.mark.parametrize(
    ("given", "corrected"),
    [
        ([], []),
        ([0.03], [0.03]),
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.5, 0.9, 0.4], [1.0, 1.0, 1.0]),
    ],
)
def test_holm_by_hand(given: list[float], corrected: list[float]) -> None:
    assert holm(given) == pytest.approx(corrected)


def test_pairs_are_counted_as_numpy_counts_them() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(4, size=300)
    predicted = {name: np.where(random.random(300) < 0.7, labels, random.integers(4, size=300)) for name in "abc"}
    pairs = compare_pairs(predicted, labels)
    assert [(pair["first"], pair["second"]) for pair in pairs] == [("a", "b"), ("a", "c"), ("b", "c")]
    for pair in pairs:
        first, second = predicted[pair["first"]], predicted[pair["second"]]
        assert pair["disagreement"] == pytest.approx((first != second).mean(), abs=1e-6)
        expected = np.corrcoef(first != labels, second != labels)[0, 1]
        assert pair["error_correlation"] == pytest.approx(expected, abs=1e-6)
        assert pair["only_first"] - pair["only_second"] == (first == labels).sum() - (second == labels).sum()
        assert pair["p"] <= pair["p_holm"]


@pytest.mark.parametrize(
    ("first", "second", "correlation"),
    [([0, 0, 1, 1], [0, 0, 1, 1], 1.0), ([0, 0, 1, 1], [1, 1, 0, 0], -1.0), ([0, 0, 0, 0], [0, 0, 1, 1], 0.0)],
    ids=["the same mistakes", "opposite mistakes", "one without mistakes"],
)
def test_the_correlation_of_mistakes_by_hand(first: list[int], second: list[int], correlation: float) -> None:
    (pair,) = compare_pairs({"a": np.array(first), "b": np.array(second)}, np.zeros(4, dtype=np.int64))
    assert pair["error_correlation"] == pytest.approx(correlation)


def test_the_best_network_is_chosen_on_validation_and_test_read_off() -> None:
    networks = list_networks(MEMBERS, "first")
    comparison = compare(networks, [combine(method, networks) for method in METHODS], "soft_vote", 0.95)
    assert comparison["method"] == "soft_vote"
    assert comparison["networks"] == 2
    assert comparison["best_member"] == comparison["best_network"] == "sure"  # 0.75 on validation, 0.25 on test
    # Means on validation: 0.35, 0.75, 0.675, 0.675; on test: 0.75, 0.45, 0.525, 0.275.
    assert comparison["validation"]["accuracy"] == 0.75
    assert comparison["test"]["accuracy"] == 0.5
    assert comparison["gain_validation_points"] == 0
    assert comparison["gain_test_points"] == 25
    assert comparison["mcnemar_p"] == 1.0  # one image that only the ensemble gets right, none the other way
    assert comparison["test"]["low"] < 0.5 < comparison["test"]["high"]
    assert [pair["first"] for pair in comparison["pairs"]] == ["ensemble", "meek"]
    assert comparison["disagreement"] == comparison["pairs"][1]["disagreement"] == 0.5
    assert [each["method"] for each in comparison["methods"]] == list(METHODS)
    assert {each["network"]: each["test"]["accuracy"] for each in comparison["singles"]} == {"meek": 0.75, "sure": 0.25}
    assert json.loads(json.dumps(comparison)) == comparison


def test_the_chosen_method_is_the_one_that_is_judged() -> None:
    networks = list_networks(MEMBERS, "first")
    ensembles = [combine(method, networks) for method in METHODS]
    for ensemble in ensembles:
        comparison = compare(networks, ensembles, ensemble.method, 0.95)
        listed = next(each for each in comparison["methods"] if each["method"] == ensemble.method)
        assert comparison["test"]["loss"] == listed["test"]["loss"]
        assert comparison["test"]["accuracy"] == ensemble.predictions["test"].accuracy


def test_one_network_is_compared_with_itself() -> None:
    networks = list_networks({"sure": MEMBERS["sure"]}, "all")
    comparison = compare(networks, [combine(method, networks) for method in METHODS], "greedy", 0.95)
    assert comparison["gain_test_points"] == 0
    assert comparison["mcnemar_p"] == 1.0
    assert comparison["disagreement"] is comparison["error_correlation"] is None
    assert [(pair["first"], pair["second"]) for pair in comparison["pairs"]] == [("ensemble", "sure")]
