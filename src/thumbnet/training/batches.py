"""Batches cut from whole tensors: no worker processes, no files, no Python per image.

A data set of images lies on the device as one uint8 tensor; a batch is an index into it. Cutting it out and changing it
is left to `thumbnet.training.augmentation`.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from thumbnet.data.arrays import load_split
from thumbnet.training.sending import send


@dataclass(frozen=True)
class Images:
    """Images and labels on the device.

    Attributes:
        images: (n, height, width, channels), uint8.
        labels: (n,), int64.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.images)

    def choose(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Some of the images and their labels, copied: ten times as fast as indexing, which goes byte by byte.

        Args:
            places: (n,), int64.
        """
        return self.images.index_select(0, places), self.labels.index_select(0, places)


def load_images(folder: Path, split: str, device: torch.device) -> Images:
    """A split on the device; on the CPU its images stay the memory-mapped file.

    Args:
        folder: of the splits.
        split: `train`, `validation` or `test`.
        device: as `thumbnet.training.devices.choose_device` returns it.

    Raises:
        UserError: the split is not there.
    """
    images, labels = load_split(folder, split, mmap=True)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")  # and nobody writes to it
        return Images(torch.from_numpy(images).to(device), torch.from_numpy(labels).to(device))


def shuffled_places(split: Images, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """One epoch in random order; the incomplete batch at its end is left out, another one in each epoch.

    Args:
        split: n images and labels.
        batch_size: images a batch; all n of them where n is smaller.
        generator: of the CPU.

    Yields:
        Places in the split, of a batch each; (batch,), int64, on the images' device.
    """
    count = len(split)
    size = min(batch_size, count)
    order = send(torch.randperm(count, generator=generator), split.images.device)
    for start in range(0, count - size + 1, size):
        yield order[start : start + size]


def batches_per_epoch(count: int, batch_size: int) -> int:
    """How many batches `shuffled_places` makes of `count` images."""
    return max(1, count // batch_size)
