"""What an ensemble gains, as pictures: every method beside every network, and accuracy against their number."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from thumbnet.figures import style
from thumbnet.judging.ensembling import Size

METHODS = {
    "soft_vote": "soft vote",
    "logit_mean": "mean of logits",
    "majority": "majority",
    "weighted": "weighted vote",
    "greedy": "greedy selection",
}
COLOURS = {"validation": style.SERIES[4], "test": style.SERIES[0]}
MARKS: dict[str, dict[str, Any]] = {
    "validation": {"marker": "o", "markerfacecolor": style.PAPER, "markeredgewidth": 2, "markersize": 7},
    "test": {"marker": "o", "markersize": 8},
}

# All lengths in pixels.
ROW, TOP, BOTTOM = 40, 150, 72
PANEL, NUMBERS = 560, 190
LONGEST_LABEL = 240
MOST_NETWORKS = 12
WIDTH, HEIGHT = 760, 400  # of the curve


def draw_methods(metrics: Mapping[str, Any], confidence: float) -> Figure:
    """Accuracy on validation and test, with intervals: a row per method, the chosen one bold, and a row per network.

    Args:
        metrics: what `thumbnet.judging.comparing.compare` returns; of many networks the 12 best on validation are
            shown.
        confidence: level of the intervals.
    """
    networks = {each["network"]: each for each in metrics["singles"]}
    best_first = sorted(networks, key=lambda name: -networks[name]["validation"]["accuracy"])
    shown = [name for name in networks if name in best_first[:MOST_NETWORKS]]
    methods = [(METHODS[each["method"]], each, each["method"] == metrics["method"]) for each in metrics["methods"]]
    rows = [*methods, *((name, networks[name], name == metrics["best_network"]) for name in shown)]
    labels = [style.ellipsize(name, LONGEST_LABEL, 13, bold=True) for name, _, _ in rows]
    left = style.MARGIN + round(max(style.text_width(label, 13, bold=True) for label in labels)) + 20
    width, height = left + PANEL + NUMBERS + style.MARGIN, TOP + ROW * len(rows) + 24 + BOTTOM
    places = [ROW * row + (24 if row >= len(methods) else 0) + ROW / 2 for row in range(len(rows))]
    with style.house_style():
        figure = style.new_figure(width, height)
        axes = figure.add_axes((left / width, BOTTOM / height, PANEL / width, 1 - (TOP + BOTTOM) / height))
        axes.set_ylim(height - TOP - BOTTOM, 0)
        for (_, judged, bold), label, y in zip(rows, labels, places, strict=True):
            from_top = TOP + y - 9
            style.write(figure, style.MARGIN, from_top, label, 13.0, bold=bold)
            for split, x, offset in (("validation", PANEL + 96, -5), ("test", PANEL + 190, 5)):
                _draw_interval(axes, judged[split], split, y + offset)
                style.write(figure, left + x, from_top, style.percent(judged[split]["accuracy"], 2), 12.0, bold=bold,
                            align="right")  # fmt: skip
        if len(shown) < len(networks):
            style.write(figure, style.MARGIN, TOP + ROW * len(methods) + 6, f"the {len(shown)} best of {len(networks)}",
                        11.0, colour=style.FAINT)  # fmt: skip
        for split, x in (("validation", PANEL + 96), ("test", PANEL + 190)):
            style.write(figure, left + x, TOP - 26, split, 12.0, colour=style.FAINT, align="right")
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.axhline(ROW * len(methods) + 12, color=style.RULE, linewidth=1)
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
        axes.xaxis.set_major_formatter(FuncFormatter(style.percent_tick))
        axes.set_xlabel("accuracy")
        style.write_title(figure, "The ensemble and its networks")
        style.write(figure, style.MARGIN, 64, _summary(metrics), 13.0, colour=style.FAINT)
        _draw_key(figure, [*_splits(), Line2D([], [], color=style.FAINT, linewidth=1.6,
                                              label=f"{100 * confidence:g} % interval")])  # fmt: skip
    return figure


def _summary(metrics: Mapping[str, Any]) -> str:
    if metrics["networks"] == 1:
        return "One network alone: every method gives what the network gives."
    best = style.ellipsize(metrics["best_network"], 160, 13)
    gain = f"{metrics['gain_test_points']:+.2f}".replace("-", "−")
    p = "< 0.001" if metrics["mcnemar_p"] < 0.001 else f"{metrics['mcnemar_p']:.3f}"
    return f"{gain} points on test against {best}, the best network on validation (McNemar's p {p})."


def _draw_interval(axes: Axes, judged: Mapping[str, float], split: str, y: float) -> None:
    axes.plot([judged["low"], judged["high"]], [y, y], color=COLOURS[split], linewidth=1.6, alpha=0.75)
    axes.plot(judged["accuracy"], y, color=COLOURS[split], zorder=3, **MARKS[split])


def _splits() -> list[Artist]:
    return [Line2D([], [], color=COLOURS[split], linestyle="none", label=split, **MARKS[split]) for split in MARKS]


def draw_sizes(rows: Sequence[Size], best: Mapping[str, float], best_name: str) -> Figure:
    """Accuracy of soft votes against how many networks vote: the mean over subsets, and a band from worst to best.

    Args:
        rows: what `thumbnet.judging.ensembling.accuracy_by_size` returns.
        best: the accuracy of the best single network, by name of split.
        best_name: its name.
    """
    count = max(row.networks for row in rows)
    with style.house_style():
        figure = style.new_figure(WIDTH, TOP + HEIGHT + BOTTOM)
        height = figure.bbox.height
        place = ((style.MARGIN + 88) / WIDTH, BOTTOM / height, (WIDTH - 2 * style.MARGIN - 88) / WIDTH, HEIGHT / height)
        axes = figure.add_axes(place)
        for split, colour in COLOURS.items():
            line = [row for row in rows if row.split == split]
            sizes = [row.networks for row in line]
            axes.fill_between(sizes, [row.low for row in line], [row.high for row in line], color=colour, alpha=0.16,
                              linewidth=0)  # fmt: skip
            axes.plot(sizes, [row.mean for row in line], color=colour, zorder=3, **MARKS[split])
            if count > 1:
                axes.axhline(best[split], color=colour, linewidth=1.4, linestyle=(0, (4, 3)))
        axes.set_xlabel("networks that vote")
        axes.set_ylabel("accuracy")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=10, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(style.percent_tick))
        style.write_title(figure, "Accuracy against the size of the ensemble")
        name = style.ellipsize(best_name, 160, 12)
        told = (f"Soft votes. Dashed: {name}, the best single network on validation." if count > 1
                else "One network alone: there is no larger ensemble.")  # fmt: skip
        style.write(figure, style.MARGIN, 64, told, 13.0, colour=style.FAINT)
        band = Patch(color=style.FAINT, alpha=0.3, linewidth=0, label="worst to best subset of that size")
        _draw_key(figure, [*_splits(), *([band] if count > 1 else [])])
    return figure


def _draw_key(figure: Figure, handles: Sequence[Artist]) -> None:
    figure.legend(handles=handles, loc="upper left", ncols=len(handles), fontsize=12, borderaxespad=0, borderpad=0,
                  bbox_to_anchor=(style.MARGIN / figure.bbox.width, 1 - 98 / figure.bbox.height))  # fmt: skip
