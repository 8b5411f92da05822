"""A checkout with one small trained network, as the stage `train` leaves it, and an MLflow store without runs."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from thumbnet import paths, tracking
from thumbnet.nets.builder import build_network
from thumbnet.nets.layers import Classifier
from thumbnet.params import Params, check_params
from thumbnet.training.checkpoints import Card, image_shape, save_classifiers

CLASSES = ["T-shirt/top", "class", "bag"]
SHAPE = (8, 8, 1)
DATA = {"name": "digits", "sha256": {"train": "1a", "validation": "2b", "test": "3c"}}
COLUMNS = ("epoch", "lr", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "l2_penalty")
EPOCHS = [
    dict(zip(COLUMNS, values, strict=True))
    for values in (
        (1, 0.1, 2.0, 0.3, 1.9, 0.4, 0.05),
        (2, 0.2, 1.0, 0.6, 1.1, 0.7, 0.04),
        (3, 0.1, 0.5, 0.8, 1.2, 0.6, 0.03),
    )
]


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A laid-out SQLite file: making one takes MLflow seconds, copying it none."""
    folder = tmp_path_factory.mktemp("store")
    script = "from thumbnet import tracking; tracking.MlflowClient(tracking.tracking_uri())"
    subprocess.run(
        [sys.executable, "-c", script], cwd=folder, env={**os.environ, "MLFLOW_TRACKING_URI": ""}, check=True
    )
    return folder / "mlflow.db"


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Path:
    """The current folder: a checkout with `models/bn`, its history and metrics, and `mlflow.db`."""
    root = tmp_path / "my checkout"
    root.mkdir()
    (root / "dvc.yaml").touch()
    shutil.copy(empty_store, root / "mlflow.db")
    monkeypatch.chdir(root)
    for name in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    return root


@pytest.fixture
def params() -> Params:
    return check_params(
        {
            "seed": 1,
            "dataset": {"name": "digits", "path": "data/local", "image_size": 32},
            "split": {"kind": "fraction", "validation": 0.1},
            "corruption": {"label_noise": 0, "pixel_noise": 0},
            "normalisation": {"kind": "unit"},
            "members": ["bn"],
            "models": {
                "bn": {"layers": "C4 G", "norm": "batch"},
                "gn": {"layers": "C4 G", "norm": "group"},
                "small": {"torchvision": "shufflenet_v2_x0_5"},
            },
            "train": {
                "epochs": 3,
                "batch_size": 8,
                "device": "cpu",
                "precision": "fp32",
                "threads": 1,
                "ema": 0,
                "seeds": 1,
                "compile": False,
                "deterministic": True,
                "keep": "validation_accuracy",
            },
            "optimizer": {"name": "adam", "lr": 0.1, "weight_decay": 0.0, "momentum": 0.9, "nesterov": True},
            "schedule": {"name": "constant", "warmup": 0.3, "decay": 0.3, "every": 10, "factor": 0.1},
            "regularisation": {"l2": 0.01, "label_smoothing": 0, "clip_norm": 0},
            "early_stopping": {"monitor": "none", "mode": "auto", "patience": 5, "min_delta": 0},
            "augment": {
                "flip": "none",
                "rotation": 0,
                "shift": 0,
                "crop": 0,
                "border": "black",
                "cutout": 0,
                "pixel_noise": 0,
            },
            "evaluate": {
                "splits": ["validation", "test"],
                "flip": False,
                "shift": 0,
                "border": "black",
                "confidence": 0.95,
            },
            "gallery": {"validation": [5, 5], "test": [5, 2], "samples": [6, 4]},
        }
    )


@pytest.fixture
def train_member(checkout: Path, params: Params) -> Callable[[str], Path]:
    """Writes what `train` and the stages before it write, without a run; returns the folder of the network."""

    def write(member: str) -> Path:
        torch.manual_seed(params.seed)
        model = params.models[member]
        network = build_network(model, image_shape(SHAPE), len(CLASSES))
        classifier = Classifier(network, torch.zeros(1), torch.full((1,), 255.0))
        count = sum(weight.numel() for weight in network.parameters())
        best = EPOCHS[1]
        card = Card(member, model.used(), CLASSES, SHAPE, count, params.training_of(member), DATA, best)
        save_classifiers(paths.MODELS / member, [classifier], [card])
        for folder in (paths.SPLITS, paths.HISTORY, paths.TRAIN_METRICS):
            folder.mkdir(parents=True, exist_ok=True)
        images = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)
        np.save(paths.SPLITS / "validation_images.npy", images)
        rows = [",".join(COLUMNS), *(",".join(map(str, epoch.values())) for epoch in EPOCHS)]
        (paths.HISTORY / f"{member}.csv").write_text("\n".join(rows) + "\n")
        (paths.TRAIN_METRICS / f"{member}.json").write_text(json.dumps({"best": best}))
        return paths.MODELS / member

    return write


@pytest.fixture
def track_training(params: Params) -> Callable[[Path], None]:
    """The run of a training, as the stage `train` makes it."""

    def track(model_dir: Path) -> None:
        member = model_dir.name
        with tracking.TrainingRun(params, member, tracking.hash_data(DATA)) as run:
            run.tag(device="cpu", precision="fp32")
            for epoch in EPOCHS:
                run.log_epoch({**epoch, "seconds": 1.5})
            run.finish(model_dir, [paths.HISTORY / f"{member}.csv"], {"images_per_second": 1000.0})

    return track
