"""The learning rate over time, against numbers worked out by hand."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from thumbnet.nets.layers import Classifier
from thumbnet.params import OptimizerParams, ScheduleName, ScheduleParams
from thumbnet.training.batches import Images
from thumbnet.training.engine import Recipe, fit
from thumbnet.training.optimisation import make_optimizer
from thumbnet.training.schedules import make_schedule


def rates(name: ScheduleName, epochs: int, batches: int, lr: float = 1.0, **changes: Any) -> list[float]:
    """The learning rate of each batch, which all parts of a network have in common."""
    params = ScheduleParams(**{"name": name, "warmup": 0, "decay": 0.319, "every": 10, "factor": 0.1, **changes})
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    optimizer = make_optimizer(
        network, OptimizerParams(name="muon", lr=lr, weight_decay=0, momentum=0.9, nesterov=True)
    )
    schedule = make_schedule(optimizer, params, epochs, batches)
    seen = []
    for _ in range(epochs * batches):
        seen.append(float(schedule.get_last_lr()[0]))
        assert [group["lr"] for group in optimizer.param_groups] == [seen[-1]] * 3
        optimizer.step()
        schedule.step()
    return seen


@pytest.mark.parametrize(
    ("name", "epochs", "batches", "changes", "expected"),
    [
        ("constant", 2, 2, {}, [1, 1, 1, 1]),
        # 1 / (1 + k·(epoch − 1)), within an epoch the same.
        ("inverse_time", 3, 2, {"decay": 0.5}, [1, 1, 1 / 1.5, 1 / 1.5, 1 / 2, 1 / 2]),
        ("inverse_time", 3, 1, {"decay": 0}, [1, 1, 1]),
        ("step", 5, 1, {"every": 2, "factor": 0.5}, [1, 1, 0.5, 0.5, 0.25]),
        ("step", 2, 3, {"every": 1, "factor": 0.1}, [1, 1, 1, 0.1, 0.1, 0.1]),
        ("step", 3, 1, {"every": 3}, [1, 1, 1]),
        # The cosines of 0, π/4, π/2, 3π/4; then a rise over 3 steps to 1, and the cosines of 0, π/3, 2π/3.
        ("cosine", 2, 2, {}, [1, 0.8535534, 0.5, 0.1464466]),
        ("cosine", 1, 6, {"warmup": 0.5}, [0.25, 0.5, 0.75, 1, 0.75, 0.25]),
        ("linear", 2, 2, {}, [1, 0.75, 0.5, 0.25]),
        ("linear", 1, 4, {"warmup": 0.5}, [1 / 3, 2 / 3, 1, 0.5]),
        ("linear", 1, 3, {"warmup": 0.99}, [1 / 3, 2 / 3, 1]),
        # A rise from 1/25 over two steps, at its middle in between; then the cosines of π/7, 2π/7, ...
        ("one_cycle", 3, 3, {"warmup": 0.3},
         [0.04, 0.52, 1, 0.9504844, 0.8117449, 0.6112605, 0.3887395, 0.1882551, 0.0495156]),
        ("one_cycle", 1, 3, {}, [0.8535534, 0.5, 0.1464466]),
    ],
)  # fmt: skip
def test_a_schedule_is_its_formula(
    name: ScheduleName, epochs: int, batches: int, changes: dict[str, Any], expected: list[float]
) -> None:
    tolerance = 5e-6 if name == "one_cycle" else 1e-7  # PyTorch's falls to 4e-6 of the rate, not to 0
    assert rates(name, epochs, batches, **changes) == pytest.approx(expected, abs=tolerance)
    scaled = rates(name, epochs, batches, lr=0.2, **changes)
    assert scaled == pytest.approx([0.2 * rate for rate in expected], abs=tolerance)


@pytest.mark.parametrize("name", ["one_cycle", "cosine", "linear"])
@pytest.mark.parametrize("warmup", [0, 0.05, 0.1, 0.25, 0.5, 0.9, 0.99])
def test_rates_are_positive_in_trainings_of_any_length(name: ScheduleName, warmup: float) -> None:
    """Also in those of a few batches in all, such as an epoch on a handful of images."""
    for steps in range(1, 25):
        assert all(0 < rate <= 1 for rate in rates(name, 1, steps, warmup=warmup)), steps


@pytest.mark.parametrize(("steps", "warmup"), [(100, 0.25), (100, 0.5), (400, 0.1)])
@pytest.mark.parametrize("name", ["one_cycle", "cosine", "linear"])
def test_the_rate_rises_to_its_peak_and_falls_towards_zero(name: ScheduleName, steps: int, warmup: float) -> None:
    seen = rates(name, 1, steps, lr=0.1, warmup=warmup)
    peak = seen.index(max(seen))
    assert peak / steps == pytest.approx(warmup, abs=0.02)
    assert max(seen) == pytest.approx(0.1, rel=1e-2)
    assert seen[0] < 0.1 * max(seen)
    assert seen[: peak + 1] == sorted(seen[: peak + 1])
    assert seen[peak:] == sorted(seen[peak:], reverse=True)
    assert 0 < seen[-1] < 0.03 * max(seen)


def test_inverse_time_gives_the_published_rates(
    make_images: Callable[..., Images], make_network: Callable[..., Classifier], make_recipe: Callable[..., Recipe]
) -> None:
    """round(0.003 * 1/(1 + 0.319 * epoch), 10), epochs counted from 0 there and from 1 in what is printed."""
    recipe = make_recipe(
        train={"epochs": 40}, optimizer={"lr": 0.003}, schedule={"name": "inverse_time", "decay": 0.319}
    )
    history = fit(make_network("F", "none"), make_images(32), make_images(8), recipe, torch.float32).history
    published = {1: 0.003, 2: 0.0022744503, 5: 0.0013181019, 40: 0.0002231977}
    assert {epoch.epoch: round(epoch.lr, 10) for epoch in history if epoch.epoch in published} == published


def test_the_rate_told_of_an_epoch_is_that_of_its_last_batch(
    make_images: Callable[..., Images], make_network: Callable[..., Classifier], make_recipe: Callable[..., Recipe]
) -> None:
    recipe = make_recipe(train={"epochs": 2}, optimizer={"lr": 1.0}, schedule={"name": "linear", "warmup": 0.0})
    history = fit(make_network("F", "none"), make_images(32), make_images(8), recipe, torch.float32).history
    assert [epoch.lr for epoch in history] == [0.75, 0.25]
