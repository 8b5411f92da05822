"""The pictures of studies: accuracies of many conditions with their spread, and published figures beside them."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from thumbnet.figures import style

# All lengths in pixels.
WIDTH, TOP, BOTTOM = 1200, 84, 90
LEGEND, KEY = 26, 62  # the height of a line of it, and what an entry has beside its text
HEADING = 34  # above panels that have a name
ROW, STEP = 30, 17  # of `dots`: a place with one series, and each series more
HEIGHT = 620  # of the others
GAP = 46  # between panels
LABEL = 420  # at most, of a name beside or in a picture; a longer one is shortened
#: Published figures are rings of this colour: they are nobody's series.
DIAMOND: dict[str, Any] = {"marker": "D", "markersize": 9, "markerfacecolor": "none", "markeredgecolor": style.INK,
                           "markeredgewidth": 1.8, "linestyle": "none"}  # fmt: skip
DOT: dict[str, Any] = {"marker": "o", "markersize": 8, "linestyle": "none"}
PANELS = ("loss", "accuracy")
STROKES: dict[str, Any] = {"train": (0, (3.0, 1.6)), "validation": "-"}
MARKERS = ("o", "s", "^", "v", "P", "X", "d", "*")


@dataclass(frozen=True)
class Point:
    """The accuracy of one condition, from 0 to 1, with what it spreads over, and published ones of the same."""

    panel: str
    place: str
    series: str
    value: float
    low: float
    high: float
    published: tuple[float, ...] = ()


@dataclass(frozen=True)
class Sized:
    """A network's accuracy, from 0 to 1, and its number of parameters.

    Attributes:
        source, measure: of a published figure, whose it is and what it was measured on; empty for ours.
    """

    name: str
    parameters: int
    value: float
    low: float = 0.0
    high: float = 0.0
    source: str = ""
    measure: str = ""


@dataclass(frozen=True)
class Curve:
    """Learning curves of one condition: a value for each epoch."""

    name: str
    epochs: Sequence[int]
    train_loss: Sequence[float]
    train_accuracy: Sequence[float]
    validation_loss: Sequence[float]
    validation_accuracy: Sequence[float]


def draw_dots(title: str, points: Sequence[Point], panels: Sequence[str], measure: str) -> Figure:
    """A row for each place, a colour for each series; published figures are diamonds in the same row.

    Args:
        title: of the picture.
        points: at least one.
        panels: in their order, side by side; `[""]` for one.
        measure: what the accuracies are of, as the axis says it.
    """
    series = list(dict.fromkeys(point.series for point in points))
    places: dict[str, list[str]] = {}
    for point in sorted(points, key=lambda point: series.index(point.series)):
        places.setdefault(point.place, [])
        if point.series not in places[point.place]:
            places[point.place].append(point.series)
    edges = {place: ROW + STEP * (len(places[place]) - 1) for place in dict.fromkeys(point.place for point in points)}
    tops = dict(zip(edges, itertools.accumulate([0, *edges.values()]), strict=False))
    whole = sum(edges.values())
    published = any(point.published for point in points)
    top = _top(series, published, panels)
    height = top + BOTTOM + whole + 16
    labels = [style.ellipsize(place, LABEL, 13) for place in edges]
    left = style.MARGIN + 18 + max(style.text_width(label, 13) for label in labels)
    with style.house_style():
        figure = style.new_figure(WIDTH, round(height))
        for index, (panel, axes) in enumerate(_axes(figure, panels, left, height, top)):
            for point in points:
                if point.panel == panel:
                    down = tops[point.place] + ROW / 2 + STEP * places[point.place].index(point.series)
                    colour = _colour(series, point.series)
                    axes.plot([point.low, point.high], [down, down], color=colour, linewidth=2.5, alpha=0.55)
                    axes.plot([point.value], [down], color=colour, **DOT)
                    axes.plot(point.published, [down] * len(point.published), **DIAMOND)
            axes.set_ylim(whole, 0)
            middles = [tops[place] + edges[place] / 2 for place in edges]
            axes.set_yticks(middles, labels if index == 0 else [""] * len(edges), parse_math=False)
            axes.tick_params(axis="y", length=0)
            axes.grid(axis="y", visible=False)
            for place in list(edges)[1:]:
                axes.axhline(tops[place], color=style.RULE, linewidth=0.8)
            axes.set_xlabel(measure)
            axes.xaxis.set_major_locator(MaxNLocator(7 if len(panels) == 1 else 4, steps=[1, 2, 2.5, 5, 10]))
            axes.xaxis.set_major_formatter(FuncFormatter(style.percent_tick))
        _finish(figure, title, series, published)
    return figure


def draw_lines(title: str, points: Sequence[Point], panels: Sequence[str], measure: str, x: str, log: bool) -> Figure:
    """Accuracy over an axis of numbers, a line for each series.

    Args:
        title: of the picture.
        points: at least one; their places are numbers.
        panels: in their order, side by side; `[""]` for one.
        measure: what the accuracies are of, as the axis says it.
        x: what the places are values of.
        log: whether that axis is logarithmic.
    """
    series = list(dict.fromkeys(point.series for point in points))
    published = any(point.published for point in points)
    with style.house_style():
        figure = style.new_figure(WIDTH, HEIGHT)
        top = _top(series, published, panels)
        for index, (panel, axes) in enumerate(_axes(figure, panels, style.MARGIN + 70, HEIGHT, top)):
            if index == 0:
                axes.set_ylabel(measure)
            else:  # what is as high in two panels is as much
                axes.sharey(figure.axes[0])
            for name in series:
                line = sorted((point for point in points if (point.panel, point.series) == (panel, name)),
                              key=lambda point: float(point.place))  # fmt: skip
                places, colour = [float(point.place) for point in line], _colour(series, name)
                axes.fill_between(places, [point.low for point in line], [point.high for point in line], color=colour,
                                  alpha=0.15, linewidth=0)  # fmt: skip
                axes.plot(places, [point.value for point in line], color=colour, marker="o", markersize=7)
                for point in line:
                    axes.plot([float(point.place)] * len(point.published), point.published, **DIAMOND)
            axes.set_xscale("log" if log else "linear")
            ticks = sorted({float(point.place) for point in points if point.panel == panel})
            axes.set_xticks(ticks, _thinned(ticks, log, axes.bbox.width))
            axes.xaxis.set_minor_locator(NullLocator())
            axes.set_xlabel(style.ellipsize(x, axes.bbox.width, 13), parse_math=False)
            axes.yaxis.set_major_formatter(FuncFormatter(style.percent_tick))
            axes.tick_params(axis="y", labelleft=index == 0)
        _finish(figure, title, series, published)
    return figure


def draw_parameters(title: str, networks: Sequence[Sized], measure: str) -> Figure:
    """Accuracy over the number of parameters; ours are named in the picture, published figures beside it.

    Those of one source have a mark each; where they are more than MARKERS they share one.

    Args:
        title: of the picture.
        networks: at least one.
        measure: the split that the accuracies are of.
    """
    published = [network for network in networks if network.source]
    mine = sorted((network for network in networks if not network.source), key=lambda network: network.parameters)
    with style.house_style():
        figure = style.new_figure(WIDTH, HEIGHT + 40)
        ((_, axes),) = _axes(figure, [""], style.MARGIN + 70, HEIGHT + 40, TOP, right=360 if published else 0)
        axes.set_xscale("log")
        sizes = [network.parameters for network in mine]
        axes.fill_between(sizes, [network.low for network in mine], [network.high for network in mine],
                          color=style.SERIES[0], alpha=0.15, linewidth=0)  # fmt: skip
        axes.plot(sizes, [network.value for network in mine], color=style.SERIES[0], marker="o", markersize=8)
        for network in mine:
            axes.annotate(style.ellipsize(network.name, LABEL, 11), (network.parameters, network.value), fontsize=11,
                          xytext=(0, 12), ha="center", textcoords="offset points", color=style.INK,
                          parse_math=False)  # fmt: skip
        handles = [Line2D([], [], color=style.SERIES[0], label="ours", **DOT)]
        for index, (name, group) in enumerate(_marked(published).items()):
            mark: dict[str, Any] = {"marker": MARKERS[index % len(MARKERS)], "markersize": 10 if len(group) == 1 else 6,
                                    "linestyle": "none", "color": style.series_colour(1 + index)}  # fmt: skip
            axes.plot([network.parameters for network in group], [network.value for network in group], **mark)
            handles.append(Line2D([], [], label=style.ellipsize(name, 330, 11), **mark))
        axes.set_xlabel("parameters")
        axes.set_ylabel(f"accuracy on {measure}")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.xaxis.set_major_formatter(FuncFormatter(_thousands))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.margins(x=0.08, y=0.12)
        axes.yaxis.set_major_formatter(FuncFormatter(style.percent_tick))
        if published:
            legend = axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.02, 1.0), fontsize=11,
                                 labelspacing=0.7, handlelength=1.2)  # fmt: skip
            _take_literally(legend)
        style.write_title(figure, title)
    return figure


def _marked(published: Sequence[Sized]) -> dict[str, list[Sized]]:
    """Published figures by the entry of the legend that they stand in."""
    groups: dict[tuple[str, str], list[Sized]] = {}
    for network in published:
        groups.setdefault((network.source, network.measure), []).append(network)
    entries: dict[str, list[Sized]] = {}
    for (source, measure), group in groups.items():
        for network in group:
            name = network.name if len(group) <= len(MARKERS) else f"{source}: {len(group)} figures, {measure}"
            entries.setdefault(name, []).append(network)
    return entries


def draw_curves(title: str, curves: Sequence[Curve]) -> Figure:
    """Loss, on a logarithmic scale, beside accuracy by epoch: training dashed, validation solid.

    Args:
        title: of the picture.
        curves: at least one.
    """
    names = [curve.name for curve in curves]
    with style.house_style():
        figure = style.new_figure(WIDTH, HEIGHT)
        top = _top([*names, *STROKES], False, PANELS)
        panels = _axes(figure, PANELS, style.MARGIN + 70, HEIGHT, top, gap=90)
        for what, axes in panels:
            for curve in curves:
                for split in STROKES:
                    axes.plot(curve.epochs, getattr(curve, f"{split}_{what}"), color=_colour(names, curve.name),
                              alpha=0.7 if split == "train" else 1.0, **_stroke(split, len(curve.epochs)))  # fmt: skip
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        losses = [loss for curve in curves for loss in (*curve.train_loss, *curve.validation_loss)]
        style.scale_losses(panels[0][1].yaxis, min(losses), max(losses))
        panels[1][1].yaxis.set_major_formatter(FuncFormatter(style.percent_tick))
        longest = max(len(curve.epochs) for curve in curves)
        strokes = [Line2D([], [], color=style.INK, label=split, **_stroke(split, longest)) for split in STROKES]
        _finish(figure, title, names, False, strokes, marker="")
    return figure


def _stroke(split: str, epochs: int) -> dict[str, Any]:
    """How the curve of a split is drawn; of one epoch there is no line, only a point."""
    if epochs > 1:
        return {"linestyle": STROKES[split]}
    return DOT | ({"markerfacecolor": "none"} if split == "train" else {})


def _axes(
    figure: Figure, panels: Sequence[str], left: float, height: float, top: int, right: int = 0, gap: int = GAP
) -> list[tuple[str, Axes]]:
    """Axes side by side, each with its name above where it has one."""
    width = (WIDTH - left - style.MARGIN - right - gap * (len(panels) - 1)) / len(panels)
    made = []
    for index, panel in enumerate(panels):
        place = left + index * (width + gap), BOTTOM, width, height - top - BOTTOM
        axes = figure.add_axes((place[0] / WIDTH, place[1] / height, place[2] / WIDTH, place[3] / height))
        if panel:
            name = style.ellipsize(panel, width, 14)
            axes.set_title(name, loc="left", fontsize=14, color=style.INK, parse_math=False)
        made.append((panel, axes))
    return made


def _columns(names: Sequence[str]) -> int:
    """Entries in a line of the legend: as many as fit, each column being as wide as its widest entry."""
    widths = [style.text_width(_entry(name), 12) + KEY for name in names]
    for columns in range(len(names), 1, -1):
        if sum(max(widths[column::columns]) for column in range(columns)) <= WIDTH - 2 * style.MARGIN:
            return columns
    return 1


def _entry(name: str) -> str:
    """A name as the legend has it."""
    return style.ellipsize(name, LABEL, 12)


def _take_literally(legend: Legend) -> None:
    """Users' names may have a `$`, which begins a formula elsewhere."""
    for text in legend.get_texts():
        text.set_parse_math(False)


def _top(series: Sequence[str], published: bool, panels: Sequence[str]) -> int:
    """The height of title and legend."""
    names = [*series, *(["published"] if published else [])]
    lines = -(-len(names) // _columns(names)) if len(names) > 1 else 0
    return TOP + LEGEND * lines + (HEADING if any(panels) else 0)


def _thinned(ticks: Sequence[float], log: bool, width: float) -> list[str]:
    """The labels of ticks, empty where one would run into the label to its left."""
    places = [math.log(tick) if log else tick for tick in ticks]
    room = width * 0.9 / ((places[-1] - places[0]) or 1.0)
    labels, free = [], -math.inf
    for place, tick in zip(places, ticks, strict=True):
        half = style.text_width(f"{tick:g}", 13) / 2
        fits = place * room - half >= free
        labels.append(f"{tick:g}" if fits else "")
        free = place * room + half + 8 if fits else free
    return labels


def _colour(series: Sequence[str], name: str) -> str:
    return style.series_colour(series.index(name))


def _finish(figure: Figure, title: str, series: Sequence[str], published: bool, more: Sequence[Line2D] = (),
            marker: str = "o") -> None:  # fmt: skip
    """Title, and a legend in lines below it; `marker` is that of the series."""
    style.write_title(figure, title)
    handles = [
        Line2D([], [], color=_colour(series, name), linewidth=2.5, marker=marker, markersize=7, label=_entry(name))
        for name in series
    ]
    handles += more
    if published:
        handles.append(Line2D([], [], label="published", **DIAMOND))
    if len(handles) > 1:
        columns = _columns([str(handle.get_label()) for handle in handles])
        rows_first = [handles[place] for column in range(columns) for place in range(column, len(handles), columns)]
        corner = (style.MARGIN - 8) / WIDTH, 1 - 66 / figure.bbox.height
        legend = figure.legend(handles=rows_first, loc="upper left", bbox_to_anchor=corner, fontsize=12, ncol=columns,
                               columnspacing=1.6, handletextpad=0.6, borderaxespad=0)  # fmt: skip
        _take_literally(legend)


def _thousands(count: float, _position: int) -> str:
    if count >= 1e6:
        return f"{count / 1e6:g} M"
    return f"{count / 1e3:g} k" if count >= 1e3 else f"{count:g}"
