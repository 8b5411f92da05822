"""The process that writes the run of a training, and what becomes of the run where one of the two is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from thumbnet.errors import UserError
from thumbnet.recording import Recorder

if TYPE_CHECKING:  # pytest puts no folder of tests on the path of modules
    from tests.tracking.conftest import Store, TrackingServer
    from thumbnet.params import Params

DATA = {"name": "digits", "sha256": {"train": "1a"}}
SCRIPT = """
import os, signal
from pathlib import Path
from thumbnet.params import Params
from thumbnet.recording import Recorder

recorder = Recorder()
params = Params.model_validate_json(Path("params.json").read_text())
"""


def test_a_run_is_written_by_another_process(
    params: Params, train_member: Callable[..., Path], store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    model_dir = train_member("bn")
    with Recorder().begin(params, "bn", DATA) as run:
        run.tag(device="cpu")
        for epoch in (1, 2):
            run.log_epoch({"epoch": epoch, "train_loss": 1 / epoch})
        run.finish(model_dir, [], {"images_per_second": 1000.0})

    (written,) = store.runs()
    assert written.info.status == "FINISHED"
    assert written.data.tags["thumbnet.device"] == "cpu"
    assert store.history(written, "train/loss") == [(1, 1.0), (2, 0.5)]
    assert "MLmodel" in store.artifacts(written, "model")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "KILLED"), (UserError, "FAILED")])
def test_an_interrupted_training_says_so(error: type[BaseException], status: str, params: Params, store: Store) -> None:
    def interrupted() -> None:
        with Recorder().begin(params, "bn", DATA) as run:
            run.log_epoch({"epoch": 1, "train_loss": 2.0})
            raise error("stop")

    with pytest.raises(error, match="stop"):
        interrupted()
    (run,) = store.runs()
    assert run.info.status == status
    assert store.history(run, "train/loss") == [(1, 2.0)]


def test_the_run_of_a_training_that_was_killed_is_ended(params: Params, store: Store) -> None:
    """For its memory, for example: such a process has no time to say so."""
    Path("params.json").write_text(params.model_dump_json())
    script = (
        SCRIPT
        + """
with recorder.begin(params, "bn", {}) as run:
    run.log_epoch({"epoch": 1, "train_loss": 2.0})
    os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    wait_until(lambda: [run.info.status for run in store.runs()] == ["KILLED"])
    assert store.history(store.run("bn"), "train/loss") == [(1, 2.0)]


def test_a_training_outlives_the_process_that_writes_its_run(
    params: Params, store: Store, capfd: pytest.CaptureFixture[str]
) -> None:
    with Recorder().begin(params, "bn", DATA) as run:
        run._process.kill()
        run._process.wait()
        for epoch in (1, 2):
            run.log_epoch({"epoch": epoch, "train_loss": 2.0})
        run.finish(Path("models/bn"), [], {})
    told = capfd.readouterr().err
    assert told.count("warning: bn: ") == 1
    assert "evaluate@bn makes up for it" in told


def test_an_evaluation_is_written_by_another_process(
    params: Params,
    train_member: Callable[..., Path],
    write_files: Callable[..., list[Path]],
    store: Store,
    capfd: pytest.CaptureFixture[str],
) -> None:
    train_member("bn")
    Recorder().log_evaluation(params, "bn", {"test": {"accuracy": 0.8}}, {}, write_files("confusion.png"))
    run = store.run("bn")
    assert run.data.metrics["test/accuracy"] == 0.8
    assert "confusion.png" in store.artifacts(run, "evaluation")
    assert capfd.readouterr() == ("", "")


def test_an_evaluation_that_could_not_be_written_is_an_error(params: Params, checkout: Path) -> None:
    with pytest.raises(UserError, match="models/bn"):  # there is no training
        Recorder().log_evaluation(params, "bn", {}, {}, [])
    killed = Recorder()
    killed._process.kill()
    with pytest.raises(UserError, match="has ended before it was done"):
        killed.log_evaluation(params, "bn", {}, {}, [])


def test_a_store_that_cannot_be_used_is_told_before_the_training(
    checkout: Path, params: Params, closed_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{closed_port}")
    recorder = Recorder()
    with pytest.raises(UserError, match="unset MLFLOW_TRACKING_URI"), recorder.begin(params, "bn", DATA):
        pytest.fail("the training began")
    assert recorder._process.wait(timeout=30) == 0


@pytest.mark.slow
def test_no_epoch_waits_for_a_store_that_is_slow(
    server: TrackingServer, params: Params, train_member: Callable[..., Path], store: Store
) -> None:
    model_dir = train_member("bn")
    with Recorder().begin(params, "bn", DATA) as run:
        os.killpg(server.process.pid, signal.SIGSTOP)
        try:
            start = time.monotonic()
            for epoch in range(1, 6):
                run.log_epoch({"epoch": epoch, "train_loss": 1 / epoch})
            assert time.monotonic() - start < 1
        finally:
            os.killpg(server.process.pid, signal.SIGCONT)
        run.finish(model_dir, [], {})
    assert len(store.history(store.run("bn"), "train/loss")) == 5


def test_a_training_that_does_not_come_to_its_run_leaves_no_process(checkout: Path, params: Params) -> None:
    Path("params.json").write_text(params.model_dump_json())
    with Path("told.txt").open("w") as told:
        subprocess.run([sys.executable, "-c", SCRIPT + "print(recorder._process.pid)"], stdout=told, check=True)
    with pytest.raises(ProcessLookupError):
        os.kill(int(Path("told.txt").read_text()), 0)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)
