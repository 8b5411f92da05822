"""The normalise stage: mean and standard deviation of the training images, exact, in one pass over them.

Sums of pixels and of their squares are integers, so that no order of adding changes them. Applying the statistics,
(pixel − mean) / std, is left to those who load them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thumbnet.data.arrays import Images, chunks
from thumbnet.files import fresh_file, write_json
from thumbnet.params import NormalisationKind


@dataclass(frozen=True)
class Statistics:
    """What is subtracted from pixels of 0–255, and what they are divided by then.

    Both are float64, (channels,), or (height, width, channels) for the kind `pixel`. No entry of `std` is 0.
    """

    mean: NDArray[np.float64]
    std: NDArray[np.float64]


def compute(images: Images, kind: NormalisationKind) -> Statistics:
    """The statistics of some images.

    Args:
        images: uint8, (n, height, width, channels), n at least 1; may be memory-mapped, as it is read in pieces.
        kind: `none`: mean 0, std 1; `unit`: mean 0, std 255; `channel`: of all pixels of each channel; `pixel`: of each
            pixel of each channel over the images.

    Returns:
        Statistics, std being the population's; where it is 0 (a pixel that never changes) it is 1 instead.
    """
    channels = images.shape[3]
    if kind == "none":
        return Statistics(np.zeros(channels), np.ones(channels))
    if kind == "unit":
        return Statistics(np.zeros(channels), np.full(channels, 255.0))
    sums = np.zeros(images.shape[1:], np.uint64)  # (height, width, channels)
    squares = np.zeros(images.shape[1:], np.uint64)
    for chunk in chunks(images):
        sums += chunk.sum(axis=0, dtype=np.uint64)
        squares += np.square(chunk, dtype=np.uint32).sum(axis=0, dtype=np.uint64)
    count = len(images)
    if kind == "channel":
        count *= images.shape[1] * images.shape[2]
        sums, squares = sums.sum(axis=(0, 1)), squares.sum(axis=(0, 1))
    return _from_sums(sums, squares, count)


def save(statistics: Statistics, path: Path) -> None:
    """Writes statistics as a `.npz` of `mean` and `std`, whole or not at all."""
    with fresh_file(path) as aside, aside.open("wb") as file:
        np.savez(file, mean=statistics.mean, std=statistics.std)


def load(path: Path) -> Statistics:
    """Reads what `save` wrote."""
    with np.load(path) as file:
        return Statistics(mean=file["mean"], std=file["std"])


def save_metrics(statistics: Statistics, kind: NormalisationKind, images: int, path: Path) -> None:
    """Writes the statistics as a small JSON file: per channel, for `pixel` on average over the pixels.

    Args:
        statistics: what `compute` returned.
        kind: what it was asked for.
        images: how many images they are of.
        path: the file to write.
    """
    content: dict[str, Any] = {"kind": kind, "images": images}
    for name, values in (("mean", statistics.mean), ("std", statistics.std)):
        per_channel = values.reshape(-1, values.shape[-1]).mean(axis=0)  # (channels,)
        content[name] = {str(channel): round(float(value), 6) for channel, value in enumerate(per_channel)}
    write_json(path, content)


def _from_sums(sums: NDArray[np.uint64], squares: NDArray[np.uint64], count: int) -> Statistics:
    """Mean and std from exact sums: only the last division and the root are rounded."""
    exact_sums, exact_squares = sums.astype(object), squares.astype(object)  # Python's integers, of any size
    variance = (count * exact_squares - exact_sums * exact_sums) / (count * count)
    std = np.sqrt(variance.astype(np.float64))
    return Statistics(mean=(exact_sums / count).astype(np.float64), std=np.where(std == 0, 1.0, std))
