"""Trainings that are cut off: they go on from their checkpoint, and come to the same bits."""

import contextlib
import io
import os
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from thumbnet.errors import UserError
from thumbnet.nets.layers import Classifier
from thumbnet.training import resuming
from thumbnet.training.batches import Images
from thumbnet.training.copies import make_copies
from thumbnet.training.engine import Epoch, Outcome, Recipe, fit_seeds
from thumbnet.training.launching import can_have
from thumbnet.training.resuming import Checkpoint, hash_weights

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
        with checkpoint or contextlib.nullcontext():
            outcomes = fit_seeds(classifiers, images, validation, recipe, precision, checkpoint=checkpoint, **heard)
            if checkpoint:
                checkpoint.remove()
        return classifiers, outcomes

    return train


@contextlib.contextmanager
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
    classifiers, outcomes = train(
        network,
        seeds,
        changes,
        Checkpoint(tmp_path, {}),
        on_resume=told.append,
        on_epoch=lambda epochs: told.append(sorted({epoch.epoch for epoch in epochs})),
    )

    longest = max(len(outcome.history) for outcome in whole)
    assert told == [3, *([number] for number in range(1, longest + 1))]
    assert [values(outcome) for outcome in outcomes] == [values(outcome) for outcome in whole]
    for classifier, one in zip(classifiers, expected, strict=True):
        for name, tensor in one.state_dict().items():
            assert torch.equal(classifier.state_dict()[name], tensor), name
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not can_have({"descend", "adapt"}), reason="PyTorch's loops do not run on GNU's OpenMP here")
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
    resumed: list[int] = []
    classifiers, outcomes = train(
        network, 1, changes, Checkpoint(tmp_path, {}), torch.bfloat16, on_resume=resumed.append
    )

    assert resumed == [2]
    assert values(outcomes[0]) == values(whole[0])
    for name, tensor in expected[0].state_dict().items():
        assert torch.equal(classifiers[0].state_dict()[name], tensor), name


def test_another_training_begins_anew(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(**facts: Any) -> Any:
        with Checkpoint(tmp_path, facts) as checkpoint:
            return checkpoint.read()

    with cut_in(3) as heard:
        train(DENSE, 1, {}, Checkpoint(tmp_path, {"seed": 1, "scaling": [[0.1], [0.2]]}), **heard)

    assert read(scaling=[[0.1], [0.2]], seed=1)
    assert read(seed=2, scaling=[[0.1], [0.2]]) is None
    assert read(seed=1, scaling=[[0.1], [0.3]]) is None
    with monkeypatch.context() as other:
        other.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "NO SUCH")
        assert read(seed=1, scaling=[[0.1], [0.2]]) is None
    monkeypatch.setattr(torch, "__version__", "1.0")
    assert read(seed=1, scaling=[[0.1], [0.2]]) is None


def test_weights_have_a_hash(make_network: MakeNetwork) -> None:
    networks = [make_network(*CONVOLUTION, seed=seed) for seed in (1, 1, 2)]
    first, again, other = (hash_weights([network]) for network in networks)
    assert first == again != other
    assert hash_weights(networks[:2]) != first


def within_a_tensor(content: bytes) -> bytes:
    """A block of zeros, as a machine that goes down may leave it: PyTorch itself reads such a file without a word."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        largest = max(archive.infolist(), key=lambda entry: entry.file_size)
    start = largest.header_offset + 200  # behind the name, and padding to 64 bytes
    assert content[start : start + 20].strip(b"\0")
    return content[:start] + bytes(20) + content[start + 20 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "text": lambda content: b"no checkpoint",
    "torn": lambda content: content[:3000],
    "zeros": within_a_tensor,
    "directory": lambda content: content[:-300] + b"\xff" * 300,
    "header": lambda content: content[:28] + b"\xff" * 100 + content[128:],
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_what_cannot_be_read_is_told_and_the_training_begins_anew(
    damage: Callable[[bytes], bytes], train: Train, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with cut_in(3) as heard:
        train(DENSE, 1, {}, Checkpoint(tmp_path, {}), **heard)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage(file.read_bytes()))

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
    assert capsys.readouterr().err.count(f"warning: {folder} does not take the checkpoint of this training: ") == 1


def test_a_disk_that_is_full_for_a_while_is_told_once_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Checkpoint(tmp_path, {}) as checkpoint:
        with monkeypatch.context() as full:
            full.setattr(os, "fsync", raise_full)
            checkpoint.offer(lambda: {"epochs": 1})
            checkpoint.offer(lambda: {"epochs": 2})
        assert checkpoint.read() is None
        checkpoint.offer(lambda: {"epochs": 3})
        assert checkpoint.read() == {"epochs": 3}
        with monkeypatch.context() as broken:
            broken.setattr(Path, "unlink", raise_full)
            checkpoint.remove()
    assert capsys.readouterr().err.count("No space left") == 1


def raise_full(*arguments: Any, **options: Any) -> None:
    raise OSError(28, "No space left on device")


def test_of_two_trainings_at_once_the_first_has_the_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "_PATIENCE", 0.2)
    with Checkpoint(tmp_path, {}) as first:
        first.offer(lambda: {"epochs": 1})
        with Checkpoint(tmp_path, {}) as second:
            assert not second.held
            assert second.read() is None
            second.offer(lambda: {"epochs": 9})
            second.remove()
        assert first.read() == {"epochs": 1}
        with Checkpoint(tmp_path, {"seed": 2}) as other:
            assert other.held
    assert capsys.readouterr().err.count("warning: another process trains the same at this moment") == 1
    with Checkpoint(tmp_path, {}) as third:
        assert third.read() == {"epochs": 1}


def test_a_training_that_diverges_leaves_nothing_to_go_on_from(train: Train, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"diverged in epoch [2-6]"):
        train(DENSE, 1, {"optimizer": {"lr": 1.0}, "schedule": {"name": "step", "every": 1, "factor": 1e30}},
              Checkpoint(tmp_path, {}))  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_writing_takes_a_hundredth_of_the_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(resuming, "_SHARE", 0.01)
    written = []

    def state() -> dict[str, Any]:
        nonlocal now
        now += 2
        written.append(round(now))
        return {}

    with Checkpoint(tmp_path, {}) as checkpoint:
        for _ in range(500):
            checkpoint.offer(state)
            now += 1
    assert written == [102, 304, 506]


def test_what_nobody_goes_on_with_is_removed(tmp_path: Path) -> None:
    old, young = tmp_path / ".old.pt.partial", tmp_path / "young.pt"
    lock = tmp_path / f"{Checkpoint(tmp_path, {}).key}.lock"  # of one that was killed, and goes on now
    for file, days in ((old, 15), (young, 13), (lock, 13.99)):
        file.write_bytes(b"")
        os.utime(file, times=(time.time() - days * 24 * 3600,) * 2)
    with Checkpoint(tmp_path, {}):
        assert time.time() - lock.stat().st_mtime < 3600
        os.utime(lock, times=(time.time() - 15 * 24 * 3600,) * 2)
    assert not old.exists()
    assert young.exists()
