"""How every picture looks, and how it gets to disk: colours, fonts, sizes and the PNG file, each settled once here.

Figures are made with matplotlib's own `Figure` class, never through pyplot: no window, no global state, and the same
picture gives the same bytes. What is drawn is left to the other modules of `thumbnet.figures`.
"""

import re
import sys
import warnings
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axis import YAxis
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from thumbnet.files import fresh_file

DPI = 100  # pixels per inch: one point of type is 100/72 pixels
FONT = "DejaVu Sans"  # comes with matplotlib: the same letters on every machine
MARGIN = 32  # pixels, around everything
TITLE_TYPE = 20.0  # points
NOTE_TYPE = 11.0
ELLIPSIS = "…"

INK = "#1b1b1f"
FAINT = "#6b6b76"
RULE = "#d9d9e0"
PAPER = "#ffffff"

# Green for the truth, vermillion for the mistake: dark variants of the pair that Okabe and Ito chose to be told apart
# with any kind of colour vision (https://jfly.uni-koeln.de/color/). A mark beside the text says the same in words.
RIGHT, RIGHT_MARK = "#00735c", "✓"
WRONG, WRONG_MARK = "#b84a00", "✗"

# Okabe and Ito's palette without its yellow, which is too pale for a line on white; grey ends it.
SERIES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1b1b1f", "#8c8c96")
#: Of those with a hue a dark shade and a light one come after them: so much of the hue, the rest ink or paper.
HUES, SHADE = 6, 0.5

_RULES = {
    "font.family": FONT,
    "font.size": 13,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "lines.linewidth": 2.0,
    "legend.frameon": False,
}


_MISSING = r"Glyph \d+ .* missing from font"


@contextmanager
def house_style() -> Iterator[None]:
    """Draw inside of this: matplotlib's defaults and our rules, whatever the user's own matplotlibrc says."""
    with matplotlib.style.context(["default", _RULES]):
        yield


def series_colour(place: int) -> str:
    """The colour of a line or a network by its place among the others: 20 of them, then the first ones again."""
    place %= len(SERIES) + 2 * HUES
    if place < len(SERIES):
        return SERIES[place]
    shade, hue = divmod(place - len(SERIES), HUES)
    pairs = zip(to_rgb(SERIES[hue]), to_rgb((INK, PAPER)[shade]), strict=True)
    red, green, blue = (SHADE * colour + (1 - SHADE) * other for colour, other in pairs)
    return to_hex((red, green, blue))


def new_figure(width: int, height: int) -> Figure:
    """An empty picture of that many pixels."""
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=PAPER)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a picture as PNG; the same picture gives the same bytes, without date or name of software."""
    with fresh_file(path) as aside, house_style(), _missing_letters():
        figure.savefig(aside, format="png", dpi="figure", metadata={"Software": None})


def text_width(text: str, size: float, bold: bool = False) -> float:
    """The width of one line of text in pixels.

    Args:
        text: taken literally, `$` included.
        size: of the type, in points.
        bold: whether it is bold.
    """
    return _extent(text, size, bold)[0]


def _extent(text: str, size: float, bold: bool) -> tuple[float, float, float]:
    """Width, height and descent of one line of text, in pixels."""
    font = FontProperties(family=FONT, size=size, weight="bold" if bold else "normal")
    renderer = RendererAgg(1, 1, DPI)  # type: ignore[no-untyped-call]
    with _missing_letters():
        width, height, descent = renderer.get_text_width_height_descent(text, font, ismath=False)  # type: ignore[no-untyped-call]
    return float(width), float(height), float(descent)


@contextmanager
def _missing_letters() -> Iterator[None]:
    """One line for all letters that the font lacks, in place of matplotlib's warning for each at every place."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.filterwarnings("always", message=_MISSING)
        yield
    for warning in caught:
        if re.match(_MISSING, str(warning.message)):
            _tell_missing()
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


@cache
def _tell_missing() -> None:
    print(f"warning: the font of pictures, {FONT}, has not all letters of these names; boxes stand for them",
          file=sys.stderr)  # fmt: skip


@cache
def _ascent(size: float, bold: bool) -> float:
    """From the top of a line of ordinary letters to its baseline, in pixels."""
    _, height, descent = _extent("lp", size, bold)
    return height - descent


def ellipsize(text: str, width: float, size: float, bold: bool = False) -> str:
    """The text itself where it fits, else as much of both its ends as fits around an ellipsis.

    Names of folders often differ in their ends only, so the end is kept as well as the beginning.

    Args:
        text: one line.
        width: the room, in pixels.
        size: of the type, in points.
        bold: whether it is bold.
    """
    if text_width(text, size, bold) <= width:
        return text
    kept = bisect_right(range(1, len(text)), width, key=lambda kept: text_width(_shorten(text, kept), size, bold))
    return _shorten(text, kept)


def _shorten(text: str, kept: int) -> str:
    """The first and the last letters of a text, `kept` of them in all, around an ellipsis."""
    first, last = kept - kept // 2, kept // 2
    return text[:first].rstrip() + ELLIPSIS + text[len(text) - last :].lstrip()


class _Pixels(Artist):
    """Pixels that are drawn as they are: `Figure.figimage` computes each anew, and takes most of a picture's time."""

    zorder = 0  # below all else

    def __init__(self, pixels: NDArray[np.uint8], x: int, y: int) -> None:
        super().__init__()
        opaque = np.full((*pixels.shape[:2], 1), 255, dtype=np.uint8)
        self._pixels = np.concatenate([pixels, opaque], axis=2)[::-1]  # rows count from below
        self._place = x, y

    def draw(self, renderer: RendererBase) -> None:
        context = renderer.new_gc()
        renderer.draw_image(context, *self._place, self._pixels)
        context.restore()


def put_pixels(figure: Figure, pixels: NDArray[np.uint8], x: int = 0, y: int = 0) -> None:
    """Draws an image pixel by pixel.

    Args:
        figure: where.
        pixels: (height, width, 3).
        x, y: where its lower left corner is to be, in pixels from that of the picture.
    """
    figure.add_artist(_Pixels(pixels, x, y))


def write(figure: Figure, x: float, y: float, text: str, size: float, *, colour: str = INK, bold: bool = False,
          align: Literal["left", "right"] = "left") -> None:  # fmt: skip
    """Draws one line of text.

    Args:
        figure: where.
        x: pixels from the left edge of the picture to the text's left (or, aligned right, its right).
        y: pixels from the upper edge of the picture to the top of the text's ordinary letters.
        text: taken literally, `$` included.
        size: of the type, in points.
        colour: any that matplotlib knows.
        bold: whether it is bold.
        align: which end of the text stands at `x`.
    """
    # By its baseline: aligned at the top, a text with an umlaut would stand lower than those beside it.
    baseline = 1 - (y + _ascent(size, bold)) / figure.bbox.height
    figure.text(x / figure.bbox.width, baseline, text, size=size, color=colour, weight="bold" if bold else "normal",
                ha=align, va="baseline", parse_math=False)  # fmt: skip


def write_title(figure: Figure, title: str) -> None:
    """Draws the title in the upper left corner, shortened if it is too long for the picture."""
    room = figure.bbox.width - 2 * MARGIN
    write(figure, MARGIN, 26, ellipsize(title, room, TITLE_TYPE, bold=True), TITLE_TYPE, bold=True)


def write_note(figure: Figure, note: str) -> None:
    """Draws a line of small type in the lower right corner, shortened if it is too long for the picture."""
    width, height = figure.bbox.width, figure.bbox.height
    told = ellipsize(note, width - 2 * MARGIN, NOTE_TYPE)
    write(figure, width - MARGIN, height - 24, told, NOTE_TYPE, colour=FAINT, align="right")


def scale_losses(axis: YAxis, low: float, high: float) -> None:
    """A log scale of plain numbers.

    Args:
        axis: of losses.
        low, high: between which they lie, above 0.
    """
    axis.axes.set_yscale("log")
    # Within a factor of 5 the ticks of a log scale are too few; evenly spaced numbers serve better there.
    narrow = high < 5 * low
    axis.set_major_locator(MaxNLocator(8, steps=[1, 2, 5, 10]) if narrow else LogLocator(subs=(1, 2, 3, 5)))
    axis.set_major_formatter(FuncFormatter(lambda loss, _: f"{loss:.4g}"))
    axis.set_minor_formatter(NullFormatter())


def percent(share: float, decimals: int = 0) -> str:
    """A fraction as people read it: 0.9231 is "92 %"."""
    return f"{100 * share:.{decimals}f} %"


def percent_tick(share: float, _position: int) -> str:
    """The same for the ticks of an axis, with as many decimals as they need."""
    return f"{100 * share:.4g} %"
