"""Thumbnails on paper: images enlarged to tiles, in rows and columns, with captions below or names beside them.

Images are enlarged by whole factors, so that every pixel of a thumbnail stays a sharp square. Which images, and what
is said of them, is left to the other modules.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from thumbnet.figures import style

# All lengths in pixels, type in points.
TILE = 224  # the most that an image over a caption may be high and wide
GAP = 32  # between neighbours there
LINE = 27  # from one line of a caption to the next
CAPTION = 10 + 2 * LINE
HEADER = 136  # room for a title and two lines
NARROWEST = 488  # leaves room for the header over a single column
TEXT_TYPE, CAPTION_TYPE = 13.0, 14.0

SMALL_TILE = 112  # the most that an image in a table may be high and wide
SMALL_GAP = 8
LONGEST_NAME = 240  # beside the rows of a table

Pixels = NDArray[np.uint8]  # (height, width, 1 or 3)


@dataclass(frozen=True)
class Words:
    """A piece of text in one colour; `aside` stands flush right in the same line and is never shortened."""

    text: str
    colour: str = style.FAINT
    bold: bool = False
    aside: str = ""


@dataclass(frozen=True)
class Tile:
    """An image over two lines."""

    image: Pixels
    caption: tuple[Words, Words]


def draw_tiles(tiles: Sequence[Tile], columns: int, title: str, header: Sequence[Sequence[Words]]) -> Figure:
    """Images over their captions, in as many rows as they need; all images have the same shape.

    Args:
        tiles: none, where the header says why.
        columns: how many at most.
        title: of the picture.
        header: two lines at most, each of pieces that follow each other.
    """
    images = [enlarge(tile.image, TILE) for tile in tiles]
    high, wide, _ = images[0].shape if images else (0, 0, 3)
    across, down = wide + GAP, high + CAPTION + GAP
    corners = [(style.MARGIN + i % columns * across, HEADER + i // columns * down) for i in range(len(tiles))]
    width = max(2 * style.MARGIN + min(columns, len(tiles)) * across - GAP, NARROWEST)
    height = HEADER + math.ceil(len(tiles) / columns) * down

    with style.house_style():
        figure = style.new_figure(width, height)
        figure.figimage(_paste(images, corners, width, height), origin="upper", resize=False)
        _write_header(figure, title, header)
        for tile, (x, y) in zip(tiles, corners, strict=True):
            for number, words in enumerate(tile.caption):
                _write_caption(figure, words, x, y + high + 10 + number * LINE, wide)
    return figure


def draw_table(
    rows: Sequence[tuple[Sequence[Words], Sequence[Pixels]]],
    columns: Sequence[str],
    title: str,
    header: Sequence[Sequence[Words]],
) -> Figure:
    """Rows of small images with up to two lines of words before each; all images have the same shape.

    Args:
        rows: the words and the images of each; a row may be shorter than others.
        columns: what stands over the columns; none for no such line.
        title: of the picture.
        header: two lines at most, each of pieces that follow each other.
    """
    images = [[enlarge(image, SMALL_TILE) for image in row] for _, row in rows]
    high, wide, _ = images[0][0].shape
    longest = max(
        (style.text_width(words.text, TEXT_TYPE, words.bold) for named, _ in rows for words in named), default=0
    )
    room = math.ceil(min(longest, LONGEST_NAME)) + 20 if longest else 0
    below = HEADER - 26 * (2 - len(header))
    left, top = style.MARGIN + room, below + (LINE if columns else 0)
    tall = max(high, 2 * LINE)
    broad = math.ceil(max([wide, *(style.text_width(name, TEXT_TYPE) for name in columns)]))
    across, down = broad + SMALL_GAP, tall + SMALL_GAP
    corners = [(left + x * across, top + y * down) for y, row in enumerate(images) for x in range(len(row))]
    width = max(left + max(map(len, images)) * across - SMALL_GAP + style.MARGIN, NARROWEST)
    height = top + len(rows) * down - SMALL_GAP + style.MARGIN

    with style.house_style():
        figure = style.new_figure(width, height)
        tiles = [image for row in images for image in row]
        figure.figimage(_paste(tiles, corners, width, height), origin="upper", resize=False)
        _write_header(figure, title, header)
        for number, name in enumerate(columns):
            style.write(figure, left + number * across, below - 6, name, TEXT_TYPE, colour=style.FAINT)
        for y, (named, _) in enumerate(rows):
            first = top + y * down + (tall - len(named) * LINE) / 2 + 4
            for number, words in enumerate(named):
                _write_caption(figure, words, style.MARGIN, first + number * LINE, room - 20, TEXT_TYPE)
    return figure


def enlarge(image: Pixels, side: int) -> Pixels:
    """One image as large as fits into a tile: by a whole factor if it is smaller, smoothly reduced if it is larger.

    Args:
        image: (height, width, 1 or 3).
        side: of the tile, in pixels.

    Returns:
        (height, width, 3), at most `side` high and wide.
    """
    height, width, channels = image.shape
    colour = image if channels == 3 else image.repeat(3, axis=2)
    if max(height, width) <= side:
        factor = side // max(height, width)
        return colour.repeat(factor, axis=0).repeat(factor, axis=1)
    shrink = side / max(height, width)
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    return np.asarray(Image.fromarray(colour).resize(size, Image.Resampling.LANCZOS))


def _paste(tiles: Sequence[Pixels], corners: Sequence[tuple[int, int]], width: int, height: int) -> Pixels:
    """White paper with a tile at each corner, a hairline around it.

    Returns:
        (height, width, 3).
    """
    paper = np.full((height, width, 3), 255, dtype=np.uint8)
    hairline = [int(style.RULE[i : i + 2], 16) for i in (1, 3, 5)]
    for tile, (left, top) in zip(tiles, corners, strict=True):
        bottom, right = top + tile.shape[0], left + tile.shape[1]
        paper[top - 1 : bottom + 1, left - 1 : right + 1] = hairline
        paper[top:bottom, left:right] = tile
    return paper


def _write_header(figure: Figure, title: str, header: Sequence[Sequence[Words]]) -> None:
    style.write_title(figure, title)
    for number, line in enumerate(header):
        x = float(style.MARGIN)
        for words in line:
            room = figure.bbox.width - style.MARGIN - x
            text = style.ellipsize(words.text, room, TEXT_TYPE, words.bold)
            style.write(figure, x, 64 + 26 * number, text, TEXT_TYPE, colour=words.colour, bold=words.bold)
            x += style.text_width(words.text, TEXT_TYPE, words.bold)


def _write_caption(figure: Figure, words: Words, x: float, y: float, width: int, size: float = CAPTION_TYPE) -> None:
    room = width - style.text_width(words.aside, size) - 8 if words.aside else width
    text = style.ellipsize(words.text, room, size, words.bold)
    style.write(figure, x, y, text, size, colour=words.colour, bold=words.bold)
    if words.aside:
        style.write(figure, x + width, y, words.aside, size, colour=words.colour, align="right")
