"""Accuracy with its interval, loss, calibration, figures per class, and the classes that are confused most.

Everything here is arithmetic on probabilities and labels, and returns plain numbers ready for JSON. scikit-learn has
most of it and scipy.stats the rest; to load them takes longer than a stage's whole arithmetic, so tests alone compare
with them. Files are left to `thumbnet.judging.predictions`, pictures to `thumbnet.figures`.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thumbnet.errors import UserError
from thumbnet.files import write_table
from thumbnet.judging.calibration import apply_temperature, expected_calibration_error, sort_into_bins
from thumbnet.judging.logarithms import log_probabilities
from thumbnet.judging.predictions import Predictions
from thumbnet.judging.quartiles import quartiles

DECIMALS = 6  # of everything that goes to JSON: files stay stable where the last bits of a sum do not


def spread_evenly(count: int, most: int) -> NDArray[np.int64]:
    """Places of so many images at most, from the first to the last, as far apart as can be; (places,).

    Args:
        count: images there are, 1 or more.
        most: places wanted; 0 for all.
    """
    chosen = min(count, most) or count
    return np.linspace(0, count - 1, chosen).astype(np.int64)


def wilson_interval(successes: int, trials: int, confidence: float) -> tuple[float, float]:
    """The score interval of a proportion, which stays inside 0..1 and holds its level near the ends too.

    Args:
        successes: how many of the trials succeeded.
        trials: how many there were, 1 or more.
        confidence: the level, e.g. 0.95.

    Returns:
        The low and the high end, as fractions.

    Source: E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the
    American Statistical Association 22 (1927), 209-212.
    """
    from scipy.special import ndtri

    z = float(ndtri((1 + confidence) / 2))
    middle = (successes + z**2 / 2) / (trials + z**2)
    half = z / (trials + z**2) * math.sqrt(successes * (trials - successes) / trials + z**2 / 4)
    return (middle - half if successes else 0.0), (middle + half if successes < trials else 1.0)


def cross_entropy(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The mean of -ln(probability of the true class), in nats.

    One image costs 87.3 at most, that of `log_probabilities`, never infinity. scikit-learn's `log_loss` stops at 15.9
    for float32 and at 36 for float64, which makes networks that are sure and wrong look better than they are.

    Args:
        probabilities: (n, classes).
        labels: (n,).
    """
    together = probabilities.sum(axis=1, dtype=np.float64)  # of float32 they add up to 1 but for the last digits
    of_truth = log_probabilities(probabilities[np.arange(len(labels)), labels])
    return float((np.log(together) - of_truth).mean())


def share_in_top(probabilities: NDArray[np.float32], labels: NDArray[np.int64], top: int) -> float:
    """The share of images whose true class is among the `top` most probable ones.

    Args:
        probabilities: (n, classes).
        labels: (n,).
        top: how many classes count; on a tie the first ones, as for the predicted class.
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]  # (n, top)
    return float((order == labels[:, None]).any(axis=1).mean())


def judge_overall(probabilities: NDArray[np.float32], labels: NDArray[np.int64], confidence: float) -> dict[str, Any]:
    """Accuracy with its Wilson interval, loss, and calibration.

    Args:
        probabilities: (n, classes).
        labels: (n,).
        confidence: level of the interval, e.g. 0.95.

    Returns:
        `accuracy`, `low`, `high` (fractions), `loss` (nats per image), `top2` (share of images whose true class is
        among the two most probable), `ece` (expected calibration error, a fraction), `macro_f1` (mean F1 of the classes
        that have images, whichever of the others are predicted).

    Raises:
        UserError: there are no images.
    """
    images = len(labels)
    if images == 0:
        raise UserError("a split without images cannot be judged; allowed: 1 or more; see split.kind in params.yaml")
    predicted = probabilities.argmax(axis=1)
    right = int((predicted == labels).sum())
    low, high = wilson_interval(right, images, confidence)
    _, _, f1 = _rate_classes(count_pairs(labels, predicted, probabilities.shape[1]))
    figures = {
        "accuracy": right / images,
        "low": low,
        "high": high,
        "loss": cross_entropy(probabilities, labels),
        "top2": share_in_top(probabilities, labels, 2),
        "ece": expected_calibration_error(sort_into_bins(probabilities, labels)),
        "macro_f1": float(f1[np.unique(labels)].mean()),
    }
    return {name: round(value, DECIMALS) for name, value in figures.items()}


def judge_scaled(predictions: Predictions, temperature: float) -> dict[str, Any]:
    """Loss and calibration after the logits are divided by a temperature; accuracy stays.

    Returns:
        `scaled_loss` (nats per image), `scaled_ece` (fraction).
    """
    scaled, labels = apply_temperature(predictions.probabilities, temperature), predictions.labels
    return {
        "scaled_loss": round(cross_entropy(scaled, labels), DECIMALS),
        "scaled_ece": round(expected_calibration_error(sort_into_bins(scaled, labels)), DECIMALS),
    }


def judge_seeds(figures: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The figures of the first seed, and of several seeds the quartiles of their accuracies and losses.

    Args:
        figures: what `judge_overall` says of each seed, one or more.

    Returns:
        Those of the first; of several also `seeds`: `count`, and `p25`, `median`, `p75` of `accuracy` and of `loss`.
    """
    first = dict(figures[0])
    if len(figures) > 1:
        spread = {name: quartiles([each[name] for each in figures]) for name in ("accuracy", "loss")}
        first["seeds"] = {"count": len(figures), **spread}
    return first


def judge_classes(
    predicted: NDArray[np.int64], labels: NDArray[np.int64], classes: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Precision, recall and F1 of every class, and how many images it has.

    The precision of a class that is never predicted is 0, recall and F1 of one without images None.

    Args:
        predicted: (n,).
        labels: (n,).
        classes: the classes' names, in the order of their labels.
    """
    counts = count_pairs(labels, predicted, len(classes))  # (classes, classes)
    rates = zip(classes, *_rate_classes(counts), counts.sum(axis=1), strict=True)
    return {
        name: {
            "precision": round(float(precision), DECIMALS),
            "recall": round(float(recall), DECIMALS) if images else None,
            "f1": round(float(f1), DECIMALS) if images else None,
            "images": int(images),
        }
        for name, precision, recall, f1, images in rates
    }


def _rate_classes(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...]:
    """Precision, recall and F1 of each class, (classes,); 0 where there is nothing to divide by.

    Args:
        counts: the confusion matrix, as from `count_pairs`.
    """
    right, images, named = counts.diagonal(), counts.sum(axis=1), counts.sum(axis=0)
    return right / named.clip(min=1), right / images.clip(min=1), 2 * right / (images + named).clip(min=1)


def count_pairs(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """The confusion matrix: how many images of each class (rows) are taken for each class (columns).

    Args:
        labels: (n,).
        predicted: (n,).
        classes: how many there are.

    Returns:
        (classes, classes).
    """
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def most_confused(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: Sequence[str], n: int
) -> list[tuple[str, str, int]]:
    """The commonest mistakes: (true class, predicted class, number of images), the most frequent first.

    Args:
        labels: (n,).
        predicted: (n,).
        classes: the classes' names, in the order of their labels.
        n: how many pairs to return at most; pairs that never occur are left out.
    """
    counts = count_pairs(labels, predicted, len(classes))
    pairs = [(int(counts[i, j]), i, j) for i, j in np.argwhere(counts) if i != j]
    pairs.sort(key=lambda pair: (-pair[0], pair[1], pair[2]))
    return [(classes[i], classes[j], count) for count, i, j in pairs[:n]]


def write_per_class(path: Path, judged: Mapping[str, Mapping[str, Mapping[str, Any]]]) -> None:
    """Writes one row per split and class as CSV: `split`, `class`, `precision`, `recall`, `f1`, `images`.

    Args:
        path: of the file.
        judged: what `judge_classes` returns, by name of split.
    """
    rows = [(split, name, *figures.values()) for split, classes in judged.items() for name, figures in classes.items()]
    write_table(path, ("split", "class", "precision", "recall", "f1", "images"), rows)


def write_confusion(path: Path, splits: Mapping[str, Predictions], classes: Sequence[str]) -> None:
    """Writes confusion matrices as CSV: `split`, `actual`, `predicted`, `images`, `share` of the true class's images.

    Of each split one row per pair of classes that occurs, and the whole diagonal.

    Args:
        path: of the file.
        splits: what to count, by name of split.
        classes: the classes' names, in the order of their labels.
    """
    rows: list[tuple[str, str, str, int, float]] = []
    for split, predictions in splits.items():
        counts = count_pairs(predictions.labels, predictions.predicted, len(classes))
        images = counts.sum(axis=1).clip(min=1)
        rows += [
            (split, classes[i], classes[j], int(counts[i, j]), round(float(counts[i, j] / images[i]), DECIMALS))
            for i, j in np.argwhere((counts > 0) | np.eye(len(classes), dtype=bool))
        ]
    write_table(path, ("split", "actual", "predicted", "images", "share"), rows)


def write_confused(path: Path, splits: Mapping[str, Predictions], classes: Sequence[str], n: int = 10) -> None:
    """Writes the commonest mistakes as CSV: `split`, `pair`, `actual`, `predicted`, `images`, `share` of the class.

    Args:
        path: of the file.
        splits: what to count, by name of split.
        classes: the classes' names, in the order of their labels.
        n: how many rows a split has at most.
    """
    rows: list[tuple[str, str, str, str, int, float]] = []
    for split, predictions in splits.items():
        images = dict(zip(classes, np.bincount(predictions.labels, minlength=len(classes)).tolist(), strict=True))
        pairs = most_confused(predictions.labels, predictions.predicted, classes, n)
        rows += [(split, f"{i} → {j}", i, j, count, round(count / images[i], DECIMALS)) for i, j, count in pairs]
    write_table(path, ("split", "pair", "actual", "predicted", "images", "share"), rows)
