"""The logged model, where it is used: loaded by MLflow, and served over HTTP where thumbnet is not installed."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import torch
from mlflow.exceptions import MlflowException

from thumbnet import paths, tracking
from thumbnet.training.checkpoints import load_classifier

CLASSES = ["T-shirt/top", "class", "bag"]
CHAMPION = "models:/thumbnet-digits@champion"
COLUMNS = ["class", "probability", "T-shirt/top", "class_", "bag"]

# What `mlflow models serve` runs, in a Python whose site-packages hold everything but thumbnet: -S leaves out the
# .pth file that an editable installation puts there.
SERVE = """
import importlib.util, sys
sys.path.append(sys.argv[1])
assert importlib.util.find_spec("thumbnet") is None
import mlflow.pyfunc, uvicorn
from mlflow.pyfunc.scoring_server import init
uvicorn.run(init(mlflow.pyfunc.load_model(sys.argv[2])), port=0)
"""


@pytest.fixture
def model(
    train_member: Callable[[str], Path], track_training: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> str:
    """The address of a logged model."""
    model_dir = train_member("bn")
    track_training(model_dir)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.tracking_uri())
    return f"runs:/{tracking.find_run(model_dir, 'digits')}/model"


@pytest.mark.parametrize("member", ["bn", "small"])
def test_torchvision_is_asked_for_where_the_network_comes_from_it(
    member: str,
    train_member: Callable[[str], Path],
    track_training: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model_dir = train_member(member)
    track_training(model_dir)
    run = f"runs:/{tracking.find_run(model_dir, 'digits')}/model"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.tracking_uri())
    packages = Path(mlflow.artifacts.download_artifacts(f"{run}/requirements.txt")).read_text()
    assert "torch==" in packages
    assert ("torchvision==" in packages) == (member == "small")
    assert mlflow.pyfunc.load_model(run).predict(np.load(paths.SPLITS / "validation_images.npy")).shape == (5, 5)


def test_the_model_predicts_what_the_classifier_predicts(model: str) -> None:
    images = np.load(paths.SPLITS / "validation_images.npy")  # (5, 8, 8, 1)
    with torch.inference_mode():
        logits = load_classifier(paths.MODELS / "bn")(torch.from_numpy(images))
    expected = logits.softmax(1).numpy()  # (5, classes)

    loaded = mlflow.pyfunc.load_model(model)
    table = loaded.predict(images)

    assert list(table.columns) == COLUMNS == loaded.metadata.signature.outputs.input_names()
    np.testing.assert_allclose(table[COLUMNS[2:]], expected, rtol=1e-5)
    np.testing.assert_allclose(table["probability"], expected.max(axis=1), rtol=1e-5)
    assert list(table["class"]) == [CLASSES[index] for index in expected.argmax(axis=1)]
    assert len(loaded.predict(images[:0])) == 0
    assert len(loaded.predict(np.repeat(images, 100, axis=0))) == 500


@pytest.mark.parametrize(
    ("shape", "dtype", "told"),
    [
        ((2, 8, 8), np.uint8, r"Shape of input \(2, 8, 8\) does not match expected shape \(-1, 8, 8, 1\)"),
        ((2, 8, 8, 1), np.float64, "dtype of input float64 does not match expected dtype uint8"),
        ((2, 8, 8, 1), np.uint8, "not scaled to 0-1"),
    ],
)
def test_other_images_are_refused(shape: tuple[int, ...], dtype: type, told: str, model: str) -> None:
    with pytest.raises(MlflowException, match=told):
        mlflow.pyfunc.load_model(model).predict(np.ones(shape, dtype))


@dataclass(frozen=True)
class Server:
    """A model over HTTP."""

    address: str

    def ask(self, body: str) -> tuple[int, Any]:
        request = urllib.request.Request(
            f"{self.address}/invocations", body.encode(), {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture
def served(model: str) -> Iterator[Server]:
    command = [sys.executable, "-S", "-c", SERVE, sysconfig.get_path("purelib"), model]
    with serving(command) as server:
        yield server


@contextlib.contextmanager
def serving(command: list[str]) -> Iterator[Server]:
    log = Path("serve.log")
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        yield Server(address_in(log, process))
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)


def address_in(log: Path, process: subprocess.Popen[bytes]) -> str:
    """Waits until the server tells its address."""
    for _ in range(600):
        for word in log.read_text().split():
            if word.startswith("http://"):
                return word
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    pytest.fail("the model is not served: " + log.read_text())


def test_the_model_is_served_where_thumbnet_is_not_installed(model: str, served: Server) -> None:
    images = np.load(paths.SPLITS / "validation_images.npy")  # (5, 8, 8, 1)
    expected = mlflow.pyfunc.load_model(model).predict(images)

    for key in ("inputs", "instances"):
        status, answer = served.ask(json.dumps({key: images.tolist()}))
        assert status == 200
        pd.testing.assert_frame_equal(pd.DataFrame(answer["predictions"]), expected)

    example = Path(mlflow.artifacts.download_artifacts(f"{model}/serving_input_example.json")).read_text()
    status, answer = served.ask(example)
    assert status == 200
    pd.testing.assert_frame_equal(pd.DataFrame(answer["predictions"]), expected[:1])

    for told, values in {
        "not scaled to 0-1": images / images.max(),
        "out of bounds for uint8": images.astype(int) + 200,
        "does not match expected shape": images[0],
    }.items():
        status, answer = served.ask(json.dumps({"inputs": values.tolist()}))
        assert status == 400
        assert told in answer["message"]


@pytest.mark.slow
def test_mlflow_serves_the_champion(
    model: str, train_member: Callable[..., Path], track_training: Callable[[Path], None], closed_port: int
) -> None:
    """The command of docs/mlflow.md: another network, better on validation than the first, answers."""
    track_training(train_member("gn", accuracy=0.9))
    images = np.load(paths.SPLITS / "validation_images.npy")[:2]  # (2, 8, 8, 1)
    with torch.inference_mode():
        expected = load_classifier(paths.MODELS / "gn")(torch.from_numpy(images)).softmax(1).numpy()  # (2, classes)

    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", CHAMPION, "--env-manager", "local"]
    with serving([*command, "--port", str(closed_port)]) as server:
        status, answer = server.ask(json.dumps({"inputs": images.tolist()}))

    assert status == 200
    table = pd.DataFrame(answer["predictions"])
    assert list(table.columns) == COLUMNS
    np.testing.assert_allclose(table[COLUMNS[2:]], expected, rtol=1e-5)
    assert list(table["class"]) == [CLASSES[index] for index in expected.argmax(axis=1)]
