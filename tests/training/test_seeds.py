"""Several seeds of one network: each comes to what it comes to alone."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from thumbnet.errors import UserError
from thumbnet.nets.layers import Classifier
from thumbnet.training.batches import Images
from thumbnet.training.engine import Epoch, Outcome, Recipe, fit, fit_seeds

MakeImages = Callable[..., Images]
MakeNetwork = Callable[..., Classifier]
MakeRecipe = Callable[..., Recipe]

SEEDS = 3
#: Trained as one, and one after the other.
DENSE, TURNS = ("F L8 L8", "batch"), ("C4 D.3 C4+ D.3 G", "batch")
CHANGES: list[dict[str, Any]] = [
    {},
    {"augment": {"flip": "alternating", "crop": 1}, "train": {"ema": 0.8}},
    {"optimizer": {"name": "muon", "lr": 0.01}, "regularisation": {"l2": 0.01}},
    {"optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.1}, "regularisation": {"label_smoothing": 0.1}},
    {"optimizer": {"name": "rmsprop", "lr": 0.001}, "regularisation": {"clip_norm": 0.05}},
]


def train_all(
    network: tuple[str, str], recipe: Recipe, make_images: MakeImages, make_network: MakeNetwork
) -> tuple[list[Classifier], list[Outcome], list[list[Epoch]]]:
    heard: list[list[Epoch]] = []
    classifiers = [make_network(*network, seed=recipe.seed + number) for number in range(SEEDS)]
    outcomes = fit_seeds(
        classifiers, make_images(75, seed=1), make_images(40, seed=2), recipe, torch.float32, heard.append
    )
    return classifiers, outcomes, heard


@pytest.mark.parametrize("changes", CHANGES, ids=str)
@pytest.mark.parametrize(("network", "exactly"), [(DENSE, False), (TURNS, True)])
def test_each_seed_comes_to_what_it_comes_to_alone(
    network: tuple[str, str],
    exactly: bool,
    changes: dict[str, Any],
    make_images: MakeImages,
    make_network: MakeNetwork,
    make_recipe: MakeRecipe,
) -> None:
    recipe = make_recipe(**changes)
    classifiers, outcomes, heard = train_all(network, recipe, make_images, make_network)

    rtol, atol = (0.0, 0.0) if exactly else (1e-3, 1e-4)
    for number, (classifier, outcome) in enumerate(zip(classifiers, outcomes, strict=True)):
        alone = make_network(*network, seed=recipe.seed + number)
        own = replace(recipe, seed=recipe.seed + number)
        expected = fit(alone, make_images(75, seed=1), make_images(40, seed=2), own, torch.float32)
        assert outcome.best.epoch == expected.best.epoch
        for ours, theirs in zip(outcome.history, expected.history, strict=True):
            for name in ("lr", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "l2_penalty"):
                assert getattr(ours, name) == pytest.approx(getattr(theirs, name), rel=rtol, abs=atol)
        for name, tensor in alone.state_dict().items():
            torch.testing.assert_close(classifier.state_dict()[name], tensor, rtol=rtol, atol=atol, msg=name)
    assert [[epoch.epoch for epoch in epochs] for epochs in heard] == [[number] * SEEDS for number in (1, 2, 3)]
    assert len({outcome.best.validation_loss for outcome in outcomes}) == SEEDS, "they are different trainings"


@pytest.mark.parametrize("network", [DENSE, TURNS])
def test_a_seed_that_stops_early_does_not_stop_the_others(
    network: tuple[str, str], make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    changes = {
        "train": {"epochs": 12},
        "optimizer": {"lr": 0.3},
        "early_stopping": {"monitor": "validation_accuracy", "patience": 2},
    }
    recipe = make_recipe(**changes)
    _, outcomes, heard = train_all(network, recipe, make_images, make_network)

    lengths = [len(outcome.history) for outcome in outcomes]
    assert len(set(lengths)) > 1, "or this test shows nothing"
    assert [len(epochs) for epochs in heard] == [
        sum(length >= number for length in lengths) for number in range(1, max(lengths) + 1)
    ]
    for number, outcome in enumerate(outcomes):
        own = replace(recipe, seed=recipe.seed + number)
        alone = make_network(*network, seed=recipe.seed + number)
        expected = fit(alone, make_images(75, seed=1), make_images(40, seed=2), own, torch.float32)
        assert len(outcome.history) == len(expected.history)
        assert outcome.stopped_early == expected.stopped_early


@pytest.mark.parametrize("network", [DENSE, TURNS])
def test_a_seed_that_diverges_is_named(
    network: tuple[str, str], make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    recipe = replace(make_recipe(optimizer={"lr": 1e12}, train={"epochs": 6}), seed=40)
    with pytest.raises(UserError, match=r"the training of seed 4\d diverged in epoch \d"):
        train_all(network, recipe, make_images, make_network)


def test_dropout_has_draws_of_its_own_and_leaves_those_of_others_alone(
    make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    images = make_images(75)
    network = make_network(*TURNS)
    torch.manual_seed(5)
    fit(network, images, images, make_recipe(), torch.float32)
    after = torch.rand(3)
    again = make_network(*TURNS)
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(3)), "the training has taken nothing"
    fit(again, images, images, make_recipe(), torch.float32)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
