"""Learning curves of all members together: one tidy table for DVC's plot, one picture for people.

The histories themselves are written by the training.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from thumbnet.errors import UserError
from thumbnet.figures import style
from thumbnet.files import write_table
from thumbnet.params import Kept

SPLITS = ("train", "validation")
STROKES: dict[str, dict[str, Any]] = {"train": {"linestyle": (0, (3.0, 1.6)), "alpha": 0.75}, "validation": {}}
LONE: dict[str, Any] = {"marker": "x", "markersize": 8, "markeredgewidth": 2}  # a line of one point would not be seen
KEPT: dict[Kept, str] = {
    "validation_accuracy": "best validation accuracy",
    "validation_loss": "lowest validation loss",
}
RING: dict[str, Any] = {"marker": "o", "markersize": 9, "markeredgewidth": 2, "markerfacecolor": style.PAPER}

# All lengths in pixels.
WIDTH, TOP = 1200, 146
PANEL_WIDTH, PANEL_HEIGHT = 500, 340
KEY = 76  # beside the text of each entry of the legend: its line, and the space around
LONGEST_NAME = 320


@dataclass(frozen=True)
class Point:
    """One split of one member after one epoch.

    Attributes:
        member: its name.
        epoch: counted as in the history.
        split: `train` or `validation`.
        accuracy: 0..1.
        loss: nats per image.
        lr: the learning rate.
        l2_penalty: λ/2·Σw² over the kernels while it trained; the same for both splits.
        quartiles: of several seeds, of which the values are medians: the lower and the upper quartile of `accuracy` and
            of `loss`; of one seed nothing.
    """

    member: str
    epoch: int
    split: str
    accuracy: float
    loss: float
    lr: float
    l2_penalty: float
    quartiles: Mapping[str, tuple[float, float]] = field(default_factory=dict)


#: Columns of the table.
COLUMNS = ("member", "epoch", "split", "accuracy", "loss", "lr", "l2_penalty")


def collect_histories(histories: Mapping[str, Path]) -> list[Point]:
    """Reads the members' histories into one tidy list: by member, epoch and split.

    Args:
        histories: the CSV file of each member (epoch, lr, train_loss, train_accuracy, validation_loss,
            validation_accuracy, l2_penalty; of several seeds the losses and accuracies with _p25 and _p75 too), in the
            order to show them in.

    Raises:
        UserError: a file is missing, lacks a column, or has no epoch.
    """
    return [point for member, path in histories.items() for point in _read_history(member, path)]


def _read_history(member: str, path: Path) -> list[Point]:
    remedy = f"make it with: dvc repro -f -s train@{member}"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            points = [
                Point(member, int(row["epoch"]), split, float(row[f"{split}_accuracy"]), float(row[f"{split}_loss"]),
                      float(row["lr"]), float(row["l2_penalty"]), _read_quartiles(row, split))
                for row in csv.DictReader(file)
                for split in SPLITS
            ]  # fmt: skip
    except FileNotFoundError:
        raise UserError(f"{path} is missing; {remedy}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no history of a training ({error}); {remedy}") from None
    if not points:
        raise UserError(f"{path} has no epoch; {remedy}")
    return points


def _read_quartiles(row: Mapping[str, str], split: str) -> dict[str, tuple[float, float]]:
    if f"{split}_accuracy_p25" not in row:
        return {}
    return {
        quantity: (float(row[f"{split}_{quantity}_p25"]), float(row[f"{split}_{quantity}_p75"]))
        for quantity in ("accuracy", "loss")
    }


def write_curves_table(path: Path, points: Sequence[Point]) -> None:
    """Writes one row per point: member, epoch, split, accuracy, loss, lr, l2_penalty."""
    write_table(path, COLUMNS, ([getattr(point, column) for column in COLUMNS] for point in points))


def best_point(points: Sequence[Point], member: str, keep: Kept) -> Point:
    """The epoch whose weights are kept: of highest accuracy or of lowest loss; the other decides between equals."""
    if keep == "validation_accuracy":
        return max(_of(points, member, "validation"), key=lambda point: (point.accuracy, -point.loss))
    return min(_of(points, member, "validation"), key=lambda point: (point.loss, -point.accuracy))


def draw_curves(points: Sequence[Point], keep: Kept) -> Figure:
    """Accuracy and loss against epochs: a colour per member, train dashed, validation solid, the best epoch ringed.

    Of several seeds the lines are medians, and a band beside validation reaches from quartile to quartile.

    Args:
        points: what `collect_histories` returns, one member or more.
        keep: `train.keep`, by which an epoch is the best.
    """
    members = list(dict.fromkeys(point.member for point in points))
    colours = {member: style.series_colour(i) for i, member in enumerate(members)}
    best = {member: best_point(points, member, keep) for member in members}
    labels = {member: _legend_label(point) for member, point in best.items()}
    entry = KEY + max(style.text_width(label, 12) for label in labels.values())
    legend_columns = int((WIDTH - 2 * style.MARGIN) // entry)
    bottom = 92 + 27 * math.ceil(len(members) / legend_columns)
    height = TOP + PANEL_HEIGHT + bottom

    with style.house_style():
        figure = style.new_figure(WIDTH, height)
        for quantity, left in (("accuracy", style.MARGIN + 52), ("loss", WIDTH - style.MARGIN - PANEL_WIDTH)):
            place = (left / WIDTH, bottom / height, PANEL_WIDTH / WIDTH, PANEL_HEIGHT / height)
            axes = figure.add_axes(place)
            for member, colour in colours.items():
                _draw_member(axes, points, best[member], quantity, colour)
            _scale(axes, quantity, [getattr(point, quantity) for point in points])
        style.write_title(figure, "Learning curves")
        mark = LONE if len({point.epoch for point in points}) == 1 else {}
        _draw_line_key(figure, KEPT[keep], mark, any(point.quartiles for point in points))
        handles = [Line2D([], [], color=colours[member], linewidth=4, label=labels[member]) for member in members]
        figure.legend(handles=handles, loc="lower left", ncols=legend_columns, fontsize=12, borderaxespad=0,
                      borderpad=0, bbox_to_anchor=(style.MARGIN / WIDTH, 18 / height))  # fmt: skip
    return figure


def _of(points: Sequence[Point], member: str, split: str) -> list[Point]:
    return [point for point in points if point.member == member and point.split == split]


def _draw_member(axes: Axes, points: Sequence[Point], best: Point, quantity: str, colour: str) -> None:
    for split in SPLITS:
        line = _of(points, best.member, split)
        axes.plot([point.epoch for point in line], [getattr(point, quantity) for point in line], color=colour,
                  **STROKES[split], **(LONE if len(line) == 1 and split == "train" else {}))  # fmt: skip
    axes.plot(best.epoch, getattr(best, quantity), color=colour, zorder=3, **RING)
    spread = [(point.epoch, *point.quartiles[quantity]) for point in _of(points, best.member, "validation")
              if point.quartiles]  # fmt: skip
    if spread:
        epochs, low, high = zip(*spread, strict=True)
        axes.fill_between(epochs, low, high, color=colour, alpha=0.16, linewidth=0)


def _scale(axes: Axes, quantity: str, values: Sequence[float]) -> None:
    """Whole epochs below, percent or a log scale of plain numbers at the side."""
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, steps=[1, 2, 5, 10], integer=True, min_n_ticks=1))
    if quantity == "accuracy":
        axes.set_title("Accuracy", loc="left", weight="bold")
        axes.yaxis.set_major_formatter(FuncFormatter(style.percent_tick))
        return
    axes.set_title("Loss (cross-entropy, log scale)", loc="left", weight="bold")
    style.scale_losses(axes.yaxis, min(values), max(values))


def _legend_label(best: Point) -> str:
    return f"{style.ellipsize(best.member, LONGEST_NAME, 12)}: {style.percent(best.accuracy, 2)}, epoch {best.epoch}"


def _draw_line_key(figure: Figure, ring: str, mark: Mapping[str, Any], banded: bool) -> None:
    """What dashes (or, after a single epoch, the mark in their place), rings and bands mean, below the title."""
    handles: list[Artist] = [
        Line2D([], [], color=style.FAINT, label="train", **STROKES["train"], **mark),
        Line2D([], [], color=style.FAINT, label="validation", **STROKES["validation"]),
        Line2D([], [], color=style.FAINT, linestyle="none", label=ring, **RING),
    ]
    if banded:
        handles.append(Patch(color=style.FAINT, alpha=0.3, linewidth=0, label="medians of seeds, quartile to quartile"))
    figure.legend(handles=handles, loc="upper left", ncols=len(handles), fontsize=12, borderaxespad=0, borderpad=0,
                  bbox_to_anchor=(style.MARGIN / WIDTH, 1 - 68 / figure.bbox.height))  # fmt: skip
