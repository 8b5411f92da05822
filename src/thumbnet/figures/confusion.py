"""Which classes are taken for which: the confusion matrix as a picture, in numbers of images and in shares.

It has one scale for the diagonal and another for the mistakes, which would be too pale to see beside it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from thumbnet.figures import style
from thumbnet.judging.metrics import count_pairs, most_confused

# All lengths in pixels, type in points.
MATRIX = 820  # how high and wide the matrix is, where its cells come out
LARGEST_CELL, SMALLEST_CELL = 160, 14  # between these bounds
LONGEST_LABEL = 200
LARGEST_TYPE, SMALLEST_TYPE = 13.0, 6.0  # numbers that would have to be smaller than this are left out
HEADER = 162
SHARED_CELL = 44  # from this size on a cell has room for a share below the number
NAMED_PAIRS = 3

_RIGHT = LinearSegmentedColormap.from_list("right", ["#f1f7f5", "#7cc1ae", "#00735c"])
_WRONG = LinearSegmentedColormap.from_list("wrong", ["#ffffff", "#fbd3b0", "#e98a3f", "#b84a00"])


def draw_confusion(
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    classes: Sequence[str],
    judged: Mapping[str, Any],
    confidence: float,
    title: str,
) -> Figure:
    """The confusion matrix: a row per true class, with numbers of images and their shares of the row, which shade it.

    Args:
        labels: (n,).
        predicted: (n,).
        classes: the classes' names, in the order of their labels.
        judged: what `thumbnet.judging.metrics.judge_overall` says of these predictions.
        confidence: the level that its interval was made with.
        title: what was judged, e.g. "bn, test".
    """
    counts = count_pairs(labels, predicted, len(classes))  # (classes, classes)
    shares = counts / counts.sum(axis=1, keepdims=True).clip(min=1)  # (classes, classes)
    diagonal = np.eye(len(classes), dtype=bool)
    scale_right, scale_wrong = Normalize(0, 1), Normalize(0, shares[~diagonal].max(initial=0.02))
    recognised = diagonal & counts.any(axis=1)  # without images nothing is recognised and nothing missed: white
    colours = np.where(recognised[..., None], _RIGHT(scale_right(shares)), _WRONG(scale_wrong(shares)))  # (c, c, 4)

    cell = round(np.clip(MATRIX / len(classes), SMALLEST_CELL, LARGEST_CELL))
    side = cell * len(classes)
    type_size = min(LARGEST_TYPE, cell / 2)
    names = [style.ellipsize(name, LONGEST_LABEL, type_size) for name in classes]
    label_room = round(max(style.text_width(name, type_size) for name in names)) + 72
    width, height = label_room + side + 140, HEADER + side + label_room

    with style.house_style():
        figure = style.new_figure(width, height)
        axes = figure.add_axes((label_room / width, label_room / height, side / width, side / height))
        axes.imshow(colours, interpolation="nearest", aspect="equal")
        _label(axes, names, type_size, cell)
        _number(axes, counts, shares, colours, cell)
        _draw_scales(figure, axes, scale_right, scale_wrong)
        _draw_header(figure, title, judged, len(labels), confidence)
        _name_pairs(figure, most_confused(labels, predicted, classes, NAMED_PAIRS))
    return figure


def _label(axes: Axes, names: Sequence[str], size: float, cell: int) -> None:
    ticks = range(len(names))
    axes.set_xticks(ticks, names, size=size, rotation=90, parse_math=False)
    axes.set_yticks(ticks, names, size=size, parse_math=False)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted class", labelpad=10)
    axes.set_ylabel("true class (a row adds up to 100 %)", labelpad=10)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color=style.RULE, linewidth=min(0.6, cell / 60))
    axes.tick_params(which="minor", length=0)


def _number(axes: Axes, counts: NDArray[np.int64], shares: NDArray[np.float64], colours: NDArray[np.float64],
            cell: int) -> None:  # fmt: skip
    """The number of images in each cell that has some, dark on light and light on dark, if it can be read there.

    Below it its share of the row, in larger cells.
    """
    size = min(LARGEST_TYPE, 8 * cell / style.text_width(f"{counts.max():,}", 10))
    if size < SMALLEST_TYPE:
        return
    luminance = colours[..., :3] ** 2.2 @ np.array([0.2126, 0.7152, 0.0722])  # (classes, classes)
    shared = cell >= SHARED_CELL
    line = 1.6 * size * style.DPI / 72 / cell  # from the number to the share, in cells
    for row, column in np.argwhere(counts):
        ink = style.PAPER if luminance[row, column] < 0.25 else style.INK
        axes.text(column, row - 0.4 * line * shared, f"{counts[row, column]:,}", size=size, ha="center", va="center",
                  color=ink)  # fmt: skip
        if shared:
            axes.text(column, row + 0.6 * line, style.percent(shares[row, column], 1), size=0.68 * size, ha="center",
                      va="center", color=ink)  # fmt: skip


def _draw_scales(figure: Figure, axes: Axes, right: Normalize, wrong: Normalize) -> None:
    box = axes.get_position()
    thickness = 16 / figure.bbox.width
    x = box.x1 + 30 / figure.bbox.width
    for scale, colours, low, name in ((right, _RIGHT, 0.54, "recognised"), (wrong, _WRONG, 0.0, "mistaken")):
        place = figure.add_axes((x, box.y0 + low * box.height, thickness, 0.38 * box.height))
        bar = figure.colorbar(ScalarMappable(scale, colours), cax=place, ticks=MaxNLocator(5, steps=[1, 2, 5, 10]),
                              format=FuncFormatter(style.percent_tick))  # fmt: skip
        bar.outline.set_visible(False)
        bar.ax.tick_params(labelsize=11, length=3)
        bar.ax.set_title(name, size=11, loc="left", pad=12)


def _draw_header(figure: Figure, title: str, judged: Mapping[str, Any], images: int, confidence: float) -> None:
    """What was judged, how many images are right, and how sure that number is."""
    accuracy = f"{style.percent(judged['accuracy'], 2)} of {images:,} images are right"
    low, high = style.percent(judged["low"], 2), style.percent(judged["high"], 2)
    interval = f"{100 * confidence:g} % interval: {low} to {high}"
    style.write_title(figure, title)
    style.write(figure, style.MARGIN, 64, accuracy, 13.0, colour=style.FAINT)
    style.write(figure, style.MARGIN, 90, interval, 13.0, colour=style.FAINT)


def _name_pairs(figure: Figure, pairs: Sequence[tuple[str, str, int]]) -> None:
    """The commonest mistakes in words, as many as there is room for, below the rest of the header."""
    room = figure.bbox.width - 2 * style.MARGIN
    named = [f"{true} as {guess} ({count:,})" for true, guess, count in pairs]
    while len(named) > 1 and style.text_width(_list_mistakes(named), 13.0) > room:
        named.pop()
    text = style.ellipsize(_list_mistakes(named), room, 13.0)
    style.write(figure, style.MARGIN, 116, text, 13.0, colour=style.FAINT)


def _list_mistakes(named: Sequence[str]) -> str:
    if not named:
        return "no mistakes"
    return f"commonest mistake{'s' if len(named) > 1 else ''}: {'; '.join(named)}"
