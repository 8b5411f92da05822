"""A batch cut out of the split, cropped and mirrored in one pass, by a kernel, on CPUs.

It comes to the same as the operations of `thumbnet.training.augmentation`, which take a pass each.
"""

import functools

import torch
from torch import Tensor

from thumbnet.params import AugmentParams, Border
from thumbnet.training.augmentation import Move, reflected
from thumbnet.training.batches import Images
from thumbnet.training.launching import can_have, get_kernels


def find_move(params: AugmentParams, split: Images) -> Move | None:
    """`move`, where there is something for it to do and its kernel is to be had.

    Args:
        params: which changes.
        split: that batches are cut from.
    """
    images = split.images
    is_needed = bool(params.crop) or params.flip != "none"
    is_served = images.device.type == "cpu" and images.dtype == torch.uint8 and images.is_contiguous()
    return move if is_needed and is_served and can_have({"move"}) else None


def move(
    images: Tensor, chosen: Tensor, corners: Tensor | None, mirrored: Tensor | None, pad: int, border: Border
) -> Tensor:
    """Some images, cropped as by `augmentation.crop` and then mirrored as by `augmentation.mirror`.

    Args:
        images: (count, height, width, channels), uint8, contiguous, on the CPU.
        chosen: (n,), int64: which images.
        corners: (2, n), int64: `top` and `left`; or None.
        mirrored: (n,), bool; or None.
        pad, border: as for `augmentation.crop`.

    Returns:
        (n, height, width, channels), uint8.
    """
    count, (_, height, width, channels) = len(chosen), images.shape
    top, left = torch.full((2, count), pad) if corners is None else corners
    mirrored = torch.zeros(count, dtype=torch.bool) if mirrored is None else mirrored
    rows, columns = _origins(height, pad, border), _origins(width, pad, border)
    moved = torch.empty(count, height, width, channels, dtype=torch.uint8)
    tensors = (images, chosen, top, left, mirrored, rows, columns, moved)
    get_kernels().run("move", count, height, channels, width, *tensors, pad)
    return moved


@functools.cache
def _origins(side: int, pad: int, border: Border) -> Tensor:
    """Where each pixel of a widened side comes from, -1 for black; (side + 2·pad,), int64."""
    device = torch.device("cpu")
    if border == "reflect":
        return reflected(side, pad, device)
    place = torch.arange(-pad, side + pad, device=device)
    return place.where((place >= 0) & (place < side), -1)
