"""Ways to combine networks, against hand calculations and exhaustive searches; the curve of accuracy against size."""

import csv
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from thumbnet.errors import UserError
from thumbnet.judging.ensembling import (
    METHODS,
    SUBSETS,
    accuracy_by_size,
    best_network,
    combine,
    fit_weights,
    list_networks,
    select_greedily,
    vote,
    write_sizes,
)
from thumbnet.judging.metrics import cross_entropy
from thumbnet.judging.predictions import Predictions
from thumbnet.params import EnsembleMethod


def predictions(first_class: list[float], labels: list[int]) -> Predictions:
    """Two classes, given by the probability of the first."""
    first = np.array(first_class, dtype=np.float32)
    return Predictions(np.stack([first, 1 - first], axis=1), np.array(labels, dtype=np.int64))


def stack(networks: int, n: int, classes: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Networks that are right rather often, each with noise of its own: (networks, n, classes) and labels (n,)."""
    random = np.random.default_rng(seed)
    labels = random.integers(classes, size=n)
    logits = 2.0 * np.eye(classes)[labels] + random.normal(0, 1.5, (networks, n, classes))
    raised = np.exp(logits)
    return (raised / raised.sum(axis=2, keepdims=True)).astype(np.float32), labels


def members(networks: int, n: int = 200, classes: int = 4) -> dict[str, dict[str, Predictions]]:
    made: dict[str, dict[str, Predictions]] = {f"m{i}": {} for i in range(networks)}
    for seed, split in enumerate(("validation", "test")):
        probabilities, labels = stack(networks, n, classes, seed)
        for name, of_network in zip(made, probabilities, strict=True):
            made[name][split] = Predictions(of_network, labels)
    return made


@pytest.mark.parametrize(
    ("method", "networks", "expected"),
    [
        ("soft_vote", [[0.2, 0.8]], [0.2, 0.8]),
        ("soft_vote", [[1.0, 0.0], [0.0, 1.0], [0.2, 0.8]], [0.4, 0.6]),
        ("logit_mean", [[0.2, 0.8], [0.2, 0.8]], [0.2, 0.8]),
        ("logit_mean", [[0.5, 0.5], [0.1, 0.9]], [0.25, 0.75]),  # logits 0 and -ln 9: their mean is -ln 3
        ("majority", [[0.9, 0.1], [0.4, 0.6], [0.4, 0.6]], [(1 + 1.7 / 3) / 4, (2 + 1.3 / 3) / 4]),
        ("majority", [[0.9, 0.1], [0.4, 0.6]], [1.65 / 3, 1.35 / 3]),  # one each: the surer one decides
    ],
)
def test_votes_by_hand(method: EnsembleMethod, networks: list[list[float]], expected: list[float]) -> None:
    voted = vote(method, np.array(networks, dtype=np.float32)[:, None], None)
    np.testing.assert_allclose(voted, [expected], atol=1e-6)
    assert voted.dtype == np.float32


@given(st.sampled_from(METHODS), st.integers(1, 5), st.integers(2, 6), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_every_vote_is_a_distribution_and_one_network_is_itself(
    method: EnsembleMethod, networks: int, classes: int, seed: int
) -> None:
    probabilities, _ = stack(networks, 12, classes, seed)
    weights = np.full(networks, 1 / networks) if method in ("weighted", "greedy") else None
    voted = vote(method, probabilities, weights)
    np.testing.assert_allclose(voted.sum(axis=1), 1, atol=1e-5)
    assert (voted >= 0).all()
    if networks == 1:
        np.testing.assert_array_equal(voted.argmax(axis=1), probabilities[0].argmax(axis=1))


def test_a_majority_is_never_overruled() -> None:
    probabilities, _ = stack(5, 500, 4)
    guesses = probabilities.argmax(axis=2)
    counts = np.stack([(guesses == label).sum(axis=0) for label in range(4)], axis=1)  # (n, classes)
    voted = vote("majority", probabilities, None).argmax(axis=1)
    np.testing.assert_array_equal(counts[np.arange(500), voted], counts.max(axis=1))


def test_weights_are_those_of_a_fine_grid() -> None:
    probabilities, labels = stack(2, 400, 3)
    weights = fit_weights(probabilities, labels)
    losses = {share: cross_entropy(vote("weighted", probabilities, [share, 1 - share]), labels)
              for share in np.linspace(0, 1, 1001)}  # fmt: skip
    assert weights.sum() == pytest.approx(1, abs=1e-5)
    assert weights[0] == pytest.approx(min(losses, key=losses.__getitem__), abs=2e-3)


def test_a_network_that_knows_nothing_gets_no_weight() -> None:
    probabilities, labels = stack(3, 600, 4)
    probabilities[1] = 0.25
    assert fit_weights(probabilities, labels)[1] == pytest.approx(0, abs=1e-4)
    assert select_greedily(probabilities, labels)[1] == 0


def test_greedy_selection_is_as_good_as_the_best_single_network_or_better() -> None:
    probabilities, labels = stack(6, 300, 5)
    weights = select_greedily(probabilities, labels)
    chosen = (vote("greedy", probabilities, weights).argmax(axis=1) == labels).mean()
    assert chosen >= max((each.argmax(axis=1) == labels).mean() for each in probabilities)
    assert weights.sum() == pytest.approx(1)


@pytest.mark.parametrize(("rounds", "expected"), [(1, [1, 0, 0]), (2, [1 / 2, 1 / 2, 0]), (3, [2 / 3, 1 / 3, 0])])
def test_greedy_selection_by_hand(rounds: int, expected: list[float]) -> None:
    """The first is the best alone; the second mends its one mistake; then the first once more lowers the loss."""
    labels = np.array([0, 0, 0, 0])
    first, second, third = [0.9, 0.9, 0.9, 0.45], [0.2, 0.45, 0.45, 0.9], [0.9, 0.4, 0.4, 0.1]
    probabilities = np.stack([predictions(each, [0] * 4).probabilities for each in (first, second, third)])
    assert select_greedily(probabilities, labels, rounds).tolist() == pytest.approx(expected)


def test_what_is_fitted_is_fitted_on_validation() -> None:
    networks = members(4)
    for method in METHODS:
        ensemble = combine(method, networks)
        shuffled = {name: {**splits, "test": networks["m0"]["test"]} for name, splits in networks.items()}
        assert combine(method, shuffled).weights == ensemble.weights
        assert bool(ensemble.weights) is (method in ("weighted", "greedy"))
        assert list(ensemble.predictions) == ["validation", "test"]


def test_the_best_network_is_the_first_of_highest_accuracy() -> None:
    right, wrong = predictions([0.9, 0.9], [0, 0]), predictions([0.9, 0.1], [0, 0])
    assert best_network({"a": {"validation": wrong}, "b": {"validation": right}, "c": {"validation": right}}) == "b"


@pytest.mark.parametrize(("seeds", "names"), [("first", ["bn", "ln"]), ("all", ["bn/1", "bn/2", "bn/3", "ln"])])
def test_networks_of_seeds(seeds: str, names: list[str]) -> None:
    made = members(2)
    others = {split: stack(2, 200, 4, 9)[0] for split in ("validation", "test")}
    several = {split: Predictions(each.probabilities, each.labels, others[split]) for split, each in made["m0"].items()}
    networks = list_networks({"bn": several, "ln": made["m1"]}, seeds)  # type: ignore[arg-type]
    assert list(networks) == names
    np.testing.assert_array_equal(networks[names[0]]["test"].probabilities, made["m0"]["test"].probabilities)
    if seeds == "all":
        np.testing.assert_array_equal(networks["bn/3"]["test"].probabilities, others["test"][1])


def test_accuracy_by_size_is_that_of_all_subsets() -> None:
    networks = members(4)
    rows = {(row.networks, row.split): row for row in accuracy_by_size(networks)}
    assert len(rows) == 8
    for size in (1, 2, 3, 4):
        subsets = list(combinations(networks, size))
        accuracies = []
        for subset in subsets:
            probabilities = np.stack([networks[name]["test"].probabilities for name in subset])
            accuracies.append(
                (vote("soft_vote", probabilities, None).argmax(axis=1) == networks["m0"]["test"].labels).mean()
            )
        row = rows[size, "test"]
        assert row.subsets == len(subsets)
        assert (row.mean, row.low, row.high) == pytest.approx((np.mean(accuracies), min(accuracies), max(accuracies)))


def test_of_many_networks_some_sizes_and_subsets_are_looked_at() -> None:
    rows = accuracy_by_size(members(40, n=50))
    sizes = sorted({row.networks for row in rows})
    assert sizes[:3] == [1, 2, 3]
    assert sizes[-1] == 40
    assert len(sizes) <= 20
    assert {row.subsets for row in rows} == {40, SUBSETS, 1}
    assert rows == accuracy_by_size(members(40, n=50))


def test_the_table_of_sizes(tmp_path: Path) -> None:
    write_sizes(tmp_path / "size.csv", accuracy_by_size({"one": {split: predictions([0.9, 0.1, 0.9], [0, 0, 0])
                                                                 for split in ("validation", "test")}}))  # fmt: skip
    with (tmp_path / "size.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["networks", "split", "mean", "low", "high", "subsets"]
    assert rows[1:] == [["1", split, "0.666667", "0.666667", "0.666667", "1"] for split in ("validation", "test")]


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
    made = {"bn": {"validation": predictions([0.5], [0])}, "gn": other}
    with pytest.raises(UserError, match=told) as error:
        list_networks(made, "first")
    assert "evaluate@bn evaluate@gn" in str(error.value)
