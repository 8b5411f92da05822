"""Several networks as one: five ways to combine them, and how much each member adds.

Whatever is fitted or chosen (weights, a selection, the best single network) is fitted or chosen on validation, as an
honest user would; the test set is only read off. Files are left to `thumbnet.judging.predictions`, figures to
`thumbnet.judging.comparing`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, field
from itertools import combinations
from math import comb
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from thumbnet.errors import UserError
from thumbnet.files import write_table
from thumbnet.judging.logarithms import log_probabilities
from thumbnet.judging.predictions import Predictions
from thumbnet.params import EnsembleMethod, EnsembleSeeds

Networks = Mapping[str, Mapping[str, Predictions]]  # network -> split -> predictions

SPLITS = ("validation", "test")  # what members are always evaluated on; train comes to these where it was judged
METHODS: tuple[EnsembleMethod, ...] = get_args(EnsembleMethod)
ROUNDS = 30  # of greedy selection
WEIGHT_DECIMALS = 6

#: Sizes of ensembles that the curve of accuracy against size has at most, and subsets of each.
SIZES, SUBSETS = 20, 50
_CHUNK = 2**21  # numbers that are in memory at a time for it


@dataclass(frozen=True)
class Ensemble:
    """What a method makes of several networks.

    Attributes:
        method: its name.
        predictions: by name of split, of all that the networks were evaluated on.
        weights: by name of network, adding up to 1; empty where all networks have the same say.
    """

    method: EnsembleMethod
    predictions: dict[str, Predictions]
    weights: dict[str, float] = field(default_factory=dict)


def list_networks(members: Networks, seeds: EnsembleSeeds) -> dict[str, dict[str, Predictions]]:
    """The networks that an ensemble is made of, checked to fit together.

    Args:
        members: each member's predictions, by name of member and of split.
        seeds: `first`: one network of each member; `all`: those of its further seeds too.

    Returns:
        The predictions by name of network and of split: the member's name, and where it comes from several seeds
        `/1`, `/2` and so on after it.

    Raises:
        UserError: the members were not evaluated on the same images and classes.
    """
    first, *others = members
    for other in others:
        _check_same_images(first, members[first], other, members[other])
    networks: dict[str, dict[str, Predictions]] = {}
    for member, splits in members.items():
        of_seeds = {split: predictions.by_seed() for split, predictions in splits.items()}
        count = len(of_seeds["validation"]) if seeds == "all" else 1
        for seed in range(count):
            name = member if count == 1 else f"{member}/{seed + 1}"
            networks[name] = {split: predictions[seed] for split, predictions in of_seeds.items()}
    return networks


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


def combine(method: EnsembleMethod, networks: Networks) -> Ensemble:
    """One ensemble of all networks; what it has to learn it learns on validation.

    Args:
        method: its name; see `vote` and the functions that find weights.
        networks: what `list_networks` returns, one network or more.
    """
    labels = {split: predictions.labels for split, predictions in next(iter(networks.values())).items()}
    stacks = {split: np.stack([splits[split].probabilities for splits in networks.values()]) for split in labels}
    find_weights = {"weighted": fit_weights, "greedy": select_greedily}.get(method)
    weights = find_weights(stacks["validation"], labels["validation"]) if find_weights else None
    return Ensemble(
        method,
        {split: Predictions(vote(method, stacks[split], weights), labels[split]) for split in labels},
        {} if weights is None else dict(zip(networks, weights.tolist(), strict=True)),
    )


def vote(
    method: EnsembleMethod, probabilities: NDArray[np.float32], weights: Sequence[float] | NDArray[np.float64] | None
) -> NDArray[np.float32]:
    """What the networks say together.

    Args:
        method: `soft_vote`: the mean of the probabilities; `logit_mean`: the softmax of the mean of the logits;
            `majority`: one vote per network, and one more that they cast together, the soft vote, which decides
            between equals; `weighted`, `greedy`: the mean of the probabilities by `weights`.
        probabilities: (networks, n, classes).
        weights: of `weighted` and `greedy`: (networks,), adding up to 1; of the others None.

    Returns:
        float32, (n, classes); each row sums to 1.
    """
    count, _, classes = probabilities.shape
    if weights is not None:
        together = np.tensordot(np.asarray(weights), probabilities, axes=1)
    elif method == "logit_mean":
        # Logarithms are logits up to a constant per image, which a softmax drops.
        logits = log_probabilities(probabilities).mean(axis=0)
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        together = raised / raised.sum(axis=1, keepdims=True)
    else:
        together = probabilities.mean(axis=0, dtype=np.float64)
        if method == "majority":
            votes = (probabilities.argmax(axis=2)[..., None] == np.arange(classes)).sum(axis=0)  # (n, classes)
            together = (votes + together) / (count + 1)
    return np.asarray(together, dtype=np.float32)


def fit_weights(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The weights, 0 or more and 1 in all, whose weighted mean of probabilities makes the labels most likely.

    The loss is convex in the weights, so that there is one minimum.

    Args:
        probabilities: (networks, n, classes).
        labels: (n,).

    Returns:
        (networks,), to six decimals.
    """
    from scipy.optimize import minimize

    count, images, _ = probabilities.shape
    of_truth = probabilities[:, np.arange(images), labels].astype(np.float64)  # (networks, n)
    of_truth = of_truth.clip(min=np.finfo(np.float32).eps)  # bounds the slopes that the search meets

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        mixed = weights @ of_truth  # (n,)
        return float(-np.log(mixed).mean()), -(of_truth / mixed).mean(axis=1)

    found = minimize(loss, np.full(count, 1 / count), jac=True, method="SLSQP", bounds=[(0, 1)] * count,
                     constraints={"type": "eq", "fun": lambda weights: weights.sum() - 1,
                                  "jac": lambda weights: np.ones(count)},
                     options={"ftol": 1e-9, "maxiter": 500})  # fmt: skip
    weights = np.asarray(found.x).clip(min=0)
    return np.asarray((weights / weights.sum()).round(WEIGHT_DECIMALS))


def select_greedily(
    probabilities: NDArray[np.float32], labels: NDArray[np.int64], rounds: int = ROUNDS
) -> NDArray[np.float64]:
    """Weights by forward selection with replacement: each round adds the network that helps accuracy most.

    Of equal accuracies the lower loss decides. The smallest of the best selections is kept.

    Args:
        probabilities: (networks, n, classes).
        labels: (n,).
        rounds: networks that are added, the same ones again where that is best.

    Returns:
        (networks,): how often each is in the selection, as a share.

    Source: R. Caruana, A. Niculescu-Mizil, G. Crew, A. Ksikes, "Ensemble selection from libraries of models", ICML
    2004.
    """
    count, images, _ = probabilities.shape
    rows = np.arange(images)
    total = np.zeros(probabilities.shape[1:])  # (n, classes)
    chosen: list[int] = []
    best, best_size = (0.0, -np.inf), 0

    def score(summed: NDArray[np.float64]) -> tuple[float, float]:
        log_likelihood = float(log_probabilities(summed[rows, labels]).mean()) - np.log(len(chosen) + 1)
        return float((summed.argmax(axis=1) == labels).mean()), round(log_likelihood, 9)

    for _ in range(rounds):
        scores = [score(total + added) for added in probabilities]
        pick = max(range(count), key=scores.__getitem__)
        total += probabilities[pick]
        chosen.append(pick)
        if scores[pick] > best:
            best, best_size = scores[pick], len(chosen)
    return np.bincount(chosen[:best_size], minlength=count) / best_size


def best_network(networks: Networks) -> str:
    """The network with the highest accuracy on validation; on a tie the one that comes first."""
    return max(networks, key=lambda name: networks[name]["validation"].accuracy)


@dataclass(frozen=True)
class Size:
    """Soft votes of so many networks, on one split.

    Attributes:
        networks: how many vote.
        split: its name.
        mean: accuracy over the subsets.
        low: of the worst subset.
        high: of the best subset.
        subsets: how many there are: all, or 50 of them.
    """

    networks: int
    split: str
    mean: float
    low: float
    high: float
    subsets: int


def accuracy_by_size(networks: Networks) -> list[Size]:
    """Accuracy of the soft vote of 1, 2, ... networks: all subsets of a size, or 50 drawn from them.

    Args:
        networks: what `list_networks` returns. Of more than 20, 20 sizes between 1 and all are looked at.

    Returns:
        One row per size and split, in this order.
    """
    count = len(networks)
    generator = np.random.default_rng(0)  # the draws are part of the method: always the same ones
    sizes = {round(size) for size in np.geomspace(1, count, SIZES)} if count > SIZES else range(1, count + 1)
    rows = []
    for size in sorted(sizes):
        chosen = _draw_subsets(count, size, generator)  # (subsets, networks)
        for split in SPLITS:
            accuracies = _vote_subsets([splits[split] for splits in networks.values()], chosen)  # (subsets,)
            mean, low, high = accuracies.mean(), accuracies.min(), accuracies.max()
            rows.append(Size(size, split, float(mean), float(low), float(high), len(chosen)))
    return rows


def _draw_subsets(count: int, size: int, generator: np.random.Generator) -> NDArray[np.float64]:
    """Subsets as rows of 1 and 0."""
    if comb(count, size) <= SUBSETS:
        places = np.array(list(combinations(range(count), size)))
    else:
        places = np.stack([generator.permutation(count)[:size] for _ in range(SUBSETS)])
    subsets = np.zeros((len(places), count))
    np.put_along_axis(subsets, places, 1.0, axis=1)
    return subsets


def _vote_subsets(predictions: Sequence[Predictions], subsets: NDArray[np.float64]) -> NDArray[np.float64]:
    """The accuracy of each subset's soft vote."""
    labels, classes = predictions[0].labels, predictions[0].probabilities.shape[1]
    rows = max(1, _CHUNK // (len(subsets) * classes))
    right = np.zeros(len(subsets), dtype=np.int64)
    for start in range(0, len(labels), rows):
        part = np.stack([each.probabilities[start : start + rows] for each in predictions]).astype(np.float64)
        summed = np.tensordot(subsets, part, axes=1)  # (subsets, rows, classes)
        right += (summed.argmax(axis=2) == labels[start : start + rows]).sum(axis=1)
    return np.asarray(right / len(labels))


def write_sizes(path: Path, sizes: Sequence[Size]) -> None:
    """Writes one row per size and split as CSV: `networks`, `split`, `mean`, `low`, `high`, `subsets`.

    Args:
        path: of the file.
        sizes: what `accuracy_by_size` returns.
    """
    rows = ([round(value, 6) if isinstance(value, float) else value for value in astuple(size)] for size in sizes)
    write_table(path, ("networks", "split", "mean", "low", "high", "subsets"), rows)
