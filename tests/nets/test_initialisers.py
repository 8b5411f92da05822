"""Initial kernels: their variances, their bounds, and that a seed gives what it always gave."""

import math
from typing import get_args

import pytest
import torch
from torch import nn
from torch.nn import functional

from thumbnet.nets.builder import build_line
from thumbnet.nets.initialisers import draw_kernel, initialise
from thumbnet.nets.notation import Shape
from thumbnet.params import Activation, Initialiser, ModelParams

#: Layers with their fan-in and fan-out, worked out by hand.
LAYERS: dict[str, tuple[nn.Conv2d | nn.Linear, int, int]] = {
    "dense": (nn.Linear(300, 500), 300, 500),
    "3×3": (nn.Conv2d(64, 128, 3), 9 * 64, 9 * 128),
    "1×1": (nn.Conv2d(300, 200, 1), 300, 200),
    "strided 5×5": (nn.Conv2d(40, 60, 5, stride=2), 25 * 40, 25 * 60),
    "depthwise": (nn.Conv2d(5_000, 5_000, 3, groups=5_000), 9, 9),
}


def variance(kind: Initialiser, fan_in: int, fan_out: int) -> float:
    family, _, distribution = kind.rpartition("_")
    if not family:
        return {"zero": 0, "normal": 0.05**2, "uniform": 0.05**2 / 3}[distribution]
    return {"lecun": 1 / fan_in, "glorot": 2 / (fan_in + fan_out), "he": 2 / fan_in}[family]


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("kind", get_args(Initialiser))
def test_the_distribution_of_kernels(kind: Initialiser, name: str) -> None:
    """Mean and variance within five standard errors; uniform draws within their bound and close to it."""
    layer, fan_in, fan_out = LAYERS[name]
    torch.manual_seed(0)
    draw_kernel(layer, kind)
    values, expected = layer.weight.detach().double().flatten(), variance(kind, fan_in, fan_out)
    if kind == "zero":
        assert not values.any()
        return
    uniform = kind.endswith("uniform")
    of_variance = math.sqrt((0.8 if uniform else 2) / len(values))  # its relative standard error
    assert abs(values.mean().item()) < 5 * math.sqrt(expected / len(values))
    assert values.var().item() == pytest.approx(expected, rel=5 * of_variance)
    bound = math.sqrt(3 * expected)
    if uniform:
        assert 0.999 * bound < values.abs().max().item() <= bound * (1 + 1e-6)
    else:
        assert values.abs().max().item() > 3.5 * math.sqrt(expected), "the tails are not cut off"


@pytest.mark.parametrize("kind", get_args(Initialiser))
def test_every_kernel_is_drawn_the_classifiers_too_and_biases_are_zero(kind: Initialiser) -> None:
    network = build_line(ModelParams(layers="C8 c8 S8 N F L8", norm="batch", init=kind), Shape(3, 8, 8), 10)
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    assert len(layers) == 6
    for layer in layers:
        assert bool(layer.weight.any()) == (kind != "zero")
        assert layer.bias is None or not layer.bias.any()
    assert all(
        torch.equal(norm.weight, torch.ones(8)) for norm in network.modules() if isinstance(norm, nn.BatchNorm2d)
    )


def test_a_seed_gives_the_kernels_that_he_normal_always_gave() -> None:
    """In the order of the layers, from one generator: the results in docs/ are of these draws."""
    torch.manual_seed(1)
    network = build_line(ModelParams(layers="C16 c8 F L4", norm="batch"), Shape(3, 8, 8), 10)
    torch.manual_seed(1)
    again: list[nn.Conv2d | nn.Linear] = [
        nn.Conv2d(3, 16, 3, bias=False), nn.Conv2d(16, 8, 1), nn.Linear(512, 4, bias=False), nn.Linear(4, 10)
    ]  # fmt: skip
    for layer in again:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    kernels = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    assert all(torch.equal(kernel, layer.weight) for kernel, layer in zip(kernels, again, strict=True))


@pytest.mark.parametrize("activation", ["relu", "elu", "selu", "tanh", "maxout"])
def test_from_zero_kernels_hidden_layers_never_learn(activation: Activation) -> None:
    """The loss is ln 10 = 2.3026, and as the classes are equally frequent it stays there."""
    torch.manual_seed(0)
    params = ModelParams(layers="F L16 L16", init="zero", activation=activation)
    network = build_line(params, Shape(1, 4, 4), 10)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    images, labels = torch.randn(100, 1, 4, 4), torch.arange(100) % 10
    for _ in range(10):
        loss = functional.cross_entropy(network(images), labels)
        assert loss.item() == pytest.approx(math.log(10), abs=1e-5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def test_initialising_again_with_the_same_seed_gives_the_same_network() -> None:
    network = build_line(ModelParams(layers="C8 G"), Shape(3, 8, 8), 10)
    drawn = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        initialise(network, "glorot_normal")
        drawn.append(nn.utils.parameters_to_vector(network.parameters()).detach().clone())
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])
