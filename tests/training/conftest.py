"""A small problem that a small network can learn: bright stripes that stand, lie, or are not there."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from thumbnet.data.normalisation import Statistics
from thumbnet.nets.layers import Classifier
from thumbnet.params import ModelParams, load_params
from thumbnet.training.batches import Images
from thumbnet.training.checkpoints import make_classifier
from thumbnet.training.devices import choose_device
from thumbnet.training.engine import Recipe

SHAPE = (6, 5, 1)
CLASSES = 3
DEFAULTS = load_params(Path(__file__).parents[2] / "params.yaml")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The sums of several threads need not be those of one, and the tests run beside each other."""
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(1)


@pytest.fixture
def restored_switches(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Afterwards all switches that `choose_device` sets for CUDA are as they were."""
    cudnn: Any = torch.backends.cudnn
    memory: Any = torch.utils.deterministic  # PyTorch's types do not know all of its switches
    before = cudnn.allow_tf32, cudnn.benchmark, memory.fill_uninitialized_memory, torch.get_deterministic_debug_mode()
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", "")  # so that what is set now is undone, too
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG")
    yield
    cudnn.allow_tf32, cudnn.benchmark, memory.fill_uninitialized_memory, mode = before
    if torch.get_deterministic_debug_mode() != mode:  # the next line loads for seconds
        torch.use_deterministic_algorithms(mode > 0, warn_only=mode == 1)


@pytest.fixture
def cuda(restored_switches: None) -> torch.device:
    """CUDA as trainings have it by default; without it a test is skipped. Tests that take it are marked `gpu`."""
    if not torch.cuda.is_available():
        pytest.skip("this machine has no CUDA device")
    return choose_device("cuda", deterministic=True)


@pytest.fixture
def make_images() -> Callable[..., Images]:
    """Images (n, 6, 5, 1) and labels, drawn with a seed."""

    def make(count: int, seed: int = 0) -> Images:
        generator = np.random.default_rng(seed)
        labels = generator.integers(CLASSES, size=count)
        images = generator.integers(120, size=(count, *SHAPE))
        images[labels == 0, :, 2] += 100
        images[labels == 1, 3] += 100
        return Images(torch.from_numpy(images.astype(np.uint8)), torch.from_numpy(labels))

    return make


@pytest.fixture
def make_network() -> Callable[..., Classifier]:
    """A new classifier of such images."""

    def make(line: str = "C4 C4+ G", norm: str = "batch", seed: int = 0) -> Classifier:
        model = ModelParams(layers=line, norm=norm)  # type: ignore[arg-type]  # pydantic checks it
        return make_classifier(model, SHAPE, CLASSES, Statistics(np.full(1, 78.3), np.full(1, 51.7)), seed)

    return make


@pytest.fixture
def make_recipe() -> Callable[..., Recipe]:
    """SGD with Nesterov momentum and one cycle over three epochs of 16 images a batch, with changes by section."""

    def change(recipe: Recipe, changes: dict[str, dict[str, Any]]) -> Recipe:
        sections = {name: getattr(recipe, name).model_copy(update=values) for name, values in changes.items()}
        return replace(recipe, **sections)

    sections = {field.name: getattr(DEFAULTS, field.name) for field in fields(Recipe)}
    plain = change(
        Recipe(**{**sections, "seed": 1}),
        {
            "train": {
                "epochs": 3,
                "batch_size": 16,
                "ema": 0.0,
                "keep": "validation_accuracy",
                "seeds": 1,
                "compile": False,
            },
            "optimizer": {"name": "sgd", "lr": 0.1, "weight_decay": 0.001, "momentum": 0.9, "nesterov": True},
            "schedule": {"name": "one_cycle", "warmup": 0.3},
            "regularisation": {"l2": 0.0, "label_smoothing": 0.0, "clip_norm": 0.0},
            "early_stopping": {"monitor": "none", "mode": "auto", "patience": 5, "min_delta": 0.0},
            "augment": {
                "flip": "none",
                "rotation": 0,
                "shift": 0,
                "crop": 0,
                "border": "black",
                "cutout": 0,
                "pixel_noise": 0,
            },
        },
    )

    def make(**changes: dict[str, Any]) -> Recipe:
        return change(plain, changes)

    return make
