"""L2, label smoothing and clipping against the same loss written out, and what is told of it."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.nets.layers import Classifier
from thumbnet.training.batches import Images
from thumbnet.training.engine import Recipe, fit
from thumbnet.training.optimisation import Penalty

MakeImages = Callable[..., Images]
MakeNetwork = Callable[..., Classifier]
MakeRecipe = Callable[..., Recipe]

LINE = "C4 G"
COUNT = 24
#: Training on all images at once and keeping the last weights: every epoch is one step.
WHOLE: dict[str, dict[str, Any]] = {
    "train": {"epochs": 5, "batch_size": COUNT},
    "schedule": {"name": "constant"},
    "optimizer": {"lr": 0.05, "weight_decay": 0.0},
}


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


def penalty(network: nn.Module, strength: float) -> Tensor:
    """λ/2·Σw², as it is written."""
    squares = [kernel.square().sum() for kernel in network.parameters() if kernel.ndim > 1]
    return strength / 2 * torch.stack(squares).sum()


@pytest.fixture
def last_weights(
    make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> Callable[..., dict[str, Tensor]]:
    """The weights after the last epoch of a training with changes to `WHOLE`, by section."""

    def train(**changes: dict[str, Any]) -> dict[str, Tensor]:
        recipe = make_recipe(**{name: WHOLE.get(name, {}) | changes.get(name, {}) for name in WHOLE | changes})
        network, seen = make_network(LINE, "none"), list[dict[str, Tensor]]()
        keep = lambda epoch: seen.append(weights(network))  # noqa: E731
        fit(network, make_images(COUNT), make_images(8), recipe, torch.float32, keep)
        return seen[-1]

    return train


@pytest.mark.parametrize(("momentum", "nesterov"), [(0.0, False), (0.9, False), (0.9, True)])
def test_l2_is_weight_decay_to_sgd(
    momentum: float, nesterov: bool, last_weights: Callable[..., dict[str, Tensor]]
) -> None:
    sgd = {"momentum": momentum, "nesterov": nesterov}
    penalised = last_weights(optimizer=sgd, regularisation={"l2": 0.3})
    decayed = last_weights(optimizer={**sgd, "weight_decay": 0.3})
    plain = last_weights(optimizer=sgd)
    for name, value in penalised.items():
        torch.testing.assert_close(value, decayed[name], rtol=1e-6, atol=1e-7)
    assert any((value - plain[name]).norm() > 0.05 * value.norm() for name, value in penalised.items())


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize(
    ("l2", "smoothing", "clip"), [(0.3, 0.0, 0.0), (0.0, 0.2, 0.0), (0.0, 0.0, 0.05), (0.1, 0.2, 0.4)]
)
def test_what_is_minimised_is_the_written_loss(
    l2: float,
    smoothing: float,
    clip: float,
    optimizer: str,
    make_images: MakeImages,
    make_network: MakeNetwork,
    last_weights: Callable[..., dict[str, Tensor]],
) -> None:
    network, split = make_network(LINE, "none"), make_images(COUNT)
    make = {
        "sgd": lambda values: torch.optim.SGD(values, 0.05, momentum=0.9, nesterov=True),
        "adam": lambda values: torch.optim.Adam(values, 0.05),
        "adamw": lambda values: torch.optim.AdamW(values, 0.05, weight_decay=0.0),
    }[optimizer]
    reference = make(network.parameters())
    targets = functional.one_hot(split.labels, 3) * (1 - smoothing) + smoothing / 3  # (COUNT, classes)
    clipped = []
    for _ in range(5):
        log_probabilities = network(split.images).log_softmax(1)
        loss = -(targets * log_probabilities).sum(1).mean() + penalty(network, l2)
        reference.zero_grad()
        loss.backward()
        length = torch.cat([value.grad.flatten() for value in network.parameters() if value.grad is not None]).norm()
        clipped.append(0 < clip < length)
        for value in network.parameters():
            assert value.grad is not None
            value.grad *= clip / length if clipped[-1] else 1.0
        reference.step()
    assert any(clipped) == (clip > 0)

    changes = {"l2": l2, "label_smoothing": smoothing, "clip_norm": clip}
    for name, trained in last_weights(optimizer={"name": optimizer}, regularisation=changes).items():
        torch.testing.assert_close(trained, network.get_parameter(name).detach(), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("strength", [0.0, 0.3])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_and_penalty_are_told_apart(
    strength: float, smoothing: float, make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    """One epoch of two batches at a rate of next to nothing: both are those of the initial weights."""
    network, split = make_network(LINE, "none"), make_images(COUNT)
    with torch.no_grad():
        cross_entropy = functional.cross_entropy(network(split.images), split.labels).item()
        expected = float(penalty(network, strength))
    recipe = make_recipe(
        train={"epochs": 1, "batch_size": COUNT // 2},
        optimizer={"lr": 1e-9, "weight_decay": 0.0},
        regularisation={"l2": strength, "label_smoothing": smoothing},
    )
    epoch = fit(network, split, split, recipe, torch.float32).best
    assert epoch.train_loss == pytest.approx(cross_entropy, rel=1e-5)
    assert epoch.validation_loss == pytest.approx(cross_entropy, rel=1e-5)
    assert epoch.l2_penalty == pytest.approx(expected, rel=1e-5)
    assert (epoch.l2_penalty > 0) == (strength > 0)


def test_the_penalty_is_of_kernels_and_of_all_of_them() -> None:
    """A kernel without a part in the loss is pulled to zero like any other; biases, norms and slopes are not."""
    network = nn.ModuleList([nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.PReLU(3), nn.Linear(3, 2), nn.Linear(2, 2)])
    used = network.get_parameter("0.weight")
    used.grad = torch.ones_like(used)
    Penalty(network, 0.5).add_gradients()
    gradients = {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
    expected = {name: 0.5 * network.get_parameter(name).detach() for name in ("0.weight", "3.weight", "4.weight")}
    expected["0.weight"] += 1
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[name])
