"""Batches and augmentation, by properties that hold for every size and seed."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from thumbnet.data.arrays import save_split
from thumbnet.errors import UserError
from thumbnet.params import AugmentParams
from thumbnet.training.batches import Images, augment, batches_per_epoch, load_images, shuffled_batches

SIZES = {"count": st.integers(1, 40), "batch_size": st.integers(1, 50), "seed": st.integers(0, 100)}


def numbered(count: int) -> Images:
    """Image i is all i, and so is its label."""
    numbers = torch.arange(count)
    return Images(numbers.to(torch.uint8)[:, None, None, None].expand(count, 2, 2, 1), numbers)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def distinct(count: int, height: int, width: int) -> Tensor:
    """Images of random pixels 1 to 255, so that none looks like a border; (n, height, width, 3)."""
    return torch.randint(1, 256, (count, height, width, 3), dtype=torch.uint8, generator=generator(7))


@settings(deadline=None)
@given(**SIZES)
def test_an_epoch_shows_each_image_at_most_once_in_whole_batches(count: int, batch_size: int, seed: int) -> None:
    batches = list(shuffled_batches(numbered(count), batch_size, generator(seed)))
    size = min(batch_size, count)
    assert len(batches) == batches_per_epoch(count, batch_size) == count // size
    for images, labels in batches:
        assert images.shape == (size, 2, 2, 1)
        assert images.dtype == torch.uint8
        assert (images == labels[:, None, None, None]).all(), "labels stay with their images"
    shown = Counter(int(label) for _, labels in batches for label in labels)
    assert max(shown.values()) == 1
    assert sum(shown.values()) == count // size * size
    again = list(shuffled_batches(numbered(count), batch_size, generator(seed)))
    assert all(torch.equal(a[1], b[1]) for a, b in zip(batches, again, strict=True))


def test_every_epoch_has_an_order_of_its_own() -> None:
    source = generator()
    first, second = (torch.cat([labels for _, labels in shuffled_batches(numbered(50), 20, source)]) for _ in range(2))
    assert not torch.equal(first, second)
    assert set(first.tolist()) != set(second.tolist()), "other images are left out"


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6), st.integers(1, 4), st.integers(0, 50))
def test_a_crop_is_a_window_of_the_padded_image(count: int, height: int, width: int, pad: int, seed: int) -> None:
    images = distinct(count, height, width)
    cropped = augment(images, AugmentParams(flip=False, crop=pad), generator(seed))
    assert cropped.shape == images.shape
    assert cropped.dtype == torch.uint8
    for image, crop in zip(images.numpy(), cropped.numpy(), strict=True):
        padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
        windows = (padded[y : y + height, x : x + width] for y in range(2 * pad + 1) for x in range(2 * pad + 1))
        assert any(np.array_equal(crop, window) for window in windows)


@pytest.mark.parametrize("pad", [1, 3])
def test_every_window_is_equally_likely(pad: int) -> None:
    """A single bright pixel shows where each window was; each image has its own draw, as a whole."""
    side, count = 2 * pad + 1, 4_000
    images = torch.zeros(count, side, side, 1, dtype=torch.uint8)
    images[:, pad, pad] = 1
    cropped = augment(images, AugmentParams(flip=False, crop=pad), generator())
    assert (cropped.sum((1, 2, 3)) == 1).all()
    shares = cropped.float().mean(0).squeeze()  # (side, side)
    expected = 1 / side**2
    assert (shares - expected).abs().max() < 5 * (expected / count) ** 0.5


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 6), st.integers(1, 6), st.integers(0, 50))
def test_a_flip_is_a_mirror_image_or_the_image(count: int, height: int, width: int, seed: int) -> None:
    images, params = distinct(count, height, width), AugmentParams(flip=True, crop=0)
    flipped = augment(images, params, generator(seed))
    for image, flip in zip(images, flipped, strict=True):
        assert torch.equal(flip, image) or torch.equal(flip, image.flip(1))
    assert torch.equal(augment(flipped, params, generator(seed)), images), "the same flips again undo themselves"


def test_half_of_the_images_are_flipped_each_by_its_own_draw() -> None:
    images = torch.tensor([1, 2], dtype=torch.uint8).reshape(1, 1, 2, 1).expand(4_000, 1, 2, 1)
    flipped = augment(images, AugmentParams(flip=True, crop=0), generator())
    assert 0.46 < (flipped[:, 0, 0, 0] == 2).float().mean() < 0.54


def test_augmentation_follows_its_generator_and_leaves_the_data_set_alone() -> None:
    images, params = distinct(30, 5, 4), AugmentParams(flip=True, crop=2)
    before = images.clone()
    first, second = augment(images, params, generator(1)), augment(images, params, generator(2))
    assert torch.equal(first, augment(images, params, generator(1)))
    assert not torch.equal(first, second)
    assert torch.equal(images, before)
    assert augment(images, AugmentParams(flip=False, crop=0), generator()) is images


def test_a_split_is_read_from_disk_as_it_was_written(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    images, labels = distinct(5, 4, 3).numpy(), np.arange(5)
    save_split(tmp_path, "train", images, labels)

    split = load_images(tmp_path, "train", torch.device("cpu"))

    assert torch.equal(split.images, torch.from_numpy(images))
    assert split.labels.tolist() == [0, 1, 2, 3, 4]
    assert len(split) == 5
    assert not recwarn.list
    with pytest.raises(UserError, match=r"test_images\.npy is missing; to make it: dvc repro"):
        load_images(tmp_path, "test", torch.device("cpu"))
