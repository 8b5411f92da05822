"""Training on CUDA: as on the CPU, without waits between batches, and with the same bytes each time."""

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from thumbnet.nets.layers import Classifier
from thumbnet.params import AugmentParams, ModelParams
from thumbnet.training.augmentation import Augmenter
from thumbnet.training.batches import Images
from thumbnet.training.checkpoints import Card, load_classifier, save_classifiers
from thumbnet.training.engine import Epoch, Recipe, fit, fit_seeds
from thumbnet.training.prediction import measure, predict
from thumbnet.training.resuming import Checkpoint
from thumbnet.training.sending import send

MakeImages = Callable[..., Images]
MakeNetwork = Callable[..., Classifier]
MakeRecipe = Callable[..., Recipe]

pytestmark = pytest.mark.gpu


def move(split: Images, device: torch.device) -> Images:
    return Images(split.images.to(device), split.labels.to(device))


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_a_problem_is_learned(
    precision: torch.dtype,
    cuda: torch.device,
    make_images: MakeImages,
    make_network: MakeNetwork,
    make_recipe: MakeRecipe,
) -> None:
    recipe = make_recipe(
        train={"epochs": 12, "ema": 0.9},
        augment={"flip": "random", "crop": 1},
        optimizer={"lr": 0.3},
        regularisation={"l2": 1e-4, "label_smoothing": 0.05, "clip_norm": 2.0},
    )
    train, validation = move(make_images(320), cuda), move(make_images(100, seed=9), cuda)
    network = make_network("C8 C8+ G").to(cuda)

    outcome = fit(network, train, validation, recipe, precision)

    assert outcome.best.validation_accuracy > 0.9
    assert measure(network, validation, precision)[0][1] == outcome.best.validation_accuracy
    on_cpu = predict(network.cpu(), validation.images.cpu())
    tolerance = 0.01 if precision == torch.float32 else 0.1
    on_device = predict(network.to(cuda), validation.images, precision).cpu()
    torch.testing.assert_close(on_device, on_cpu, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("line", ["C8 C8+ G", "F L16 D.2 L16"])
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adamw", "muon"])
def test_no_batch_waits(
    line: str,
    optimizer: str,
    cuda: torch.device,
    make_images: MakeImages,
    make_network: MakeNetwork,
    make_recipe: MakeRecipe,
) -> None:
    """From the second batch of an epoch to its last one. PyTorch raises where it waits by itself, such as for a value
    that Python reads; it does not see waits within CUDA, such as those for copies from memory that is not pinned."""
    recipe = make_recipe(
        train={"ema": 0.9},
        augment={"flip": "random", "crop": 1, "rotation": 5.0, "cutout": 2, "pixel_noise": 0.01},
        optimizer={"name": optimizer, "lr": 0.01},
        regularisation={"l2": 1e-4, "label_smoothing": 0.05, "clip_norm": 2.0},
    )
    train, validation = move(make_images(160), cuda), move(make_images(100, seed=9), cuda)
    batches = 0

    def on_batch() -> None:
        nonlocal batches
        batches += 1
        torch.cuda.set_sync_debug_mode("default" if batches % 10 == 0 else "error")

    try:
        fit(make_network(line).to(cuda), train, validation, recipe, torch.bfloat16, on_batch=on_batch)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert batches == 30
    assert train.images.dtype == torch.uint8


def test_what_is_sent_does_not_wait_for_what_is_computed(cuda: torch.device) -> None:
    numbers = torch.arange(10**6)
    send(numbers, cuda)  # pins memory, which is kept for the next time
    torch.cuda.synchronize()
    torch.cuda._sleep(10**9)  # cycles, about half a second
    sent = send(numbers, cuda)
    assert not torch.cuda.current_stream().query(), "it is not done yet"
    assert torch.equal(sent.cpu(), numbers)


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])  # Muon rounds to bf16 on CUDA
def test_seeds_in_one_network_come_to_what_they_come_to_alone(
    optimizer: str, cuda: torch.device, make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe(optimizer={"name": optimizer, "lr": 0.01}, augment={"flip": "random"})
    train, validation = move(make_images(75, seed=1), cuda), move(make_images(40, seed=2), cuda)
    together = [make_network("F L8 L8", seed=seed).to(cuda) for seed in range(3)]
    fit_seeds(together, train, validation, recipe, torch.float32)
    for seed, network in enumerate(together):
        alone = make_network("F L8 L8", seed=seed).to(cuda)
        fit(alone, train, validation, replace(recipe, seed=recipe.seed + seed), torch.float32)
        logits = predict(alone, validation.images)
        torch.testing.assert_close(predict(network, validation.images), logits, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("line", ["C8 D.2 C8+ G", "F L16 D.2 L16"])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_same_training_gives_the_same_bytes(
    line: str,
    precision: torch.dtype,
    cuda: torch.device,
    make_images: MakeImages,
    make_network: MakeNetwork,
    make_recipe: MakeRecipe,
) -> None:
    def train() -> dict[str, Tensor]:
        network = make_network(line).to(cuda)
        splits = move(make_images(75, seed=1), cuda), move(make_images(40, seed=2), cuda)
        fit(network, *splits, make_recipe(augment={"flip": "random", "crop": 1}), precision)
        return network.state_dict()

    first, second = train(), train()
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_a_training_that_is_cut_off_goes_on_to_the_same_bytes(
    tmp_path: Path, cuda: torch.device, make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    splits = move(make_images(75, seed=1), cuda), move(make_images(40, seed=2), cuda)
    recipe = make_recipe(train={"epochs": 3, "ema": 0.9}, augment={"flip": "random"})

    resumed: list[int] = []

    def train(checkpoint: Checkpoint | None, cut: bool = False) -> dict[str, Tensor]:
        def on_epoch(epochs: list[Epoch]) -> None:
            if cut and epochs[0].epoch == 3:  # the checkpoint is that of the first epoch: later ones are not due
                raise InterruptedError

        network = make_network("C8 D.2 C8+ G").to(cuda)
        with checkpoint or contextlib.nullcontext():
            fit_seeds(
                [network],
                *splits,
                recipe,
                torch.bfloat16,
                on_epoch,
                on_resume=resumed.append,
                checkpoint=checkpoint,
            )
        return network.state_dict()

    expected = train(None)
    with pytest.raises(InterruptedError):
        train(Checkpoint(tmp_path, {}), cut=True)
    found = train(Checkpoint(tmp_path, {}))
    assert resumed == [1]
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


@pytest.mark.parametrize(
    "changes",
    [
        {"crop": 2},
        {"flip": "random"},
        {"flip": "alternating", "cutout": 3},
        {"rotation": 20.0, "shift": 0.1},
        {"rotation": 20.0, "border": "reflect"},
        {"pixel_noise": 0.01},
    ],
    ids=str,
)
def test_augmentation_is_that_of_the_cpu(
    changes: dict[str, Any], cuda: torch.device, make_images: MakeImages, make_recipe: MakeRecipe
) -> None:
    params: AugmentParams = make_recipe(augment=changes).augment
    images, chosen = make_images(40).images, torch.arange(40)
    on_cpu, on_cuda = (
        Augmenter(params, 40, torch.Generator().manual_seed(0))(images.to(device), chosen.to(device), 1).cpu()
        for device in (torch.device("cpu"), cuda)
    )
    torch.testing.assert_close(on_cuda, on_cpu, rtol=0, atol=0 if on_cpu.dtype == torch.uint8 else 0.05)


def test_a_loaded_classifier_gives_the_answers_of_the_cpu(
    tmp_path: Path, cuda: torch.device, make_images: MakeImages, make_network: MakeNetwork
) -> None:
    network, images = make_network("C4 C4+ G"), make_images(40).images
    model = ModelParams(layers="C4 C4+ G", norm="batch").used()
    save_classifiers(
        tmp_path / "bn", [network], [Card("bn", model, ["a", "b", "c"], (6, 5, 1), 1, {"seed": 1}, {}, {})]
    )
    on_cpu, on_cuda = (
        predict(load_classifier(tmp_path / "bn"), images),
        predict(load_classifier(tmp_path / "bn", cuda), images.to(cuda)),
    )
    torch.testing.assert_close(on_cuda.cpu(), on_cpu, rtol=1e-3, atol=1e-4)
