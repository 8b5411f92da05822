"""The command `thumbnet summary`: which network is meant, and its table on the screen.

What a network consists of is worked out by `thumbnet.nets.summary`.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from thumbnet import paths
from thumbnet.errors import UserError, nearest_name
from thumbnet.nets.notation import KINDS, LARGEST, Shape, check_network, parse
from thumbnet.nets.summary import Summary, summarise
from thumbnet.params import ModelParams, NetworkParams, Params, TorchvisionParams, load_params

#: Where nothing tells the number of classes.
USUAL_CLASSES = 10


def describe(
    network: str, image: Shape | None, classes: int | None, changes: Mapping[str, Any], path: Path = paths.PARAMS
) -> Summary:
    """Summarises an entry of `models`, or any line of the network language.

    Args:
        network: a name in `models`, or a line.
        image: the shape of one image; None: that of the data set in params.yaml.
        classes: the number of logits; None: the data set's, and 10 where the image's shape is given.
        changes: fields of `ModelParams` that replace the entry's own, or the line's defaults.
        path: where params.yaml is; it is not needed for a line whose image's shape is given.

    Raises:
        UserError: there is no such entry and the line does not parse, or the network does not fit the images.
    """
    is_line = len(network.split()) != 1
    params = None if is_line and image else _params(path, needed=image is None)
    entry = params.models.get(network) if params else None
    if entry is None and not is_line:
        _refuse_unknown(network, params)
    chosen = _changed(entry or ModelParams(layers=network), changes)
    if image is None:
        assert params is not None  # it was needed
        image, classes = _data_shape(params, classes)
    classes = classes or USUAL_CLASSES
    if isinstance(chosen, ModelParams) and entry is not None:
        check_network(network, chosen, image)  # its messages name the entry
    try:
        return summarise(network, chosen, image, classes)
    except UserError as error:
        where = f"models.{network}" if entry else f"{network!r}, on images of {image}"
        raise UserError(f"{where}: {error}") from None


def read_shape(text: str) -> Shape:
    """The shape of images as a person types it: `3x32x32`, channels first.

    Raises:
        ValueError: it is none.
    """
    match = re.fullmatch(r"(\d{1,7})[x×](\d{1,7})[x×](\d{1,7})", text.strip().lower())
    sides = [int(side) for side in match.groups()] if match else []
    if not sides or not all(1 <= side <= LARGEST for side in sides):
        raise ValueError(f"{text!r} is no shape of an image; write channels x height x width, such as 3x32x32")
    if sides[0] not in (1, 3) and sides[2] in (1, 3):
        raise ValueError(f"{text!r}: channels come first; write {sides[2]}x{sides[0]}x{sides[1]}")
    return Shape(*sides)


def print_summary(summary: Summary, console: Console | None = None) -> None:
    """Prints a summary as a table.

    Args:
        summary: any.
        console: where to; default: the screen.
    """
    console = console or Console(highlight=False, markup=False)
    for line in (summary.title, summary.settings):
        console.print(line, soft_wrap=True)
    table = _table(summary)
    # Cells broken in two would be harder to read than lines that the terminal breaks.
    needed = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    console.width = max(console.width, needed)
    console.print(table)


def _table(summary: Summary) -> Table:
    sight = ["receptive\nfield", "jump"] if summary.is_line else []
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for title in ("layer", "output", "parameters", "", *sight, "multiply-\nadds"):
        left = title in ("layer", "output")
        table.add_column(title, justify="left" if left else "right", no_wrap=True, vertical="bottom")
    for layer in summary.layers:
        sight = [layer.field, str(layer.jump or "")] if summary.is_line else []
        table.add_row(layer.token, summary.shape_of(layer), layer.arithmetic, f"{layer.parameters:,}", *sight,
                      f"{layer.multiply_adds:,}")  # fmt: skip
    table.add_section()
    table.add_row("total", "", "", f"{summary.parameters:,}", *(["", ""] if summary.is_line else []),
                  f"{summary.multiply_adds:,}")  # fmt: skip
    return table


def _params(path: Path, needed: bool) -> Params | None:
    return load_params(path) if needed or path.exists() else None


def _refuse_unknown(network: str, params: Params | None) -> None:
    """A single word that is no entry may be a line of one layer; else it is taken for the one or the other slip."""
    try:
        parse(network)
    except UserError as error:
        names = list(params.models) if params else []
        near = nearest_name(network, names)
        if network[:1] in KINDS and network[1:2].isdigit() and not near:
            raise UserError(f"{network!r}: {error}") from None
        if near:
            hint = f"did you mean {near!r}?"
        else:
            hint = f"models has {', '.join(names)}" if names else "there is no params.yaml here"
        raise UserError(
            f"{network!r} is no entry of models, nor a line of layers such as 'C16 C16+ P G'; {hint}"
        ) from None


def _changed(params: NetworkParams, changes: Mapping[str, Any]) -> NetworkParams:
    if not changes:
        return params
    if isinstance(params, TorchvisionParams):
        options = ", ".join(f"--{name}" for name in changes)
        raise UserError(f"{options}: only a network that is written in a line can be changed; {params.torchvision} is "
                        "torchvision's")  # fmt: skip
    try:
        return ModelParams.model_validate(params.model_dump() | dict(changes))
    except ValidationError as error:
        told = "; ".join(f"--{item['loc'][-1]} = {item['input']!r}: {item['msg']}" for item in error.errors())
        raise UserError(told) from None


def _data_shape(params: Params, given: int | None) -> tuple[Shape, int]:
    """The images and classes of the data set: as the split has found them, else as far as the catalogue knows.

    Args:
        params: the whole `params.yaml`.
        given: a number of classes that is used in place of what is found.
    """
    from thumbnet.data.arrays import INFO, load_info  # loads numpy, which a line with --input does without
    from thumbnet.data.catalogue import CATALOGUE, input_shape

    dataset = params.dataset
    (height, width, channels), classes = input_shape(dataset), len(CATALOGUE[dataset.name].classes)
    if (paths.SPLITS / INFO).exists():
        info = load_info(paths.SPLITS)
        if info.name == dataset.name and info.image_shape[:2] == (height, width):
            (height, width, channels), classes = info.image_shape, len(info.classes)
    classes = given or classes
    if not classes:
        raise UserError(f"how many classes {dataset.path} has is not known before: dvc repro split; or give --classes")
    return Shape(channels, height, width), classes
