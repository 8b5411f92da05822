"""Augmentation: each operation against slow code that anyone can check, and its draws by what they do to images."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from thumbnet.params import AugmentParams, Border
from thumbnet.training.augmentation import Augmenter, blacken, crop, mirror, preview, turn_and_shift
from thumbnet.training.batches import Images
from thumbnet.training.cropping import find_move, move
from thumbnet.training.launching import can_have

OFF: dict[str, Any] = {
    "flip": "none", "rotation": 0.0, "shift": 0.0, "crop": 0, "border": "black", "cutout": 0, "pixel_noise": 0.0
}  # fmt: skip
ALL: dict[str, Any] = {
    "flip": "random", "rotation": 30.0, "shift": 0.2, "crop": 2, "border": "reflect", "cutout": 3, "pixel_noise": 0.1
}  # fmt: skip
SHAPES = [(8, 8, 3), (5, 9, 1), (7, 4, 3), (1, 6, 1)]
COUNT = 6
Image = NDArray[np.float64]  # (height, width, channels)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def distinct(shape: tuple[int, int, int], count: int = COUNT) -> Tensor:
    """Images of random pixels 1 to 255, so that none is black; (count, height, width, channels)."""
    return torch.randint(1, 256, (count, *shape), dtype=torch.uint8, generator=generator(7))


def augment(images: Tensor, seed: int = 0, epoch: int = 1, **changes: Any) -> Tensor:
    """The images as a training of just these sees them."""
    augmenter = Augmenter(AugmentParams(**{**OFF, **changes}), len(images), generator(seed))
    return augmenter(images, torch.arange(len(images)), epoch)


def crop_slowly(image: Image, top: int, left: int, pad: int, border: str) -> Image:
    height, width, _ = image.shape
    mode: Any = "reflect" if border == "reflect" else "constant"
    return np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode)[top : top + height, left : left + width]


def mirror_slowly(image: Image, mirrored: bool) -> Image:
    return image[:, ::-1] if mirrored else image


def blacken_slowly(image: Image, row: int, column: int, side: int) -> Image:
    image = image.copy()
    for y in range(row - side // 2, row - side // 2 + side):
        for x in range(column - side // 2, column - side // 2 + side):
            if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
                image[y, x] = 0
    return image


def turn_and_shift_slowly(image: Image, degrees: float, down: float, right: float, border: str) -> Image:
    """Each pixel looks up where it came from: the shift undone, then the rotation, counter-clockwise as seen."""
    height, width, _ = image.shape
    if border == "reflect":  # far enough to look up any place, and then cut out again
        pad = 2 * max(height, width)
        wide = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), "symmetric")
        down, right = down * height / (height + 2 * pad), right * width / (width + 2 * pad)
        return turn_and_shift_slowly(wide, degrees, down, right, "black")[pad:-pad, pad:-pad]
    angle, result = math.radians(degrees), np.zeros(image.shape)
    for row in range(height):
        for column in range(width):
            y = row - (height - 1) / 2 - down * height
            x = column - (width - 1) / 2 - right * width
            from_x = math.cos(angle) * x - math.sin(angle) * y + (width - 1) / 2
            from_y = math.sin(angle) * x + math.cos(angle) * y + (height - 1) / 2
            for near_y in (math.floor(from_y), math.floor(from_y) + 1):
                for near_x in (math.floor(from_x), math.floor(from_x) + 1):
                    if 0 <= near_y < height and 0 <= near_x < width:
                        weight = (1 - abs(from_y - near_y)) * (1 - abs(from_x - near_x))
                        result[row, column] += weight * image[near_y, near_x]
    return result


def drawn(low: float, high: float, seed: int) -> Tensor:
    return low + (high - low) * torch.rand(COUNT, generator=generator(seed))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("operation", "slowly", "draw", "extra"),
    [
        (crop, crop_slowly, lambda height, width: (drawn(0, 5, 1).long(), drawn(0, 5, 2).long()), (2, "black")),
        (crop, crop_slowly, lambda height, width: (drawn(0, 5, 1).long(), drawn(0, 5, 2).long()), (2, "reflect")),
        (crop, crop_slowly, lambda height, width: (drawn(0, 31, 1).long(), drawn(0, 31, 2).long()), (15, "reflect")),
        (mirror, mirror_slowly, lambda height, width: (drawn(0, 1, 1) < 0.5,), ()),
        (turn_and_shift, turn_and_shift_slowly,
         lambda height, width: (drawn(-180, 180, 1), drawn(-0.3, 0.3, 2), drawn(-0.3, 0.3, 3)), ("black",)),
        (turn_and_shift, turn_and_shift_slowly,
         lambda height, width: (drawn(-180, 180, 1), drawn(-0.3, 0.3, 2), drawn(-0.3, 0.3, 3)), ("reflect",)),
        (blacken, blacken_slowly, lambda height, width: (drawn(0, height, 1).long(), drawn(0, width, 2).long()), (3,)),
        (blacken, blacken_slowly, lambda height, width: (drawn(0, height, 1).long(), drawn(0, width, 2).long()), (4,)),
    ],
)  # fmt: skip
def test_an_operation_does_to_each_image_what_slow_code_does(
    operation: Callable[..., Tensor],
    slowly: Callable[..., Image],
    draw: Callable[[int, int], tuple[Tensor, ...]],
    extra: tuple[int, ...],
    shape: tuple[int, int, int],
) -> None:
    images, draws = distinct(shape), draw(*shape[:2])
    changed = operation(images, *draws, *extra)
    assert changed.shape == images.shape
    expected = [
        slowly(image.double().numpy(), *(values[number].item() for values in draws), *extra)
        for number, image in enumerate(images)
    ]
    np.testing.assert_allclose(changed, expected, atol=0.02)


@pytest.mark.parametrize(
    ("degrees", "down", "right", "expected"),
    [
        (0, 0, 0, lambda image: image),
        (90, 0, 0, np.rot90),
        (-90, 0, 0, lambda image: np.rot90(image, -1)),
        (180, 0, 0, lambda image: np.rot90(image, 2)),
        (0, 2 / 8, 0, lambda image: np.pad(image[:-2], ((2, 0), (0, 0), (0, 0)))),
        (0, -3 / 8, 1 / 8, lambda image: np.pad(image[3:, :-1], ((0, 3), (1, 0), (0, 0)))),
        (90, 0, 1 / 8, lambda image: np.pad(np.rot90(image)[:, :-1], ((0, 0), (1, 0), (0, 0)))),
        (0, 1, 0, np.zeros_like),
    ],
)
def test_quarter_turns_and_whole_pixels_are_exact(
    degrees: float, down: float, right: float, expected: Callable[[NDArray[Any]], NDArray[Any]]
) -> None:
    images = distinct((8, 8, 3))
    turn, fall, aside = (torch.full((COUNT,), value) for value in (degrees, down, right))
    changed = turn_and_shift(images, turn, fall, aside, "black")
    np.testing.assert_allclose(changed, [expected(image) for image in images.numpy()], atol=1e-2)


WITH_KERNEL = pytest.mark.skipif(not can_have({"move"}), reason="PyTorch's loops do not run on GNU's OpenMP here")


@WITH_KERNEL
@pytest.mark.parametrize("shape", [*SHAPES, (4, 6, 2), (32, 32, 3)], ids=str)
@pytest.mark.parametrize("border", ["black", "reflect"])
@pytest.mark.parametrize("pad", [0, 2, 15])
@pytest.mark.parametrize("moves", [(True, True), (True, False), (False, True)], ids=str)
def test_the_kernel_moves_pixels_as_the_operations_do(
    shape: tuple[int, int, int], border: Border, pad: int, moves: tuple[bool, bool]
) -> None:
    images, chosen = distinct(shape, 9), torch.tensor([3, 8, 0, 3, 5] * 20)
    corners = torch.randint(2 * pad + 1, (2, len(chosen)), generator=generator(3))
    mirrored = torch.rand(len(chosen), generator=generator(4)) < 0.5
    expected = images[chosen]
    if moves[0]:
        expected = crop(expected, corners[0], corners[1], pad, border)
    if moves[1]:
        expected = mirror(expected, mirrored)
    given = (corners if moves[0] else None, mirrored if moves[1] else None)
    assert torch.equal(move(images, chosen, *given, pad, border), expected)


@WITH_KERNEL
@pytest.mark.parametrize(
    "changes", [{}, {"flip": "random"}, {"flip": "alternating"}, {"crop": 2}, {"crop": 3, "border": "reflect"}, ALL]
)
def test_a_training_sees_the_same_with_the_kernel_and_without(changes: dict[str, Any]) -> None:
    images, chosen = distinct((9, 8, 3), 20), torch.tensor([7, 1, 19, 0, 7])
    params = AugmentParams(**{**OFF, **changes})
    found = find_move(params, Images(images, torch.zeros(len(images), dtype=torch.int64)))
    assert (found is None) == (not changes)
    ours, plain = (Augmenter(params, len(images), generator(), given) for given in (found, None))
    for epoch in (1, 2):
        assert torch.equal(ours(images, chosen, epoch), plain(images, chosen, epoch))


def dots(side: int, row: int, column: int, count: int) -> Tensor:
    """Black images with a white dot of 3×3 pixels."""
    images = torch.zeros(count, side, side, 1, dtype=torch.uint8)
    images[:, row - 1 : row + 2, column - 1 : column + 2] = 255
    return images


def places(images: Tensor) -> tuple[Tensor, Tensor]:
    """Where the dot is, in pixels down and right of the centre."""
    weights = images[..., 0].double()
    weights = weights / weights.sum((1, 2), keepdim=True)
    axis = torch.arange(images.shape[1]).double() - (images.shape[1] - 1) / 2
    return (weights.sum(2) @ axis), (weights.sum(1) @ axis)


def down_and_right(**changes: Any) -> list[Tensor]:
    return list(places(augment(dots(41, 20, 20, 4_000), **changes)))


def turned(**changes: Any) -> list[Tensor]:
    down, right = places(augment(dots(41, 20, 35, 4_000), **changes))
    return [torch.rad2deg(torch.atan2(-down, right))]


@pytest.mark.parametrize(
    ("measure", "changes", "bound", "spread"),
    [
        (turned, {"rotation": 15.0}, 15, 15 / 3**0.5),
        (turned, {"rotation": 180.0}, 180, 180 / 3**0.5),
        (down_and_right, {"shift": 0.1}, 4.1, 4.1 / 3**0.5),
        (down_and_right, {"crop": 3}, 3, 2),
    ],
)
def test_each_image_has_a_draw_of_its_own_evenly_between_the_bounds(
    measure: Callable[..., list[Tensor]], changes: dict[str, Any], bound: float, spread: float
) -> None:
    drawn = measure(**changes)
    for values in drawn:
        assert bound * 0.98 < values.max() <= bound * 1.001
        assert -bound * 1.001 <= values.min() < -bound * 0.98
        assert abs(values.mean()) < 0.07 * bound
        assert values.std().item() == pytest.approx(spread, rel=0.05)
    pairs = [values[:-1] for values in drawn] + [values[1:] for values in drawn]
    together = torch.corrcoef(torch.stack(pairs)).fill_diagonal_(0)
    assert together.abs().max() < 0.08, "neither neighbours nor directions know of each other"


def test_half_of_the_images_are_mirrored_at_random() -> None:
    images = torch.tensor([1, 2], dtype=torch.uint8).reshape(1, 1, 2, 1).expand(4_000, 1, 2, 1)
    mirrored = augment(images, flip="random")[:, 0, 0, 0] == 2
    assert 0.46 < mirrored.float().mean() < 0.54
    assert 0.46 < (mirrored[1:] == mirrored[:-1]).float().mean() < 0.54


@pytest.mark.parametrize("count", [10, 11])
def test_alternating_flips_show_each_image_mirrored_in_every_second_epoch(count: int) -> None:
    images, places = distinct((3, 4, 1), count), torch.randperm(count, generator=generator(1))
    augmenter = Augmenter(AugmentParams(**{**OFF, "flip": "alternating"}), count, generator())
    mirrored = []
    for epoch in (1, 2, 3, 4):
        seen = torch.zeros(count, dtype=torch.bool)
        for chosen in places.split(3):
            changed = augmenter(images, chosen, epoch)
            seen[chosen] = (changed == images[chosen].flip(2)).flatten(1).all(1)
            assert torch.equal(changed[~seen[chosen]], images[chosen][~seen[chosen]])
        mirrored.append(seen)
    assert mirrored[0].sum() == (count + 1) // 2
    for first, second in pairwise(mirrored):
        assert torch.equal(first, ~second)
    assert not torch.equal(mirrored[0], torch.arange(count) < (count + 1) // 2), "at random, not the first ones"


def test_the_centre_of_a_cutout_is_anywhere() -> None:
    black = augment(torch.full((6_000, 3, 4, 1), 255, dtype=torch.uint8), cutout=1) == 0
    assert (black.sum((1, 2, 3)) == 1).all()
    assert (black.double().mean(0) - 1 / 12).abs().max() < 5 * (1 / 12 / 6_000) ** 0.5


@pytest.mark.parametrize("variance", [0.01, 0.5])
def test_noise_has_its_variance_and_is_neither_rounded_nor_clipped(variance: float) -> None:
    images = torch.full((200, 10, 10, 3), 100, dtype=torch.uint8)
    noise = (augment(images, pixel_noise=variance) - 100) / 255
    assert noise.mean().abs() < 0.01
    assert noise.var().item() == pytest.approx(variance, rel=0.03)
    assert noise.unique().numel() > 50_000
    assert abs(torch.corrcoef(torch.stack([noise[0].flatten(), noise[1].flatten()]))[0, 1]) < 0.2


@pytest.mark.parametrize(
    ("changes", "dtype"),
    [
        ({"flip": "random"}, torch.uint8),
        ({"flip": "alternating"}, torch.uint8),
        ({"crop": 2}, torch.uint8),
        ({"cutout": 3}, torch.uint8),
        ({"rotation": 15.0}, torch.float32),
        ({"shift": 0.1}, torch.float32),
        ({"pixel_noise": 0.1}, torch.float32),
        (ALL, torch.float32),
    ],
    ids=str,
)
def test_augmentation_follows_its_seed_and_leaves_the_images_alone(changes: dict[str, Any], dtype: torch.dtype) -> None:
    images = distinct((7, 8, 3), 20)
    before = images.clone()
    first, again, other = (augment(images, seed, **changes) for seed in (1, 1, 2))
    assert first.dtype == dtype
    assert first.is_contiguous()
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, augment(images, 1, epoch=2, **changes)) or changes.get("flip") != "alternating"
    assert torch.equal(images, before)


def test_squares_are_put_on_turned_images_and_noise_on_everything() -> None:
    white = torch.full((50, 16, 16, 1), 255, dtype=torch.uint8)
    turned = augment(white, rotation=45.0)
    squares = (augment(white, rotation=45.0, cutout=4) != turned).squeeze(3)  # (n, height, width)
    assert squares.any()
    for square in squares:
        assert max(square.any(0).sum(), square.any(1).sum()) <= 4
    assert (augment(white, cutout=8, pixel_noise=0.01) != 0).all()


def test_what_is_off_draws_nothing() -> None:
    images, source = distinct((5, 4, 3)), generator()
    before = source.get_state()
    assert torch.equal(Augmenter(AugmentParams(**OFF), COUNT, source)(images, torch.arange(COUNT), 1), images)
    assert torch.equal(source.get_state(), before)


def test_a_preview_is_what_can_be_shown_of_each_epoch() -> None:
    images = distinct((6, 5, 3)).numpy()
    seen = preview(images, AugmentParams(**{**ALL, "flip": "alternating"}), epochs=3, seed=1)
    assert seen.shape == (3, *images.shape)
    assert seen.dtype == np.uint8
    assert len({epoch.tobytes() for epoch in seen}) == 3
    flipped = preview(images, AugmentParams(**{**OFF, "flip": "alternating"}), epochs=2, seed=1)
    np.testing.assert_array_equal(flipped[0], flipped[1][:, :, ::-1])
    np.testing.assert_array_equal(preview(images, AugmentParams(**OFF), epochs=2, seed=1), [images, images])
