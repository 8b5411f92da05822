"""Augmentation: random changes of a batch of training images, each image its own draws, as whole-tensor operations.

They come in this order, and those that are off cost nothing:

1. `crop`, `mirror`: whole pixels are moved, in uint8; where kernels train, in one pass (`thumbnet.training.cropping`).
2. `turn_and_shift`: rotation and shift in one bilinear resampling, so that images are blurred once. Makes float32.
3. `blacken`: cutout.
4. Gaussian noise. Makes float32.

`Augmenter` draws; the functions do as they are told. What is drawn comes from a generator of the CPU, so that it is
the same on every device.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from thumbnet.params import AugmentParams, Border
from thumbnet.training.sending import send

#: Images of the split, places, corners, which are mirrored, pixels of padding, border -> some images, changed.
Move = Callable[[Tensor, Tensor, Tensor | None, Tensor | None, int, Border], Tensor]


class Augmenter:
    """The random changes of one training.

    Args:
        params: which changes.
        count: images in the training split.
        generator: of the CPU.
        move: what crops and mirrors in one pass, such as `thumbnet.training.cropping.move`; None for two passes.

    Attributes:
        changes: whether any change is on.
    """

    def __init__(self, params: AugmentParams, count: int, generator: torch.Generator, move: Move | None = None) -> None:
        self.changes = any(value not in ("none", 0) for value in params.model_dump(exclude={"border"}).values())
        self._params = params
        self._generator = generator
        self._move = move
        self._mirrored_first = torch.zeros(0, dtype=torch.bool)  # (count,): the half that alternating flips begin with
        if params.flip == "alternating":
            self._mirrored_first = torch.randperm(count, generator=generator) < (count + 1) // 2

    def __call__(self, images: Tensor, chosen: Tensor, epoch: int) -> Tensor:
        """Cuts one batch out of the training split, and changes it.

        Args:
            images: (count, height, width, channels), uint8, of the whole split; they stay as they are.
            chosen: (n,), int64, on the images' device: the places of the batch.
            epoch: counted from 1.

        Returns:
            (n, height, width, channels), uint8; or float32 between 0 and 255 after a rotation or a shift, and also
            beyond these bounds after noise.
        """
        params, device = self._params, images.device
        corners = mirrored = None
        if params.crop:
            draws = torch.randint(2 * params.crop + 1, (2, len(chosen)), generator=self._generator)
            corners = send(draws, device)
        if params.flip != "none":
            mirrored = self._mirrored(chosen, epoch)
        if self._move:
            images = self._move(images, chosen, corners, mirrored, params.crop, params.border)
        else:
            images = images.index_select(0, chosen)
            if corners is not None:
                images = crop(images, corners[0], corners[1], params.crop, params.border)
            if mirrored is not None:
                images = mirror(images, mirrored)
        if params.rotation or params.shift:
            turn, down, right = 2 * send(torch.rand(3, len(images), generator=self._generator), device) - 1
            degrees, down, right = params.rotation * turn, params.shift * down, params.shift * right
            images = turn_and_shift(images, degrees, down, right, params.border)
        if params.cutout:
            row, column = (
                send(torch.randint(side, (len(images),), generator=self._generator), device)
                for side in images.shape[1:3]
            )
            images = blacken(images, row, column, params.cutout)
        if params.pixel_noise:
            noise = send(torch.randn(images.shape, generator=self._generator), device)
            images = torch.add(images, noise, alpha=255 * math.sqrt(params.pixel_noise))
        return images

    def _mirrored(self, chosen: Tensor, epoch: int) -> Tensor:
        """Which images of the batch are mirrored; (n,), bool."""
        if self._params.flip == "random":
            return send(torch.rand(len(chosen), generator=self._generator), chosen.device) < 0.5
        if self._mirrored_first.device != chosen.device:
            self._mirrored_first = send(self._mirrored_first, chosen.device)
        mirrored = self._mirrored_first[chosen]
        return mirrored if epoch % 2 else ~mirrored


def preview(images: NDArray[np.uint8], params: AugmentParams, epochs: int, seed: int) -> NDArray[np.uint8]:
    """What the first epochs of a training may see of some images, to be looked at: rounded, and clipped to 0 to 255.

    Args:
        images: (n, height, width, channels).
        params: which changes.
        epochs: how many.
        seed: of the draws.

    Returns:
        (epochs, n, height, width, channels).
    """
    batch, chosen = torch.tensor(images), torch.arange(len(images))
    augment = Augmenter(params, len(images), torch.Generator().manual_seed(seed))
    seen = torch.stack([augment(batch, chosen, epoch) for epoch in range(1, epochs + 1)])
    return seen.float().round().clamp(0, 255).to(torch.uint8).numpy()


def widen(images: Tensor, pad: int, border: Border) -> Tensor:
    """Images with `pad` more pixels on every side.

    Args:
        images: (n, height, width, channels).
        pad: pixels.
        border: `black`, or `reflect`: the image reflected at its outermost pixels, which are not repeated.

    Returns:
        (n, height + 2·pad, width + 2·pad, channels), of the images' type.
    """
    if border == "black":
        return functional.pad(images, (0, 0, pad, pad, pad, pad))
    rows, columns = (reflected(side, pad, images.device) for side in images.shape[1:3])
    return images.index_select(1, rows).index_select(2, columns)


def reflected(side: int, pad: int, device: torch.device) -> Tensor:
    """Where each pixel of a widened side comes from; (side + 2·pad,), int64. Wide borders go to and fro."""
    there_and_back = max(2 * (side - 1), 1)
    place = torch.arange(-pad, side + pad, device=device) % there_and_back
    return torch.minimum(place, there_and_back - place)


def crop(images: Tensor, top: Tensor, left: Tensor, pad: int, border: Border) -> Tensor:
    """Windows of the original size out of images widened by `pad` pixels.

    Args:
        images: (n, height, width, channels), uint8.
        top: (n,), int64: the first row of each window, 0 to 2·pad; `pad` is the image as it was.
        left: (n,), int64: the same of its columns.
        pad: pixels.
        border: as for `widen`.
    """
    count, height, width, channels = images.shape
    wide = widen(images, pad, border)  # (n, height + 2·pad, width + 2·pad, channels)
    # Each row of a window is one piece of memory, of which index_select makes one copy: four times as fast as indexing.
    length = width * channels
    pieces = wide.as_strided((wide.numel() - length + 1, length), (1, 1))  # one from every value on
    rows = torch.arange(count * height, device=images.device).view(count, height)  # of all images
    rows = rows + 2 * pad * (rows // height) + top[:, None]  # the same of the wide ones
    starts = (rows * wide.shape[2] + left[:, None]) * channels
    return pieces.index_select(0, starts.flatten()).view(images.shape)


def mirror(images: Tensor, mirrored: Tensor) -> Tensor:
    """Left and right exchanged.

    Args:
        images: (n, height, width, channels), uint8.
        mirrored: (n,), bool: in which images.
    """
    # As torch.where, in a third of the time: a ^ (a ^ b) is b.
    chosen = mirrored.to(torch.uint8).neg_()[:, None, None, None]  # all bits, or none
    return images.flip(2).bitwise_xor_(images).bitwise_and_(chosen).bitwise_xor_(images)


def turn_and_shift(images: Tensor, degrees: Tensor, down: Tensor, right: Tensor, border: Border) -> Tensor:
    """Images turned about their centre, then shifted, with bilinear interpolation.

    The pixel at p, in pixels from the centre, takes its value from R⁻¹·(p − t): R the rotation, t the shift.

    Args:
        images: (n, height, width, channels).
        degrees: (n,), float32: counter-clockwise.
        down: (n,), float32: the shift as a share of the height.
        right: (n,), float32: the shift as a share of the width.
        border: what is outside: `black`, or `reflect`: the image reflected at the outer edges of its outermost pixels.

    Returns:
        (n, height, width, channels), float32.
    """
    _, height, width, _ = images.shape
    cos, sin = (part(torch.deg2rad(degrees))[:, None, None] for part in (torch.cos, torch.sin))  # (n, 1, 1)
    rows = torch.arange(height, device=images.device) - (height - 1) / 2  # pixels from the centre
    columns = torch.arange(width, device=images.device) - (width - 1) / 2
    y = rows[None, :, None] - height * down[:, None, None]  # (n, height, 1)
    x = columns[None, None, :] - width * right[:, None, None]  # (n, 1, width)
    # PyTorch's sampling wants coordinates that go from −1 to 1 along each side.
    grid = torch.stack([(cos * x - sin * y) * (2 / width), (sin * x + cos * y) * (2 / height)], 3)  # (n, h, w, 2)
    outside = "zeros" if border == "black" else "reflection"
    sampled = functional.grid_sample(
        images.permute(0, 3, 1, 2).float(), grid, mode="bilinear", padding_mode=outside, align_corners=False
    )
    return sampled.permute(0, 2, 3, 1).contiguous()


def blacken(images: Tensor, row: Tensor, column: Tensor, side: int) -> Tensor:
    """Cutout (DeVries and Taylor 2017, arXiv:1708.04552): a black square, cut off where it leaves the image.

    Args:
        images: (n, height, width, channels).
        row: (n,), int64: of the square's centre; of an even side, of the pixel below and right of it.
        column: (n,), int64: the same.
        side: pixels.
    """
    _, height, width, _ = images.shape
    rows = torch.arange(height, device=images.device) - (row - side // 2)[:, None]  # (n, height): 0 at its first row
    columns = torch.arange(width, device=images.device) - (column - side // 2)[:, None]  # (n, width)
    inside = ((rows >= 0) & (rows < side))[:, :, None] & ((columns >= 0) & (columns < side))[:, None, :]
    return images * ~inside[..., None]
