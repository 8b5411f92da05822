"""Galleries of mistakes: the images that a network got wrong, with what they are and what it took them for.

`find_mistakes` picks and orders, `draw_gallery` draws the first of them, `mistakes_table` lists them all. Images are
enlarged by whole factors, so that every pixel of a thumbnail stays a sharp square.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from thumbnet.figures import style
from thumbnet.files import write_table
from thumbnet.judging.predictions import Predictions

# All lengths in pixels, type in points.
TILE = 224  # the most that an image may be high and wide
GAP = 32  # between neighbouring images
LINE = 27  # from one line of a caption to the next
CAPTION = 10 + 2 * LINE
HEADER = 136
NARROWEST = 488  # leaves room for the header over a single column
TEXT_TYPE, CAPTION_TYPE = 13.0, 14.0

MISTAKE_COLUMNS = ("split", "index", "true", "predicted", "probability", "true_probability")


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
    shown = mistakes[: rows * columns]
    tiles = [enlarge(np.asarray(images[mistake.index])) for mistake in shown]
    high, wide, _ = tiles[0].shape if tiles else (0, 0, 3)
    across, down = wide + GAP, high + CAPTION + GAP
    corners = [(style.MARGIN + i % columns * across, HEADER + i // columns * down) for i in range(len(shown))]
    width = max(2 * style.MARGIN + min(columns, len(shown)) * across - GAP, NARROWEST)
    height = HEADER + math.ceil(len(shown) / columns) * down

    with style.house_style():
        figure = style.new_figure(width, height)
        figure.figimage(_paste(tiles, corners, width, height), origin="upper", resize=False)
        _draw_header(figure, title, len(mistakes), len(images))
        for mistake, (x, y) in zip(shown, corners, strict=True):
            _draw_caption(figure, mistake, classes, x, y + high + 10, wide)
    return figure


def enlarge(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """One image as large as fits into a tile: by a whole factor if it is smaller, smoothly reduced if it is larger.

    Args:
        image: (height, width, 1 or 3).

    Returns:
        (height, width, 3), at most `TILE` high and wide.
    """
    height, width, channels = image.shape
    colour = image if channels == 3 else image.repeat(3, axis=2)
    if max(height, width) <= TILE:
        factor = TILE // max(height, width)
        return colour.repeat(factor, axis=0).repeat(factor, axis=1)
    shrink = TILE / max(height, width)
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return np.asarray(Image.fromarray(colour).resize(size, Image.Resampling.LANCZOS))


def _paste(
    tiles: Sequence[NDArray[np.uint8]], corners: Sequence[tuple[int, int]], width: int, height: int
) -> NDArray[np.uint8]:
    """White paper with a tile at each corner, a hairline around it.

    Returns:
        (height, width, 3).
    """
    paper = np.full((height, width, 3), 255, dtype=np.uint8)
    hairline = [int(style.RULE[i : i + 2], 16) for i in (1, 3, 5)]
    for tile, (left, top) in zip(tiles, corners, strict=True):
        bottom, right = top + tile.shape[0], left + tile.shape[1]
        paper[top - 1 : bottom + 1, left - 1 : right + 1] = hairline
        paper[top:bottom, left:right] = tile
    return paper


def _draw_header(figure: Figure, title: str, mistakes: int, images: int) -> None:
    style.write_title(figure, title)
    if not mistakes:
        praise = f"No mistakes: all {images:,} images are right"
        style.write(figure, style.MARGIN, 64, praise, TEXT_TYPE, colour=style.FAINT)
        return
    count = f"{mistakes:,} {'mistake' if mistakes == 1 else 'mistakes'} of {images:,}, most confident first"
    style.write(figure, style.MARGIN, 64, count, TEXT_TYPE, colour=style.FAINT)
    key = f"{style.RIGHT_MARK} true class    "
    style.write(figure, style.MARGIN, 90, key, TEXT_TYPE, colour=style.RIGHT)
    style.write(figure, style.MARGIN + style.text_width(key, TEXT_TYPE), 90,
                f"{style.WRONG_MARK} predicted class, probability", TEXT_TYPE, colour=style.WRONG)  # fmt: skip


def _draw_caption(figure: Figure, mistake: Mistake, classes: Sequence[str], x: int, y: int, width: int) -> None:
    """The true class over the predicted one, with its probability flush with the image's right edge."""
    sure = style.percent(mistake.probability, 1)
    room = width - style.text_width(sure, CAPTION_TYPE) - 8
    true = style.ellipsize(f"{style.RIGHT_MARK} {classes[mistake.true]}", width, CAPTION_TYPE)
    predicted = style.ellipsize(f"{style.WRONG_MARK} {classes[mistake.predicted]}", room, CAPTION_TYPE)
    style.write(figure, x, y, true, CAPTION_TYPE, colour=style.RIGHT)
    style.write(figure, x, y + LINE, predicted, CAPTION_TYPE, colour=style.WRONG)
    style.write(figure, x + width, y + LINE, sure, CAPTION_TYPE, colour=style.WRONG, align="right")
