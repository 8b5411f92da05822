"""Networks in pairs, as pictures: how much they differ, how alike their mistakes are, and which is really better.

An ensemble gains by members that are good and make different mistakes; these pictures show whether they do.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from thumbnet.figures import style

# All lengths in pixels, type in points.
MATRIX = 440  # how high and wide a matrix is, where its cells come out
LARGEST_CELL, SMALLEST_CELL = 110, 10
LONGEST_LABEL = 180
LARGEST_TYPE, SMALLEST_TYPE = 13.0, 6.0
HEADER, BAR = 148, 96  # above a matrix; for its scale beside it
ROW, MOST_ROWS = 40, 25  # of the picture of McNemar's test
VERDICT = (96, 180, 300)  # where its numbers end: points, p, p corrected
SIGNIFICANT = 0.05
ALONE = "One network alone: there is no other to compare it with."

_BLUES = LinearSegmentedColormap.from_list("differ", ["#f4f8fb", "#a5cce5", "#4a9cce"])
_ORANGES = LinearSegmentedColormap.from_list("alike", ["#fffaf4", "#f8d3a8", "#f0a04b"])
_MATRICES = (
    ("disagreement", "Different predictions, %", _BLUES),
    ("error_correlation", "Correlation of mistakes", _ORANGES),
)


def draw_diversity(networks: Sequence[str], pairs: Sequence[Mapping[str, Any]], title: str) -> Figure:
    """Two matrices: how often each pair predicts different classes, and how correlated their mistakes are.

    Args:
        networks: their names, in the order to show them in.
        pairs: what `thumbnet.judging.comparing.compare_pairs` returns; pairs with others are left out.
        title: what was compared.
    """
    if len(networks) < 2:
        return _draw_sentence(title, ALONE)
    cell = round(np.clip(MATRIX / len(networks), SMALLEST_CELL, LARGEST_CELL))
    side = cell * len(networks)
    size = min(LARGEST_TYPE, 0.62 * cell)
    names = [style.ellipsize(name, LONGEST_LABEL, size) for name in networks]
    room = round(max(style.text_width(name, size) for name in names)) + 16
    panel = max(room + side + BAR, 430)
    width, height = 2 * style.MARGIN + 2 * panel, HEADER + side + room + 20
    with style.house_style():
        figure = style.new_figure(width, height)
        style.write_title(figure, title)
        style.write(figure, style.MARGIN, 64, "Members that are good and make different mistakes make a good "
                    "ensemble.", 13.0, colour=style.FAINT)  # fmt: skip
        for number, (key, heading, colours) in enumerate(_MATRICES):
            left = style.MARGIN + number * panel
            style.write(figure, left, 108, heading, 13.0, bold=True)
            place = ((left + room) / width, (room + 20) / height, side / width, side / height)
            _draw_matrix(figure, place, _square(networks, pairs, key), names, size, colours, cell,
                         shares=key == "disagreement")  # fmt: skip
    return figure


def _square(networks: Sequence[str], pairs: Sequence[Mapping[str, Any]], key: str) -> NDArray[np.float64]:
    """A figure of pairs as a symmetric matrix; its diagonal is no number."""
    places = {name: place for place, name in enumerate(networks)}
    values = np.full((len(networks), len(networks)), np.nan)
    for pair in pairs:
        if pair["first"] in places and pair["second"] in places:
            i, j = places[pair["first"]], places[pair["second"]]
            values[i, j] = values[j, i] = pair[key]
    return values


def _draw_matrix(figure: Figure, place: tuple[float, float, float, float], values: NDArray[np.float64],
                 names: Sequence[str], size: float, colours: Colormap, cell: int, shares: bool) -> None:  # fmt: skip
    known = values[~np.isnan(values)]
    scale = Normalize(min(0.0, known.min()), max(known.max(), 0.01))
    axes = figure.add_axes(place)
    axes.imshow(values, cmap=colours, norm=scale, interpolation="nearest")
    axes.set_xticks(range(len(names)), names, size=size, rotation=90, parse_math=False)
    axes.set_yticks(range(len(names)), names, size=size, parse_math=False)
    axes.tick_params(length=0)
    axes.grid(False)
    axes.spines[:].set_visible(False)
    number = min(LARGEST_TYPE, 8 * cell / style.text_width("88.8", 10))
    if number >= SMALLEST_TYPE:
        for i, j in np.argwhere(~np.isnan(values)):
            text = f"{100 * values[i, j]:.1f}" if shares else f"{values[i, j]:.2f}"
            axes.text(j, i, text, size=number, ha="center", va="center")
    left, bottom, width, height = place
    bar_left, thickness = left + width + 20 / figure.bbox.width, 14 / figure.bbox.width
    written = FuncFormatter(style.percent_tick if shares else lambda value, _: f"{value:.4g}")
    bar = figure.colorbar(ScalarMappable(scale, colours), cax=figure.add_axes((bar_left, bottom, thickness, height)),
                          ticks=MaxNLocator(4, steps=[1, 2, 5, 10]), format=written)  # fmt: skip
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=11, length=3)


def draw_mcnemar(pairs: Sequence[Mapping[str, Any]], images: int, title: str) -> Figure:
    """A row per pair: how many images only the one and only the other gets right, and McNemar's p.

    Args:
        pairs: what `thumbnet.judging.comparing.compare_pairs` returns; the first ones stand first. Of many the first
            25 are shown.
        images: how many there are in all.
        title: what was compared.
    """
    if len(pairs) < 2:  # of one network: the ensemble, which is that network, and itself
        return _draw_sentence(title, ALONE)
    shown = pairs[:MOST_ROWS]
    ends = [pair[end] for pair in shown for end in ("first", "second")]
    names = {name: style.ellipsize(name, LONGEST_LABEL, 13, bold=True) for name in ends}
    room = round(max(style.text_width(name, 13, bold=True) for name in names.values())) + 20
    half, top = 240, 164
    width = 2 * style.MARGIN + 2 * room + 2 * half + VERDICT[-1]
    height = top + ROW * len(shown) + 34 + (24 if len(shown) < len(pairs) else 0)
    scale = half / max(1, *(pair[key] for pair in shown for key in ("only_first", "only_second")))  # pixels per image
    middle = style.MARGIN + room + half
    with style.house_style():
        figure = style.new_figure(width, height)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(0, width)
        axes.set_ylim(height, 0)
        style.write_title(figure, title)
        style.write(figure, style.MARGIN, 64, f"Bars: images, of {images:,}, that only this one of the two gets right. "
                    "McNemar's p is small", 13.0, colour=style.FAINT)  # fmt: skip
        style.write(figure, style.MARGIN, 88, "where chance would hardly make them so unequal; it is corrected for "
                    "the number of pairs (Holm).", 13.0, colour=style.FAINT)  # fmt: skip
        for row, pair in enumerate(shown):
            y = top + ROW * row + ROW / 2
            better = pair["p_holm"] < SIGNIFICANT
            for key, sign, name in (("only_first", -1, pair["first"]), ("only_second", 1, pair["second"])):
                other = pair["only_second" if key == "only_first" else "only_first"]
                wins = better and pair[key] > other
                length = sign * pair[key] * scale
                axes.barh(y, length, 22, left=middle + sign, color=style.SERIES[0] if wins else "#a9b7c2")
                inside = abs(length) > style.text_width(f"{pair[key]:,}", 12) + 16
                axes.text(middle + sign * 10 if inside else middle + length + sign * 8, y, f"{pair[key]:,}", size=12,
                          va="center_baseline", ha="right" if sign < 0 else "left",
                          color=style.PAPER if inside and wins else style.INK)  # fmt: skip
                axes.text(middle + sign * (half + 14), y, names[name], size=13, va="center_baseline",
                          weight="bold" if wins else "normal", ha="right" if sign < 0 else "left",
                          parse_math=False)  # fmt: skip
            for x, number in zip(VERDICT, _verdict(pair, images), strict=True):
                axes.text(middle + half + room + x, y, number, size=12, ha="right", va="center_baseline",
                          color=style.INK if better else style.FAINT)  # fmt: skip
        for x, heading in zip(VERDICT, ("points", "p", "corrected p"), strict=True):
            axes.text(middle + half + room + x, top - 14, heading, size=12, ha="right", color=style.FAINT)
        axes.plot([middle, middle], [top, top + ROW * len(shown)], color=style.INK, linewidth=1)
        if len(shown) < len(pairs):
            style.write(figure, style.MARGIN, height - 40, f"{len(pairs) - len(shown)} more pairs are in "
                        "metrics/ensemble.json.", 12.0, colour=style.FAINT)  # fmt: skip
    return figure


def _verdict(pair: Mapping[str, Any], images: int) -> tuple[str, str, str]:
    """The difference in points, the p-value and what it was corrected to."""
    points = 100 * (pair["only_first"] - pair["only_second"]) / images
    return f"{points:+.2f}".replace("-", "−"), _p(pair["p"]), _p(pair["p_holm"])


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _draw_sentence(title: str, sentence: str) -> Figure:
    """A picture of a title and a sentence, where there is nothing to draw."""
    width = 2 * style.MARGIN + round(max(style.text_width(title, style.TITLE_TYPE, bold=True),
                                         style.text_width(sentence, 13)))  # fmt: skip
    with style.house_style():
        figure = style.new_figure(width + 8, 116)
        style.write_title(figure, title)
        style.write(figure, style.MARGIN, 66, sentence, 13.0, colour=style.FAINT)
    return figure
