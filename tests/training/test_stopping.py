"""Which epoch ends a training, and which one's weights remain."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from thumbnet.nets.layers import Classifier
from thumbnet.params import EarlyStoppingParams
from thumbnet.training.batches import Images
from thumbnet.training.engine import Epoch, Recipe, fit
from thumbnet.training.prediction import measure
from thumbnet.training.stopping import should_stop

MakeImages = Callable[..., Images]
MakeNetwork = Callable[..., Classifier]
MakeRecipe = Callable[..., Recipe]


@pytest.mark.parametrize(
    ("values", "changes", "end"),
    [
        # What is monitored after each epoch, and the epoch after which the training ends.
        ([0.5, 0.4, 0.3, 0.2], {}, None),
        ([0.5, 0.4, 0.4, 0.4], {}, 4),
        ([0.5, 0.6, 0.4, 0.5, 0.3], {}, None),  # never two in a row
        ([0.5, 0.6, 0.55, 0.4], {}, 3),  # better than the last, not than the best
        ([0.5, 0.6, 0.7], {"patience": 1}, 2),
        ([0.5, 0.6, 0.7, 0.8, 0.9], {"patience": 4}, 5),
        ([0.5, 0.6], {"patience": 5}, None),
        ([0.500, 0.495, 0.490], {"min_delta": 0.02}, 3),  # against the best so far, which stays 0.5
        ([0.500, 0.490, 0.475, 0.460], {"min_delta": 0.02}, None),  # 0.475 is better than 0.5 by more than that
        ([0.50, 0.25, 0.25], {"min_delta": 0.25}, 3),  # by no more than that is no improvement
        ([0.5, 0.6, 0.7], {"monitor": "validation_accuracy"}, None),
        ([0.7, 0.6, 0.7], {"monitor": "validation_accuracy"}, 3),
        ([0.5, 0.4, 0.3], {"mode": "min"}, None),
        ([0.7, 0.6, 0.5], {"monitor": "validation_accuracy", "mode": "max"}, 3),
    ],
)  # fmt: skip
def test_training_ends_after_epochs_without_improvement(
    values: list[float], changes: dict[str, Any], end: int | None
) -> None:
    plain = {"monitor": "validation_loss", "mode": "auto", "patience": 2, "min_delta": 0}
    params = EarlyStoppingParams(**{**plain, **changes})
    stops = [epoch for epoch in range(1, len(values) + 1) if should_stop(values[:epoch], params)]
    assert (stops[0] if stops else None) == end


@pytest.mark.parametrize("keep", ["validation_accuracy", "validation_loss"])
@pytest.mark.parametrize("monitor", ["none", "validation_accuracy", "validation_loss"])
def test_a_training_that_gets_no_better_ends_with_the_weights_of_its_best_epoch(
    monitor: str, keep: str, make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    """On labels that cannot be learned validation goes up and down; few images make ties in accuracy."""
    train, validation = make_images(64), make_images(8, seed=5)
    validation.labels.copy_(torch.randint(3, (8,), generator=torch.Generator().manual_seed(3)))
    recipe = make_recipe(
        train={"epochs": 12, "keep": keep},
        schedule={"name": "constant"},
        optimizer={"lr": 0.2},
        early_stopping={"monitor": monitor, "patience": 3},
    )
    network, heard = make_network(), list[Epoch]()

    outcome = fit(network, train, validation, recipe, torch.float32, heard.append)

    history = outcome.history
    assert heard == history
    assert [epoch.epoch for epoch in history] == list(range(1, len(history) + 1))
    assert outcome.stopped_early == (monitor != "none") == (len(history) < 12)
    if outcome.stopped_early:
        values = [getattr(epoch, monitor) * (1 if monitor == "validation_accuracy" else -1) for epoch in history]
        assert max(values[:-3]) >= max(values[-3:]), "three epochs without improvement"
        assert max(values[:-3]) == values[-4], "and no more than three"
    ranks = {
        "validation_accuracy": lambda epoch: (epoch.validation_accuracy, -epoch.validation_loss),
        "validation_loss": lambda epoch: (-epoch.validation_loss, epoch.validation_accuracy),
    }
    assert outcome.best == max(history, key=ranks[keep])
    assert measure(network, validation)[0] == (outcome.best.validation_loss, outcome.best.validation_accuracy)
    assert outcome.best != history[-1], "the last epoch is not the best in this case"


def test_stopping_after_the_last_epoch_is_not_early(
    make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    """At a rate of next to nothing no epoch is an improvement."""
    stopping = {"monitor": "validation_accuracy", "patience": 2}
    recipe = make_recipe(train={"epochs": 3}, optimizer={"lr": 1e-12}, early_stopping=stopping)
    outcome = fit(make_network(norm="none"), make_images(32), make_images(8), recipe, torch.float32)
    assert (len(outcome.history), outcome.stopped_early) == (3, False)
