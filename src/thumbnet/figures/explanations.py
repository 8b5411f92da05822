"""Grad-CAM as pictures: images, and what in them speaks for a class, as heat on top of them.

Which images and classes are chosen here too; the heat comes from `thumbnet.nets.gradcam`.
"""

from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from thumbnet.figures import style
from thumbnet.figures.galleries import find_mistakes, find_most_confident, predicted_class, true_class
from thumbnet.figures.tiles import TEXT_TYPE, Pixels, Tile, Words, draw_tiles
from thumbnet.judging.predictions import Predictions
from thumbnet.params import GalleryOrder

STRIPS = 2  # beside each other
SCALE_SPACES = 34  # in the header, room for the scale of colours
COLOURS = "inferno"  # perceptually uniform, and told apart with any kind of colour vision
#: The heat's share of each pixel, where there is none of it and where there is most.
FAINTEST, STRONGEST = 0.25, 0.85


def choose_images(predictions: Predictions, counts: Sequence[int], order: GalleryOrder) -> NDArray[np.int64]:
    """The images to explain: mistakes, then right predictions, the most confident ones of each class in turn.

    Args:
        predictions: of one split.
        counts: of mistakes and of right predictions, at most.
        order: of the mistakes, as `find_mistakes` has it.

    Returns:
        Indices, (n,).
    """
    wrong = [mistake.index for mistake in find_mistakes(predictions, order)][: counts[0]]
    surest = find_most_confident(predictions)
    is_right = predictions.predicted[surest] == predictions.labels[surest]
    return np.array([*wrong, *surest[is_right][: counts[1]]], dtype=np.int64)


def choose_classes(predictions: Predictions, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """The classes to explain of each image: the predicted one, and the true one or, where it is the same, the second.

    Returns:
        Labels, (n, 2).
    """
    first, second = np.argsort(-predictions.probabilities[indices], axis=1, kind="stable")[:, :2].T
    true = predictions.labels[indices]
    return np.stack([first, np.where(first == true, second, true)], axis=1).astype(np.int64)


def draw_explanations(
    images: NDArray[np.uint8],
    predictions: Predictions,
    indices: NDArray[np.int64],
    heat: NDArray[np.float32],
    classes: Sequence[str],
    title: str,
) -> Figure:
    """Strips of three: an image, what in it speaks for the class that was predicted, and what for the other one.

    Args:
        images: the whole split, uint8, (n, height, width, 1 or 3); a memory map will do.
        predictions: of the same images.
        indices: of the images to show, m of them.
        heat: for each of them and each of its `choose_classes`, (m, 2, rows, columns).
        classes: the classes' names, in the order of their labels.
        title: what was judged, e.g. "bn, test".
    """
    pairs = choose_classes(predictions, indices)
    tiles = [
        tile
        for index, pair, maps in zip(indices, pairs, heat, strict=True)
        for tile in _strip(np.asarray(images[index]), int(index), predictions, pair, maps, classes)
    ]
    right = int((predictions.predicted[indices] == predictions.labels[indices]).sum())
    wrong = len(indices) - right
    what = (
        f"Grad-CAM of {wrong} {'mistake' if wrong == 1 else 'mistakes'} and {right} right "
        f"{'prediction' if right == 1 else 'predictions'}: what in an image speaks for a class"
    )
    key = [
        Words(f"{style.RIGHT_MARK} true class    ", style.RIGHT),
        Words(f"{style.WRONG_MARK} wrong prediction, probability    ", style.WRONG),
        Words("nothing"),
        Words(" " * SCALE_SPACES),
        Words("most"),
    ]
    figure = draw_tiles(tiles, 3 * STRIPS, title, [[Words(what)], key], together=3)
    _draw_scale(figure, key[:3])
    return figure


def draw_unexplained(title: str, member: str) -> Figure:
    """The picture of a network that Grad-CAM does not suit."""
    return draw_tiles([], 1, title, [[Words(f"No Grad-CAM: {member} has no convolution that keeps places apart")]])


def overlay(image: Pixels, heat: NDArray[np.float32]) -> Pixels:
    """An image in grey under its heat, pixel by pixel.

    Args:
        image: (height, width, 1 or 3).
        heat: (rows, columns), 0 or more; stretched over the image, and over the whole range of colours.

    Returns:
        (height, width, 3).
    """
    grey = _grey(image)
    high, wide, _ = grey.shape
    strongest = float(heat.max())
    scaled = heat / strongest if strongest > 0 else np.zeros_like(heat)
    smooth = np.asarray(Image.fromarray(scaled.astype(np.float32)).resize((wide, high), Image.Resampling.BICUBIC))
    smooth = smooth.clip(0, 1)[..., None]  # (height, width, 1)
    coloured = _colours(smooth[..., 0])
    share = FAINTEST + (STRONGEST - FAINTEST) * smooth
    return np.asarray((1 - share) * grey + share * coloured, dtype=np.uint8)


def _strip(
    image: Pixels,
    index: int,
    predictions: Predictions,
    pair: NDArray[np.int64],
    maps: NDArray[np.float32],
    classes: Sequence[str],
) -> tuple[Tile, Tile, Tile]:
    """One image, and its heat for the class that was predicted and for the other one; (2,), (2, rows, columns)."""
    true, predicted, other = int(predictions.labels[index]), int(pair[0]), int(pair[1])
    first, second = (float(probability) for probability in predictions.probabilities[index, pair])
    if predicted == true:
        named = true_class(classes[true], first), predicted_class(classes[other], second, right=True)
    else:
        named = predicted_class(classes[predicted], first, right=False), true_class(classes[true], second)
    return (
        Tile(image, (true_class(classes[true]), Words(f"image {index:,}"))),
        Tile(overlay(image, maps[0]), (named[0], Words("predicted"))),
        Tile(overlay(image, maps[1]), (named[1], Words("second choice" if predicted == true else "true class"))),
    )


def _colours(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """The colours of values from 0 to 1: (…) to (…, 3), 0..255."""
    return np.asarray(matplotlib.colormaps[COLOURS](values)[..., :3] * 255)


def _grey(image: Pixels) -> Pixels:
    """The same image without colours, (height, width, 1)."""
    return image if image.shape[-1] == 1 else np.asarray(Image.fromarray(image).convert("L"))[..., None]


def _draw_scale(figure: Figure, before: Sequence[Words]) -> None:
    """The colours of the heat, from the least to the most, in the header's second line after these words."""
    left = style.MARGIN + sum(style.text_width(words.text, TEXT_TYPE) for words in before) + 8
    wide, high = round(style.text_width(" " * SCALE_SPACES, TEXT_TYPE)) - 16, 14
    strip = _colours(np.linspace(0, 1, wide, dtype=np.float32))[None].repeat(high, axis=0).astype(np.uint8)
    style.put_pixels(figure, strip, round(left), round(figure.bbox.height) - 108)
