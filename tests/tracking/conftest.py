"""A checkout with one small trained network, as the stage `train` leaves it, and an MLflow store without runs."""

import thumbnet.tracking  # isort: skip  # noqa: F401  before mlflow, which reads what this sets

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from mlflow import MlflowClient
from mlflow.entities import Experiment, Run, ViewType

from thumbnet import paths, tracking
from thumbnet.data.arrays import DatasetInfo, save_info
from thumbnet.nets.builder import build_network
from thumbnet.nets.layers import Classifier
from thumbnet.params import Params, check_params
from thumbnet.training.checkpoints import Card, image_shape, save_classifiers

ROOT = Path(__file__).parents[2]
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
    script = "from mlflow import MlflowClient; from thumbnet import tracking; MlflowClient(tracking.tracking_uri())"
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
    for name in ("MLFLOW_TRACKING_URI", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "THUMBNET_STUDY"):
        monkeypatch.delenv(name, raising=False)
    return root


@pytest.fixture
def params() -> Params:
    """All that a training reads stands here, since runs hold it; the rest is that of params.yaml."""
    defaults: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    return check_params(
        defaults
        | {
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
        }
    )


@pytest.fixture
def train_member(checkout: Path, params: Params) -> Callable[..., Path]:
    """Writes what `train` and the stages before it write, without a run; returns the folder of the network."""

    def write(member: str, accuracy: float = 0.7, loss: float = 1.1) -> Path:
        torch.manual_seed(params.seed)
        model = params.models[member]
        network = build_network(model, image_shape(SHAPE), len(CLASSES))
        classifier = Classifier(network, torch.zeros(1), torch.full((1,), 255.0))
        count = sum(weight.numel() for weight in network.parameters())
        best = EPOCHS[1] | {"validation_accuracy": accuracy, "validation_loss": loss}
        card = Card(member, model.used(), CLASSES, SHAPE, count, params.training_of(member), DATA, best)
        save_classifiers(paths.MODELS / member, [classifier], [card])
        for folder in (paths.SPLITS, paths.HISTORY, paths.TRAIN_METRICS):
            folder.mkdir(parents=True, exist_ok=True)
        images = np.random.default_rng(0).integers(0, 256, (5, *SHAPE), dtype=np.uint8)
        np.save(paths.SPLITS / "validation_images.npy", images)
        save_info(paths.SPLITS, DatasetInfo("digits", tuple(CLASSES), SHAPE, {"train": 7, "validation": 5}, {}))
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
        run = tracking.TrainingRun(params, member, tracking.hash_data(DATA))
        run.begin()
        run.tag(device="cpu", precision="fp32")
        for epoch in EPOCHS:
            run.log_epoch({**epoch, "seconds": 1.5})
        run.finish(model_dir, [paths.HISTORY / f"{member}.csv"], {"images_per_second": 1000.0})

    return track


class Store:
    """What the present MLflow store holds, as its pages show it."""

    @property
    def client(self) -> MlflowClient:
        return MlflowClient(tracking.tracking_uri())

    @property
    def experiment(self) -> Experiment:
        found = self.client.get_experiment_by_name("digits")
        assert found is not None
        return found

    def runs(self, view: int = ViewType.ACTIVE_ONLY) -> list[Run]:
        """The newest first."""
        found = self.client.get_experiment_by_name("digits")
        return list(self.client.search_runs([found.experiment_id], run_view_type=view)) if found else []

    def run(self, name: str) -> Run:
        (found,) = (run for run in self.runs() if run.info.run_name == name)
        return found

    def names(self) -> list[str]:
        return sorted(str(run.info.run_name) for run in self.runs())

    def artifacts(self, run: Run, folder: str) -> set[str]:
        return {Path(entry.path).name for entry in self.client.list_artifacts(run.info.run_id, folder)}

    def history(self, run: Run, metric: str) -> list[tuple[int, float]]:
        entries = self.client.get_metric_history(run.info.run_id, metric)
        return [(entry.step, entry.value) for entry in entries]

    def versions(self) -> dict[int, str]:
        """The versions of the registered model, and the network that each is."""
        found = self.client.search_model_versions("name = 'thumbnet-digits'")
        return {int(version.version): str(version.tags["member"]) for version in found}

    def champion(self) -> int:
        return int(self.client.get_registered_model("thumbnet-digits").aliases["champion"])


@pytest.fixture
def store(checkout: Path) -> Store:
    return Store()


@dataclass(frozen=True)
class TrackingServer:
    """A real MLflow server, which MLFLOW_TRACKING_URI names."""

    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)
            self.process.wait(timeout=60)  # a busy machine takes its time


@pytest.fixture
def server(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TrackingServer]:
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "kept"]
    with Path("server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    started = TrackingServer(process)
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, Path("server.log").read_text()
            time.sleep(0.1)
        else:
            pytest.fail("the server does not start: " + Path("server.log").read_text())
        yield started
    finally:
        started.stop()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def closed_port() -> int:
    """A port on which nothing listens."""
    return free_port()


@pytest.fixture
def write_files() -> Callable[..., list[Path]]:
    def write(*names: str) -> list[Path]:
        files = [Path(name) for name in names]
        for file in files:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(file.name)
        return files

    return write
