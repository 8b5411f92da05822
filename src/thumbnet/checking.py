"""Checks of parameters that need more than their types: whether networks fit the images, and paths lead somewhere."""

import os
from pathlib import Path

from thumbnet import paths
from thumbnet.data.catalogue import CATALOGUE, input_shape
from thumbnet.errors import UserError
from thumbnet.nets.notation import Shape, check_network, normalised_shape, parse, plan
from thumbnet.params import ModelParams, Params, TorchvisionParams


def check_all(params: Params) -> None:
    """Checks whatever can be checked before anything runs.

    Raises:
        UserError: something does not fit; the message names the parameter.
    """
    check_local_copy(params)
    check_split(params)
    check_augmentation(params)
    check_networks(params)
    check_bars(params)


def check_local_copy(params: Params) -> None:
    """Checks that `dataset.path` is there.

    Raises:
        UserError: it is not.
    """
    if "\0" in params.dataset.path:
        raise UserError(f"dataset.path = {params.dataset.path!r}: no file has such a name")
    path = Path(params.dataset.path)
    here = Path.cwd()
    if params.dataset.path.strip() == "" or here.is_relative_to(path.resolve()) or path.resolve() == here / "data":
        raise UserError(
            f"dataset.path = {params.dataset.path!r} holds the project's own results; allowed are a folder or an "
            "archive of images, such as data/local"
        )
    if os.path.exists(path):  # False, not an error, for a name that is too long
        return
    if os.path.exists(paths.checkout_root() / path):
        remedy = "DVC's temporary copies hold only what git or DVC tracks: give the full path"
    elif params.dataset.path.startswith("~"):
        remedy = "~ is not expanded here: give the full path"
    elif path == Path("data/local"):
        remedy = "bring back the folder with: git checkout data/local"
    else:
        remedy = "allowed are a folder or an archive; for downloads leave it at data/local"
    raise UserError(f"dataset.path = {params.dataset.path!r}: there is no such file or folder; {remedy}")


def check_split(params: Params) -> None:
    """Checks that the validation images fit into a split whose size the catalogue knows.

    Raises:
        UserError: they do not.
    """
    dataset, wanted = CATALOGUE[params.dataset.name], params.split.validation
    kind = params.split.kind
    available = {"holdout": dataset.train, "test_halves": dataset.test}.get(kind)  # other kinds need no number
    if available is not None and wanted >= available:
        part = "training" if kind == "holdout" else "test"
        raise UserError(
            f"split.validation = {wanted:g} of {kind}: {dataset.title} has {available:,} {part} images; allowed is less"
        )


def check_augmentation(params: Params) -> None:
    """Checks that something is left of an image that is shifted or cut out.

    Raises:
        UserError: a shift or a square may be as large as the image.
    """
    height, width, _ = input_shape(params.dataset)
    side = min(height, width)
    pixels = {"augment.crop": params.augment.crop, "augment.cutout": params.augment.cutout,
              "evaluate.shift": params.evaluate.shift}  # fmt: skip
    for name, value in pixels.items():
        if value >= side:
            raise UserError(
                f"{name} = {value}: nothing would be left of images of {height}×{width}; allowed are 0 to {side - 1}"
            )


def check_bars(params: Params) -> None:
    """Checks that the images of `gallery.bars` are in a test split whose size the catalogue knows.

    Raises:
        UserError: one is not.
    """
    count = CATALOGUE[params.dataset.name].test
    if count is None:
        return  # the stage `gallery` tells
    if params.split.kind == "test_halves":
        count -= int(params.split.validation)
    beyond = [index for index in params.gallery.bars if index >= count]
    if beyond:
        raise UserError(f"gallery.bars names image {beyond[0]}: test has {count:,}; allowed are 0 to {count - 1}")


def check_networks(params: Params) -> None:
    """Checks every member's line against the shape of the data set's images.

    Raises:
        UserError: a line does not parse, or its shapes do not fit.
    """
    height, width, channels = input_shape(params.dataset)
    image = Shape(channels, height, width)
    for member in params.members:
        model = params.models[member]
        if isinstance(model, TorchvisionParams):
            from thumbnet.nets.pretrained import check_torchvision  # loads torch

            check_torchvision(member, model, image, params.train.batch_size)
            continue
        check_network(member, model, image)
        if params.train.batch_size == 1 and model.norm == "batch":
            check_batches_of_one(member, model, image)


def check_batches_of_one(member: str, model: ModelParams, image: Shape) -> None:
    """Batch normalisation takes means over a batch and its places, and there must be more than one value.

    Raises:
        UserError: a layer has a single value per channel.
    """
    for step in plan(parse(model.layers), image):
        shape = normalised_shape(step, model)
        if shape is not None and shape.size == shape.channels:
            raise UserError(
                f"train.batch_size = 1: batch normalisation after {step.token} (models.{member}) needs at least 2, as "
                f"the layer has a single value per channel"
            )
