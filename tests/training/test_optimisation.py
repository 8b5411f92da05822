"""The steps of each optimizer, what weight decay pulls to zero, and which weights Muon takes."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

from thumbnet.params import OptimizerName, OptimizerParams
from thumbnet.training.eager import EagerSGD
from thumbnet.training.muon import Muon
from thumbnet.training.optimisation import Average, make_optimizer

OPTIMIZERS: tuple[OptimizerName, ...] = ("sgd", "rmsprop", "adam", "adamw", "muon")
FORMATS = pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)


def optimizer_params(name: OptimizerName = "sgd", **changes: Any) -> OptimizerParams:
    plain = {"name": name, "lr": 0.1, "weight_decay": 0.0, "momentum": 0.9, "nesterov": True}
    return OptimizerParams(**{**plain, **changes})


@pytest.mark.parametrize(
    ("name", "momentum", "nesterov", "decay", "after"),
    [
        # Two steps from w = 1 at lr 0.1 along a gradient of 0.5.
        ("sgd", 0.0, False, 0.0, (0.95, 0.9)),
        ("sgd", 0.0, False, 0.2, (0.93, 0.8614)),  # 0.5 + 0.2·1, 0.5 + 0.2·0.93
        ("sgd", 0.9, False, 0.0, (0.95, 0.855)),  # v = 0.5, 0.9·0.5 + 0.5
        ("sgd", 0.9, True, 0.0, (0.905, 0.7695)),  # 0.5 + 0.9·v
        ("rmsprop", 0.0, True, 0.0, (0.0, -0.708881)),  # 0.5 / √(0.01·0.25) = 10; 0.5 / √(0.0199·0.25)
        ("rmsprop", 0.9, True, 0.0, (0.0, -1.608881)),  # 10; 0.9·10 + 7.08881
        ("rmsprop", 0.0, True, 0.2, (0.0, -0.583172)),  # 0.7 / √(0.01·0.49); 0.5 / √(0.0099·0.49 + 0.01·0.25)
        ("adam", 0.9, True, 0.0, (0.9, 0.8)),
        ("adam", 0.9, True, 0.2, (0.9, 0.800086)),  # the means of 0.7 and 0.68, and of their squares
        ("adamw", 0.9, True, 0.2, (0.88, 0.7624)),  # 0.98·1 − 0.1, 0.98·0.88 − 0.1
    ],
)
def test_two_steps_are_those_of_the_paper(
    name: OptimizerName, momentum: float, nesterov: bool, decay: float, after: tuple[float, float]
) -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.ones_(layer.weight)
    optimizer = make_optimizer(layer, optimizer_params(name, weight_decay=decay, momentum=momentum, nesterov=nesterov))
    seen = []
    for _ in range(2):
        layer.weight.grad = torch.full((1, 1), 0.5)
        optimizer.step()
        seen.append(layer.weight.item())
    assert seen == pytest.approx(after, abs=2e-6)


@pytest.mark.parametrize(
    ("momentum", "nesterov", "decay"), [(0.0, False, 0.0), (0.0, False, 0.1), (0.9, False, 0.0), (0.9, True, 0.1)]
)
def test_sgd_is_pytorchs_to_the_last_bit_with_gradients_missing_and_states_restored(
    monkeypatch: pytest.MonkeyPatch, momentum: float, nesterov: bool, decay: float
) -> None:
    """Step 3 has no gradient of a kernel, step 4 none at all; before step 6 the state goes through a checkpoint."""
    ours = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(27, 2))
    theirs = copy.deepcopy(ours)
    params = optimizer_params(momentum=momentum, nesterov=nesterov, weight_decay=decay)
    optimizer = make_optimizer(ours, params)
    reference = torch.optim.SGD(make_optimizer(theirs, params).param_groups)
    step, left_to_pytorch, plain_step = 0, [], EagerSGD._plain_step

    def step_plainly(optimizer: EagerSGD, closure: None) -> None:
        left_to_pytorch.append(step)
        plain_step(optimizer, closure)

    monkeypatch.setattr(EagerSGD, "_plain_step", step_plainly)
    for step in range(1, 9):
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            is_missing = step == 4 or (step == 3 and mine is ours[0].weight)
            mine.grad = None if is_missing else torch.randn_like(mine)
            other.grad = None if mine.grad is None else mine.grad.clone()
        if step == 6:
            restored = make_optimizer(ours, params)
            restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
            optimizer = restored
        optimizer.step()
        reference.step()
        for name, value in ours.named_parameters():
            assert torch.equal(value, theirs.get_parameter(name)), (step, name)
    assert left_to_pytorch == ([1, 3, 4] if momentum else [3, 4])
    optimizer.zero_grad()
    assert all(value.grad is None for value in ours.parameters())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_weight_decay_pulls_kernels_and_nothing_else(name: OptimizerName) -> None:
    """With zero gradients, only the decay moves anything."""
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.PReLU(3), nn.GroupNorm(1, 3), nn.Flatten(), nn.Linear(3, 2)
    )
    before = {key: value.detach().clone() for key, value in network.named_parameters()}
    optimizer = make_optimizer(network, optimizer_params(name, weight_decay=0.5))
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    moved = {key for key, value in network.named_parameters() if not torch.equal(value, before[key])}
    assert moved == {"0.weight", "5.weight"}
    for key in moved:
        step = network.get_parameter(key) - before[key]
        assert (step * before[key] < 0).all(), "towards zero, if perhaps beyond"


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_frozen_weights_are_left_out(name: OptimizerName) -> None:
    layer = nn.Linear(3, 2)
    layer.weight.requires_grad_(False)
    optimizer = make_optimizer(layer, optimizer_params(name))
    assert [id(value) for group in optimizer.param_groups for value in group["params"]] == [id(layer.bias)]


@FORMATS
def test_a_step_of_muon_is_the_orthogonal_matrix_nearest_to_the_gradient(memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(4, 8, 3), nn.Flatten(), nn.Linear(8, 2)).to(memory_format=memory_format)
    kernel, before = network.get_parameter("0.weight"), network.get_parameter("0.weight").detach().clone()
    gradient = torch.randn(8, 4, 3, 3)
    kernel.grad = gradient.to(memory_format=memory_format)
    make_optimizer(network, optimizer_params("muon", momentum=0.0, nesterov=False)).step()
    step = (before - kernel.detach()).flatten(1) / (0.1 * 0.2 * 36**0.5)  # scaled as Liu et al. do; (8, 36)
    left, _, right = torch.linalg.svd(gradient.flatten(1), full_matrices=False)
    values = torch.diagonal(left.T @ step @ right.T)  # 1 each, were it not for the few iterations of Muon
    assert ((values > 0.6) & (values < 1.3)).all()
    torch.testing.assert_close(step, left @ torch.diag(values) @ right, rtol=0, atol=0.02)


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.95, True)])
def test_muon_steps_as_pytorchs_does_with_matrices(momentum: float, nesterov: bool) -> None:
    """PyTorch's computes in bf16, whose numbers have 8 bits."""
    torch.manual_seed(0)
    shapes = [(8, 20), (8, 20), (20, 8), (16, 16)]
    ours = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [nn.Parameter(matrix.detach().clone()) for matrix in ours]
    start = [matrix.detach().clone() for matrix in ours]
    muon = Muon(ours, [nn.Parameter(torch.ones(2, 2))], [], 0.1, 0.2, momentum, nesterov)
    reference = torch.optim.Muon(theirs, 0.1, 0.2, momentum, nesterov, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        for mine, other in zip(ours, theirs, strict=True):
            mine.grad = torch.randn_like(mine)
            other.grad = mine.grad.clone()
        muon.step()
        reference.step()
    for mine, other, before in zip(ours, theirs, start, strict=True):
        difference, way = (mine - other).norm(), (other - before).norm()
        assert 0 < difference < 0.02 * way


def forward_and_back(network: nn.Module, images: Tensor) -> None:
    functional.cross_entropy(network(images), torch.arange(len(images)) % 3).backward()


@FORMATS
@pytest.mark.parametrize("kind", ["depthwise", "torchvision", "dense", "softmax regression"])
def test_muon_serves_networks_of_all_kinds(kind: str, memory_format: torch.memory_format) -> None:
    torch.manual_seed(0)
    network: nn.Module = {
        "depthwise": nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.PReLU(4), nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 6, 1), nn.Flatten(),
            nn.Linear(864, 3),
        ),
        "torchvision": torchvision.models.shufflenet_v2_x0_5(num_classes=3),
        "dense": nn.Sequential(nn.Flatten(), nn.Linear(768, 5), nn.ReLU(), nn.Linear(5, 3)),
        "softmax regression": nn.Sequential(nn.Flatten(), nn.Linear(768, 3)),
    }[kind].to(memory_format=memory_format)  # fmt: skip
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    optimizer = make_optimizer(network, optimizer_params("muon", weight_decay=0.01))
    forward_and_back(network, torch.randn(6, 3, 16, 16).to(memory_format=memory_format))
    optimizer.step()
    for name, value in network.named_parameters():
        assert not torch.equal(value, before[name]), name
        assert torch.isfinite(value).all(), name


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_kernel_that_has_no_part_in_the_loss_stays_as_it_is(name: OptimizerName) -> None:
    torch.manual_seed(0)
    network = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 7), nn.Linear(4, 3)])
    used, *unused, classifier = network
    before = {key: value.detach().clone() for key, value in network.named_parameters()}
    optimizer = make_optimizer(network, optimizer_params(name, weight_decay=0.1))
    forward_and_back(nn.Sequential(used, nn.ReLU(), classifier), torch.randn(6, 4))
    optimizer.step()
    moved = {key for key, value in network.named_parameters() if not torch.equal(value, before[key])}
    assert moved == {"0.weight", "0.bias", "3.weight", "3.bias"}
    assert [layer.weight.grad for layer in unused] == [None, None]


def test_the_average_of_the_weights_is_that_of_pytorch() -> None:
    """Whose decay has no bound in the first steps, unless a function of one's own brings it."""

    def lerp(averages: Sequence[Tensor], values: Sequence[Tensor], steps: Tensor | int) -> None:
        keep = min(0.9, (1 + int(steps)) / (10 + int(steps)))
        for average, value in zip(averages, values, strict=True):
            average.copy_(keep * average + (1 - keep) * value if value.is_floating_point() else value)

    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(27, 2))
    ours = Average(network, decay=0.9)
    theirs = AveragedModel(network, multi_avg_fn=lerp, use_buffers=True)
    optimizer = make_optimizer(network, optimizer_params())
    for _ in range(100):  # from step 81 on the bound is above 0.9
        optimizer.zero_grad()
        network(torch.randn(4, 2, 5, 5)).square().mean().backward()
        optimizer.step()
        ours.follow()
        theirs.update_parameters(network)
    torch.testing.assert_close(ours.module.state_dict(), theirs.module.state_dict())
    assert not torch.equal(next(ours.module.parameters()), next(network.parameters()))
