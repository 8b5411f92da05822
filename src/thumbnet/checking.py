"""Checks of parameters that need more than their types: whether each network fits the images of the data set."""

from thumbnet.data.catalogue import input_shape
from thumbnet.nets.notation import Shape, check_network
from thumbnet.params import Params


def check_networks(params: Params) -> None:
    """Checks every member's line against the shape of the data set's images.

    Raises:
        UserError: a line does not parse, or its shapes do not fit.
    """
    height, width, channels = input_shape(params.dataset)
    for member in params.members:
        check_network(member, params.models[member], Shape(channels, height, width))
