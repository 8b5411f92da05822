"""From a parsed line to a PyTorch module, with its initial weights.

The classifier, a dense layer to the number of classes, is always appended. Where normalisations and biases stand is
decided by `thumbnet.nets.notation`.
"""

from collections import OrderedDict

from torch import nn

from thumbnet.nets.initialisers import initialise
from thumbnet.nets.layers import Residual, StridedPointwise, make_activation, make_norm
from thumbnet.nets.notation import (
    Shape,
    Step,
    check_norms,
    computed_channels,
    has_bias,
    normalised_shape,
    parse,
    plan,
)
from thumbnet.params import ModelParams, NetworkParams, TorchvisionParams


def build_network(params: NetworkParams, image: Shape, classes: int) -> nn.Module:
    """Builds an entry of `models`: a line of the network language, or a network of torchvision's.

    Args:
        params: the line with its normalisation, activation and initialiser; or the name in torchvision.
        image: the shape of one image.
        classes: the number of logits.

    Returns:
        A module from (n, channels, height, width), float, to logits (n, classes). Its weights are drawn from
        PyTorch's global generator: seed that first.

    Raises:
        UserError: the network does not parse, or does not fit the images.
    """
    if isinstance(params, TorchvisionParams):
        from thumbnet.nets.pretrained import build_torchvision  # torchvision takes seconds to load

        return build_torchvision(params, image, classes)
    return build_line(params, image, classes)


def build_line(params: ModelParams, image: Shape, classes: int) -> nn.Sequential:
    """Builds a network of the language of `thumbnet.nets.notation`: as `build_network`.

    Returns:
        One module per token, in order, and the classifier after them.
    """
    steps = plan(parse(params.layers), image)
    check_norms(steps, params)
    layers = [_make_layer(step, params) for step in steps]
    features = steps[-1].after.channels if steps else image.size
    network = nn.Sequential(*layers, nn.Linear(features, classes))
    initialise(network, params.init)
    return network


def count_parameters(network: nn.Module) -> int:
    """The number of trained values."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def _make_layer(step: Step, params: ModelParams) -> nn.Module:
    token = step.token
    match token.kind:
        case "C" | "c" | "S" | "L":
            return _make_block(step, params)
        case "P":
            return nn.MaxPool2d(token.window, token.effective_stride)
        case "A":
            return nn.AvgPool2d(token.window, token.effective_stride)
        case "G":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "F":
            return nn.Flatten()
        case "D":
            return nn.Dropout(token.number or 0.0)
        case "N":
            return make_norm(params.norm, step.after, params.groups)


def _make_block(step: Step, params: ModelParams) -> nn.Sequential:
    """Weights, then normalisation and activation in their order, then perhaps the input added."""
    after: dict[str, nn.Module] = {}
    normalised = normalised_shape(step, params)
    if normalised is not None:
        after["norm"] = make_norm(params.norm, normalised, params.groups)
    if step.token.is_activated:
        after["activation"] = make_activation(params.activation, step.after.channels)
    if params.order == "act_norm":
        after = dict(reversed(after.items()))
    block = Residual if step.token.residual else nn.Sequential
    return block(OrderedDict(_make_weights(step, params) | after))


def _make_weights(step: Step, params: ModelParams) -> dict[str, nn.Module]:
    token = step.token
    before, after, bias = step.before.channels, computed_channels(step, params), has_bias(step, params)
    if token.kind == "L":
        return {"dense": nn.Linear(before, after, bias)}
    padding = 0 if token.valid else token.window // 2
    if token.kind == "S":
        return {
            "depthwise": nn.Conv2d(
                before, before, token.window, token.effective_stride, padding, groups=before, bias=False
            ),
            "pointwise": nn.Conv2d(before, after, 1, bias=bias),
        }
    kind = StridedPointwise if token.window == 1 and token.effective_stride > 1 else nn.Conv2d
    return {"conv": kind(before, after, token.window, token.effective_stride, padding, bias=bias)}
