"""The training loop against one written out in plain PyTorch, and what it leaves behind."""

import copy
import functools
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.nets.layers import Classifier
from thumbnet.training.augmentation import Augmenter
from thumbnet.training.batches import Images
from thumbnet.training.engine import Epoch, Recipe, fit
from thumbnet.training.prediction import measure, predict

MakeImages = Callable[..., Images]
MakeNetwork = Callable[..., Classifier]
MakeRecipe = Callable[..., Recipe]


Weights = dict[str, Tensor]


def train_plainly(
    classifier: nn.Module, train: Images, validation: Images, recipe: Recipe
) -> list[tuple[float, float, Weights]]:
    """Validation loss and accuracy and the weights after each epoch, of textbook code."""
    generator = torch.Generator().manual_seed(recipe.seed)
    augment = Augmenter(recipe.augment, len(train), generator)
    epochs, size = recipe.train.epochs, recipe.train.batch_size
    kernels = [parameter for parameter in classifier.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in classifier.parameters() if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [
        {"params": kernels, "weight_decay": recipe.optimizer.weight_decay},
        {"params": others},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, nesterov=True, fused=True)
    steps = epochs * (len(train) // size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.1, total_steps=steps + 1, pct_start=0.3, cycle_momentum=False
    )
    averaged: Weights = {}
    results = []
    for epoch in range(1, epochs + 1):
        classifier.train()
        order = torch.randperm(len(train), generator=generator)
        for batch in order.split(size)[: len(train) // size]:
            images = augment(train.images, batch, epoch)
            loss = functional.cross_entropy(classifier(images), train.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            averaged = average(averaged, classifier, recipe.train.ema, step=schedule.last_epoch)
            schedule.step()
        judged = copy.deepcopy(classifier).eval()
        judged.load_state_dict(averaged)
        with torch.no_grad():
            logits = judged(validation.images)
        loss = functional.cross_entropy(logits, validation.labels)
        accuracy = (logits.argmax(1) == validation.labels).double().mean()
        results.append((loss.item(), accuracy.item(), judged.state_dict()))
    return results


def average(averaged: Weights, classifier: nn.Module, decay: float, step: int) -> Weights:
    """The exponential moving average of weights and batch statistics; the current ones where decay is 0."""
    keep = min(decay, (1 + step) / (10 + step)) if step else 0.0
    return {
        name: keep * averaged[name] + (1 - keep) * value if keep and value.is_floating_point() else value.clone()
        for name, value in classifier.state_dict().items()
    }


@pytest.mark.parametrize(
    "augment",
    [{}, {"flip": "random", "crop": 2}, {"flip": "alternating", "rotation": 20.0, "pixel_noise": 0.01}],
    ids=str,
)
def test_training_is_textbook_training_to_the_bit(
    augment: dict[str, Any], make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    train, validation = make_images(75, seed=1), make_images(40, seed=2)
    recipe = make_recipe(augment=augment)
    network = make_network()

    outcome = fit(network, train, validation, recipe, torch.float32)

    expected = train_plainly(make_network(), train, validation, recipe)
    told = [(epoch.validation_loss, epoch.validation_accuracy) for epoch in outcome.history]
    assert told == [(loss, accuracy) for loss, accuracy, _ in expected]
    weights = expected[outcome.best.epoch - 1][2]
    assert network.state_dict().keys() == weights.keys()
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, weights[name]), name


def test_the_moving_average_of_the_weights_is_what_is_judged_and_kept(
    make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    train, validation = make_images(75, seed=1), make_images(40, seed=2)
    recipe = make_recipe(train={"ema": 0.8, "epochs": 12})  # 48 steps: the bound of (1 + t) / (10 + t) passes 0.8
    network = make_network()

    outcome = fit(network, train, validation, recipe, torch.float32)

    expected = train_plainly(make_network(), train, validation, recipe)
    told = [epoch.validation_loss for epoch in outcome.history]
    assert told == pytest.approx([loss for loss, _, _ in expected], rel=1e-4)
    weights = expected[outcome.best.epoch - 1][2]
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-4, atol=1e-5)
    assert measure(network, validation)[0] == (outcome.best.validation_loss, outcome.best.validation_accuracy)


def test_the_statistics_of_the_pixels_are_not_averaged_away_from_themselves(
    make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    network, fresh = make_network(), make_network()
    fit(network, make_images(75), make_images(40), make_recipe(train={"ema": 0.8, "epochs": 12}), torch.float32)
    assert torch.equal(network.mean, fresh.mean)
    assert torch.equal(network.std, fresh.std)


def test_an_epoch_tells_what_was_seen_in_it(
    make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    """One epoch of one batch of all images: loss and hits are those of the initial weights, in training mode."""
    train, heard, batches = make_images(16), list[Epoch](), list[None]()
    with torch.no_grad():
        logits = make_network().train()(train.images)
    recipe = make_recipe(train={"epochs": 1})

    outcome = fit(make_network(), train, train, recipe, torch.float32, heard.append, lambda: batches.append(None))

    (epoch,) = outcome.history
    assert heard == [epoch] == [outcome.best]
    assert len(batches) == 1
    assert epoch.epoch == 1
    assert epoch.train_loss == pytest.approx(functional.cross_entropy(logits, train.labels).item(), rel=1e-5)
    assert epoch.train_accuracy == (logits.argmax(1) == train.labels).double().mean().item()
    assert epoch.seconds > 0


def test_the_weights_of_the_best_epoch_remain(
    make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    """On labels that cannot be learned validation goes up and down; few images make ties, which the loss decides."""
    train, validation = make_images(64), make_images(8, seed=5)
    validation.labels.copy_(torch.randint(3, (8,), generator=torch.Generator().manual_seed(3)))
    heard, batches = list[Epoch](), list[None]()
    recipe = make_recipe(train={"epochs": 8}, schedule={"name": "constant"}, optimizer={"lr": 0.2})
    network = make_network()

    outcome = fit(network, train, validation, recipe, torch.float32, heard.append, lambda: batches.append(None))

    assert heard == outcome.history
    assert len(batches) == 8 * 4
    assert [epoch.epoch for epoch in heard] == list(range(1, 9))
    best = max(heard, key=lambda epoch: (epoch.validation_accuracy, -epoch.validation_loss))
    assert outcome.best == best
    assert best.epoch < 8, "the last epoch is not the best in this case"
    assert sum(epoch.validation_accuracy == best.validation_accuracy for epoch in heard) > 1, "a tie"
    assert measure(network, validation)[0] == (best.validation_loss, best.validation_accuracy)
    assert measure(network, validation)[0] != (heard[-1].validation_loss, heard[-1].validation_accuracy)


@pytest.mark.parametrize(
    ("name", "lr"), [("sgd", 0.3), ("rmsprop", 0.003), ("adam", 0.02), ("adamw", 0.02), ("muon", 0.02)]
)
def test_the_problem_is_learned(
    name: str, lr: float, make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    optimizer = {"name": name, "lr": lr}
    recipe = make_recipe(train={"epochs": 12}, augment={"flip": "random", "crop": 1}, optimizer=optimizer)
    outcome = fit(make_network("C8 C8+ G"), make_images(320), make_images(100, seed=9), recipe, torch.float32)
    assert outcome.best.validation_accuracy > 0.9
    assert outcome.history[-1].train_loss < 0.6 * outcome.history[0].train_loss


def test_bf16_computes_in_bf16_and_keeps_weights_in_fp32(
    make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    network, seen = make_network("C4 G"), set[torch.dtype]()
    convolution = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    convolution.register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))

    outcome = fit(network, make_images(64), make_images(20, seed=2), make_recipe(), torch.bfloat16)

    assert seen == {torch.bfloat16}
    losses = [value for epoch in outcome.history for value in (epoch.train_loss, epoch.validation_loss)]
    assert torch.isfinite(torch.tensor(losses)).all()
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert predict(network, make_images(4).images, torch.bfloat16).dtype == torch.float32


def test_a_compiled_network_comes_to_the_same(
    make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a backend that needs no C++ compiler: PyTorch's tracing of forward and backward pass, and its own kernels."""
    compiled = Mock(wraps=functools.partial(torch.compile, backend="aot_eager"))
    monkeypatch.setattr(torch, "compile", compiled)
    networks, outcomes = [], []
    for on in (True, False):
        network = make_network()
        recipe = make_recipe(train={"compile": on, "ema": 0.8}, augment={"flip": "random"})
        outcomes.append(fit(network, make_images(75, seed=1), make_images(40, seed=2), recipe, torch.float32))
        networks.append(network)

    compiled.assert_called_once()
    assert isinstance(networks[0], Classifier), "the network itself is left, not what it was compiled to"
    for ours, plain in zip(outcomes[0].history, outcomes[1].history, strict=True):
        assert ours.train_loss == pytest.approx(plain.train_loss, rel=1e-4)
        assert ours.validation_loss == pytest.approx(plain.validation_loss, rel=1e-4)
    for name, tensor in networks[1].state_dict().items():
        torch.testing.assert_close(networks[0].state_dict()[name], tensor, rtol=1e-3, atol=1e-4, msg=name)
