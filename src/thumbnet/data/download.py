"""The download stage: one data set, verified and decoded, as arrays on disk, and its figures on screen.

Where the files come from is left to `sources`, and how they are decoded to `formats`, `digits` and `image_folder`.
"""

import hashlib
from pathlib import Path

import numpy as np

from thumbnet.data.arrays import DatasetInfo, load_split, save_info, save_split, sha256_of
from thumbnet.data.catalogue import CATALOGUE, Dataset
from thumbnet.data.digits import read_digits
from thumbnet.data.fetch import Limits, progress_bar
from thumbnet.data.formats import Decoded, decode
from thumbnet.data.image_folder import Layout, find_layout, write_images
from thumbnet.data.sources import LOCAL_COPY_VARIABLE, local_places, obtain
from thumbnet.errors import UserError
from thumbnet.files import fresh_folder
from thumbnet.params import DatasetParams


def download(params: DatasetParams, destination: Path, limits: Limits | None = None) -> DatasetInfo:
    """Gets a data set, verifies and decodes it, writes it, and prints its shapes and class counts.

    Args:
        params: the `dataset` section of `params.yaml`.
        destination: the folder to write, replaced as a whole: `{train,test}_{images,labels}.npy` and `dataset.json`,
            the same bytes whatever the source.
        limits: time limits of each web source; default: `Limits()`.

    Returns:
        What was written.

    Raises:
        UserError: no source has the data set, or the image folder cannot be used.
    """
    dataset = CATALOGUE[params.name]
    with fresh_folder(destination) as folder:
        if dataset.files:
            contents = obtain(dataset, params.path, limits or Limits())
            decoded = decode(dataset, contents)
            sha256 = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(contents.items())}
            info = _save_decoded(dataset, decoded, sha256, folder)
        elif dataset.name == "digits":
            decoded = read_digits()
            sha256 = {split: sha256_of(images, labels) for split, (images, labels) in decoded.items()}
            info = _save_decoded(dataset, decoded, sha256, folder)
        else:
            info = _save_image_folder(_find_images(params.path), params.image_size, folder)
        save_info(folder, info)
        table = _class_table(info, folder)
    print(f"{dataset.title}: {_in_words(info)}\n{table}")
    return info


def _save_decoded(dataset: Dataset, decoded: Decoded, sha256: dict[str, str], folder: Path) -> DatasetInfo:
    _check(dataset, decoded)
    for split, (images, labels) in decoded.items():
        save_split(folder, split, images, labels)
    shape = decoded["train"][0].shape
    counts = {split: len(labels) for split, (_, labels) in decoded.items()}
    return DatasetInfo(dataset.name, dataset.classes, (shape[1], shape[2], shape[3]), counts, sha256)


def _check(dataset: Dataset, decoded: Decoded) -> None:
    """Compares shapes, counts and classes with the catalogue: verified files that differ would be a mistake of ours."""
    for split, expected in (("train", dataset.train), ("test", dataset.test)):
        images, labels = decoded[split]
        if images.shape != (expected, *(dataset.image_shape or ())) or len(labels) != expected:
            raise ValueError(f"{dataset.title}: {split} has images {images.shape} and labels {labels.shape}")
        if np.unique(labels).tolist() != list(range(len(dataset.classes))):
            raise ValueError(f"{dataset.title}: {split} has the labels {np.unique(labels)}")


def _find_images(path: str) -> Layout:
    """The layout of the first local place that has images in `train/<class>/`."""
    failures = []
    for label, place in local_places(path):
        try:
            return find_layout(place)
        except UserError as error:
            failures.append(f"    {label}: {str(error).removeprefix(f'{place}: ')}")
    raise UserError(
        "no usable image folder. Tried:\n" + "\n".join(failures) + "\n"
        f"  dataset.path or the environment variable {LOCAL_COPY_VARIABLE} must name a folder, .zip or .tar with\n"
        "  train/<class>/* and, optionally, test/<class>/*"
    )


def _save_image_folder(layout: Layout, image_size: int, folder: Path) -> DatasetInfo:
    print(f"image folder: found in {layout.place}", flush=True)
    if layout.ignored:
        print("image folder: not read: " + ", ".join(f"{what} ({n:,})" for what, n in sorted(layout.ignored.items())))
    with progress_bar("images") as report:
        write_images(layout, image_size, folder, report)
    sha256, counts = {}, {}
    for split in layout.files:
        images, labels = load_split(folder, split, mmap=True)
        sha256[split], counts[split] = sha256_of(images, labels), len(labels)
    shape = images.shape
    return DatasetInfo("image_folder", layout.classes, (shape[1], shape[2], shape[3]), counts, sha256)


def _in_words(info: DatasetInfo) -> str:
    height, width, channels = info.image_shape
    colour = {1: "grey", 3: "colour"}[channels]
    return (
        f"{info.counts['train']:,} training and {info.counts['test']:,} test images, "
        f"{height}×{width}, {colour}, {len(info.classes)} classes"
    )


def _class_table(info: DatasetInfo, folder: Path) -> str:
    """Images per class and split, one line per class."""
    per_class = {
        split: np.bincount(load_split(folder, split, mmap=True)[1], minlength=len(info.classes))
        for split in info.counts
    }
    width = max(len(name) for name in (*info.classes, "class"))
    rows = [f"  {'class':{width}}" + "".join(f"  {split:>9}" for split in per_class)]
    for label, name in enumerate(info.classes):
        rows.append(f"  {name:{width}}" + "".join(f"  {counts[label]:>9,}" for counts in per_class.values()))
    return "\n".join(rows)
