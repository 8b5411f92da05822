"""Networks as PyTorch modules: their sizes worked out by hand, their shapes, their biases, and raw pixels as input."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from thumbnet.errors import UserError
from thumbnet.nets.builder import build_network, count_parameters
from thumbnet.nets.layers import Classifier
from thumbnet.nets.notation import Shape, parse, plan
from thumbnet.params import ModelParams, NormKind, load_params

GREY, COLOUR = Shape(1, 28, 28), Shape(3, 32, 32)
DEFAULTS = load_params(Path(__file__).parents[2] / "params.yaml")
N1 = "C16 C16+ c12 P C32 C32+ C32+ c12 P C32 C32+ C32+ G"
NORMS: list[NormKind] = ["batch", "group", "layer", "none"]


def build(line: str, norm: NormKind = "none", image: Shape = GREY, classes: int = 10, groups: int = 2) -> nn.Sequential:
    torch.manual_seed(0)
    return build_network(ModelParams(layers=line, norm=norm, groups=groups), image, classes).eval()


@pytest.mark.parametrize(
    ("line", "norm", "image", "parameters"),
    [
        ("F", "none", GREY, 784 * 10 + 10),
        ("F", "none", GREY, 7_850),
        ("F L128", "none", GREY, 101_770),
        ("F L4000", "none", COLOUR, 12_332_010),
        ("F L2048 L1024 L512 L256", "none", COLOUR, 9_050_378),
        ("F L128", "batch", GREY, 784 * 128 + 2 * 128 + 128 * 10 + 10),
        ("C4 G", "none", GREY, (9 * 4 + 4) + (4 * 10 + 10)),
        ("C4 G", "batch", GREY, (9 * 4 + 2 * 4) + (4 * 10 + 10)),
        ("C4 c3 G", "layer", COLOUR, (3 * 9 * 4 + 2 * 4) + (4 * 3 + 3) + (3 * 10 + 10)),
        ("C4 C4+ D.5 P F", "group", GREY, (9 * 4 + 2 * 4) + (4 * 9 * 4 + 2 * 4) + (14 * 14 * 4 * 10 + 10)),
        # (144 + 32) + (2,304 + 32) + 204 + (3,456 + 64) + 2 · (9,216 + 64) + 396 + the same again, and 330.
        (N1, "batch", GREY, 176 + 2_336 + 204 + (3_520 + 18_560) + 396 + (3_520 + 18_560) + 330),
    ],
)
def test_the_number_of_parameters(line: str, norm: NormKind, image: Shape, parameters: int) -> None:
    assert count_parameters(build(line, norm, image)) == parameters


@pytest.mark.parametrize("image", [GREY, COLOUR], ids=str)
@pytest.mark.parametrize("member", DEFAULTS.members)
def test_the_default_networks_have_fewer_than_50_000_parameters(member: str, image: Shape) -> None:
    model = DEFAULTS.models[member]
    assert count_parameters(build_network(model, image, 10)) < 50_000
    assert any(token.residual for token in parse(model.layers)), "one layer is added to another"


@pytest.mark.parametrize("norm", NORMS)
def test_a_bias_is_where_no_normalisation_follows(norm: NormKind) -> None:
    network = build("C4 c6 P C4 F L8", norm)
    first, transition, second, dense, classifier = (
        module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)
    )
    for followed in (first, second, dense):
        assert (followed.bias is None) == (norm != "none")
    assert transition.bias is not None
    assert classifier.bias is not None


def test_layer_normalisation_is_group_normalisation_with_one_group() -> None:
    images = torch.randn(5, 1, 28, 28)
    layer, group = build("C6 F L8", "layer"), build("C6 F L8", "group", groups=1)
    assert torch.equal(layer(images), group(images))
    features = torch.randn(5, 6, 28, 28)
    norm = build("C6 F", "layer").get_submodule("0.norm")
    expected = (features - features.mean((1, 2, 3), keepdim=True)) / features.std((1, 2, 3), correction=0, keepdim=True)
    torch.testing.assert_close(norm(features), expected, rtol=1e-4, atol=1e-4)


def test_the_layers_compute_what_their_names_say() -> None:
    """C: convolution, batch norm, ReLU, then the input added; c: convolution alone; P, G: pools."""
    network: Any = build("C4 C4+ c3 P3 G", "batch")
    images = torch.randn(2, 1, 28, 28)
    with torch.no_grad():
        for norm in (network[0].norm, network[1].norm):
            norm.weight.uniform_(0.5, 2)
            norm.bias.uniform_(-1, 1)
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)

        def normalised_conv(block: Any, inputs: Tensor) -> Tensor:
            conv, norm = block.weight, block.norm
            outputs = nn.functional.conv2d(inputs, conv.weight, padding=1)
            mean, std = norm.running_mean, (norm.running_var + norm.eps).sqrt()
            scaled = (outputs - mean[:, None, None]) / std[:, None, None]
            shifted: Tensor = scaled * norm.weight[:, None, None] + norm.bias[:, None, None]
            return shifted.clamp(min=0)

        first = normalised_conv(network[0], images)
        second = normalised_conv(network[1], first) + first
        third = torch.einsum("oi,nihw->nohw", network[2].weight.weight[..., 0, 0], second)
        third = third + network[2].weight.bias[:, None, None]
        pooled = third[:, :, :27, :27].reshape(2, 3, 9, 3, 9, 3).amax((3, 5)).mean((2, 3))  # the last row is left out
        expected = pooled @ network[5].weight.T + network[5].bias
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)


MAP_TOKENS = ["C4", "C4+", "C6", "c3", "c3+", "P", "P3", "D.5"]
FLAT_TOKENS = ["L4", "L4+", "L6", "D.25"]


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.sampled_from(MAP_TOKENS), max_size=6),
    st.sampled_from(["G", "F"]),
    st.lists(st.sampled_from(FLAT_TOKENS), max_size=3),
    st.sampled_from(NORMS),
)
def test_what_can_be_planned_is_built_with_the_planned_shapes(
    maps: list[str], flatten: str, flats: list[str], norm: NormKind
) -> None:
    line = " ".join([*maps, flatten, *flats])
    image = Shape(2, 12, 15)
    try:
        steps = plan(parse(line), image)
    except UserError:
        return
    network = build(line, norm, image, classes=5)
    values = torch.randn(3, 2, 12, 15)
    assert len(network) == len(steps) + 1
    for layer, step in zip(network, steps, strict=False):
        values = layer(values)
        planned = [side for side in (step.after.channels, step.after.height, step.after.width) if side is not None]
        assert list(values.shape) == [3, *planned]
    assert network[-1](values).shape == (3, 5)


@pytest.mark.parametrize("line", ["C4 C8 G", "F L8 L8+"])
def test_kernels_begin_as_he_proposed_and_biases_at_zero(line: str) -> None:
    network = build(line.replace("8", "512"))
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            fan_in = module.weight[0].numel()
            if module.weight.numel() > 4_000:
                assert module.weight.std().item() == pytest.approx((2 / fan_in) ** 0.5, rel=0.05)
            assert module.bias is not None
            assert not module.bias.any()


@pytest.mark.parametrize("statistics_shape", [(3,), (6, 5, 3)], ids=["channel", "pixel"])
def test_a_classifier_normalises_raw_pixels(statistics_shape: tuple[int, ...]) -> None:
    network = build("C4 F", image=Shape(3, 6, 5))
    mean = 100 + 50 * torch.rand(statistics_shape, dtype=torch.float64)
    std = 10 + 50 * torch.rand(statistics_shape, dtype=torch.float64)
    images = torch.randint(256, (7, 6, 5, 3), dtype=torch.uint8)
    before = copy.deepcopy(images)

    logits = Classifier(network, mean, std)(images)

    scaled = ((images.double() - mean) / std).permute(0, 3, 1, 2).float()
    torch.testing.assert_close(logits, network(scaled), rtol=1e-5, atol=1e-5)
    assert torch.equal(images, before)
    assert logits.dtype == torch.float32
    assert set(Classifier(network, mean, std).state_dict()) > {"mean", "std"}, "saved with the weights"
