"""Images beside horizontal bars of the probabilities that a network gives their classes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from thumbnet.errors import UserError
from thumbnet.figures import style
from thumbnet.figures.galleries import find_least_confident, find_mistakes, true_class
from thumbnet.figures.tiles import (
    BLOCK_GAP,
    GAP,
    HEADER,
    LINE,
    TEXT_TYPE,
    TILE,
    Pixels,
    Words,
    enlarge,
    header_width,
    paste,
    rgb,
    write_caption,
    write_header,
)
from thumbnet.judging.predictions import Predictions
from thumbnet.params import GalleryOrder

# Lengths in pixels.
COLUMNS = 2
PITCH = 25  # from one bar to the next
THICK = 15
LONGEST_BAR = 150
LONGEST_NAME = 200
PERCENT = 66  # room for the number after the longest bar

#: Bars of one image; of more classes the most probable ones and the true one are shown.
MOST_BARS = 10
#: Shown where nobody chose: so many mistakes and as many right predictions, or more of what there is.
CHOSEN = 4

OTHER = "#9a9aa5"
ANSWER = style.SERIES[0]  # a prediction that nobody knows to be right or wrong
SHOWN = 0.0005  # less than this reads 0.0 %, and stands back


@dataclass(frozen=True)
class Bar:
    """One bar: its words and their colour, and a probability."""

    words: str
    colour: str
    probability: float
    bold: bool = False


def choose_images(predictions: Predictions, wanted: Sequence[int], order: GalleryOrder) -> list[int]:
    """The images to show: those that were asked for, else mistakes and the least confident right predictions.

    Args:
        predictions: of the test split.
        wanted: indices; none for a choice.
        order: of mistakes, as `find_mistakes` has it.

    Raises:
        UserError: there is no such image.
    """
    count = len(predictions.labels)
    beyond = [index for index in wanted if index >= count]
    if beyond:
        raise UserError(f"gallery.bars names image {beyond[0]}: test has {count:,}; allowed are 0 to {count - 1}")
    if wanted:
        return list(wanted)
    mistakes = [mistake.index for mistake in find_mistakes(predictions, order)]
    unsure = find_least_confident(predictions)
    right = [int(index) for index in unsure[predictions.predicted[unsure] == predictions.labels[unsure]]]
    fewer = min(CHOSEN, len(mistakes)), min(CHOSEN, len(right))
    return mistakes[: 2 * CHOSEN - fewer[1]] + right[: 2 * CHOSEN - fewer[0]]


def make_bars(probabilities: NDArray[np.float32], true: int | None, classes: Sequence[str]) -> list[Bar]:
    """The bars of one image, in the order of the classes; of many classes the most probable ones, the others as one.

    Args:
        probabilities: (classes,).
        true: label of the image's class; None where nobody knows it.
        classes: names in the order of the labels.
    """
    predicted = int(probabilities.argmax())
    shown = np.arange(len(classes))
    if len(classes) > MOST_BARS:
        first = np.argsort(-probabilities, kind="stable")[:MOST_BARS]
        shown = first if true is None or true in first else np.append(first[:-1], true)
    bars = []
    for label in map(int, shown):
        mark, colour = "", style.INK if probabilities[label] >= SHOWN else style.FAINT
        if label == predicted and true is None:
            colour = ANSWER
        elif label == predicted:
            mark, colour = f"{style.WRONG_MARK} ", style.WRONG
        if label == true:
            mark, colour = f"{style.RIGHT_MARK} ", style.RIGHT
        bars.append(Bar(mark + classes[label], colour, float(probabilities[label]), bold=label == predicted))
    others = len(classes) - len(bars)
    if others:
        rest = max(0.0, 1 - float(probabilities[shown].sum()))
        bars.append(Bar(f"{others} {'other' if others == 1 else 'others'}", style.FAINT, rest))
    return bars


def draw_bars(
    images: NDArray[np.uint8], predictions: Predictions, classes: Sequence[str], indices: Sequence[int], title: str
) -> Figure:
    """Images, each over its true class and beside bars of its classes' probabilities.

    Args:
        images: the whole split, uint8, (n, height, width, 1 or 3); a memory map will do.
        predictions: of the same images.
        classes: the classes' names, in the order of their labels.
        indices: of the images to show; one or more.
        title: what was judged, e.g. "bn, test".
    """
    tiles = [enlarge(np.asarray(images[index]), TILE) for index in indices]
    panels = [make_bars(predictions.probabilities[index], int(predictions.labels[index]), classes) for index in indices]
    captions = [(true_class(classes[predictions.labels[index]]), Words(f"image {index:,}")) for index in indices]
    return _draw(tiles, panels, captions, title, _header(predictions, indices, len(classes)))


def draw_answers(
    images: Sequence[NDArray[np.uint8]],
    probabilities: Sequence[NDArray[np.float32]],
    names: Sequence[str],
    classes: Sequence[str],
    title: str,
) -> Figure:
    """The same for images whose class nobody knows, each over its name.

    Args:
        images: uint8, (height, width, 1 or 3) each, all of one size; one or more.
        probabilities: (classes,) of each image.
        names: of the images.
        classes: the classes' names, in the order of their labels.
        title: what judged them, e.g. "bn".
    """
    tiles = [enlarge(image, TILE) for image in images]
    panels = [make_bars(each, None, classes) for each in probabilities]
    captions = [(Words(name),) for name in names]
    header = [[Words("prediction    ", ANSWER), Words(f"bars: probability{_some(len(classes))}")]]
    return _draw(tiles, panels, captions, title, header)


def _draw(
    tiles: Sequence[Pixels],
    panels: Sequence[Sequence[Bar]],
    captions: Sequence[Sequence[Words]],
    title: str,
    header: list[list[Words]],
) -> Figure:
    """Tiles with lines below them and bars beside them."""
    high, wide, _ = tiles[0].shape
    longest = max(style.text_width(bar.words, TEXT_TYPE, bar.bold) for bars in panels for bar in bars)
    names = math.ceil(min(longest, LONGEST_NAME)) + 12
    panel = wide + 20 + names + LONGEST_BAR + PERCENT
    down = max(high + 10 + len(captions[0]) * LINE, max(map(len, panels)) * PITCH + 6) + GAP
    corners = [
        (style.MARGIN + number % COLUMNS * (panel + BLOCK_GAP), HEADER + number // COLUMNS * down)
        for number in range(len(tiles))
    ]
    right = max(x for x, _ in corners) + panel + style.MARGIN
    width, height = max(right, header_width(title, header)), HEADER + math.ceil(len(tiles) / COLUMNS) * down

    paper = paste(tiles, corners, width, height)
    for (x, y), bars in zip(corners, panels, strict=True):
        _paint(paper, bars, x + wide + 20 + names, y)
    with style.house_style():
        figure = style.new_figure(width, height)
        style.put_pixels(figure, paper)
        write_header(figure, title, header)
        for (x, y), bars, lines in zip(corners, panels, captions, strict=True):
            for number, line in enumerate(lines):
                write_caption(figure, line, x, y + high + 10 + number * LINE, wide)
            _write(figure, bars, x + wide + 20, y, names)
    return figure


def _header(predictions: Predictions, indices: Sequence[int], classes: int) -> list[list[Words]]:
    right = int((predictions.predicted[list(indices)] == predictions.labels[list(indices)]).sum())
    number = f"{len(indices)} of {len(predictions.labels):,} images: {right} right, {len(indices) - right} wrong"
    key = [
        Words(f"{style.RIGHT_MARK} true class    ", style.RIGHT),
        Words(f"{style.WRONG_MARK} wrong prediction    ", style.WRONG),
        Words(f"bars: probability{_some(classes)}"),
    ]
    return [[Words(number)], key]


def _some(classes: int) -> str:
    return f", the most probable of {classes} classes" if classes > MOST_BARS else ""


def _paint(paper: Pixels, bars: Sequence[Bar], left: int, top: int) -> None:
    """Bars and the line that they stand on, on the paper itself: sharp at any width."""
    paper[top : top + len(bars) * PITCH, left - 1] = rgb(style.RULE)
    for number, bar in enumerate(bars):
        upper = top + number * PITCH + (PITCH - THICK) // 2
        colour = bar.colour if bar.colour in (style.RIGHT, style.WRONG, ANSWER) else OTHER
        paper[upper : upper + THICK, left : left + round(bar.probability * LONGEST_BAR)] = rgb(colour)


def _write(figure: Figure, bars: Sequence[Bar], left: int, top: int, names: int) -> None:
    """Names before the bars, numbers after them."""
    for number, bar in enumerate(bars):
        y = top + number * PITCH + 3
        words = style.ellipsize(bar.words, names - 12, TEXT_TYPE, bar.bold)
        style.write(figure, left + names - 10, y, words, TEXT_TYPE, colour=bar.colour, bold=bar.bold, align="right")
        after = left + names + round(bar.probability * LONGEST_BAR) + 8
        style.write(figure, after, y, style.percent(bar.probability, 1), TEXT_TYPE, colour=bar.colour)
