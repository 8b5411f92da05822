"""Checks of parameters that need more than their types: whether networks fit the images, and paths lead somewhere."""

from pathlib import Path

from thumbnet import paths
from thumbnet.data.catalogue import input_shape
from thumbnet.errors import UserError
from thumbnet.nets.notation import Shape, check_network, parse
from thumbnet.params import Params


def check_all(params: Params) -> None:
    """Checks whatever can be checked before anything runs.

    Raises:
        UserError: something does not fit; the message names the parameter.
    """
    check_local_copy(params)
    check_networks(params)


def check_local_copy(params: Params) -> None:
    """Checks that `dataset.path` is there.

    Raises:
        UserError: it is not.
    """
    path = Path(params.dataset.path)
    if path.exists():
        return
    if (paths.checkout_root() / path).exists():
        remedy = "DVC's temporary copies hold only what git or DVC tracks: give the full path"
    elif params.dataset.path.startswith("~"):
        remedy = "~ is not expanded here: give the full path"
    elif path == Path("data/local"):
        remedy = "bring back the folder with: git checkout data/local"
    else:
        remedy = "allowed are a folder or an archive; for downloads leave it at data/local"
    raise UserError(f"dataset.path = {params.dataset.path!r}: there is no such file or folder; {remedy}")


def check_networks(params: Params) -> None:
    """Checks every member's line against the shape of the data set's images.

    Raises:
        UserError: a line does not parse, or its shapes do not fit.
    """
    height, width, channels = input_shape(params.dataset)
    for member in params.members:
        model = params.models[member]
        check_network(member, model, Shape(channels, height, width))
        # Over one flat vector there is nothing to take a mean of; a map still has its places.
        if params.train.batch_size == 1 and model.norm == "batch" and any(t.kind == "L" for t in parse(model.layers)):
            raise UserError(
                f"train.batch_size = 1: batch normalisation after a dense layer (models.{member}) needs at least 2"
            )
