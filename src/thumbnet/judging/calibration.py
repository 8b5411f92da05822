"""Whether probabilities mean what they say: reliability, the calibration error, and one temperature that mends it.

A network that says 80 % should be right on 80 of 100 such images. Everything here works on stored probabilities:
their logarithms are the logits up to a constant per image, which a softmax does not see.

Source: C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017,
https://arxiv.org/abs/1706.04599.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thumbnet.files import write_table
from thumbnet.judging.logarithms import log_probabilities

BINS = 15  # of equal width, as in Guo et al.
#: Temperatures are sought between these: a network that is always right on validation would have one of 0.
COLDEST, HOTTEST = 0.05, 20.0
TEMPERATURE_DECIMALS = 4
#: What the two sets of bins are called in tables and pictures.
BEFORE, AFTER = "as trained", "after temperature"


@dataclass(frozen=True)
class Bin:
    """The images whose confidence, the probability of the predicted class, lies in (low, high].

    Attributes:
        low: of the bin.
        high: of the bin.
        confidence: mean confidence of its images.
        accuracy: share of its images that are right.
        images: how many there are, 1 or more.
    """

    low: float
    high: float
    confidence: float
    accuracy: float
    images: int


def sort_into_bins(probabilities: NDArray[np.float32], labels: NDArray[np.int64], bins: int = BINS) -> list[Bin]:
    """Images grouped by confidence, into bins of equal width; those without images are left out.

    Args:
        probabilities: (n, classes).
        labels: (n,).
        bins: how many divide 0..1.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)  # (n,)
    right = probabilities.argmax(axis=1) == labels  # (n,)
    with np.errstate(invalid="ignore"):  # a training that diverged says nothing: its images are in the first bin
        places = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)  # (n,)
    images = np.bincount(places, minlength=bins)
    sums = (np.bincount(places, weights=values, minlength=bins) for values in (confidence, right))
    filled = images > 0
    means = (of_bins[filled] / images[filled] for of_bins in sums)
    return [
        Bin(place / bins, (place + 1) / bins, float(confident), float(accurate), int(count))
        for place, confident, accurate, count in zip(np.flatnonzero(filled), *means, images[filled], strict=True)
    ]


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """The mean distance between confidence and accuracy, bin by bin, each weighed by its images.

    Args:
        bins: what `sort_into_bins` returns, one or more.
    """
    images = sum(each.images for each in bins)
    return sum(each.images * abs(each.accuracy - each.confidence) for each in bins) / images


def fit_temperature(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature T that makes softmax(logits / T) most likely, from `COLDEST` to `HOTTEST`.

    Above 1 it makes a network less sure of itself, below 1 surer; predicted classes stay.

    Args:
        probabilities: (n, classes), of images that were not trained on.
        labels: (n,).

    Returns:
        T, to four decimals.
    """
    from scipy.optimize import minimize_scalar

    logits = log_probabilities(probabilities)  # (n, classes)
    of_truth = logits[np.arange(len(labels)), labels]  # (n,)

    def loss(log_temperature: float) -> float:
        beta = math.exp(-log_temperature)
        # The largest logit is -ln(classes) or more: the sum never comes to 0.
        return float((np.log(np.exp(beta * logits).sum(axis=1)) - beta * of_truth).mean())

    # The loss is convex in 1 / T: it has one minimum, which a search along ln T finds.
    found = minimize_scalar(loss, bounds=(math.log(COLDEST), math.log(HOTTEST)), method="bounded")
    return round(math.exp(found.x), TEMPERATURE_DECIMALS)


def apply_temperature(probabilities: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """softmax(logits / temperature).

    Args:
        probabilities: (n, classes).
        temperature: above 0; 1 changes nothing.

    Returns:
        float32, (n, classes).
    """
    scaled = log_probabilities(probabilities) / temperature  # (n, classes)
    raised = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True), dtype=np.float32)


def write_calibration(path: Path, splits: Mapping[str, Mapping[str, Sequence[Bin]]]) -> None:
    """Writes one row per bin as CSV: `split`, `scaling`, `low`, `high`, `confidence`, `accuracy`, `images`.

    Args:
        path: of the file.
        splits: what `sort_into_bins` returns, by name of split, then by `BEFORE` and `AFTER`.
    """
    rows = (
        (split, scaling, *(round(value, 6) for value in astuple(each)))
        for split, bins in splits.items()
        for scaling, filled in bins.items()
        for each in filled
    )
    write_table(path, ("split", "scaling", "low", "high", "confidence", "accuracy", "images"), rows)
