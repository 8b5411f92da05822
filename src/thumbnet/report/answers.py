"""Test images beside what every network says of each: a choice of them, small enough for a page.

Networks divide the test images into groups: those that all get right, those that only the first gets right, and so on.
The choice takes images from each group in turn, so that every kind of disagreement is there to be looked at.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from thumbnet.judging.predictions import Predictions
from thumbnet.report.pictures import Picture, encode_array

LARGEST_TILE = 64  # pixels
COLUMNS = 20  # of the sheet of tiles


@dataclass(frozen=True)
class Answers:
    """What the page needs to show them.

    Attributes:
        groups: how many test images each group has; its key has a letter for each network, `r` where it is right and
            `w` where it is wrong.
        images: of each chosen image its number on test, its true class, and for each network the class it says and
            the probabilities of that class and of the true one, in per mille.
        files: the chosen images' files, relative to `dataset.path`; empty where they were none.
        sheet: all chosen images, `COLUMNS` in a row.
        tile: width and height of one of them, in pixels.
    """

    groups: dict[str, int]
    images: list[tuple[int, int, list[tuple[int, int, int]]]]
    files: list[str]
    sheet: Picture
    tile: tuple[int, int]

    def as_json(self) -> dict[str, Any]:
        """For the page's script; the sheet is apart."""
        return {
            "groups": list(self.groups.items()),
            "images": self.images,
            "files": self.files,
            "tile": self.tile,
            "columns": COLUMNS,
        }


def collect_answers(
    networks: Mapping[str, Predictions], images: NDArray[np.uint8], files: Sequence[str], count: int
) -> Answers:
    """Chooses images and puts together what the networks say of them.

    Args:
        networks: their predictions on test, by name.
        images: of test, uint8, (n, height, width, channels); may be mapped.
        files: that these images were; empty where they were none.
        count: how many are chosen, if there are as many.
    """
    judged = list(networks.values())
    labels = judged[0].labels
    right = np.stack([each.predicted == labels for each in judged])  # (networks, n)
    names = ["".join("r" if one else "w" for one in column) for column in right.T]
    truth = np.mean([each.probabilities[np.arange(len(labels)), labels] for each in judged], axis=0)
    chosen = choose(names, truth, count)
    answers = [
        (int(index), int(labels[index]), [_answer(each, index, int(labels[index])) for each in judged])
        for index in chosen
    ]
    tiles = [shrink(images[index]) for index in chosen]
    height, width = tiles[0].shape[:2]
    groups = dict(sorted(((name, names.count(name)) for name in set(names)), key=lambda item: (-item[1], item[0])))
    sheet = encode_array(lay_out(tiles), None if width <= 32 else 85)
    return Answers(groups, answers, [files[index] for index in chosen if files], sheet, (width, height))


def choose(groups: Sequence[str], truth: NDArray[np.floating[Any]], count: int) -> list[int]:
    """The numbers of images from each group in turn, the hardest of a group first.

    Args:
        groups: the group of each image.
        truth: the mean probability of its true class; the less, the harder.
        count: how many; fewer where there are fewer.
    """
    queues: dict[str, list[int]] = {}
    for index in np.argsort(truth, kind="stable"):
        queues.setdefault(groups[index], []).append(int(index))
    # The commonest group first; those of the same size by name, so that the order is settled.
    order = sorted(queues, key=lambda name: (-len(queues[name]), name))
    turns = [(turn, place, queues[name][turn]) for place, name in enumerate(order) for turn in range(len(queues[name]))]
    return [index for _, _, index in sorted(turns)[:count]]


def shrink(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """An image of at most `LARGEST_TILE` pixels a side; smaller ones stay as they are."""
    height, width, channels = image.shape
    scale = LARGEST_TILE / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    picture = Image.fromarray(image[..., 0] if channels == 1 else image).resize(size, Image.Resampling.LANCZOS)
    return np.asarray(picture, dtype=np.uint8).reshape(size[1], size[0], channels)


def lay_out(tiles: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """One sheet of all tiles, `COLUMNS` in a row."""
    height, width, channels = tiles[0].shape
    rows = -(-len(tiles) // COLUMNS)
    sheet = np.zeros((rows * height, COLUMNS * width, channels), np.uint8)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, COLUMNS)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile
    return sheet


def _answer(network: Predictions, index: int, truth: int) -> tuple[int, int, int]:
    said = int(network.predicted[index])
    row = network.probabilities[index]
    return said, round(1000 * float(row[said])), round(1000 * float(row[truth]))
