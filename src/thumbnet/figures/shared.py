"""Mistakes that all networks share: which images these are, a table of all answers, and a gallery.

What no network gets right is often wrongly labelled, or has more than one right answer.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from thumbnet.figures import style
from thumbnet.figures.galleries import FILE_COLUMN, ORDERS, draw_order, predicted_class, true_class
from thumbnet.figures.tiles import Tile, Words, draw_tiles
from thumbnet.files import write_table
from thumbnet.judging.logarithms import log_probabilities
from thumbnet.judging.predictions import Predictions
from thumbnet.params import GalleryOrder

#: Up to so many networks each have a line under an image; answers of more are counted, and the most frequent listed.
MOST_LINES = 4

LARGER_TILE = 256  # pixels: a name, an answer and a probability fit below it


def find_shared(members: Mapping[str, Predictions], order: GalleryOrder = "confidence") -> NDArray[np.int64]:
    """The images of a split that every network gets wrong.

    Args:
        members: the networks' predictions on it, one or more.
        order: `confidence`: the highest mean probability of what was answered first; `loss`: the highest mean
            cross-entropy first; `random`: as `draw_order` has it. On a tie in the images' order.

    Returns:
        Indices, (n,).
    """
    judged = list(members.values())
    labels = judged[0].labels
    wrong = np.stack([one.predicted != labels for one in judged])  # (members, images)
    shared = np.flatnonzero(wrong.all(axis=0))
    match order:
        case "confidence":
            rank = -np.mean([one.probabilities.max(axis=1) for one in judged], axis=0)
        case "loss":
            true = np.stack([one.probabilities[np.arange(len(labels)), labels] for one in judged])
            rank = log_probabilities(true).mean(axis=0)
        case "random":
            rank = draw_order(len(labels)).argsort()
    return shared[np.argsort(rank[shared], kind="stable")].astype(np.int64)


def write_shared_table(
    path: Path,
    splits: Mapping[str, Mapping[str, Predictions]],
    classes: Sequence[str],
    members: Sequence[str],
    files: Mapping[str, Sequence[str]],
) -> None:
    """Writes all shared mistakes as CSV, the most confident first.

    Columns: `split`, `index`, `true`, and for each network `<name>`, its answer, and `<name>_probability`; of images
    that were files also `file`.

    Args:
        path: the file.
        splits: by name of split, in the order to list them in, the predictions of each network.
        classes: the classes' names, in the order of their labels.
        members: the networks' names, in the order of the columns.
        files: by name of split the files that its images were; empty where they were none.
    """
    columns = ["split", "index", "true", *(f"{member}{end}" for member in members for end in ("", "_probability"))]
    columns += [FILE_COLUMN] if any(files.values()) else []
    rows: list[list[str | int]] = []
    for split, judged in splits.items():
        for index in find_shared(judged):
            row: list[str | int] = [split, int(index), classes[judged[members[0]].labels[index]]]
            for member in members:
                probabilities = judged[member].probabilities[index]
                row += [classes[probabilities.argmax()], f"{probabilities.max():.6f}"]
            rows.append(row + list(files[split][index : index + 1]))
    write_table(path, columns, rows)


def draw_shared(
    images: NDArray[np.uint8],
    members: Mapping[str, Predictions],
    classes: Sequence[str],
    grid: Sequence[int],
    title: str,
    order: GalleryOrder = "confidence",
) -> Figure:
    """The first shared mistakes, each image over its true class and what every network took it for.

    Args:
        images: the whole split, uint8, (n, height, width, 1 or 3); a memory map will do.
        members: the networks' predictions on it, by name.
        classes: the classes' names, in the order of their labels.
        grid: rows and columns, at most.
        title: what was judged.
        order: as `find_shared` has it.
    """
    shared = find_shared(members, order)
    told = _tell(members, shared, len(images))
    if not len(shared):
        return draw_tiles([], 1, title, [[Words(told)]])
    grouped = len(members) > MOST_LINES
    how = "number of networks, answer, mean probability" if grouped else "answer, probability"
    key = [
        Words(f"{style.RIGHT_MARK} true class    ", style.RIGHT),
        Words(f"{style.WRONG_MARK} {how}    ", style.WRONG),
        Words(ORDERS[order]),
    ]
    answers = _grouped if grouped else _listed
    tiles = [
        Tile(
            np.asarray(images[index]),
            (
                true_class(classes[next(iter(members.values())).labels[index]]),
                *answers(int(index), members, classes),
            ),
        )
        for index in shared[: math.prod(grid)]
    ]
    return draw_tiles(tiles, grid[1], title, [[Words(told)], key], side=LARGER_TILE)


def _tell(members: Mapping[str, Predictions], shared: NDArray[np.int64], count: int) -> str:
    """The first line of the picture."""
    number = f"{len(shared):,} of {count:,} images"
    if len(members) == 1:
        return f"{next(iter(members))} is the only network: it is wrong on {number}"
    several = "Both networks are" if len(members) == 2 else f"All {len(members)} networks are"
    if not len(shared):
        return f"{several} wrong on none of {count:,} images: each image is right in at least one"
    answers = np.stack([judged.predicted[shared] for judged in members.values()])  # (members, shared)
    same = int((answers == answers[0]).all(axis=0).sum())
    return f"{several} wrong on {number}; on {same:,} of them they give the same answer"


def _listed(index: int, members: Mapping[str, Predictions], classes: Sequence[str]) -> list[Words]:
    """A line for each network."""
    lines = []
    for member, judged in members.items():
        probabilities = judged.probabilities[index]
        lead = member if len(members) > 1 else ""
        lines.append(
            predicted_class(classes[probabilities.argmax()], float(probabilities.max()), right=False, lead=lead)
        )
    return lines


def _grouped(index: int, members: Mapping[str, Predictions], classes: Sequence[str]) -> list[Words]:
    """A line for each answer, with the number of networks that give it; rare ones are counted together."""
    answers = [judged.probabilities[index] for judged in members.values()]
    counted = Counter(int(probabilities.argmax()) for probabilities in answers).most_common()
    shown = counted if len(counted) <= MOST_LINES else counted[: MOST_LINES - 1]
    lines = []
    for label, number in shown:
        mean = float(np.mean([one.max() for one in answers if one.argmax() == label]))
        lines.append(predicted_class(classes[label], mean, right=False, lead=f"{number} ×"))
    rest = sum(number for _, number in counted[len(shown) :])
    return [*lines, Words("other answers", style.WRONG, lead=f"{rest} ×")] if rest else lines
