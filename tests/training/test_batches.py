"""Batches, by properties that hold for every size and seed."""

from collections import Counter
from pathlib import Path
from unittest.mock import Mock, call

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thumbnet.data.arrays import save_split
from thumbnet.errors import UserError
from thumbnet.params import AugmentParams
from thumbnet.training.augmentation import Augmenter
from thumbnet.training.batches import Images, batches_per_epoch, load_images, shuffled_places
from thumbnet.training.sending import send

SIZES = {"count": st.integers(1, 40), "batch_size": st.integers(1, 50), "seed": st.integers(0, 100)}


def numbered(count: int) -> Images:
    """Image i is all i, and so is its label."""
    numbers = torch.arange(count)
    return Images(numbers.to(torch.uint8)[:, None, None, None].expand(count, 2, 2, 1), numbers)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@settings(deadline=None)
@given(**SIZES)
def test_an_epoch_shows_each_image_at_most_once_in_whole_batches(count: int, batch_size: int, seed: int) -> None:
    batches = list(shuffled_places(numbered(count), batch_size, generator(seed)))
    size = min(batch_size, count)
    assert len(batches) == batches_per_epoch(count, batch_size) == count // size
    assert all(chosen.shape == (size,) for chosen in batches)
    shown = Counter(int(place) for chosen in batches for place in chosen)
    assert set(shown) <= set(range(count))
    assert max(shown.values()) == 1
    assert sum(shown.values()) == count // size * size
    again = list(shuffled_places(numbered(count), batch_size, generator(seed)))
    assert all(torch.equal(a, b) for a, b in zip(batches, again, strict=True))


def test_every_epoch_has_an_order_of_its_own() -> None:
    source = generator()
    first, second = (torch.cat(list(shuffled_places(numbered(50), 20, source))) for _ in range(2))
    assert not torch.equal(first, second)
    assert set(first.tolist()) != set(second.tolist()), "other images are left out"


def test_a_split_is_read_from_disk_as_it_was_written(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 3, 3), dtype=np.uint8)
    labels = np.arange(5)
    save_split(tmp_path, "train", images, labels)

    split = load_images(tmp_path, "train", torch.device("cpu"))

    assert torch.equal(split.images, torch.from_numpy(images))
    assert split.labels.tolist() == [0, 1, 2, 3, 4]
    assert len(split) == 5
    assert not recwarn.list
    with pytest.raises(UserError, match=r"test_images\.npy is missing; to make it: dvc repro"):
        load_images(tmp_path, "test", torch.device("cpu"))


def test_to_cuda_tensors_go_by_way_of_pinned_memory_and_elsewhere_plainly() -> None:
    cuda, mps = torch.device("cuda"), torch.device("mps")
    tensor = Mock()
    assert send(tensor, cuda) is tensor.pin_memory().to()
    assert tensor.pin_memory().to.mock_calls[0] == call(cuda, non_blocking=True)
    assert send(tensor, mps) is tensor.to()
    assert tensor.to.mock_calls[0] == call(mps), "or its memory may be gone before it is copied"
    numbers = torch.arange(3)
    assert send(numbers, numbers.device) is numbers


def test_what_is_drawn_for_a_batch_is_sent_in_this_way(monkeypatch: pytest.MonkeyPatch) -> None:
    sent = Mock(side_effect=lambda tensor, device: tensor)
    for module in ("batches", "augmentation"):
        monkeypatch.setattr(f"thumbnet.training.{module}.send", sent)
    split, source = numbered(8), generator()
    changes = AugmentParams(flip="random", rotation=5, shift=0.1, crop=1, border="black", cutout=1, pixel_noise=0.1)
    (places,) = shuffled_places(split, 8, source)
    assert sent.call_count == 1
    Augmenter(changes, len(split), source)(split.images, places, epoch=1)
    assert sent.call_count == 1 + 6, "crop, flip, rotation and shift, row and column of cutout, noise"
