"""Reliability diagrams: how often predictions of each confidence are right, before and after one temperature.

The bins come from `thumbnet.judging.calibration`; what is drawn here says in pictures what the calibration error says
in a number, and where it comes from.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from thumbnet.figures import style
from thumbnet.judging.calibration import AFTER, BEFORE, Bin
from thumbnet.judging.metrics import wilson_interval

# All lengths in pixels.
WIDTH, TOP = 1140, 202
PANEL, HISTOGRAM, GAP, BOTTOM = 430, 110, 24, 70
LEFT = style.MARGIN + 84
SECOND = WIDTH - style.MARGIN - PANEL

_ACCURACY, _TOO_SURE, _TOO_UNSURE = style.SERIES[0], style.SERIES[4], style.SERIES[5]


def draw_calibration(
    bins: Mapping[str, Sequence[Bin]], judged: Mapping[str, Any], temperature: float, confidence: float, title: str
) -> Figure:
    """Two reliability diagrams, as trained and after the temperature, each above the histogram of its confidences.

    Args:
        bins: what `thumbnet.judging.calibration.sort_into_bins` returns, by `BEFORE` and `AFTER`.
        judged: `loss`, `ece`, `scaled_loss` and `scaled_ece` of the same predictions.
        temperature: what the logits were divided by.
        confidence: level of the interval around the accuracy of each bin.
        title: what was judged, e.g. "bn, test".
    """
    height = TOP + PANEL + GAP + HISTOGRAM + BOTTOM
    headings = {
        BEFORE: f"As trained: error {style.percent(judged['ece'], 2)}, loss {judged['loss']:.4f}",
        AFTER: f"Temperature {temperature:.3g}: error {style.percent(judged['scaled_ece'], 2)}, "
        f"loss {judged['scaled_loss']:.4f}",
    }
    most = max(each.images for sorted_ in bins.values() for each in sorted_)
    with style.house_style():
        figure = style.new_figure(WIDTH, height)
        for scaling, left in ((BEFORE, LEFT), (AFTER, SECOND)):
            place = (left / WIDTH, (BOTTOM + HISTOGRAM + GAP) / height, PANEL / WIDTH, PANEL / height)
            axes = figure.add_axes(place)
            axes.set_title(headings[scaling], loc="left", weight="bold", size=12, pad=10)
            _draw_reliability(axes, bins[scaling], confidence)
            below = figure.add_axes((left / WIDTH, BOTTOM / height, PANEL / WIDTH, HISTOGRAM / height), sharex=axes)
            _draw_histogram(below, bins[scaling], most)
            if scaling == BEFORE:
                axes.set_ylabel("share that is right")
                below.set_ylabel("images, log")
        style.write_title(figure, f"{title}: calibration")
        style.write(figure, style.MARGIN, 64, "On the dashed line probabilities mean what they say: of all predictions "
                    "that are 80 % sure, 80 % are right.", 13.0, colour=style.FAINT)  # fmt: skip
        style.write(figure, style.MARGIN, 88, "Error: the mean distance from it (ECE, 15 bins). The temperature "
                    "divides the logits; it is fitted on validation.", 13.0, colour=style.FAINT)  # fmt: skip
        _draw_key(figure, confidence)
    return figure


def _draw_reliability(axes: Axes, bins: Sequence[Bin], confidence: float) -> None:
    for each in bins:
        middle, width = (each.low + each.high) / 2, each.high - each.low
        axes.bar(middle, each.accuracy, width, color=_ACCURACY, edgecolor=style.PAPER, linewidth=1, alpha=0.85)
        gap = each.confidence - each.accuracy
        axes.bar(middle, gap, 0.36 * width, bottom=each.accuracy, color=_TOO_SURE if gap > 0 else _TOO_UNSURE,
                 edgecolor=style.PAPER, linewidth=0.6)  # fmt: skip
        low, high = wilson_interval(round(each.accuracy * each.images), each.images, confidence)
        axes.plot([middle, middle], [low, high], color=style.INK, linewidth=1)
    axes.plot([0, 1], [0, 1], color=style.INK, linewidth=1.4, linestyle=(0, (4, 3)), zorder=3)
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.yaxis.set_major_formatter(FuncFormatter(style.percent_tick))
    axes.tick_params(labelbottom=False)


def _draw_histogram(axes: Axes, bins: Sequence[Bin], most: int) -> None:
    for each in bins:
        axes.bar((each.low + each.high) / 2, each.images, each.high - each.low, color=style.FAINT,
                 edgecolor=style.PAPER, linewidth=1)  # fmt: skip
    axes.set_yscale("log")
    axes.set_ylim(0.5, 2 * most)
    axes.yaxis.set_major_locator(LogLocator(numticks=6))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda images, _: f"{images:,.0f}"))
    axes.xaxis.set_major_formatter(FuncFormatter(style.percent_tick))
    axes.set_xlabel("confidence: probability of the predicted class")


def _draw_key(figure: Figure, confidence: float) -> None:
    handles: list[Artist] = [
        Patch(color=_ACCURACY, alpha=0.85, linewidth=0, label="share that is right"),
        Patch(color=_TOO_SURE, linewidth=0, label="too sure by"),
        Patch(color=_TOO_UNSURE, linewidth=0, label="too unsure by"),
        Line2D([], [], color=style.INK, linewidth=1, label=f"{100 * confidence:g} % interval"),
    ]
    figure.legend(handles=handles, loc="upper left", ncols=len(handles), fontsize=12, borderaxespad=0, borderpad=0,
                  bbox_to_anchor=(style.MARGIN / WIDTH, 1 - 124 / figure.bbox.height))  # fmt: skip
