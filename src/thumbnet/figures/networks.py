"""What a network consists of, as a picture: the table of its layers, with bars for where parameters and work are.

The figures come from `thumbnet.nets.summary`.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from thumbnet.figures import style
from thumbnet.nets.accounting import Layer
from thumbnet.nets.summary import Summary

#: A network of torchvision's with more modules is drawn by blocks of them.
MOST_ROWS = 40

# All lengths in pixels, but for type, which is in points.
TYPE, SMALL = 13.0, 11.0
TOP, ROW, GAP, BAR = 138, 30, 30, 110
WIDEST = 420  # of a description
WIDEST_SETTINGS = 900
PARAMETERS, WORK = style.SERIES[0], style.SERIES[4]
TINT = 0.55


@dataclass(frozen=True)
class Row:
    """A line of the table: a layer, or a block of layers.

    Attributes:
        token: its name.
        what: its name in words, or the layers of the block.
        output: the shape after it.
        arithmetic: how the number of parameters comes about; empty for a block.
        parameters, multiply_adds: as of `Layer`, or their sums.
        field, jump: the receptive field, and the jump; empty where they are not known.
    """

    token: str
    what: str
    output: str
    arithmetic: str
    parameters: int
    multiply_adds: int
    field: str
    jump: str


@dataclass(frozen=True)
class _Column:
    """A column of text, and perhaps a column of bars to the right of it."""

    title: str
    cells: Sequence[str]
    align: Literal["left", "right"] = "left"
    faint: bool = False
    bold: bool = False
    values: Sequence[int] = ()
    colour: str = ""

    @property
    def text_width(self) -> float:
        cells = max(style.text_width(cell, TYPE, self.bold) for cell in self.cells)
        return max(cells, style.text_width(self.title, SMALL))

    @property
    def width(self) -> float:
        return self.text_width + (GAP / 2 + BAR if self.values else 0)


def make_rows(summary: Summary) -> list[Row]:
    """The lines of the table: the layers, and of a large network of torchvision's its blocks, as finely as fits."""
    depths = [0]
    if not summary.is_line:
        deepest = max(layer.token.count(".") + 1 for layer in summary.layers)
        depths = [depth for depth in range(deepest, 1, -1) if len(list(_blocks(summary, depth))) <= MOST_ROWS] or [1]
    return [_row_of(block, summary, depths[0]) for block in _blocks(summary, depths[0])]


def draw_network(summary: Summary) -> Figure:
    """A row for each layer: its output, parameters with their arithmetic, receptive field, jump and multiply-adds."""
    rows = make_rows(summary)
    columns = _columns(rows, summary)
    head = [style.ellipsize(summary.settings, WIDEST_SETTINGS, SMALL)]
    needed = sum(column.width + GAP for column in columns) - GAP
    width = round(max(needed, style.text_width(head[0], SMALL)) + 2 * style.MARGIN)
    height = TOP + ROW * (len(rows) + 1) + style.MARGIN
    with style.house_style():
        figure = style.new_figure(width, height)
        style.write_title(figure, summary.title)
        style.write(figure, style.MARGIN, 64, head[0], SMALL, colour=style.FAINT)
        left: float = style.MARGIN
        for column in columns:
            _draw_column(figure, column, left)
            left += column.width + GAP
        _draw_rule(figure, TOP - 6, style.FAINT)
        for row in range(1, len(rows)):
            _draw_rule(figure, TOP + ROW * row - 6, style.RULE)
        _draw_rule(figure, TOP + ROW * len(rows) - 6, style.FAINT)
    return figure


def _blocks(summary: Summary, depth: int) -> Iterator[list[Layer]]:
    """Layers whose names begin with the same `depth` parts and that follow each other; each layer alone for 0."""
    if depth == 0:
        yield from ([layer] for layer in summary.layers)
        return
    for _, block in groupby(summary.layers, key=lambda layer: layer.token.split(".")[:depth]):
        yield list(block)


def _row_of(block: list[Layer], summary: Summary, depth: int) -> Row:
    last = block[-1]
    kinds = Counter(layer.what for layer in block)
    together = ", ".join(f"{count} {kind}" if count > 1 else kind for kind, count in kinds.items())
    alone = len(block) == 1
    return Row(
        token=last.token if alone else ".".join(last.token.split(".")[:depth]),
        what=last.what if alone else together,
        output=summary.shape_of(last),
        arithmetic=last.arithmetic if alone else "",
        parameters=sum(layer.parameters for layer in block),
        multiply_adds=sum(layer.multiply_adds for layer in block),
        field=last.field,
        jump=str(last.jump or ""),
    )


def _columns(rows: list[Row], summary: Summary) -> list[_Column]:
    parameters, work = [row.parameters for row in rows], [row.multiply_adds for row in rows]
    sight = [
        _Column("receptive field", [*(row.field for row in rows), ""], align="right"),
        _Column("jump", [*(row.jump for row in rows), ""], align="right"),
    ]
    return [
        _Column("layer", [*(row.token for row in rows), "total"], bold=True),
        _Column("", [*(style.ellipsize(row.what, WIDEST, TYPE) for row in rows), ""], faint=True),
        _Column("output", [*(row.output for row in rows), ""]),
        _Column("", [*(row.arithmetic for row in rows), ""], align="right", faint=True),
        _Column("parameters", [f"{number:,}" for number in (*parameters, sum(parameters))], align="right",
                values=parameters, colour=PARAMETERS),
        *(sight if summary.is_line else []),
        _Column("multiply-adds", [f"{number:,}" for number in (*work, sum(work))], align="right", values=work,
                colour=WORK),
    ]  # fmt: skip


def _draw_column(figure: Figure, column: _Column, left: float) -> None:
    x = left + (column.text_width if column.align == "right" else 0)
    style.write(figure, x, TOP - 30, column.title, SMALL, colour=style.FAINT, align=column.align)
    colour = style.FAINT if column.faint else style.INK
    for place, cell in enumerate(column.cells):
        bold = column.bold or place == len(column.cells) - 1
        shade = style.FAINT if cell == "0" else colour
        style.write(figure, x, TOP + ROW * place, cell, TYPE, colour=shade, bold=bold, align=column.align)
    largest = max(column.values, default=0)
    for place, value in enumerate(column.values):
        if value:
            start, length = left + column.text_width + GAP / 2, BAR * value / largest
            _draw_bar(figure, start, TOP + ROW * place + 1, max(1.0, length), column.colour)


def _draw_bar(figure: Figure, x: float, y: float, length: float, colour: str) -> None:
    width, height = figure.bbox.width, figure.bbox.height
    place = (x / width, 1 - (y + 16) / height)
    bar = Rectangle(place, length / width, 16 / height, transform=figure.transFigure, color=colour, alpha=TINT,
                    linewidth=0)  # fmt: skip
    figure.add_artist(bar)


def _draw_rule(figure: Figure, y: float, colour: str) -> None:
    """A line over the whole width of the table."""
    width, height = figure.bbox.width, figure.bbox.height
    rule = Rectangle((style.MARGIN / width, 1 - y / height), 1 - 2 * style.MARGIN / width, 1 / height,
                     transform=figure.transFigure, color=colour, linewidth=0)  # fmt: skip
    figure.add_artist(rule)
