"""What people read of a benchmark: a table in Markdown, and a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from benchmarks.networks import OURS, VARIANTS
from benchmarks.summary import Figures, Spread
from thumbnet.errors import UserError
from thumbnet.figures import style
from thumbnet.files import fresh_file

BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"
NOTHING = "–"

# All lengths in pixels.
WIDTH, TOP, LEFT, RIGHT_SIDE, BOTTOM = 1200, 136, 292, 345, 60
BAR, GAP = 34, 86


def write_tables(page: Path, text: str) -> None:
    """Puts a text between the marks of a page of Markdown, which is made if it is missing.

    Raises:
        UserError: the page lacks the marks.
    """
    content = page.read_text(encoding="utf-8") if page.exists() else f"{BEGIN}\n{END}\n"
    before, begin, rest = content.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise UserError(f"{page} lacks the lines {BEGIN} and {END}, between which the table goes")
    with fresh_file(page) as aside:
        aside.write_text(f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}", encoding="utf-8")


def tables(figures: Figures, facts: Mapping[str, str]) -> str:
    """One table for each network.

    Args:
        figures: of all networks.
        facts: of each network, in words.
    """
    return "\n\n".join(f"**{name}**: {facts[name]}\n\n{_table(variants)}" for name, variants in figures.items())


def _table(variants: Mapping[str, dict[str, Any]]) -> str:
    levels = {entry["to_accuracy"]["level"] for entry in variants.values() if "to_accuracy" in entry}
    level = "".join(f" {style.percent(value, 1)}" for value in levels)
    heads = ["variant", "images/s", "factor", "peak memory, MB", "start, s",
             f"seconds to{level or ' accuracy'}", "factor"]  # fmt: skip
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for variant, entry in variants.items():
        cells = [VARIANTS[variant].title, *_speed_cells(entry, variant), *_accuracy_cells(entry, variant)]
        rows.append("| " + " | ".join(f"**{cell}**" if variant == OURS else cell for cell in cells) + " |")
    return "\n".join(rows)


def _speed_cells(entry: Mapping[str, Any], variant: str) -> list[str]:
    if "images_per_second" not in entry:
        return [NOTHING] * 4
    peak, start = entry["peak_memory_mb"], entry["start_seconds"]
    return [
        _told(entry["images_per_second"], ",.0f"),
        NOTHING if variant == OURS else _ratio(entry["ratio"]),
        NOTHING if peak is None else f"{peak:,}",
        f"{start:.1f}",
    ]


def _accuracy_cells(entry: Mapping[str, Any], variant: str) -> list[str]:
    if "to_accuracy" not in entry:
        return [NOTHING] * 2
    accuracy = entry["to_accuracy"]
    missed = accuracy["runs"] - accuracy["reached"]
    if accuracy["seconds"] is None:
        return [f"not reached in {accuracy['epochs']} epochs", NOTHING]
    seconds = _told(accuracy["seconds"], ",.1f") + (
        f", not reached in {missed} of {accuracy['runs']}" if missed else ""
    )
    return [seconds, NOTHING if variant == OURS else _ratio(accuracy["ratio"])]


def _ratio(ratio: Spread | None) -> str:
    return NOTHING if ratio is None else f"{_told(ratio, '.2f')}"


def _told(spread: Spread, form: str) -> str:
    """The median, and where runs differ, the lowest and the highest."""
    middle, low, high = (format(spread[name], form) for name in ("median", "min", "max"))
    return middle if low == high else f"{middle} ({low}–{high})"


def draw(figures: Figures, facts: Mapping[str, str], conditions: str) -> Figure:
    """Images per second as bars, a panel for each network, with the lowest and highest run and the ratio to thumbnet.

    Args:
        figures: of all networks; those without measurements of speed are left out.
        facts: of each network, in words.
        conditions: one line for the top.
    """
    shown = {
        network: {name: entry for name, entry in variants.items() if "images_per_second" in entry}
        for network, variants in figures.items()
    }
    shown = {network: variants for network, variants in shown.items() if variants}
    heights = [BAR * len(variants) for variants in shown.values()]
    height = TOP + sum(heights) + GAP * (len(heights) - 1) + BOTTOM
    with style.house_style():
        figure = style.new_figure(WIDTH, height)
        style.write_title(figure, "Images per second in training")
        style.write(figure, style.MARGIN, 62, conditions, 12, colour=style.FAINT)
        top = TOP
        for (network, variants), tall in zip(shown.items(), heights, strict=True):
            place = (LEFT / WIDTH, 1 - (top + tall) / height, (WIDTH - LEFT - RIGHT_SIDE) / WIDTH, tall / height)
            style.write(figure, style.MARGIN, top - 24, network, 13, bold=True)
            told = style.ellipsize(facts[network], WIDTH - LEFT - style.MARGIN, 11)
            style.write(figure, LEFT, top - 22, told, 11, colour=style.FAINT)
            _draw_panel(figure.add_axes(place), variants)
            top += tall + GAP
    return figure


def _draw_panel(axes: Axes, variants: Mapping[str, dict[str, Any]]) -> None:
    axes.set_ylim(len(variants) - 0.5, -0.5)
    axes.set_yticks(range(len(variants)), [VARIANTS[name].title for name in variants])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    for place, (name, entry) in enumerate(variants.items()):
        speed, ratio = entry["images_per_second"], entry["ratio"]
        axes.barh(place, speed["median"], height=0.68, color=style.SERIES[0] if name == OURS else style.SERIES[-1])
        axes.plot([speed["min"], speed["max"]], [place, place], color=style.INK, linewidth=1.6)
        label = f"{speed['median']:,.0f}"
        if name != OURS and ratio is not None:
            label += f"   thumbnet is {ratio['median']:.2f}× as fast"
        axes.annotate(label, (speed["max"], place), xytext=(8, 0), textcoords="offset points", va="center", size=12,
                      weight="bold" if name == OURS else "normal", annotation_clip=False)  # fmt: skip
    axes.set_xlim(0, max(entry["images_per_second"]["max"] for entry in variants.values()))
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
