"""Where runs go, and what a user is told where they cannot."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow.artifacts
import pytest
from mlflow.entities import ViewType
from mlflow.store.tracking.dbmodels.models import SqlDataset
from mlflow.tracking._tracking_service import utils
from sqlalchemy import event

from thumbnet import tracking
from thumbnet.errors import UserError
from thumbnet.params import Params
from thumbnet.tracking.store import Experiment

if TYPE_CHECKING:  # pytest puts no folder of tests on the path of modules
    from tests.tracking.conftest import Store, TrackingServer

TrainMember = Callable[..., Path]
TrackTraining = Callable[[Path], None]


@pytest.mark.parametrize(
    ("setting", "folder", "expected"),
    [
        (None, ".", "sqlite:///{root}/mlflow.db"),
        (None, ".dvc/tmp/exps/tmpabc", "sqlite:///{root}/mlflow.db"),
        (None, ".dvc/tmp/exps/standalone/tmpabc/stages", "sqlite:///{root}/mlflow.db"),
        ("sqlite:///runs/all.db", ".dvc/tmp/exps/tmpabc", "sqlite:///{root}/runs/all.db"),
        ("sqlite:////elsewhere/all.db", ".dvc/tmp/exps/tmpabc", "sqlite:////elsewhere/all.db"),
        ("http://tracking:5000", ".dvc/tmp/exps/tmpabc", "http://tracking:5000"),
        ("", ".", "sqlite:///{root}/mlflow.db"),
    ],
)
def test_where_runs_go(
    setting: str | None, folder: str, expected: str, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / folder).mkdir(parents=True, exist_ok=True)
    (checkout / folder / "dvc.yaml").touch()
    monkeypatch.chdir(checkout / folder)
    if setting is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", setting)
    assert tracking.tracking_uri() == expected.format(root=checkout)


def test_a_temporary_copy_leaves_its_run_and_artifacts_in_the_checkout(
    checkout: Path,
    train_member: TrainMember,
    track_training: TrackTraining,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = checkout / ".dvc" / "tmp" / "exps" / "tmpabc"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    track_training(train_member("bn"))
    monkeypatch.chdir(checkout)
    shutil.rmtree(copy)

    (run,) = store.runs()
    assert store.artifacts(run, "training") == {"bn.csv"}
    assert "MLmodel" in store.artifacts(run, "model")


@pytest.mark.parametrize("how", ["moved", "copied"])
def test_a_store_that_was_moved_keeps_its_artifacts_beside_it(
    how: str,
    checkout: Path,
    params: Params,
    train_member: TrainMember,
    track_training: TrackTraining,
    write_files: Callable[..., list[Path]],
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    track_training(train_member("bn"))
    elsewhere = checkout.with_name("else where")
    shutil.move(checkout, elsewhere) if how == "moved" else shutil.copytree(checkout, elsewhere)
    monkeypatch.chdir(elsewhere)
    utils._artifact_repos_cache.clear()  # a process of its own has none
    tracking.log_files(params, "bn", {"gallery": write_files("test.png")})
    if how == "copied":
        assert not list(checkout.glob("mlartifacts/**/test.png"))
        shutil.rmtree(checkout)

    run = store.run("bn")
    assert (store.artifacts(run, "training"), store.artifacts(run, "gallery")) == ({"bn.csv"}, {"test.png"})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking.tracking_uri())
    for address in (f"runs:/{run.info.run_id}/model", "models:/thumbnet-digits@champion"):
        assert Path(mlflow.artifacts.download_artifacts(address), "MLmodel").exists()
    track_training(train_member("gn"))
    assert "MLmodel" in store.artifacts(store.run("gn"), "model")
    assert not checkout.exists()


@pytest.mark.slow
def test_two_processes_share_a_new_store(
    checkout: Path, params: Params, train_member: TrainMember, store: Store
) -> None:
    Path("mlflow.db").unlink()
    model_dir = train_member("bn")
    Path("params.json").write_text(params.model_dump_json())
    Path("train.py").write_text(
        "from pathlib import Path\n"
        "from thumbnet.params import Params\n"
        "from thumbnet.recording import Recorder\n"
        "params = Params.model_validate_json(Path('params.json').read_text())\n"
        "with Recorder().begin(params, 'bn', {}) as run:\n"
        "    run.log_epoch({'epoch': 1, 'train_loss': 2.0})\n"
        "    run.finish(Path('models/bn'), [], {})\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "train.py"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]

    assert outputs == ["", ""]
    (run,) = store.runs()  # both trained the same network
    assert run.info.run_id == tracking.find_run(model_dir, "digits")
    assert len(store.runs(ViewType.ALL)) == 2
    assert store.versions() == {1: "bn"}


@pytest.mark.parametrize(("where", "patience", "insertions"), [("file", 1, 1), ("server", 30, 2)])
def test_two_trainings_start_at_once_on_new_data(
    where: str, patience: int, insertions: int, params: Params, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "server":  # as there: nothing keeps its clients apart
        monkeypatch.setattr(Experiment, "one_at_a_time", lambda _: contextlib.nullcontext())
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, "1")  # what is set already no thread sets and removes
    both_have_looked = threading.Barrier(2)
    inserted = []

    def insert(dataset: SqlDataset, *_: object) -> None:
        inserted.append(dataset)
        with contextlib.suppress(threading.BrokenBarrierError):
            both_have_looked.wait(patience)

    event.listen(SqlDataset, "init", insert)  # after MLflow's look for the data set
    try:
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda _: tracking.TrainingRun(params, "bn", "1234").begin(), range(2)))
    finally:
        event.remove(SqlDataset, "init", insert)

    assert len(inserted) == insertions
    inputs = [run.inputs.dataset_inputs for run in store.runs() if run.inputs]
    assert [[used.dataset.name for used in each] for each in inputs] == [["digits"]] * 2


def test_an_unreachable_server_is_told_before_the_training(
    checkout: Path, params: Params, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{closed_port}")
    start = time.monotonic()
    with pytest.raises(UserError, match="unset MLFLOW_TRACKING_URI") as told:
        tracking.TrainingRun(params, "bn", "1").begin()
    assert time.monotonic() - start < 15
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("content", [b"not a database", None])
def test_a_broken_store_is_a_clear_error(content: bytes | None, checkout: Path, params: Params) -> None:
    Path("mlflow.db").unlink()
    if content is None:
        Path("mlflow.db").mkdir()
    else:
        Path("mlflow.db").write_bytes(content * 100)
    with pytest.raises(UserError, match=r"mlflow\.db cannot be used: .*; check that"):
        tracking.log_files(params, "bn", {"gallery": []})


def test_a_read_only_store_is_told_before_the_training(
    checkout: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = sqlite3.connect

    def read_only(file: Path, timeout: float) -> sqlite3.Connection:
        """What SQLite falls back to where the file may not be written; root may write any."""
        return connect(f"{file.as_uri()}?mode=ro", timeout, uri=True)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    told = r"mlflow\.db cannot be used: attempt to write a readonly database; check that it can be written"
    with pytest.raises(UserError, match=told):
        tracking.TrainingRun(params, "bn", "1").begin()


def test_a_deleted_experiment_is_a_clear_error(store: Store, train_member: TrainMember) -> None:
    store.client.delete_experiment(store.client.create_experiment("digits"))
    with pytest.raises(UserError, match="mlflow experiments restore --experiment-id 1"):
        tracking.find_run(train_member("bn"), "digits")


@pytest.mark.slow
def test_a_server_gets_runs_and_models_and_its_end_does_not_harm_a_training(
    server: TrackingServer,
    params: Params,
    train_member: TrainMember,
    track_training: TrackTraining,
    write_files: Callable[..., list[Path]],
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("THUMBNET_STUDY", "norms")
    for member, accuracy in (("bn", 0.8), ("gn", 0.7)):
        track_training(train_member(member, accuracy))
    tracking.log_evaluation(params, "bn", {"test": {"accuracy": 0.8}}, {}, write_files("confusion.png"))
    run = store.run("bn")
    assert run.data.metrics["test/accuracy"] == 0.8
    assert run.data.tags["mlflow.parentRunId"] == store.run("study norms").info.run_id
    assert "MLmodel" in store.artifacts(run, "model")
    assert store.artifacts(run, "evaluation") == {"confusion.png"}
    assert store.versions() == {1: "bn", 2: "gn"}
    assert store.champion() == 1
    assert Path(mlflow.artifacts.download_artifacts("models:/thumbnet-digits@champion"), "MLmodel").exists()
    assert capfd.readouterr() == ("", "")

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    model_dir = train_member("small")
    training = tracking.TrainingRun(params, "small", "1234")
    training.begin()
    server.stop()
    training.log_epoch({"epoch": 1, "train_loss": 2.0})
    training.finish(model_dir, [], {})
    training.end("FAILED")
    told = capfd.readouterr().err
    assert told.count("warning:") == 1
    assert "evaluate@small" in told
