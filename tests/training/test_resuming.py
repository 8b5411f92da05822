"""Trainings that are cut off: they go on from their checkpoint, and come to the same bits."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from thumbnet.nets.layers import Classifier
from thumbnet.training import resuming
from thumbnet.training.batches import Images
from thumbnet.training.copies import make_copies
from thumbnet.training.engine import Epoch, Outcome, Recipe, fit_seeds
from thumbnet.training.resuming import Checkpoint

MakeImages = Callable[..., Images]
MakeNetwork = Callable[..., Classifier]
MakeRecipe = Callable[..., Recipe]
Train = Callable[..., tuple[list[Classifier], list[Outcome]]]

CONVOLUTION, DROPOUT, DENSE = ("C4 C4+ G", "batch"), ("C4 D.3 C4+ D.3 G", "group"), ("F L8 L8", "batch")
AUGMENT = {"flip": "alternating", "crop": 1, "pixel_noise": 0.01}
CASES: list[tuple[tuple[str, str], int, dict[str, Any]]] = [
    # network, seeds, changes of the recipe
    (CONVOLUTION, 1, {"augment": AUGMENT, "train": {"ema": 0.8}}),
    (DROPOUT, 2, {"optimizer": {"name": "adamw", "lr": 0.01}, "schedule": {"name": "cosine"}}),
    (DENSE, 3, {"augment": AUGMENT, "train": {"ema": 0.8}, "regularisation": {"l2": 0.01}}),
    (CONVOLUTION, 1, {"optimizer": {"name": "muon", "lr": 0.01}, "schedule": {"name": "step", "every": 1}}),
    (DENSE, 2, {"optimizer": {"name": "muon", "lr": 0.01}, "schedule": {"name": "linear"}}),
    (DENSE, 1, {"optimizer": {"name": "rmsprop", "lr": 0.001}, "schedule": {"name": "inverse_time"}}),
    (CONVOLUTION, 1, {"optimizer": {"name": "adam", "lr": 0.01}, "train": {"keep": "validation_loss"}}),
    (
        DENSE,
        3,
        {"optimizer": {"lr": 0.3}, "early_stopping": {"monitor": "validation_accuracy", "patience": 2}},
    ),
]
EPOCHS = 6


class CutError(Exception):
    """A training ends in the middle of an epoch."""


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checkpoints are written however long that takes."""
    monkeypatch.setattr(resuming, "_SHARE", float("inf"))


@pytest.fixture
def train(make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe) -> Train:
    """Trains networks of some seeds, from a checkpoint or without one."""

    def train(
        network: tuple[str, str],
        seeds: int,
        changes: dict[str, Any],
        checkpoint: Checkpoint | None = None,
        precision: torch.dtype = torch.float32,
        **heard: Any,
    ) -> tuple[list[Classifier], list[Outcome]]:
        recipe = make_recipe(**{**changes, "train": {"epochs": EPOCHS} | changes.get("train", {})})
        classifiers = [make_network(*network, seed=recipe.seed + number) for number in range(seeds)]
        images, validation = make_images(75, seed=1), make_images(40, seed=2)
        outcomes = fit_seeds(classifiers, images, validation, recipe, precision, checkpoint=checkpoint, **heard)
        return classifiers, outcomes

    return train


@contextmanager
def cut_in(epoch: int) -> Iterator[dict[str, Any]]:
    """What to give to a training that is cut off after a batch of an epoch, which must not be its last."""
    done = 0

    def on_epoch(epochs: list[Epoch]) -> None:
        nonlocal done
        done += 1

    def on_batch() -> None:
        if done == epoch - 1:
            raise CutError

    with pytest.raises(CutError):
        yield {"on_epoch": on_epoch, "on_batch": on_batch}


def values(outcome: Outcome) -> list[Any]:
    """All of an outcome but its wall times."""
    epochs = [vars(epoch) | {"seconds": None} for epoch in outcome.history]
    return [epochs, outcome.best.epoch, outcome.stopped_early]


@pytest.mark.parametrize(("network", "seeds", "changes"), CASES, ids=str)
def test_a_training_goes_on_to_the_same_bits(
    network: tuple[str, str], seeds: int, changes: dict[str, Any], train: Train, tmp_path: Path
) -> None:
    expected, whole = train(network, seeds, changes)
    for epoch in (2, 4):  # cut off twice
        with cut_in(epoch) as heard:
            train(network, seeds, changes, Checkpoint(tmp_path, {}), **heard)

    told: list[Any] = []
    checkpoint = Checkpoint(tmp_path, {})
    classifiers, outcomes = train(
        network,
        seeds,
        changes,
        checkpoint,
        on_resume=told.append,
        on_epoch=lambda epochs: told.append(sorted({epoch.epoch for epoch in epochs})),
    )

    longest = max(len(outcome.history) for outcome in whole)
    assert told == [3, *([number] for number in range(1, longest + 1))]
    assert [values(outcome) for outcome in outcomes] == [values(outcome) for outcome in whole]
    for classifier, one in zip(classifiers, expected, strict=True):
        for name, tensor in one.state_dict().items():
            assert torch.equal(classifier.state_dict()[name], tensor), name
    checkpoint.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_bf16_copies_go_on_too(
    optimizer: str, train: Train, make_network: MakeNetwork, make_recipe: MakeRecipe, tmp_path: Path
) -> None:
    network = ("F L1500 L700", "batch")
    changes = {"optimizer": {"name": optimizer, "lr": 0.01}, "train": {"epochs": 3, "batch_size": 64}}
    recipe = make_recipe(**changes)
    assert make_copies(make_network(*network), torch.bfloat16, recipe.optimizer, recipe.regularisation)

    expected, whole = train(network, 1, changes, precision=torch.bfloat16)
    with cut_in(3) as heard:
        train(network, 1, changes, Checkpoint(tmp_path, {}), torch.bfloat16, **heard)
    classifiers, outcomes = train(network, 1, changes, Checkpoint(tmp_path, {}), torch.bfloat16)

    assert values(outcomes[0]) == values(whole[0])
    for name, tensor in expected[0].state_dict().items():
        assert torch.equal(classifiers[0].state_dict()[name], tensor), name


def test_another_training_begins_anew(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with cut_in(3) as heard:
        train(DENSE, 1, {}, Checkpoint(tmp_path, {"seed": 1, "scaling": [[0.1], [0.2]]}), **heard)

    assert Checkpoint(tmp_path, {"scaling": [[0.1], [0.2]], "seed": 1}).read()
    assert Checkpoint(tmp_path, {"seed": 2, "scaling": [[0.1], [0.2]]}).read() is None
    assert Checkpoint(tmp_path, {"seed": 1, "scaling": [[0.1], [0.3]]}).read() is None
    monkeypatch.setattr(torch, "__version__", "1.0")
    assert Checkpoint(tmp_path, {"seed": 1, "scaling": [[0.1], [0.2]]}).read() is None


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None], ids=["empty", "text", "torn"])
def test_what_cannot_be_read_is_told_and_the_training_begins_anew(
    content: bytes | None, train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with cut_in(3) as heard:
        train(DENSE, 1, {}, Checkpoint(tmp_path, {}), **heard)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:3000] if content is None else content)

    _, outcomes = train(DENSE, 1, {}, Checkpoint(tmp_path, {}))

    assert f"warning: {file} cannot be read, so that the training begins anew: " in capsys.readouterr().err
    assert len(outcomes[0].history) == EPOCHS


def test_a_disk_that_takes_nothing_stops_no_training(
    train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "a file"
    folder.write_text("where the folder would be")
    _, outcomes = train(DENSE, 1, {}, Checkpoint(folder, {}))

    assert len(outcomes[0].history) == EPOCHS
    assert capsys.readouterr().err.count("warning: no checkpoint of this training can be written") == 1


def test_writing_takes_a_hundredth_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "_SHARE", 0.01)
    checkpoint, written = Checkpoint(tmp_path, {}), 0

    def state() -> dict[str, Any]:
        nonlocal written
        written += 1
        time.sleep(0.002)
        return {}

    checkpoint.offer(state)
    start = time.monotonic()
    while written == 1:
        checkpoint.offer(state)
        time.sleep(0.001)
    assert time.monotonic() - start > 0.2


def test_what_nobody_goes_on_with_is_removed(tmp_path: Path) -> None:
    old, young = tmp_path / "old.pt", tmp_path / ".young.pt.partial"
    for file, days in ((old, 15), (young, 13)):
        file.write_bytes(b"")
        os.utime(file, times=(time.time() - days * 24 * 3600,) * 2)
    Checkpoint(tmp_path, {}).offer(dict)
    assert not old.exists()
    assert young.exists()
