"""Galleries: images with what they are and what a network took them for, its mistakes or some drawn at random.

`find_mistakes` picks and orders, `draw_gallery` draws the first of them, `mistakes_table` lists them all;
`draw_samples` shows how the network does in general.
"""

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

MISTAKE_COLUMNS = ("split", "index", "true", "predicted", "probability", "true_probability")

#: Of the samples: the same for all networks, whose pictures can be compared then.
SAMPLES_SEED = 0


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


def find_mistakes(predictions: Predictions) -> list[Mistake]:
    """All mistakes on a split, the one made with the most confidence first; on a tie in the images' order."""
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
    return sorted(mistakes, key=lambda mistake: (-mistake.probability, mistake.index))


def mistakes_table(
    mistakes: Mapping[str, Sequence[Mistake]], classes: Sequence[str]
) -> list[tuple[str, int, str, str, str, str]]:
    """All mistakes, a row each with the values of `MISTAKE_COLUMNS`.

    Args:
        mistakes: by name of split, in the order to list them in.
        classes: the classes' names, in the order of their labels.
    """
    return [
        (
            split,
            mistake.index,
            classes[mistake.true],
            classes[mistake.predicted],
            f"{mistake.probability:.6f}",
            f"{mistake.true_probability:.6f}",
        )
        for split, found in mistakes.items()
        for mistake in found
    ]


def write_mistakes_table(path: Path, mistakes: Mapping[str, Sequence[Mistake]], classes: Sequence[str]) -> None:
    """Writes `mistakes_table` as CSV, with its header also where there is no mistake."""
    write_table(path, MISTAKE_COLUMNS, mistakes_table(mistakes, classes))


def draw_gallery(
    images: NDArray[np.uint8],
    mistakes: Sequence[Mistake],
    classes: Sequence[str],
    rows: int,
    columns: int,
    title: str,
) -> Figure:
    """The most confident mistakes as a picture: each image over its true class and the class it was taken for.

    Where there are fewer mistakes than cells, the rows and columns that would stay empty are left out; where there
    are none, the picture says so.

    Args:
        images: the whole split, uint8, (n, height, width, 1 or 3); a memory map will do.
        mistakes: what `find_mistakes` found on it.
        classes: the classes' names, in the order of their labels.
        rows: how many at most.
        columns: how many at most.
        title: what was judged, e.g. "bn, test".
    """
    if not mistakes:
        return draw_tiles([], columns, title, [[Words(f"No mistakes: all {len(images):,} images are right")]])
    number = f"{len(mistakes):,} {'mistake' if len(mistakes) == 1 else 'mistakes'}"
    key = [
        Words(f"{style.RIGHT_MARK} true class    ", style.RIGHT),
        Words(f"{style.WRONG_MARK} predicted class, probability", style.WRONG),
    ]
    tiles = [
        Tile(
            np.asarray(images[mistake.index]),
            (
                _true(classes[mistake.true]),
                _predicted(classes[mistake.predicted], mistake.probability, right=False),
            ),
        )
        for mistake in mistakes[: rows * columns]
    ]
    return draw_tiles(tiles, columns, title, [[Words(f"{number} of {len(images):,}, most confident first")], key])


def draw_samples(
    images: NDArray[np.uint8], predictions: Predictions, classes: Sequence[str], rows: int, columns: int, title: str
) -> Figure:
    """Images drawn at random, each over its true class and the predicted one, which is red and marked where wrong.

    The draw is the same for every network.

    Args:
        images: the whole split, uint8, (n, height, width, 1 or 3); a memory map will do.
        predictions: of the same images.
        classes: the classes' names, in the order of their labels.
        rows: how many at most.
        columns: how many at most.
        title: what was judged, e.g. "bn, test".
    """
    drawn = np.random.default_rng(SAMPLES_SEED).permutation(len(images))[: rows * columns]
    labels, predicted = predictions.labels[drawn], predictions.predicted[drawn]  # (rows·columns,)
    sure = predictions.probabilities[drawn, predicted]
    tiles = [
        Tile(
            np.asarray(images[index]),
            (_true(classes[true]), _predicted(classes[guess], float(probability), right=true == guess)),
        )
        for index, true, guess, probability in zip(drawn, labels, predicted, sure, strict=True)
    ]
    right = int((labels == predicted).sum())
    key = [
        Words(f"{style.RIGHT_MARK} true class    ", style.RIGHT),
        Words("prediction    ", style.INK),
        Words(f"{style.WRONG_MARK} wrong prediction", style.WRONG),
    ]
    number = Words(f"{len(drawn)} of {len(images):,}, drawn at random: {right} right, {len(drawn) - right} wrong")
    return draw_tiles(tiles, columns, title, [[number], key])


def _true(name: str) -> Words:
    return Words(f"{style.RIGHT_MARK} {name}", style.RIGHT)


def _predicted(name: str, probability: float, right: bool) -> Words:
    """The class that was chosen, with its probability."""
    sure = style.percent(probability, 1)
    return Words(name, style.INK, aside=sure) if right else Words(f"{style.WRONG_MARK} {name}", style.WRONG, aside=sure)
