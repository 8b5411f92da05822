"""Stages that go through all images have few of them in memory at a time."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.lib.format import open_memmap

from thumbnet.data.arrays import DatasetInfo, images_file, labels_file, load_split, save_info, sha256_of
from thumbnet.data.normalisation import compute
from thumbnet.data.split import split
from thumbnet.params import CorruptionParams, SplitParams

SHAPE, COUNTS = (32, 32, 3), {"train": 50_000, "test": 1000}
SIZE = COUNTS["train"] * 32 * 32 * 3  # 154 MB


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of black images, which take no room on the disk."""
    folder = tmp_path_factory.mktemp("raw")
    for name, count in COUNTS.items():
        open_memmap(images_file(folder, name), "w+", np.uint8, (count, *SHAPE))
        np.save(labels_file(folder, name), np.arange(count) % 2)
    save_info(folder, DatasetInfo("image_folder", ("cat", "dog"), SHAPE, COUNTS, {}))
    return folder


def split_it(raw: Path, scratch: Path) -> None:
    params = SplitParams(kind="holdout", validation=5000)
    split(raw, scratch / "splits", params, CorruptionParams(label_noise=0.1, pixel_noise=0.0), seed=1)


def add_noise(raw: Path, scratch: Path) -> None:
    params = SplitParams(kind="holdout", validation=40_000)
    split(raw, scratch / "splits", params, CorruptionParams(label_noise=0.0, pixel_noise=0.01), seed=1)


def take_statistics(raw: Path, scratch: Path) -> None:
    compute(load_split(raw, "train", mmap=True)[0], "pixel")


def hash_it(raw: Path, scratch: Path) -> None:
    sha256_of(*load_split(raw, "train", mmap=True))


@pytest.mark.parametrize("work", [split_it, add_noise, take_statistics, hash_it])
def test_a_data_set_is_worked_on_in_pieces(work: Callable[[Path, Path], None], raw: Path, tmp_path: Path) -> None:
    """NumPy tells what it allocates; what is mapped does not count, as the system takes it back where it must."""
    tracemalloc.start()
    try:
        work(raw, tmp_path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < SIZE / 2
