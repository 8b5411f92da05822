"""Optimizers of bf16 copies of weights, against PyTorch's under autocast."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from thumbnet.nets.layers import Classifier
from thumbnet.nets.stacked import Stacked
from thumbnet.params import OptimizerParams, RegularisationParams
from thumbnet.training import copies
from thumbnet.training.batches import Images
from thumbnet.training.copies import Copies, CopyingAdam, CopyingSGD, make_copies
from thumbnet.training.engine import Recipe, fit
from thumbnet.training.launching import can_have
from thumbnet.training.optimisation import make_optimizer

BF16 = torch.bfloat16

pytestmark = pytest.mark.skipif(
    not can_have({"descend", "adapt"}), reason="PyTorch's loops do not run on GNU's OpenMP here"
)


def optimizer_params(**changes: Any) -> OptimizerParams:
    plain: dict[str, Any] = {"name": "sgd", "lr": 0.1, "weight_decay": 0.0, "momentum": 0.0, "nesterov": False}
    return OptimizerParams(**(plain | changes))


def regularisation(**changes: float) -> RegularisationParams:
    return RegularisationParams(**({"l2": 0.0, "label_smoothing": 0.0, "clip_norm": 0.0} | changes))


@pytest.fixture
def small_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copies, "LEAST_WEIGHTS", 1)


@pytest.mark.parametrize("count", [1, 300 * 250])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"weight_decay": 0.3},
        {"momentum": 0.9},
        {"momentum": 0.9, "weight_decay": 0.3, "nesterov": True},
        {"name": "adam", "weight_decay": 0.3},
        {"name": "adamw", "weight_decay": 0.3},
    ],
    ids=str,
)
def test_steps_are_those_of_pytorch(changes: dict[str, Any], count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    layers = [nn.Linear(count, 1), nn.Linear(count, 1)]
    layers[1].load_state_dict(layers[0].state_dict())
    kept = Copies(layers[0])
    ours, usual = (
        make_optimizer(layers[0], optimizer_params(**changes), kept),
        make_optimizer(layers[1], optimizer_params(**changes)),
    )
    assert isinstance(ours, CopyingSGD | CopyingAdam)
    copy = kept.of[layers[0].weight]
    for number in range(3):
        ours.zero_grad()
        assert copy.grad is None
        copy.grad = torch.randn(1, count, generator=generator).to(BF16)
        layers[1].weight.grad = copy.grad.float()
        for layer in layers:
            layer.bias.grad = torch.full((1,), float(number))
        ours.step()
        usual.step()
    for mine, its in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
        torch.testing.assert_close(mine, its, rtol=1e-6, atol=1e-6)
    assert torch.equal(copy, layers[0].weight.to(BF16))


def test_copies_stand_in_for_the_weights_and_leave_no_trace(make_network: Callable[..., Classifier]) -> None:
    network = make_network("F L16", norm="none")
    parameters = list(network.parameters())
    dense = next(layer for layer in network.modules() if isinstance(layer, nn.Linear))
    kept = Copies(network)
    with torch.no_grad():
        dense.weight.mul_(2)  # as loading other weights would
    with kept.used():
        assert dense.weight.dtype == BF16
        assert torch.equal(dense.weight, parameters[0].to(BF16))
        assert all(now is before for now, before in zip(network.parameters(), parameters, strict=True))
        assert all(tensor.dtype != BF16 for tensor in network.state_dict().values())
    assert dense.weight is parameters[0]


@pytest.mark.usefixtures("small_is_enough")
@pytest.mark.parametrize("line", ["F L64 D.1 L32", "C4 G L16"])
def test_a_training_comes_to_the_same(
    line: str,
    make_network: Callable[..., Classifier],
    make_images: Callable[..., Images],
    make_recipe: Callable[..., Recipe],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As near to fp32's weights as autocast is, and with the same bytes each time."""
    train, validation = make_images(160), make_images(80, seed=1)
    recipe = make_recipe(optimizer={"lr": 0.02, "momentum": 0.5}, train={"ema": 0.9})
    weights = []
    for precision, taken in ((torch.float32, False), (BF16, False), (BF16, True), (BF16, True)):
        monkeypatch.setattr(copies, "LEAST_WEIGHTS", 1 if taken else 10**9)
        network = make_network(line, norm="none")
        assert bool(make_copies(network, precision, recipe.optimizer, recipe.regularisation)) == taken
        fit(network, train, validation, recipe, precision)
        weights.append(torch.cat([parameter.detach().flatten() for parameter in network.parameters()]))
    exact, usual, ours, again = weights
    assert torch.equal(ours, again)
    assert distance(ours, exact) < max(1.5 * distance(usual, exact), 1e-3)


def distance(one: Tensor, other: Tensor) -> float:
    return float((one - other).norm() / other.norm())


@pytest.mark.usefixtures("small_is_enough")
@pytest.mark.parametrize(
    ("precision", "optimizer", "more"),
    [
        (torch.float32, {}, {}),
        (BF16, {"name": "rmsprop"}, {}),
        (BF16, {}, {"l2": 0.1}),
        (BF16, {}, {"clip_norm": 1.0}),
    ],
    ids=str,
)
def test_other_trainings_have_none(
    precision: torch.dtype, optimizer: dict[str, Any], more: dict[str, float], make_network: Callable[..., Classifier]
) -> None:
    network = make_network("F L16", norm="none")
    assert make_copies(network, BF16, optimizer_params(), regularisation()) is not None
    assert make_copies(network, precision, optimizer_params(**optimizer), regularisation(**more)) is None


@pytest.mark.usefixtures("small_is_enough")
def test_small_and_stacked_networks_and_machines_without_kernels_have_none(
    make_network: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = [make_network("F L16", norm="none", seed=seed) for seed in (0, 1)]
    assert make_copies(Stacked(networks), BF16, optimizer_params(), regularisation()) is None

    def fail() -> Any:
        raise OSError("no GNU OpenMP")

    with monkeypatch.context() as patch:
        patch.setattr("thumbnet.training.launching.get_kernels", fail)
        assert make_copies(networks[0], BF16, optimizer_params(), regularisation()) is None
    monkeypatch.undo()
    assert make_copies(networks[0], BF16, optimizer_params(), regularisation()) is None  # too small
