"""Previews, before anything trains: images of each class, what augmentation makes of some, and labels made wrong."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from thumbnet.data.arrays import Images, Labels
from thumbnet.figures import style
from thumbnet.figures.tiles import SMALL_TILE, Tile, Words, draw_table, draw_tiles
from thumbnet.params import AugmentParams

IMAGES_PER_CLASS = 8
MOST_CLASSES = 100  # in one picture
MANY_CLASSES = 20  # of more, the images are smaller and the rows are broken into two columns
SMALLER_TILE = 64  # pixels
MISLABELLED = (4, 5)  # rows and columns


def draw_classes(images: Images, labels: Labels, classes: Sequence[str], title: str) -> Figure:
    """The first `IMAGES_PER_CLASS` images of each class, a row each.

    Of more than `MANY_CLASSES` the images are smaller; of more than `MOST_CLASSES` the first are shown.

    Args:
        images: the whole split; a memory map will do.
        labels: of the same images, as a training is given them.
        classes: the classes' names, in the order of their labels.
        title: what the images are, e.g. "digits, train".
    """
    rows = []
    for label, name in enumerate(classes[:MOST_CLASSES]):
        places = np.flatnonzero(labels == label)
        words = [Words(name, style.INK, bold=True), Words(f"{len(places):,} of {len(labels):,}")]
        rows.append((words, [np.asarray(images[place]) for place in places[:IMAGES_PER_CLASS]]))
    some = f"{MOST_CLASSES} classes of {len(classes):,}" if len(classes) > MOST_CLASSES else "each class"
    side, blocks = (SMALL_TILE, 1) if len(rows) <= MANY_CLASSES else (SMALLER_TILE, 2)
    header = [[Words(f"The first {IMAGES_PER_CLASS} images of {some}")]]
    return draw_table(rows, [], title, header, side, blocks)


def draw_augmentation(images: Images, seen: NDArray[np.uint8], augment: AugmentParams, title: str) -> Figure:
    """Images beside what some epochs may see of them; where every epoch sees the same, a line says so.

    Args:
        images: (n, height, width, channels).
        seen: (epochs, n, height, width, channels): the same after augmentation.
        augment: what was asked for.
        title: what the images are, e.g. "digits, augmentation".
    """
    nameless: list[Words] = []
    on = {name: value for name, value in augment.used().items() if value not in ("none", 0, "black")}
    if not on:
        header = [Words("No augmentation is on: every epoch sees the images as they are")]
        return draw_table([(nameless, list(images))], [], title, [header])
    rows = [(nameless, [image, *changed]) for image, changed in zip(images, seen.swapaxes(0, 1), strict=True)]
    columns = ["image", *(f"epoch {number}" for number in range(1, len(seen) + 1))]
    values = (f"{name} {value if isinstance(value, str) else f'{value:g}'}" for name, value in on.items())
    return draw_table(rows, columns, title, [[Words("    ".join(values))]])


def draw_mislabelled(images: Images, labels: Labels, truth: Labels, classes: Sequence[str], title: str) -> Figure:
    """The first images whose labels noise has changed, each over its true class and its label.

    Args:
        images: the whole split; a memory map will do.
        labels: of the same images, as a training is given them.
        truth: what they were.
        classes: the classes' names, in the order of their labels.
        title: what the images are, e.g. "digits, train".
    """
    wrong = np.flatnonzero(labels != truth)
    rows, columns = MISLABELLED
    tiles = [
        Tile(
            np.asarray(images[place]),
            (
                Words(f"{style.RIGHT_MARK} {classes[truth[place]]}", style.RIGHT),
                Words(f"{style.WRONG_MARK} {classes[labels[place]]}", style.WRONG),
            ),
        )
        for place in wrong[: rows * columns]
    ]
    share = Words(f"{style.percent(len(wrong) / len(labels), 1)} of {len(labels):,} labels are wrong: label noise")
    key = [Words(f"{style.RIGHT_MARK} true class    ", style.RIGHT), Words(f"{style.WRONG_MARK} label", style.WRONG)]
    return draw_tiles(tiles, columns, title, [[share], key])
