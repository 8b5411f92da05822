"""A training on the CPU leaves its images in their file."""

import gc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.format import open_memmap

from thumbnet.data.arrays import images_file, labels_file
from thumbnet.nets.layers import Classifier
from thumbnet.training.batches import Images, load_images
from thumbnet.training.engine import Recipe, fit

STATUS = Path("/proc/self/status")
MB = 10**6
COUNT, SHAPE = 5_000_000, (6, 5, 1)


def own_memory() -> int:
    """Bytes that are this process's alone: no pages of files, which the system takes back where it must."""
    (line,) = (line for line in STATUS.read_text().splitlines() if line.startswith("RssAnon"))
    return 1024 * int(line.split()[1])


@pytest.mark.skipif(not STATUS.exists(), reason="this system does not tell which memory is whose")
def test_images_stay_in_their_file(
    tmp_path: Path,
    make_images: Callable[..., Images],
    make_network: Callable[..., Classifier],
    make_recipe: Callable[..., Recipe],
) -> None:
    images = open_memmap(images_file(tmp_path, "train"), "w+", np.uint8, (COUNT, *SHAPE))
    np.save(labels_file(tmp_path, "train"), np.zeros(COUNT, dtype=np.int64))
    recipe = make_recipe(train={"epochs": 1, "batch_size": 50_000}, optimizer={"lr": 0.01})
    validation, peak = make_images(20), 0

    def on_batch() -> None:
        nonlocal peak
        peak = max(peak, own_memory())

    # What the first training of a process loads is no part of it, and what earlier tests left would go in between.
    fit(make_network("F"), make_images(20), validation, recipe, torch.float32)
    gc.collect()
    before = own_memory()
    train = load_images(tmp_path, "train", torch.device("cpu"))
    fit(make_network("F"), train, validation, recipe, torch.float32, on_batch=on_batch)

    # Labels and their order are in memory, 16 bytes an image; a batch takes 20 MB. No bound below: what the process
    # has freed and not given back is taken first.
    assert peak - before < 16 * COUNT + images.nbytes / 2
