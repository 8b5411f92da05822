"""From a parsed line to a PyTorch module, with its initial weights.

A layer carries a bias exactly where no normalisation follows it. The classifier, a dense layer to the number of
classes, is always appended.
"""

from torch import nn

from thumbnet.nets.layers import Block, make_norm
from thumbnet.nets.notation import Shape, Step, check_norm, is_normalised, parse, plan
from thumbnet.params import ModelParams


def build_network(params: ModelParams, image: Shape, classes: int) -> nn.Sequential:
    """Builds a network of the language of `thumbnet.nets.notation`.

    Args:
        params: the line and its normalisation.
        image: the shape of one image.
        classes: the number of logits.

    Returns:
        A module from (n, channels, height, width), float, to logits (n, classes). Its weights are drawn from
        PyTorch's global generator: seed that first.

    Raises:
        UserError: the line does not parse, or does not fit the images.
    """
    steps = plan(parse(params.layers), image)
    layers = [_make_layer(step, position, params) for position, step in enumerate(steps, start=1)]
    features = steps[-1].after.channels if steps else image.size
    network = nn.Sequential(*layers, nn.Linear(features, classes))
    initialise(network)
    return network


def initialise(network: nn.Module) -> None:
    """Draws kernels from He et al. 2015 (normal, variance 2 / fan-in), and sets biases to zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def count_parameters(network: nn.Module) -> int:
    """The number of trained values."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


def _make_layer(step: Step, position: int, params: ModelParams) -> nn.Module:
    token = step.token
    match token.kind:
        case "C" | "c" | "L":
            return _make_block(step, position, params)
        case "P":
            return nn.MaxPool2d(token.count)
        case "G":
            return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        case "F":
            return nn.Flatten()
        case "D":
            return nn.Dropout(token.number or 0.0)


def _make_block(step: Step, position: int, params: ModelParams) -> Block:
    token = step.token
    check_norm(step, position, params.norm, params.groups)
    normalised = is_normalised(token)
    flat = token.kind == "L"
    norm = make_norm(params.norm, token.count, params.groups, flat) if normalised else None
    bias = norm is None
    weight: nn.Module
    if flat:
        weight = nn.Linear(step.before.channels, token.count, bias=bias)
    else:
        kernel = 3 if token.kind == "C" else 1
        weight = nn.Conv2d(step.before.channels, token.count, kernel, padding=kernel // 2, bias=bias)
    return Block(weight, norm, activated=normalised, residual=token.residual)
