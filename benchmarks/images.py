"""The images that all variants train on: split and written as arrays once, by the code of thumbnet's own stages."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.networks import Data
from thumbnet.data.arrays import load_split, save_split
from thumbnet.data.catalogue import CATALOGUE
from thumbnet.data.download import download
from thumbnet.data.image_folder import find_layout
from thumbnet.data.normalisation import Statistics, compute
from thumbnet.data.official import WrongContentsError, find_official
from thumbnet.data.split import split
from thumbnet.errors import UserError
from thumbnet.files import fresh_folder, write_json
from thumbnet.params import CorruptionParams, DatasetParams, SplitParams

#: As params.yaml has it: a tenth of train validates.
SPLIT = SplitParams(kind="fraction", validation=0.1)
SEED = 1


@dataclass(frozen=True)
class Prepared:
    """Images that are ready to train on.

    Attributes:
        title: what they are, for people.
        folder: of `train` and `validation`, as `thumbnet.data.arrays` has them.
        image_shape: height, width and channels.
        statistics: of the training images, by channel.
        are_real: whether there is anything to learn.
    """

    title: str
    folder: Path
    image_shape: tuple[int, int, int]
    statistics: Statistics
    are_real: bool


def prepare(data: Data, given: str | None, scratch: Path) -> Prepared:
    """Gets the images of a data set, or random ones of the same shape and number where they cannot be had.

    Args:
        data: which.
        given: a local copy: the official files, or a folder or archive of images as for `image_folder`; None to take
            them from data/local or the web, as the pipeline does.
        scratch: where arrays are kept from one benchmark to the next.

    Raises:
        UserError: the local copy cannot be used.
    """
    dataset = CATALOGUE[data]
    assert dataset.train is not None
    folder, wanted = scratch / data, given or "the web"
    source = folder / "source.json"
    if not (source.exists() and json.loads(source.read_text())["given"] == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        try:
            name = _write(data, given, folder)
        except UserError:
            if given is not None:
                raise
            # Each source has said why it has none.
            print(f"{dataset.title}: random images take its place. Speed is the same on them, and accuracies are left "
                  f"out. With a local copy: make bench {data.upper()}=PATH", flush=True)  # fmt: skip
            return prepare_random(data, dataset.train, scratch)
        write_json(source, {"given": wanted, "name": name})
    files = " from image files" if json.loads(source.read_text())["name"] == "image_folder" else ""
    return _describe(f"{dataset.title}{files}", folder / "splits", are_real=True)


def prepare_random(data: Data, count: int, scratch: Path) -> Prepared:
    """Random images and labels of a data set's shape.

    Args:
        data: which.
        count: of images; a tenth of them validates.
        scratch: as for `prepare`.
    """
    shape = CATALOGUE[data].image_shape
    assert shape is not None
    folder = scratch / f"{data}-random-{count}"
    if not folder.exists():
        generator = np.random.default_rng(SEED)
        with fresh_folder(folder) as aside:
            for name, size in (("train", count - count // 10), ("validation", count // 10)):
                images = generator.integers(256, size=(size, *shape), dtype=np.uint8)
                save_split(aside, name, images, generator.integers(10, size=size))
    return _describe(f"{count:,} random images in the shape of {CATALOGUE[data].title}", folder, are_real=False)


def _describe(title: str, folder: Path, are_real: bool) -> Prepared:
    images, _ = load_split(folder, "train", mmap=True)
    height, width, channels = images.shape[1:]
    return Prepared(title, folder, (height, width, channels), compute(images, "channel"), are_real)


def _write(data: Data, given: str | None, folder: Path) -> str:
    """Writes the splits, and returns the `dataset.name` that they were read as."""
    raw = folder / "raw"
    source = _source(data, given)
    download(source, raw)
    split(raw, folder / "splits", SPLIT, CorruptionParams(label_noise=0.0, pixel_noise=0.0), SEED)
    shutil.rmtree(raw)
    return source.name


def _source(data: Data, given: str | None) -> DatasetParams:
    """The section `dataset` that reads the images."""
    dataset = CATALOGUE[data]
    assert dataset.image_shape is not None
    side = dataset.image_shape[0]
    if given is None:
        return DatasetParams(name=data, path="data/local", image_size=side)
    try:
        find_official(Path(given), dataset)
    except WrongContentsError as official:
        try:
            find_layout(Path(given))
        except UserError as folder:
            raise UserError(
                f"{given} holds {dataset.title} neither as its official files ({official}) nor as a folder of images "
                f"({folder})"
            ) from None
        return DatasetParams(name="image_folder", path=given, image_size=side)
    return DatasetParams(name=data, path=given, image_size=side)
