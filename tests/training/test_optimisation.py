"""What the optimizer pulls to zero, and the learning rate over time."""

import pytest
import torch
from torch import nn

from thumbnet.params import OptimizerName, OptimizerParams, ScheduleName, ScheduleParams
from thumbnet.training.optimisation import make_optimizer, make_schedule


def optimizer_params(name: OptimizerName = "sgd", weight_decay: float = 0.0) -> OptimizerParams:
    return OptimizerParams(name=name, lr=0.1, weight_decay=weight_decay, momentum=0.9, nesterov=True)


def rates(name: ScheduleName, warmup: float, steps: int, lr: float = 0.1) -> list[float]:
    """The learning rate of each batch."""
    optimizer = make_optimizer(nn.Linear(2, 2), optimizer_params())
    schedule = make_schedule(optimizer, ScheduleParams(name=name, warmup=warmup), steps, lr)
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        assert {group["lr"] for group in optimizer.param_groups} == {seen[-1]}
        optimizer.step()
        schedule.step()
    return seen


@pytest.mark.parametrize("name", ["sgd", "adam", "muon"])
def test_weight_decay_pulls_kernels_and_nothing_else(name: OptimizerName) -> None:
    """With zero gradients, only the decay moves anything."""
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.GroupNorm(1, 3), nn.Flatten(), nn.Linear(3, 2))
    before = {key: value.detach().clone() for key, value in network.named_parameters()}
    optimizer = make_optimizer(network, optimizer_params(name, weight_decay=0.5))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    moved = {key for key, value in network.named_parameters() if not torch.equal(value, before[key])}
    assert moved == {"0.weight", "4.weight"}
    assert (network.get_parameter("4.weight").abs() < before["4.weight"].abs()).all()


def test_the_penalty_is_half_lambda_times_the_squares() -> None:
    """One step of SGD without momentum: w − lr · λ · w."""
    layer = nn.Linear(3, 2)
    before = layer.weight.detach().clone()
    params = OptimizerParams(name="sgd", lr=0.1, weight_decay=0.5, momentum=0.0, nesterov=False)
    layer.weight.grad = torch.zeros_like(layer.weight)
    make_optimizer(layer, params).step()
    torch.testing.assert_close(layer.weight.detach(), before * (1 - 0.1 * 0.5))


def test_frozen_weights_are_left_out() -> None:
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    optimizer = make_optimizer(layer, optimizer_params())
    assert [id(value) for group in optimizer.param_groups for value in group["params"]] == [id(layer.bias)]


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
def test_a_step_of_muon_is_the_orthogonal_matrix_nearest_to_the_gradient(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(8, 2)).to(memory_format=memory_format)
    kernel, before = network.get_parameter("0.weight"), network.get_parameter("0.weight").detach().clone()
    gradient = torch.randn(8, 4, 3, 3)
    kernel.grad = gradient.to(memory_format=memory_format)
    params = OptimizerParams(name="muon", lr=0.1, weight_decay=0.0, momentum=0.0, nesterov=False)
    make_optimizer(network, params).step()
    step = (before - kernel.detach()).flatten(1) / (0.1 * 0.2 * 36**0.5)  # scaled as Liu et al. do; (8, 36)
    left, _, right = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
    values = torch.diagonal(left.T @ step @ right.T)  # 1 each, were it not for the few iterations of Muon
    assert ((values > 0.6) & (values < 1.3)).all()
    torch.testing.assert_close(step, left @ torch.diag(values) @ right, rtol=0, atol=0.02)


@pytest.mark.parametrize(("steps", "warmup"), [(100, 0.25), (100, 0.5), (400, 0.1)])
def test_one_cycle_rises_to_lr_and_falls_towards_zero(steps: int, warmup: float) -> None:
    seen = rates("one_cycle", warmup, steps)
    peak = seen.index(max(seen))
    assert seen[0] < 0.1 * max(seen)
    assert peak / steps == pytest.approx(warmup, abs=0.02)
    assert max(seen) == pytest.approx(0.1, rel=1e-2)
    assert seen[: peak + 1] == sorted(seen[: peak + 1])
    assert seen[peak:] == sorted(seen[peak:], reverse=True)
    assert 0 < seen[-1] < 0.01 * max(seen)


@pytest.mark.parametrize("warmup", [0.05, 0.1, 0.2, 0.25, 0.3, 0.5, 0.9])
def test_one_cycle_serves_trainings_of_any_length(warmup: float) -> None:
    """Also those of a few batches in all, such as an epoch on a handful of images."""
    for steps in range(1, 25):
        assert all(0 < rate <= 0.1 for rate in rates("one_cycle", warmup, steps)), steps


def test_constant_stays() -> None:
    assert rates("constant", 0.3, 20) == [0.1] * 20
