"""The pictures of the report: read, made smaller as far as they must be, and turned into addresses that hold the bytes.

What is shown where is the page's concern.
"""

import base64
import io
import os
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Ways to encode, the best first: a quality of WebP (None: without loss) and a scale of the sides.
LEVELS: tuple[tuple[int | None, float], ...] = ((None, 1.0), (70, 1.0), (60, 0.75), (50, 0.55), (40, 0.4), (40, 0.28))
LARGEST_SIDE = 16_383  # of WebP


@dataclass(frozen=True)
class Picture:
    """A picture within the page.

    Attributes:
        uri: `data:image/webp;base64,...`.
        width: of the original, in pixels.
        height: of the original, in pixels.
    """

    uri: str
    width: int
    height: int


@dataclass(frozen=True)
class Album:
    """The pictures that found room.

    Attributes:
        pictures: by key.
        scale: of their sides, 1 where they are as large as the originals.
        exact: whether every pixel is the original's.
        left_out: keys of those that there was no room for.
    """

    pictures: dict[str, Picture]
    scale: float
    exact: bool
    left_out: tuple[str, ...]


def collect_pictures(files: Mapping[str, Path], room: int) -> Album:
    """Reads pictures and encodes all of them alike: as well as fits, and without the last ones if none fits.

    Args:
        files: by key, the most important first; files that do not exist are passed over.
        room: for all addresses together, in bytes.
    """
    present = {key: path for key, path in files.items() if path.exists()}
    encoded: dict[str, Picture] = {}
    quality, scale = LEVELS[0]
    for quality, scale in LEVELS:
        encoded, used = {}, 0
        with closing(_encode_all(present, quality, scale)) as pictures:
            for key, picture in pictures:
                encoded[key] = picture
                used += len(picture.uri)
                if used > room:
                    break
            else:
                return Album(encoded, scale, quality is None, ())
    encoded, used = {}, 0
    for key, picture in _encode_all(present, quality, scale):
        if used + len(picture.uri) <= room:
            encoded[key] = picture
            used += len(picture.uri)
    return Album(encoded, scale, False, tuple(key for key in present if key not in encoded))


def encode_array(pixels: NDArray[np.uint8], quality: int | None = None) -> Picture:
    """A picture made of an array.

    Args:
        pixels: (height, width, 1 or 3).
        quality: of WebP; None: without loss.
    """
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    return Picture(_address(image.convert("RGB"), quality), image.width, image.height)


def _encode_all(
    files: Mapping[str, Path], quality: int | None, scale: float
) -> Generator[tuple[str, Picture], None, None]:
    """The pictures one after the other, encoded on all cores: Pillow lets other threads run meanwhile."""
    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        yield from zip(files, pool.map(lambda path: _encode(path, quality, scale), files.values()), strict=True)
    finally:
        pool.shutdown(cancel_futures=True)  # where there is no room for more


def _encode(path: Path, quality: int | None, scale: float) -> Picture:
    with Image.open(path) as opened:
        image = opened.convert("RGBA")
    width, height = image.size
    white = Image.new("RGBA", image.size, "white")
    image = Image.alpha_composite(white, image).convert("RGB")
    scale = min(scale, LARGEST_SIDE / max(width, height))
    if scale < 1:
        size = max(1, round(width * scale)), max(1, round(height * scale))
        image = image.resize(size, Image.Resampling.LANCZOS)
    return Picture(_address(image, quality), width, height)


def _address(image: Image.Image, quality: int | None) -> str:
    buffer = io.BytesIO()
    if quality is None:
        image.save(buffer, format="WEBP", lossless=True, quality=40, method=3)  # here quality is effort
    else:
        image.save(buffer, format="WEBP", quality=quality, method=4)
    return "data:image/webp;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
