"""Networks as PyTorch modules: their sizes by hand, what they compute, and that all that can be planned is built."""

import subprocess
import sys
import textwrap
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.errors import UserError
from thumbnet.nets.builder import build_line, build_network, count_parameters
from thumbnet.nets.notation import Shape, check_network, has_bias, parse, plan
from thumbnet.params import Activation, ModelParams, NormKind, Order

GREY, COLOUR = Shape(1, 28, 28), Shape(3, 32, 32)
N1 = "C16 C16+ c12 P C32 C32+ C32+ c12 P C32 C32+ C32+ G"


def build(line: str, norm: NormKind = "none", image: Shape = GREY, **choices: Any) -> Any:
    torch.manual_seed(0)
    return build_line(ModelParams(layers=line, norm=norm, **choices), image, 10).eval()


@pytest.mark.parametrize(
    ("line", "norm", "image", "parameters"),
    [
        ("F", "none", GREY, 784 * 10 + 10),
        ("F L128", "batch", GREY, 784 * 128 + 2 * 128 + 128 * 10 + 10),
        ("C4 G", "none", GREY, (9 * 4 + 4) + (4 * 10 + 10)),
        ("C4 G", "batch", GREY, (9 * 4 + 2 * 4) + (4 * 10 + 10)),
        ("C4 G", "instance", GREY, (9 * 4 + 2 * 4) + (4 * 10 + 10)),
        ("C4 c3 G", "layer", COLOUR, (3 * 9 * 4 + 2 * 4) + (4 * 3 + 3) + (3 * 10 + 10)),
        ("C4 C4+ D.5 P F", "group", GREY, (9 * 4 + 2 * 4) + (4 * 9 * 4 + 2 * 4) + (14 * 14 * 4 * 10 + 10)),
        ("C4k5v/2 A3/1 F", "none", COLOUR, (3 * 25 * 4 + 4) + (12 * 12 * 4 * 10 + 10)),
        ("C4k1 c4 G", "batch", COLOUR, (3 * 4 + 2 * 4) + (4 * 4 + 4) + (4 * 10 + 10)),
        ("S4 G", "none", COLOUR, (9 * 3 + 3 * 4 + 4) + (4 * 10 + 10)),
        ("S4k5 S4+ G", "batch", COLOUR, (25 * 3 + 3 * 4 + 2 * 4) + (9 * 4 + 4 * 4 + 2 * 4) + (4 * 10 + 10)),
        ("C4 N c3 N F L8 N", "batch", GREY,
         (9 * 4 + 4) + 2 * 4 + 4 * 3 + 2 * 3 + (28 * 28 * 3 * 8 + 8) + 2 * 8 + (8 * 10 + 10)),
        # (144 + 32) + (2,304 + 32) + 204 + (3,456 + 64) + 2 · (9,216 + 64) + 396 + the same again, and 330.
        (N1, "batch", GREY, 176 + 2_336 + 204 + (3_520 + 18_560) + 396 + (3_520 + 18_560) + 330),
    ],
)  # fmt: skip
def test_the_number_of_parameters(line: str, norm: NormKind, image: Shape, parameters: int) -> None:
    assert count_parameters(build(line, norm, image)) == parameters


@pytest.mark.parametrize(
    ("choices", "parameters"),
    [
        # C4 on 3 channels, S5, L6, and the classifier.
        ({"norm": "batch", "order": "act_norm"}, (108 + 4 + 8) + (36 + 20 + 5 + 10) + (30 + 6 + 12) + 70),
        ({"activation": "prelu"}, (108 + 4 + 4) + (36 + 20 + 5 + 5) + (30 + 6 + 6) + 70),
        ({"activation": "maxout"}, (216 + 8) + (36 + 40 + 10) + (60 + 12) + 70),
        ({"activation": "maxout", "norm": "batch"}, (216 + 16) + (36 + 40 + 20) + (60 + 24) + 70),
        ({"activation": "maxout", "norm": "batch", "order": "act_norm"},
         (216 + 8 + 8) + (36 + 40 + 10 + 10) + (60 + 12 + 12) + 70),
    ],
)  # fmt: skip
def test_what_activations_and_their_order_add(choices: dict[str, Any], parameters: int) -> None:
    assert count_parameters(build("C4 S5 G L6", image=COLOUR, **choices)) == parameters


def draw_all(network: nn.Module) -> None:
    """Gives every value of a network something to tell it from others."""
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                tensor.uniform_(*((0.5, 2) if "running_var" in name else (-1, 1)))


@pytest.mark.parametrize("order", get_args(Order))
def test_the_layers_compute_what_their_names_say(order: Order) -> None:
    """C: convolution, batch norm and ReLU in their order, then the input added; c: convolution alone; P, G: pools."""
    network = build("C4 C4+ c3 P3 G", "batch", order=order)
    images = torch.randn(2, 1, 28, 28)
    draw_all(network)

    def normalise(norm: Any, inputs: Tensor) -> Tensor:
        mean, std = norm.running_mean, (norm.running_var + norm.eps).sqrt()
        scaled = (inputs - mean[:, None, None]) / std[:, None, None]
        shifted: Tensor = scaled * norm.weight[:, None, None] + norm.bias[:, None, None]
        return shifted

    def block(layers: Any, inputs: Tensor) -> Tensor:
        outputs = functional.conv2d(inputs, layers.conv.weight, layers.conv.bias, padding=1)
        if order == "norm_act":
            return normalise(layers.norm, outputs).clamp(min=0)
        return normalise(layers.norm, outputs.clamp(min=0))

    with torch.no_grad():
        first = block(network[0], images)
        second = block(network[1], first) + first
        third = torch.einsum("oi,nihw->nohw", network[2].conv.weight[..., 0, 0], second)
        third = third + network[2].conv.bias[:, None, None]
        pooled = third[:, :, :27, :27].reshape(2, 3, 9, 3, 9, 3).amax((3, 5)).mean((2, 3))  # the last row is left out
        expected = pooled @ network[5].weight.T + network[5].bias
        torch.testing.assert_close(network(images), expected, rtol=1e-4, atol=1e-5)


def test_a_depthwise_separable_layer_convolves_each_channel_alone_and_then_mixes_them() -> None:
    network = build("S5k5v/2 F", image=COLOUR)
    draw_all(network)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        layer = network[0]
        alone = [functional.conv2d(images[:, [i]], layer.depthwise.weight[[i]], stride=2) for i in range(3)]
        mixed = torch.einsum("oi,nihw->nohw", layer.pointwise.weight[..., 0, 0], torch.cat(alone, dim=1))
        expected = (mixed + layer.pointwise.bias[:, None, None]).clamp(min=0)
        torch.testing.assert_close(layer(images), expected, rtol=1e-4, atol=1e-5)


def test_strides_pools_and_normalisations_of_their_own() -> None:
    network = build("c2/3 A3/2 N P/1 F", "batch", image=COLOUR)
    draw_all(network)
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        strided = torch.einsum("oi,nihw->nohw", network[0].conv.weight[..., 0, 0], images[..., ::3, ::3])  # 11 × 11
        strided = strided + network[0].conv.bias[:, None, None]
        average = strided.unfold(2, 3, 2).unfold(3, 3, 2).mean((4, 5))  # 5 × 5
        largest = network[2](average).unfold(2, 2, 1).unfold(3, 2, 1).amax((4, 5))  # 4 × 4
        torch.testing.assert_close(network[:-1](images), largest.flatten(1), rtol=1e-4, atol=1e-5)


def test_in_a_line_with_an_n_the_other_layers_carry_no_normalisation() -> None:
    norms = (nn.BatchNorm1d, nn.BatchNorm2d)
    network = build("C4 N S4 F N L8 N", "batch")
    assert [index for index, layer in enumerate(network) if isinstance(layer, norms)] == [1, 4, 6]
    assert sum(isinstance(module, norms) for module in network.modules()) == 3


MAP_TOKENS = ["C4", "C4+", "C6", "C4k5", "C4v", "C4k2v/2", "C6/2", "c4", "c3+", "c4/2", "S4", "S4+", "S6k5v/2",
              "P", "P3/1", "A", "A3/2", "D.5", "N"]  # fmt: skip
FLAT_TOKENS = ["L4", "L4+", "L6", "D.25", "N"]
CHOICES = st.fixed_dictionaries(
    {
        "norm": st.sampled_from(get_args(NormKind)),
        "order": st.sampled_from(get_args(Order)),
        "activation": st.sampled_from(get_args(Activation)),
    }
)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.sampled_from(MAP_TOKENS), max_size=6),
    st.sampled_from(["G", "F"]),
    st.lists(st.sampled_from(FLAT_TOKENS), max_size=3),
    CHOICES,
)
def test_what_can_be_planned_is_built_with_the_planned_shapes_and_trains(
    maps: list[str], flatten: str, flats: list[str], choices: dict[str, Any]
) -> None:
    params = ModelParams(layers=" ".join([*maps, flatten, *flats]), **choices)
    image = Shape(2, 12, 15)
    try:
        check_network("any", params, image)
    except UserError:
        return
    network = build_line(params, image, classes=5).train()
    values = images = torch.randn(3, 2, 12, 15).to(memory_format=torch.channels_last)
    steps = plan(parse(params.layers), image)
    assert len(network) == len(steps) + 1
    for layer, step in zip(network, steps, strict=False):
        values = layer(values)
        planned = [side for side in (step.after.channels, step.after.height, step.after.width) if side is not None]
        assert list(values.shape) == [3, *planned]
        weights = [module for module in layer.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
        assert not weights or (weights[-1].bias is not None) == has_bias(step, params)
    logits = network[-1](values)
    assert logits.shape == (3, 5)
    network(images).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_strided_pointwise_layers_leave_memory_alone() -> None:
    """oneDNN's own do not, with up to 7 input channels, or 15. The process dies of it, and so it is one of its own."""
    code = """
        import torch
        from thumbnet.nets.builder import build_line
        from thumbnet.nets.notation import Shape
        from thumbnet.params import ModelParams

        torch.set_num_threads(1)
        for line in ("c16/2 G", "C8k1/2 G", "C6 c8/3 G"):
            for channels in (1, 3, 4, 7, 12):
                network = build_line(ModelParams(layers=line, norm="batch"), Shape(channels, 14, 14), 10)
                network.to(memory_format=torch.channels_last)
                for _ in range(10):
                    images = torch.rand(16, channels, 14, 14).to(memory_format=torch.channels_last)
                    network(images).square().sum().backward()
        """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("activation", get_args(Activation))
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_networks_compute_in_bf16(activation: Activation, norm: NormKind) -> None:
    network = build("C4 S4 C4+ N P F L8", norm, activation=activation)
    images = torch.randn(8, 1, 28, 28).to(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network.train()(images)
    assert logits.dtype == torch.bfloat16
    logits.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in network.parameters())


def test_a_network_that_does_not_fit_is_not_built() -> None:
    for params in (ModelParams(layers="C4"), ModelParams(layers="C4 G", norm="group", groups=3)):
        with pytest.raises(UserError, match=r"token|classifier"):
            build_network(params, GREY, 10)
