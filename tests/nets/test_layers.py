"""The parts of a layer: what normalisations and activations compute, and a classifier of raw pixels."""

import copy
import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from thumbnet.nets.layers import Classifier, Maxout, make_activation, make_norm
from thumbnet.nets.notation import Shape
from thumbnet.params import Activation, NormKind

MAP, FLAT = (8, 6, 5, 7), (8, 6)  # (n, channels[, height, width])


@pytest.mark.parametrize(
    ("kind", "groups", "shape", "split", "over"),
    [
        # The features as `split`, and the dimensions of it that one mean and variance are taken over.
        ("batch", 0, MAP, (8, 6, 5, 7), (0, 2, 3)),
        ("batch", 0, FLAT, (8, 6), (0,)),
        ("group", 2, MAP, (8, 2, 3, 5, 7), (2, 3, 4)),
        ("group", 3, FLAT, (8, 3, 2), (2,)),
        ("layer", 0, MAP, (8, 6, 5, 7), (1, 2, 3)),
        ("layer", 0, FLAT, (8, 6), (1,)),
        ("instance", 0, MAP, (8, 6, 5, 7), (2, 3)),
    ],
)
def test_what_each_normalisation_takes_means_over(
    kind: NormKind, groups: int, shape: tuple[int, ...], split: tuple[int, ...], over: tuple[int, ...]
) -> None:
    torch.manual_seed(0)
    features = 3 + 2 * torch.randn(shape) * torch.arange(1, 7).reshape(1, 6, *[1] * (len(shape) - 2))
    norm = make_norm(kind, Shape(*shape[1:]), groups).train()
    parts = features.reshape(split)
    deviations = (parts.var(over, correction=0, keepdim=True) + 1e-5).sqrt()
    expected = (parts - parts.mean(over, keepdim=True)) / deviations
    torch.testing.assert_close(norm(features), expected.reshape(shape), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", [kind for kind in get_args(NormKind) if kind != "none"])
def test_every_normalisation_trains_a_factor_and_a_summand_per_channel(kind: NormKind) -> None:
    norm = make_norm(kind, Shape(6, 5, 7), 2)
    assert [tuple(parameter.shape) for parameter in norm.parameters()] == [(6,), (6,)]


def test_no_normalisation_is_made_of_none() -> None:
    with pytest.raises(ValueError, match="no module"):
        make_norm("none", Shape(6), 1)


FORMULAS: dict[Activation, Callable[[float], float]] = {
    "relu": lambda x: max(0, x),
    "leaky_relu": lambda x: x if x > 0 else 0.01 * x,
    "prelu": lambda x: x if x > 0 else 0.25 * x,
    "elu": lambda x: x if x > 0 else math.expm1(x),
    "selu": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
    "gelu": lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2,
    "silu": lambda x: x / (1 + math.exp(-x)),
    "tanh": math.tanh,
}


@pytest.mark.parametrize("kind", FORMULAS)
def test_the_formula_of_each_activation(kind: Activation) -> None:
    values = torch.linspace(-5, 5, 24).reshape(4, 6)
    expected = torch.tensor([[FORMULAS[kind](x) for x in row] for row in values.tolist()])
    torch.testing.assert_close(make_activation(kind, 6)(values.clone()), expected, rtol=1e-5, atol=1e-6)


def test_every_activation_has_a_test() -> None:
    assert {*FORMULAS, "maxout"} == set(get_args(Activation))


@pytest.mark.parametrize("shape", [(2, 6), (2, 6, 4, 5)])
def test_maxout_keeps_the_larger_of_each_pair_and_its_gradient(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    values = torch.randn(shape, requires_grad=True)
    outputs = Maxout()(values)
    assert torch.equal(outputs, torch.stack([values[:, :3], values[:, 3:]]).amax(0))
    outputs.sum().backward()
    assert values.grad is not None
    assert torch.equal(
        values.grad, torch.cat([values[:, :3] > values[:, 3:], values[:, :3] < values[:, 3:]], 1).float()
    )


def test_selu_and_its_initialiser_keep_mean_0_and_variance_1() -> None:
    torch.manual_seed(0)
    selu = make_activation("selu", 1)
    outputs: Tensor = selu(torch.randn(1_000_000))
    assert outputs.mean().item() == pytest.approx(0, abs=0.01)
    assert outputs.var().item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("statistics_shape", [(3,), (6, 5, 3)], ids=["channel", "pixel"])
def test_a_classifier_normalises_raw_pixels(statistics_shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 10))
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
