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
NEAR = 20  # between neighbours that belong together
LINE = 27  # from one line of a caption to the next
WIDER_CAPTION = 1.3  # a caption of long words may be so much wider than a tile
HEADER = 136  # room for a title and two lines
NARROWEST, WIDEST_HEADER = 488, 1100  # a picture of few images is as wide as its header needs, between these
TEXT_TYPE, CAPTION_TYPE = 13.0, 14.0

SMALL_TILE = 112  # the most that an image in a table may be high and wide
SMALL_GAP = 8
BLOCK_GAP = 56  # between the columns of a table that is broken
LONGEST_NAME = 240  # beside the rows of a table

Pixels = NDArray[np.uint8]  # (height, width, 1 or 3)


@dataclass(frozen=True)
class Words:
    """A piece of text in one colour.

    Attributes:
        text: shortened where there is no room for it.
        colour: any that matplotlib knows.
        bold: whether it is bold.
        aside: stands flush right in the same line of a caption and is never shortened.
        lead: who says so, before the text, in grey; the texts of all captions begin below each other then.
    """

    text: str
    colour: str = style.FAINT
    bold: bool = False
    aside: str = ""
    lead: str = ""


@dataclass(frozen=True)
class Tile:
    """An image over the lines of its caption."""

    image: Pixels
    caption: tuple[Words, ...]


def draw_tiles(
    tiles: Sequence[Tile],
    columns: int,
    title: str,
    header: Sequence[Sequence[Words]],
    side: int = TILE,
    together: int = 1,
) -> Figure:
    """Images over their captions, in as many rows as they need; all images have the same shape.

    Args:
        tiles: none, where the header says why.
        columns: how many at most.
        title: of the picture.
        header: two lines at most, each of pieces that follow each other.
        side: the most that an image may be high and wide.
        together: so many neighbours belong together, and stand closer to each other than to the next ones.
    """
    images = [enlarge(tile.image, side) for tile in tiles]
    high, wide, _ = images[0].shape if images else (0, 0, 3)
    captions = [words for tile in tiles for words in tile.caption]
    indent = _indent(captions, side)
    cell = max(wide, min(_caption_width(captions, indent), round(WIDER_CAPTION * side)))
    lines = max((len(tile.caption) for tile in tiles), default=0)
    down = high + 10 + lines * LINE + GAP
    corners = []
    for number in range(len(tiles)):
        row, column = divmod(number, columns)
        gaps = column * GAP if together == 1 else column * NEAR + column // together * (BLOCK_GAP - NEAR)
        corners.append((style.MARGIN + column * cell + gaps, HEADER + row * down))
    right = max((x + cell for x, _ in corners), default=0) + style.MARGIN
    width = max(right, header_width(title, header))
    height = HEADER + math.ceil(len(tiles) / columns) * down

    with style.house_style():
        figure = style.new_figure(width, height)
        style.put_pixels(figure, paste(images, corners, width, height))
        write_header(figure, title, header)
        for tile, (x, y) in zip(tiles, corners, strict=True):
            for number, words in enumerate(tile.caption):
                write_caption(figure, words, x, y + high + 10 + number * LINE, cell, indent=indent)
    return figure


def draw_table(
    rows: Sequence[tuple[Sequence[Words], Sequence[Pixels]]],
    columns: Sequence[str],
    title: str,
    header: Sequence[Sequence[Words]],
    side: int = SMALL_TILE,
    blocks: int = 1,
) -> Figure:
    """Rows of small images with up to two lines of words before each; all images have the same shape.

    Args:
        rows: the words and the images of each; a row may be shorter than others, or have none.
        columns: what stands over the columns; none for no such line.
        title: of the picture.
        header: two lines at most, each of pieces that follow each other.
        side: the most that an image may be high and wide.
        blocks: the rows are broken into so many columns, which stand beside each other.
    """
    images = [[enlarge(image, side) for image in row] for _, row in rows]
    high, wide, _ = next((image.shape for row in images for image in row), (side, side, 3))
    longest = max(
        (style.text_width(words.text, TEXT_TYPE, words.bold) for named, _ in rows for words in named), default=0
    )
    room = math.ceil(min(longest, LONGEST_NAME)) + 20 if longest else 0
    below = HEADER - 26 * (2 - len(header))
    top = below + (LINE if columns else 0)
    tall = max(high, 2 * LINE)
    broad = math.ceil(max([wide, *(style.text_width(name, TEXT_TYPE) for name in columns)]))
    across, down = broad + SMALL_GAP, tall + SMALL_GAP
    most = max(map(len, images))
    block = room + most * across - SMALL_GAP + BLOCK_GAP
    deep = math.ceil(len(rows) / blocks)
    starts = [(style.MARGIN + y // deep * block, top + y % deep * down) for y in range(len(rows))]
    corners = [
        (left + room + x * across, upper)
        for (left, upper), row in zip(starts, images, strict=True)
        for x in range(len(row))
    ]
    right = starts[-1][0] + block - BLOCK_GAP + style.MARGIN
    width = max(right, header_width(title, header))
    height = top + deep * down - SMALL_GAP + style.MARGIN

    with style.house_style():
        figure = style.new_figure(width, height)
        tiles = [image for row in images for image in row]
        style.put_pixels(figure, paste(tiles, corners, width, height))
        write_header(figure, title, header)
        for number, name in enumerate(columns):
            left = style.MARGIN + room + number * across
            style.write(figure, left, below - 6, name, TEXT_TYPE, colour=style.FAINT)
        for (left, upper), (named, _) in zip(starts, rows, strict=True):
            first = upper + (tall - len(named) * LINE) / 2 + 4
            for number, words in enumerate(named):
                write_caption(figure, words, left, first + number * LINE, room - 20, TEXT_TYPE)
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


def paste(tiles: Sequence[Pixels], corners: Sequence[tuple[int, int]], width: int, height: int) -> Pixels:
    """White paper with a tile at each corner, a hairline around it.

    Returns:
        (height, width, 3).
    """
    paper = np.full((height, width, 3), 255, dtype=np.uint8)
    hairline = rgb(style.RULE)
    for tile, (left, top) in zip(tiles, corners, strict=True):
        bottom, right = top + tile.shape[0], left + tile.shape[1]
        paper[top - 1 : bottom + 1, left - 1 : right + 1] = hairline
        paper[top:bottom, left:right] = tile
    return paper


def rgb(colour: str) -> tuple[int, int, int]:
    """A colour of `style`, such as "#1b1b1f", as values of 0 to 255."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def header_width(title: str, header: Sequence[Sequence[Words]]) -> int:
    """How wide a picture is at least: as its title and header need, within limits."""
    lines = [style.text_width(title, style.TITLE_TYPE, bold=True)]
    lines += [sum(style.text_width(words.text, TEXT_TYPE, words.bold) for words in line) for line in header]
    return min(max(NARROWEST, math.ceil(max(lines)) + 2 * style.MARGIN), WIDEST_HEADER)


def write_header(figure: Figure, title: str, header: Sequence[Sequence[Words]]) -> None:
    """Draws the title and the lines below it, shortened where they are too long for the picture."""
    style.write_title(figure, title)
    for number, line in enumerate(header):
        x = float(style.MARGIN)
        for words in line:
            room = figure.bbox.width - style.MARGIN - x
            text = style.ellipsize(words.text, room, TEXT_TYPE, words.bold)
            style.write(figure, x, 64 + 26 * number, text, TEXT_TYPE, colour=words.colour, bold=words.bold)
            x += style.text_width(words.text, TEXT_TYPE, words.bold)


def write_caption(
    figure: Figure, words: Words, x: float, y: float, width: float, size: float = CAPTION_TYPE, indent: int = 0
) -> None:
    """Draws one line of a caption.

    Args:
        figure: where.
        words: what; the text is shortened to the room that it has.
        x: pixels from the left edge of the picture.
        y: pixels from its upper edge.
        width: the room, in pixels.
        size: of the type, in points.
        indent: where the text begins, if it has a lead.
    """
    if words.lead:
        lead = style.ellipsize(words.lead, indent - 8, size)
        style.write(figure, x, y, lead, size, colour=style.FAINT)
    start = x + indent if words.lead else x
    aside = style.text_width(words.aside, size) + 8 if words.aside else 0
    text = style.ellipsize(words.text, x + width - start - aside, size, words.bold)
    style.write(figure, start, y, text, size, colour=words.colour, bold=words.bold)
    if words.aside:
        style.write(figure, x + width, y, words.aside, size, colour=words.colour, align="right")


def _caption_width(captions: Sequence[Words], indent: int) -> int:
    """The room that the longest of these lines needs."""
    return max(
        (
            math.ceil(
                (indent if words.lead else 0)
                + style.text_width(words.text, CAPTION_TYPE, words.bold)
                + (style.text_width(words.aside, CAPTION_TYPE) + 8 if words.aside else 0)
            )
            for words in captions
        ),
        default=0,
    )


def _indent(captions: Sequence[Words], width: int) -> int:
    """Room for the longest lead, up to half a tile."""
    longest = max((style.text_width(words.lead, CAPTION_TYPE) for words in captions if words.lead), default=0)
    return min(math.ceil(longest) + 8, width // 2) if longest else 0
