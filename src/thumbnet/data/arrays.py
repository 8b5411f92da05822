"""Data sets on disk, after decoding: a folder with one pair of `.npy` files per split and a `dataset.json`.

Images are uint8, labels int64, and every array can be memory-mapped. Folders and files are written aside and renamed,
so that an interrupted stage leaves nothing that looks complete.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thumbnet.errors import UserError
from thumbnet.files import write_json

Images = NDArray[np.uint8]  # (n, height, width, channels)
Labels = NDArray[np.int64]  # (n,)

INFO = "dataset.json"

#: About how much of a large array is in memory at a time.
CHUNK_BYTES = 8 * 2**20


@dataclass(frozen=True)
class DatasetInfo:
    """What a folder of arrays holds: the contents of its `dataset.json`."""

    name: str
    classes: tuple[str, ...]
    #: Height, width, channels.
    image_shape: tuple[int, int, int]
    #: Images per split.
    counts: dict[str, int]
    #: Of the official contents where there are such (by file), else of the arrays (by split).
    sha256: dict[str, str]


def images_file(folder: Path, split: str) -> Path:
    """Where the images of a split are."""
    return folder / f"{split}_images.npy"


def labels_file(folder: Path, split: str) -> Path:
    """Where the labels of a split are."""
    return folder / f"{split}_labels.npy"


def load_split(folder: Path, split: str, mmap: bool = False) -> tuple[Images, Labels]:
    """Reads one split.

    Args:
        folder: `data/splits` or `data/raw/<dataset>`.
        split: `train`, `validation` (of `data/splits` only) or `test`.
        mmap: leave the images on disk and map them read-only.

    Returns:
        Images, uint8, (n, height, width, channels), and labels, int64, (n,).

    Raises:
        UserError: a file is missing.
    """
    try:
        images = np.load(images_file(folder, split), mmap_mode="r" if mmap else None)
        labels = np.load(labels_file(folder, split))
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing; to make it: dvc repro") from None
    return images, labels


def save_split(folder: Path, split: str, images: Images, labels: Labels) -> None:
    """Writes one split; `folder` is one that `fresh_folder` gave."""
    np.save(images_file(folder, split), images)
    np.save(labels_file(folder, split), labels.astype(np.int64, copy=False))


def save_names(folder: Path, split: str, names: Sequence[str]) -> None:
    """Writes which file each image of a split was, where they were files.

    Args:
        folder: as for `save_split`.
        split: as for `load_split`.
        names: of the files, one an image; bytes that are no UTF-8 are written as `\\xff`.
    """
    told = [name.encode("utf-8", "backslashreplace").decode("utf-8") for name in names]
    _names_file(folder, split).write_text(json.dumps(told, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")


def load_names(folder: Path, split: str) -> list[str]:
    """Which file each image of a split was, relative to `dataset.path`; empty where they were no files."""
    try:
        names: list[str] = json.loads(_names_file(folder, split).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    return names


def _names_file(folder: Path, split: str) -> Path:
    return folder / f"{split}_files.json"


def load_info(folder: Path) -> DatasetInfo:
    """Reads the `dataset.json` of a folder of arrays.

    Raises:
        UserError: it is missing.
    """
    try:
        content = json.loads((folder / INFO).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing; to make it: dvc repro") from None
    height, width, channels = content["image_shape"]
    return DatasetInfo(
        name=content["name"],
        classes=tuple(content["classes"]),
        image_shape=(height, width, channels),
        counts=content["counts"],
        sha256=content["sha256"],
    )


def save_info(folder: Path, info: DatasetInfo) -> None:
    """Writes the `dataset.json`; `folder` is one that `fresh_folder` gave."""
    write_json(folder / INFO, asdict(info))


def sha256_of(*arrays: NDArray[Any]) -> str:
    """The sha256 over the bytes of the arrays, one after the other, in C order; a mapped array is read in pieces."""
    digest = hashlib.sha256()
    for array in arrays:
        for piece in chunks(array):
            digest.update(np.ascontiguousarray(piece).data if piece.size else b"")
    return digest.hexdigest()


def chunks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Slices of the array along its first axis, each of about `CHUNK_BYTES`."""
    rows = rows_per_chunk(array)
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def rows_per_chunk(array: NDArray[Any]) -> int:
    """How many entries along the first axis make about `CHUNK_BYTES`; at least 1."""
    return max(1, CHUNK_BYTES // max(1, array[:1].nbytes))
