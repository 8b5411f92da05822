"""Galleries: images with what they are and what a network took them for.

`find_mistakes` picks and orders, `draw_gallery` draws the first of them, `mistakes_table` lists them all.
`draw_samples` shows how the network does in general, `draw_most_confident` and `draw_least_confident` the ends of what
it says.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from thumbnet.figures import style
from thumbnet.figures.tiles import Tile, Words, draw_tiles
from thumbnet.files import write_table
from thumbnet.judging.predictions import Predictions
from thumbnet.params import GalleryOrder

MISTAKE_COLUMNS = ("split", "index", "true", "predicted", "probability", "true_probability")

#: The last column of tables of images that were files: their paths, relative to `dataset.path`.
FILE_COLUMN = "file"

#: Of what is drawn at random: the same for all networks, whose pictures can be compared then.
SAMPLES_SEED = 0

ORDERS: dict[GalleryOrder, str] = {
    "confidence": "most confident first",
    "loss": "highest loss first",
    "random": "drawn at random",
}


@dataclass(frozen=True)
class Mistake:
    """One image that a network got wrong.

    Attributes:
        index: the image's place in its split.
        true: label of its class.
        predicted: label of the class that the network chose.
        probability: what the network gave the class that it chose, 0..1.
        true_probability: what it gave the true one, 0..1.
    """

    index: int
    true: int
    predicted: int
    probability: float
    true_probability: float


def find_mistakes(predictions: Predictions, order: GalleryOrder = "confidence") -> list[Mistake]:
    """All mistakes on a split.

    Args:
        predictions: of the split.
        order: `confidence`: the one made with the most confidence first; `loss`: the one with the lowest probability
            of the true class; `random`: as `draw_order` has it. On a tie in the images' order.
    """
    predicted = predictions.predicted  # (n,)
    wrong = np.flatnonzero(predicted != predictions.labels)  # (mistakes,)
    mistakes = [
        Mistake(
            index=int(index),
            true=int(predictions.labels[index]),
            predicted=int(predicted[index]),
            probability=float(predictions.probabilities[index, predicted[index]]),
            true_probability=float(predictions.probabilities[index, predictions.labels[index]]),
        )
        for index in wrong
    ]
    place = draw_order(len(predicted)).argsort() if order == "random" else None

    def rank(mistake: Mistake) -> float:
        if place is not None:
            return float(place[mistake.index])
        return mistake.true_probability if order == "loss" else -mistake.probability

    return sorted(mistakes, key=lambda mistake: (rank(mistake), mistake.index))


def draw_order(count: int) -> NDArray[np.int64]:
    """The images of a split in an order drawn at random, the same for every network.

    Args:
        count: of the images.

    Returns:
        Each index once, (count,).
    """
    return np.random.default_rng(SAMPLES_SEED).permutation(count)


def find_most_confident(predictions: Predictions) -> NDArray[np.int64]:
    """All images by confidence, but from each predicted class in turn: the surest of each, then the second of each.

    Without that, the first rows of a good network would show the class that is easiest and nothing else.

    Returns:
        Indices, (n,).
    """
    predicted, sure = predictions.predicted, predictions.probabilities.max(axis=1)  # (n,) each
    by_confidence = np.argsort(-sure, kind="stable")
    turn = np.empty(len(sure), dtype=np.int64)  # how many surer ones of its class come before an image
    for label in np.unique(predicted):
        own = by_confidence[predicted[by_confidence] == label]
        turn[own] = np.arange(len(own))
    return np.lexsort((np.arange(len(sure)), -sure, turn)).astype(np.int64)


def find_least_confident(predictions: Predictions) -> NDArray[np.int64]:
    """All images, the one with the lowest probability of its most probable class first.

    Returns:
        Indices, (n,).
    """
    return np.argsort(predictions.probabilities.max(axis=1), kind="stable").astype(np.int64)


def mistakes_table(
    mistakes: Mapping[str, Sequence[Mistake]], classes: Sequence[str], files: Mapping[str, Sequence[str]]
) -> list[tuple[str | int, ...]]:
    """All mistakes, a row each with the values of `MISTAKE_COLUMNS`, and the image's file where it was one.

    Args:
        mistakes: by name of split, in the order to list them in.
        classes: the classes' names, in the order of their labels.
        files: by name of split the files that its images were; empty where they were none.
    """
    return [
        (
            split,
            mistake.index,
            classes[mistake.true],
            classes[mistake.predicted],
            f"{mistake.probability:.6f}",
            f"{mistake.true_probability:.6f}",
            *files[split][mistake.index : mistake.index + 1],
        )
        for split, found in mistakes.items()
        for mistake in found
    ]


def write_mistakes_table(
    path: Path, mistakes: Mapping[str, Sequence[Mistake]], classes: Sequence[str], files: Mapping[str, Sequence[str]]
) -> None:
    """Writes `mistakes_table` as CSV, with its header also where there is no mistake."""
    columns = (*MISTAKE_COLUMNS, FILE_COLUMN) if any(files.values()) else MISTAKE_COLUMNS
    write_table(path, columns, mistakes_table(mistakes, classes, files))


def draw_gallery(
    images: NDArray[np.uint8],
    predictions: Predictions,
    classes: Sequence[str],
    grid: Sequence[int],
    title: str,
    order: GalleryOrder = "confidence",
) -> Figure:
    """The first mistakes as a picture: each image over its true class and the class it was taken for.

    Where there are fewer mistakes than cells, the rows and columns that would stay empty are left out; where there
    are none, the picture says so.

    Args:
        images: the whole split, uint8, (n, height, width, 1 or 3); a memory map will do.
        predictions: of the same images.
        classes: the classes' names, in the order of their labels.
        grid: rows and columns, at most.
        title: what was judged, e.g. "bn, test".
        order: as `find_mistakes` has it; for `loss` the probability of the true class stands beside it.
    """
    mistakes = find_mistakes(predictions, order)
    if not mistakes:
        return draw_tiles([], 1, title, [[Words(f"No mistakes: all {len(images):,} images are right")]])
    number = f"{len(mistakes):,} {'mistake' if len(mistakes) == 1 else 'mistakes'}"
    told = ", probability" if order == "loss" else ""
    key = [
        Words(f"{style.RIGHT_MARK} true class{told}    ", style.RIGHT),
        Words(f"{style.WRONG_MARK} predicted class, probability", style.WRONG),
    ]
    tiles = [
        Tile(
            np.asarray(images[mistake.index]),
            (
                true_class(classes[mistake.true], mistake.true_probability if order == "loss" else None),
                predicted_class(classes[mistake.predicted], mistake.probability, right=False),
            ),
        )
        for mistake in mistakes[: math.prod(grid)]
    ]
    return draw_tiles(tiles, grid[1], title, [[Words(f"{number} of {len(images):,}, {ORDERS[order]}")], key])


def draw_samples(
    images: NDArray[np.uint8], predictions: Predictions, classes: Sequence[str], grid: Sequence[int], title: str
) -> Figure:
    """Images drawn at random, each over its true class and the predicted one, which is red and marked where wrong.

    The draw is the same for every network; arguments as those of `draw_gallery`.
    """
    drawn = draw_order(len(images))[: math.prod(grid)]
    return _draw_predictions(images, predictions, classes, drawn, grid[1], title, "{} of {}, drawn at random")


def draw_most_confident(
    images: NDArray[np.uint8], predictions: Predictions, classes: Sequence[str], grid: Sequence[int], title: str
) -> Figure:
    """The first of `find_most_confident`, right or wrong; arguments as those of `draw_gallery`."""
    found = find_most_confident(predictions)[: math.prod(grid)]
    what = "{} of the most confident of {} predictions, from each class in turn"
    return _draw_predictions(images, predictions, classes, found, grid[1], title, what)


def draw_least_confident(
    images: NDArray[np.uint8], predictions: Predictions, classes: Sequence[str], grid: Sequence[int], title: str
) -> Figure:
    """The first of `find_least_confident`, right or wrong; arguments as those of `draw_gallery`."""
    found = find_least_confident(predictions)[: math.prod(grid)]
    what = "The {} least confident of {} predictions"
    return _draw_predictions(images, predictions, classes, found, grid[1], title, what)


def true_class(name: str, probability: float | None = None) -> Words:
    """A line of a caption: the class that an image belongs to, with what the network gave it where that is wanted."""
    sure = "" if probability is None else style.percent(probability, 1)
    return Words(f"{style.RIGHT_MARK} {name}", style.RIGHT, aside=sure)


def predicted_class(name: str, probability: float, right: bool, lead: str = "") -> Words:
    """A line of a caption: the class that was chosen, with its probability, and by whom."""
    sure = style.percent(probability, 1)
    if right:
        return Words(name, style.INK, aside=sure, lead=lead)
    return Words(f"{style.WRONG_MARK} {name}", style.WRONG, aside=sure, lead=lead)


def _draw_predictions(
    images: NDArray[np.uint8],
    predictions: Predictions,
    classes: Sequence[str],
    indices: NDArray[np.int64],
    columns: int,
    title: str,
    what: str,
) -> Figure:
    """Some images with their predictions, right or wrong; `what` has places for the two numbers of images."""
    labels, predicted = predictions.labels[indices], predictions.predicted[indices]
    sure = predictions.probabilities[indices, predicted]
    tiles = [
        Tile(
            np.asarray(images[index]),
            (true_class(classes[true]), predicted_class(classes[guess], float(probability), right=true == guess)),
        )
        for index, true, guess, probability in zip(indices, labels, predicted, sure, strict=True)
    ]
    right = int((labels == predicted).sum())
    key = [
        Words(f"{style.RIGHT_MARK} true class    ", style.RIGHT),
        Words("prediction    ", style.INK),
        Words(f"{style.WRONG_MARK} wrong prediction", style.WRONG),
    ]
    told = what.format(f"{len(indices):,}", f"{len(images):,}")
    number = Words(f"{told}: {right} right, {len(indices) - right} wrong")
    return draw_tiles(tiles, columns, title, [[number], key])
