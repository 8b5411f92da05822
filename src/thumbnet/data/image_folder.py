"""The user's own images: `train/<class>/*` and optionally `test/<class>/*`, in a folder, a zip or a tar archive.

Every image becomes one size and eight bits per channel; if no image has a coloured pixel, one channel is kept. Images
are decoded on all cores while they are read, and written to memory-mapped files, so that memory stays bounded.
"""

import io
import os
import unicodedata
import warnings
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION

from thumbnet.data.archives import ArchiveError, Member, is_archive, list_members, read_members
from thumbnet.data.arrays import Images, chunks, images_file, labels_file, save_names
from thumbnet.data.fetch import Report
from thumbnet.errors import UserError

#: Of the names of image files, in small letters.
ENDINGS = (
    *(".avif", ".bmp", ".dib", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm", ".pgm", ".png"),
    *(".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
)
#: How many files, and how many bytes of them, a thread decodes at a time.
_BATCH_FILES, _BATCH_BYTES = 256, 16 * 2**20


@dataclass(frozen=True)
class LabelledFile:
    """An image that is still a file; `path` is relative to the place, with `/` between its parts."""

    path: str
    label: int
    size: int


@dataclass(frozen=True)
class Layout:
    """Which files of a place are images of which class."""

    place: Path
    classes: tuple[str, ...]
    #: `train` and `test`, in name order within a class, the classes evenly mixed; `test` is empty where there is none.
    files: dict[str, list[LabelledFile]]
    #: What is not read, with how many files it is: `validation/`, or `*.txt` among the images.
    ignored: Counter[str]


def find_layout(place: Path) -> Layout:
    """Finds classes and images, without reading the images.

    `train` may lie in the place itself or in the one folder that it consists of. Classes are the folders in `train`, in
    alphabetical order; images may lie in folders further down. Hidden files are passed over; files whose names do not
    end like those of images are passed over and counted.

    Args:
        place: a folder, or a zip or tar archive.

    Raises:
        UserError: there is no such place or no `train` in it, fewer than two classes, a class without images, a class
            in `test` alone, or an image in no class.
    """
    members = [member for member in _members(place) if not is_hidden(member.path)]
    prefix = _folder_of_train(place, members)
    folders: dict[str, dict[str, list[Member]]] = {"train": {}, "test": {}}
    ignored: Counter[str] = Counter()
    for member in members:
        parts = member.path.removeprefix(prefix).split("/")
        is_image = not member.is_folder and Path(member.path).suffix.lower() in ENDINGS
        if parts[0] not in folders:
            ignored[f"{parts[0]}/"] += is_image
        elif len(parts) > 2 or (len(parts) == 2 and member.is_folder):
            name = unicodedata.normalize("NFC", parts[1])  # a Mac's archives have ä as a and ¨
            images = folders[parts[0]].setdefault(name, [])
            if is_image:
                images.append(member)
        elif is_image:
            raise UserError(f"{place}: {member.path} lies in no class; images go to {prefix}{parts[0]}/<class>/")
        if parts[0] in folders and not is_image and not member.is_folder:
            ignored[f"*{Path(member.path).suffix}"] += 1
    _check_classes(place, folders)
    classes = tuple(sorted(folders["train"]))
    files = {split: _labelled(place, by_class, classes) for split, by_class in folders.items()}
    return Layout(place, classes, files, +ignored)


def write_images(layout: Layout, image_size: int, folder: Path, report: Report) -> None:
    """Decodes all images and writes the arrays of both splits, and which file each image was.

    Args:
        layout: what `find_layout` found.
        image_size: height and width of every image written, in pixels.
        folder: where `train_images.npy` and the others are written.
        report: told how many bytes of image files are read.

    Raises:
        UserError: an image cannot be decoded; the message names it.
    """
    shape = (image_size, image_size, 3)
    arrays: dict[str, Images] = {}
    slots: dict[str, Images] = {}
    for split, files in layout.files.items():
        arrays[split] = open_memmap(images_file(folder, split), "w+", np.uint8, (len(files), *shape))
        slots |= zip((file.path for file in files), np.asarray(arrays[split]), strict=True)
        np.save(labels_file(folder, split), np.array([file.label for file in files], dtype=np.int64))
        save_names(folder, split, [file.path for file in files])
    total = sum(file.size for files in layout.files.values() for file in files)
    has_colour = _decode_all(layout.place, slots, lambda done: report(done, total))
    if not has_colour:
        for split, array in arrays.items():
            _keep_one_channel(array, images_file(folder, split))


def allow_large_images() -> AbstractContextManager[object]:
    """Around the decoding of images: Pillow is not to warn of those that are large but within its limit.

    The filters of warnings belong to all threads: enter it in the main one.
    """
    return warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning)


def decode_image(content: bytes, image_size: int) -> Images:
    """Decodes one image file to 8-bit RGB.

    The image is turned as its EXIF orientation says, put on black where it is transparent, taken down to 8 bits from
    16, stretched to a square with a bilinear filter that averages when it shrinks, and left alone if it has the size.
    Of an animation the first picture is taken.

    Returns:
        uint8, (image_size, image_size, 3).

    Raises:
        ValueError: its pixels are floating-point or 32-bit numbers, whose range is unknown, or there are too many.
        OSError: it is broken, or no image.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.draft(None, (2 * image_size, 2 * image_size))  # a large JPEG is decoded at a fraction of its size
            rgb = _to_rgb(ImageOps.exif_transpose(image), _is_negative(image))  # a turned image has lost its tags
    except Image.DecompressionBombError:
        most = 2 * (Image.MAX_IMAGE_PIXELS or 0) / 1e6
        raise ValueError(f"it has more than {most:.3g} million pixels; make it smaller first") from None
    except RuntimeError as error:  # of Pillow's reader of AVIF, where others raise an OSError
        raise OSError(str(error)) from None
    if rgb.size != (image_size, image_size):
        rgb = rgb.resize((image_size, image_size), Image.Resampling.BILINEAR)
    return np.asarray(rgb)


def _members(place: Path) -> list[Member]:
    if not place.exists():
        raise UserError(f"{place}: no such file or folder")
    if place.is_dir():
        return list(_walk(place))
    if not is_archive(place):
        raise UserError(f"{place}: neither a folder nor an archive (.zip, .tar, .tar.gz, .tgz, .tar.bz2, .tar.xz)")
    try:
        return list_members(place)
    except ArchiveError as error:
        raise UserError(str(error) if str(place) in str(error) else f"{place}: {error}") from None


def _walk(place: Path) -> Iterator[Member]:
    """What is in a folder, links followed; hidden ones are not looked at, as editors leave some that lead nowhere."""
    for folder, below, files in os.walk(place, followlinks=True):
        inside = Path(folder).relative_to(place)
        below[:] = [name for name in below if not is_hidden(name)]
        for path in ((inside / name).as_posix() for name in below):
            if Path(folder).resolve().is_relative_to((place / path).resolve()):
                raise UserError(f"{place}: the link {path} leads back to where it lies; remove it")
            yield Member(path, True, 0)
        for path in ((inside / name).as_posix() for name in files if not is_hidden(name)):
            yield Member(path, False, _size(place, path))


def _size(place: Path, path: str) -> int:
    with _naming(place, path):
        return (place / path).stat().st_size


def _read(place: Path, path: str) -> bytes:
    with _naming(place, path):
        return (place / path).read_bytes()


@contextmanager
def _naming(place: Path, path: str) -> Iterator[None]:
    """What the system does not give is the user's to mend."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{place}: {path} cannot be read: {error.strerror}; mend or remove it") from None


def is_hidden(path: str) -> bool:
    """Files of the system, not the user's: `.DS_Store`, `._photo.jpg`, `__MACOSX/`."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.split("/"))


def _folder_of_train(place: Path, members: list[Member]) -> str:
    """What comes before `train/` in the paths: nothing, or the one folder at the top and a slash."""
    top = sorted({member.path.split("/")[0] for member in members})
    prefixes = ["", f"{top[0]}/"] if len(top) == 1 else [""]
    for prefix in prefixes:
        if any(member.path.startswith(f"{prefix}train/") for member in members):
            return prefix
    there = f"it has {', '.join(top[:8])}{', …' if len(top) > 8 else ''}" if top else "it is empty"
    raise UserError(f"{place}: has no train/<class>/ folders; {there}")


def _check_classes(place: Path, folders: dict[str, dict[str, list[Member]]]) -> None:
    train, test = folders["train"], folders["test"]
    if len(train) < 2:
        raise UserError(f"{place}: train has {len(train)} class (a folder in it), and a classifier needs two or more")
    unknown = sorted(set(test) - set(train))
    if unknown:
        raise UserError(f"{place}: test has classes that train lacks: {', '.join(unknown)}")
    empty = [
        f"{split}/{name}" for split, by_class in folders.items() for name in sorted(by_class) if not by_class[name]
    ]
    if empty:
        raise UserError(f"{place}: no images in {', '.join(empty)}; files count that end in {' '.join(ENDINGS)}")


def _labelled(place: Path, by_class: dict[str, list[Member]], classes: tuple[str, ...]) -> list[LabelledFile]:
    """The images of a split in the order in which they are written.

    Each class is spread evenly from first to last, so that the last n images, which `split.kind = holdout` takes, have
    their share of every class.
    """
    ordered: list[tuple[Fraction, LabelledFile]] = []
    for label, name in enumerate(classes):
        members = sorted(by_class.get(name, []), key=lambda member: member.path)
        for one, other in pairwise(members):
            if one.path == other.path:
                raise UserError(f"{place}: has {one.path} twice")
        for rank, member in enumerate(members):
            position = Fraction(2 * rank + 1, 2 * len(members))
            ordered.append((position, LabelledFile(member.path, label, member.size)))
    return [file for _, file in sorted(ordered, key=lambda entry: (entry[0], entry[1].label))]


def _decode_all(place: Path, slots: dict[str, Images], report_bytes: Callable[[int], None]) -> bool:
    """Decodes every image into its slot, and tells whether any has a coloured pixel."""
    workers = os.cpu_count() or 1
    has_colour, done = False, 0
    waiting: deque[tuple[int, Future[bool]]] = deque()
    with allow_large_images(), ThreadPoolExecutor(workers) as pool:
        for batch in _batches(_contents(place, slots)):
            job = pool.submit(_decode_batch, place, batch, slots)
            waiting.append((sum(len(content) for _, content in batch), job))
            while len(waiting) > 2 * workers:  # what is read ahead is bounded
                size, job = waiting.popleft()
                has_colour |= job.result()
                done += size
                report_bytes(done)
        for _, job in waiting:
            has_colour |= job.result()
    return has_colour


def _contents(place: Path, paths: Collection[str]) -> Iterator[tuple[str, bytes]]:
    if place.is_dir():
        yield from ((path, _read(place, path)) for path in paths)
        return
    try:
        yield from read_members(place, paths)
    except ArchiveError as error:
        raise UserError(str(error)) from None


def _batches(contents: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    batch: list[tuple[str, bytes]] = []
    size = 0
    for path, content in contents:
        batch.append((path, content))
        size += len(content)
        if len(batch) == _BATCH_FILES or size > _BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _decode_batch(place: Path, batch: list[tuple[str, bytes]], slots: dict[str, Images]) -> bool:
    has_colour = False
    for path, content in batch:
        slot = slots[path]
        try:
            pixels = decode_image(content, len(slot))
        except UnidentifiedImageError:
            raise UserError(f"{place}: {path} is broken or no image; mend or remove it") from None
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise UserError(f"{place}: {path} cannot be read: {error}; mend or remove it") from None
        slot[:] = pixels
        has_colour = has_colour or bool((pixels != pixels[..., :1]).any())
    return has_colour


def _is_negative(image: Image.Image) -> bool:
    """A TIFF whose 0 is white, which Pillow turns round with 8 bits and not with 16."""
    return image.mode.startswith("I") and getattr(image, "tag_v2", {}).get(PHOTOMETRIC_INTERPRETATION) == 0


def _to_rgb(image: Image.Image, is_negative: bool) -> Image.Image:
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65_535:
            raise ValueError("its pixels are 32-bit numbers; save it with 8 or 16 bits")
        if is_negative:
            values = 65_535 - values
        clear = image.info.get("transparency")
        if isinstance(clear, int):  # the one grey of a PNG that is transparent
            values[values == clear] = 0
        image = Image.fromarray(((values * 255 + 32_767) // 65_535).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    return image.convert("RGB")


def _keep_one_channel(array: Images, path: Path) -> None:
    """Writes the first channel of an array to `path`, where the array itself may be mapped from."""
    aside = path.with_suffix(".grey")
    grey = open_memmap(aside, "w+", np.uint8, (*array.shape[:3], 1))
    start = 0
    for piece in chunks(array):
        grey[start : start + len(piece)] = piece[..., :1]
        start += len(piece)
    aside.replace(path)
