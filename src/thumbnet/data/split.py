"""The split stage: which images train, which validate, which test.

Validation images are cut from train or from test as `split` says, and where there is no test set one is cut from train
as well. Images are copied in pieces, so that any number of them fits in memory; noise is put on train alone.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from thumbnet.data.arrays import (
    DatasetInfo,
    Labels,
    images_file,
    labels_file,
    load_info,
    load_names,
    load_split,
    rows_per_chunk,
    save_info,
    save_names,
    sha256_of,
)
from thumbnet.data.corruption import TRUE_LABELS, add_pixel_noise, draw_labels
from thumbnet.errors import UserError
from thumbnet.files import fresh_folder
from thumbnet.params import CorruptionParams, SplitParams

Indices = NDArray[np.int64]  # (n,)

#: For each new split: which of the raw ones it is cut from, and the images it takes of it, ascending.
Plan = dict[str, tuple[str, Indices]]


def split(raw: Path, destination: Path, params: SplitParams, corruption: CorruptionParams, seed: int) -> DatasetInfo:
    """Divides a data set into train, validation and test, corrupts train if asked to, and prints what was done.

    Args:
        raw: the folder that `download` wrote.
        destination: the folder to write, replaced as a whole: `{train,validation,test}_{images,labels}.npy` and
            `dataset.json`; of images that were files also their names; where labels are noisy, also
            `train_true_labels.npy`, what they were.
        params: the `split` section of `params.yaml`.
        corruption: its `corruption` section.
        seed: decides where chance does: for `fraction`, for a test set cut from train, and for noise.

    Returns:
        What was written.

    Raises:
        UserError: there are too few images for such a split, in all or of a class.
    """
    info = load_info(raw)
    train_labels, test_labels = load_split(raw, "train", mmap=True)[1], load_split(raw, "test", mmap=True)[1]
    plan = plan_split(train_labels, test_labels, params, seed, info.classes)
    _check_classes(train_labels[plan["train"][1]], info.classes)
    with fresh_folder(destination) as folder:
        for name, (source, indices) in plan.items():
            _copy(raw, source, indices, folder, name)
        _corrupt(folder, corruption, len(info.classes), seed)
        sha256 = {name: sha256_of(*load_split(folder, name, mmap=True)) for name in plan}
        counts = {name: len(indices) for name, (_, indices) in plan.items()}
        result = DatasetInfo(info.name, info.classes, info.image_shape, counts, sha256)
        save_info(folder, result)
    print("  ".join(f"{name} {count:,}" for name, count in counts.items()))
    return result


def plan_split(
    train_labels: Labels, test_labels: Labels, params: SplitParams, seed: int, classes: Sequence[str]
) -> Plan:
    """Decides which image goes where.

    `holdout` takes the last `validation` images of train, `fraction` that share of each class of train, `test_halves`
    the first `validation` images of test. `train_test` leaves train whole and validates on the test images, which a
    line warns of. Without test images, as many as there are for validation are cut from the rest of train, the same
    share of each class, and a line says so.

    Args:
        train_labels: classes of the raw training images, (n,).
        test_labels: classes of the raw test images, (n,); n may be 0.
        params: the `split` section of `params.yaml`.
        seed: as for `split`.
        classes: their names, for messages.

    Raises:
        UserError: as `split`.
    """
    everything = np.arange(len(train_labels))
    all_of_test = np.arange(len(test_labels))
    if params.kind in ("test_halves", "train_test") and len(test_labels) == 0:
        raise UserError(f"split.kind = {params.kind} takes validation from test, and this data set has no test images;"
                        " allowed are holdout and fraction")  # fmt: skip
    if params.kind == "train_test":
        print("warning: split.kind = train_test validates on the test images: epochs and members are chosen by the"
              " images that judge them, so that their test accuracies come out too high")  # fmt: skip
        return {
            "train": ("train", everything),
            "validation": ("test", all_of_test),
            "test": ("test", all_of_test),
        }
    if params.kind == "test_halves":
        size = int(params.validation)
        _check_size(params, size, len(test_labels), "test images")
        return {
            "train": ("train", everything),
            "validation": ("test", all_of_test[:size]),
            "test": ("test", all_of_test[size:]),
        }
    if params.kind == "holdout":
        size = int(params.validation)
        _check_size(params, size, len(train_labels), "training images")
        train, validation = everything[:-size], everything[-size:]
    else:
        _check_each_class(train_labels, ", too few", classes)
        train, validation = _stratified(everything, train_labels, float(params.validation), seed, params)
    if len(test_labels):
        return {"train": ("train", train), "validation": ("train", validation), "test": ("test", all_of_test)}
    _check_size(params, 2 * len(validation), len(train_labels), "training images, as many again being the test set")
    _check_each_class(train_labels[train], " is left by validation, too few", classes)
    train, test = _stratified(train, train_labels, len(validation), seed, params)
    print(f"no test images are given: {len(test):,} of train, of each class its share, are the test set")
    return {"train": ("train", train), "validation": ("train", validation), "test": ("train", test)}


def _check_size(params: SplitParams, size: int, available: int, of_what: str) -> None:
    if size >= available:
        raise UserError(
            f"split.validation = {params.validation:,g} leaves nothing of {available:,} {of_what}; give a smaller "
            "number"
        )


def _check_classes(labels: Labels, classes: Sequence[str]) -> None:
    lost = [name for label, name in enumerate(classes) if label not in labels]
    if lost:
        raise UserError(f"split.validation leaves no training images of {', '.join(lost)}; give a smaller number")


def _check_each_class(labels: Labels, why: str, classes: Sequence[str]) -> None:
    """A split by class needs two images of each: one on either side."""
    counts = np.bincount(labels, minlength=len(classes)).tolist()
    single = [name for name, count in zip(classes, counts, strict=True) if count == 1]
    if single:
        raise UserError(
            f"{', '.join(single)}: 1 training image{why} for a split by class, which needs 2 or more of each; add "
            "images, or leave the class out"
        )


def _stratified(
    indices: Indices, labels: Labels, size: int | float, seed: int, params: SplitParams
) -> tuple[Indices, Indices]:
    """Cuts `size` (a number or a share) of the indices off, at random, the same share of each class.

    Returns:
        What is left, and what is cut off, each ascending.
    """
    from sklearn.model_selection import train_test_split  # takes a second to load, and a holdout does without

    classes = len(np.unique(labels[indices]))
    cut_off = size if isinstance(size, int) else math.ceil(size * len(indices))
    for images, change in ((cut_off, "larger"), (len(indices) - cut_off, "smaller")):
        if images < classes:
            raise UserError(
                f"split.validation = {params.validation:,g} makes a split of {images:,} images, too few for one of "
                f"each of {classes:,} classes; give a {change} number"
            )
    left, cut = train_test_split(indices, test_size=size, random_state=seed, stratify=labels[indices])
    return np.sort(left), np.sort(cut)


def _copy(raw: Path, source: str, indices: Indices, folder: Path, name: str) -> None:
    """Copies the chosen images, their labels and the names of their files to a new split."""
    images, labels = load_split(raw, source, mmap=True)
    copied = open_memmap(images_file(folder, name), "w+", np.uint8, (len(indices), *images.shape[1:]))
    rows = rows_per_chunk(images)
    for start in range(0, len(indices), rows):
        copied[start : start + rows] = images[indices[start : start + rows]]
    copied.flush()
    np.save(labels_file(folder, name), labels[indices])
    if names := load_names(raw, source):
        save_names(folder, name, [names[index] for index in indices])


def _corrupt(folder: Path, params: CorruptionParams, classes: int, seed: int) -> None:
    """Puts the noise that is asked for on the training split."""
    if params.label_noise:
        labels = np.load(labels_file(folder, "train"))
        noisy = draw_labels(labels, params.label_noise, classes, seed)
        np.save(folder / TRUE_LABELS, labels)
        np.save(labels_file(folder, "train"), noisy)
        drawn, wrong = round(params.label_noise * len(labels)), np.count_nonzero(noisy != labels)
        print(f"label noise: {drawn:,} of {len(labels):,} training labels drawn anew, {wrong:,} of them are wrong now")
    if params.pixel_noise:
        images = open_memmap(images_file(folder, "train"), "r+")
        add_pixel_noise(images, params.pixel_noise, seed)
        images.flush()
        print(f"pixel noise: of variance {params.pixel_noise:g} on {len(images):,} training images")
