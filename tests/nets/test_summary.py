"""Summaries: what is worked out from a line is what the built network has, layer by layer."""

import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from thumbnet.errors import UserError
from thumbnet.nets.builder import build_line
from thumbnet.nets.notation import Shape
from thumbnet.nets.summary import Summary, summarise
from thumbnet.params import Activation, ModelParams, NormKind, Order

COLOUR, GREY = Shape(3, 32, 32), Shape(1, 28, 28)
NORMS_STUDY = "C16 C16+ c12 P C32 C32+ C32+ c12 P C32 C32+ C32+ G"

CONVOLUTIONS = ["C2", "C2+", "C4k5", "C2k5+", "C2k3v", "C4k2v/2", "C2/2", "c2", "c2+", "c3/2", "S2", "S2k5+", "S4v/2"]
POOLS = ["P", "P3", "P3/2", "P2/1", "A", "A3/2"]
VALID = ["C2v", "C2k2v", "C2k5v/2", "S2v", "S2k2v/2", "c2", "c2+", "c2/2", *POOLS]
MAPS = st.lists(st.sampled_from([*CONVOLUTIONS, *POOLS, "D.5", "N"]), max_size=6)
VECTORS = st.lists(st.sampled_from(["L4", "L4+", "L6", "D.25", "N"]), max_size=3)


def of(line: str, image: Shape = COLOUR, **choices: Any) -> Summary:
    return summarise("network", ModelParams(layers=line, **choices), image, 10)


@settings(deadline=None, max_examples=60)
@given(
    MAPS,
    st.sampled_from(["G", "F"]),
    VECTORS,
    st.sampled_from(["batch", "group", "layer", "instance", "none"]),
    st.sampled_from(["norm_act", "act_norm"]),
    st.sampled_from(["relu", "prelu", "maxout"]),
)
def test_shapes_parameters_and_multiply_adds_are_those_of_the_built_network(
    maps: list[str], flatten: str, vectors: list[str], norm: NormKind, order: Order, activation: Activation
) -> None:
    params = ModelParams(layers=" ".join([*maps, flatten, *vectors]), norm=norm, order=order, activation=activation)
    image = Shape(2, 12, 15)
    try:
        summary = summarise("network", params, image, classes=5)
    except UserError:
        assume(False)
    network = build_line(params, image, classes=5).eval()
    assert len(network) == len(summary.layers)
    values, flops = torch.randn(1, 2, 12, 15), 0
    with FlopCounterMode(display=False) as counter:
        for module, layer in zip(network, summary.layers, strict=True):
            values = module(values)
            assert layer.output == values.shape[1:], layer
            assert layer.parameters == sum(parameter.numel() for parameter in module.parameters()), layer
            assert eval(layer.arithmetic.replace("·", "*") or "0") == layer.parameters
            flops += 2 * layer.multiply_adds  # PyTorch counts two operations for each
            assert counter.get_total_flops() == flops, layer
    assert summary.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert summary.multiply_adds == sum(layer.multiply_adds for layer in summary.layers)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.sampled_from([*CONVOLUTIONS, *POOLS, "D.5", "N"]), min_size=1, max_size=4))
def test_receptive_field_and_jump_are_what_gradients_show(maps: list[str]) -> None:
    """Of units in the middle of an image so large that no border is near."""
    line = " ".join([*maps, "G"])
    try:
        *_, last, _, _ = of(line, Shape(2, 5000, 5000), norm="batch").layers
    except UserError:
        assume(False)
    assert last.receptive_field is not None
    assert last.jump is not None
    side = 2 * max(last.receptive_field) + 8 * last.jump
    network = positive_network(line, Shape(2, side, side))[: len(maps)]
    images = torch.ones(1, 2, side, side, dtype=torch.float64, requires_grad=True)
    outputs = network(images)
    middle = outputs.shape[-1] // 2
    (first, height), (_, width) = seen(outputs[0, 0, middle, middle], images)
    (following, _), _ = seen(outputs[0, 0, middle + 1, middle], images)
    assert (height, width) == last.receptive_field
    assert following - first == last.jump


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(VALID), max_size=3), st.sampled_from(["G", "F"]), st.integers(12, 20), VECTORS)
def test_without_padding_every_unit_of_every_layer_sees_its_receptive_field(
    maps: list[str], flatten: str, width: int, vectors: list[str]
) -> None:
    line, image = " ".join([*maps, flatten, *vectors]), Shape(2, 16, width)
    try:
        layers = of(line, image, norm="batch").layers
    except UserError:
        assume(False)
    values = images = torch.ones(1, 2, 16, width, dtype=torch.float64, requires_grad=True)
    for module, layer in zip(positive_network(line, image), layers, strict=True):
        values = module(values)
        for unit in (values.flatten()[0], values.flatten()[-1]):
            (_, seen_height), (_, seen_width) = seen(unit, images)
            assert (seen_height, seen_width) == layer.receptive_field, layer


def positive_network(line: str, image: Shape) -> nn.Sequential:
    """The network with weights of one, in which no gradient can vanish; averages in place of maxima, for the same.

    Its normalisation is batch's, with fixed statistics: receptive fields do not follow means over a map.
    """
    network = build_line(ModelParams(layers=line, norm="batch"), image, 10).double().eval()
    for parameter in network.parameters():
        nn.init.ones_(parameter)
    pools = {place: module for place, module in enumerate(network) if isinstance(module, nn.MaxPool2d)}
    for place, pool in pools.items():
        network[place] = nn.AvgPool2d(pool.kernel_size, pool.stride)
    return network


def seen(unit: Tensor, images: Tensor) -> list[tuple[int, int]]:
    """The first row and the number of rows that a unit depends on, and the same of columns."""
    (gradient,) = torch.autograd.grad(unit, images, retain_graph=True)
    places = gradient[0].abs().sum(0).nonzero()  # (n, 2)
    return [(int(axis.min()), int(axis.max() - axis.min()) + 1) for axis in places.T]


@pytest.mark.parametrize(
    ("line", "image", "fields", "jumps"),
    [
        (NORMS_STUDY, COLOUR, [3, 5, 5, 6, 10, 14, 18, 18, 20, 28, 36, 44, 72, 72],
         [1, 1, 1, 2, 2, 2, 2, 2, 4, 4, 4, 4, None, None]),
        (NORMS_STUDY.replace("c12 P C32", "c16 P C32", 1), GREY, [3, 5, 5, 6, 10, 14, 18, 18, 20, 28, 36, 44, 68, 68],
         [1, 1, 1, 2, 2, 2, 2, 2, 4, 4, 4, 4, None, None]),
        ("C8 P G L16 L16+", COLOUR, [3, 4, 34, 34, 34, 34], [1, 2, None, None, None, None]),
        ("F D.5 L16", GREY, [1, 1, 28, 28], [None] * 4),
        ("C8k7/2 N D.5 P3/2 F", COLOUR, [7, 7, 7, 11, 11, 35], [2, 2, 2, 4, None, None]),
    ],
)  # fmt: skip
def test_known_receptive_fields_and_jumps(line: str, image: Shape, fields: list[int], jumps: list[int | None]) -> None:
    layers = of(line, image, norm="batch").as_json()["layers"]
    assert [layer["receptive_field"] for layer in layers] == fields
    assert [layer["jump"] for layer in layers] == jumps


@pytest.mark.parametrize(
    ("line", "choices", "arithmetic"),
    [
        ("C32 G", {}, "3·3·3·32 + 32"),
        ("C32k5v/2 G", {"norm": "batch"}, "5·5·3·32 + 2·32"),
        ("C32 G", {"norm": "layer", "order": "act_norm"}, "3·3·3·32 + 32 + 2·32"),
        ("c16 G", {"norm": "batch"}, "1·1·3·16 + 16"),
        ("S32 G", {"norm": "group"}, "3·3·3 + 3·32 + 2·32"),
        ("C32 G", {"activation": "prelu"}, "3·3·3·32 + 32 + 32"),
        ("C32 G", {"norm": "batch", "activation": "maxout"}, "3·3·3·64 + 2·64"),
        ("C32 G", {"norm": "batch", "activation": "maxout", "order": "act_norm"}, "3·3·3·64 + 64 + 2·32"),
        ("F L100", {}, ""),
    ],
)
def test_the_arithmetic_of_the_first_layer(line: str, choices: dict[str, Any], arithmetic: str) -> None:
    assert of(line, **choices).layers[0].arithmetic == arithmetic


def test_json_has_the_agreed_keys_and_channels_first() -> None:
    values = of("C16 C16+ P G", norm="group").as_json()
    assert values["layers"][2] == {"token": "P", "what": "2×2 max pool", "output_shape": [16, 16, 16], "parameters": 0,
                                   "arithmetic": "", "receptive_field": 6, "jump": 2, "multiply_adds": 0}  # fmt: skip
    assert values["layers"][-1]["token"] == "classifier"
    assert values["layers"][-1]["output_shape"] == [10]
    assert (values["parameters"], values["receptive_field"]) == (464 + 2336 + 170, 36)
    assert values["input_shape"] == [3, 32, 32]


def test_a_field_that_is_not_square_is_height_and_width() -> None:
    summary = of("C4 P G", Shape(3, 20, 12))
    assert [layer["receptive_field"] for layer in summary.as_json()["layers"]] == [3, 4, [22, 14], [22, 14]]
    assert summary.layers[2].field == "22×14"
    assert math.prod(summary.layers[0].output) == 4 * 20 * 12


def test_a_line_is_summarised_without_torch() -> None:
    code = """
        import sys
        from thumbnet.cli import app
        app(["summary", "C16 G", "--input", "3x8x8"], standalone_mode=False)
        print({"torch", "torchvision", "numpy", "matplotlib"} & set(sys.modules))
        """
    done = subprocess.run([sys.executable, "-c", "\n".join(map(str.strip, code.splitlines()))], capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout.splitlines()[-1] == "set()"
