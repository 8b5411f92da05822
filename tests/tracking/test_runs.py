"""What users find in MLflow after trainings, evaluations, retrainings and accidents; on real SQLite stores."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from thumbnet import paths, tracking
from thumbnet.errors import UserError
from thumbnet.files import write_json
from thumbnet.params import Params
from thumbnet.tracking.models import read_card

if TYPE_CHECKING:  # pytest puts no folder of tests on the path of modules
    from tests.tracking.conftest import Store

TrainMember = Callable[..., Path]
TrackTraining = Callable[[Path], None]
WriteFiles = Callable[..., list[Path]]

FIGURES = {
    "train": {"accuracy": 0.9, "low": 0.85, "high": 0.95, "loss": 0.3},
    "validation": {"accuracy": 0.7, "low": 0.6, "high": 0.8, "loss": 1.1, "ece": 0.02},
    "test": {
        "accuracy": 0.8,
        "low": 0.7,
        "high": 0.9,
        "loss": 1.0,
        "seeds": {"count": 3, "accuracy": {"p25": 0.78, "median": 0.79, "p75": 0.8}},
    },
    "temperature": 1.25,
}
PER_CLASS = {"T-shirt/top": {"f1": 0.5, "recall": 0.4}}


def test_a_training_is_one_run_with_all_that_was_known_of_it(
    train_member: TrainMember,
    track_training: TrackTraining,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for command in ("init -q", "-c user.name=a -c user.email=a@b commit -q --allow-empty -m first"):
        subprocess.run(["git", *command.split()], check=True)
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
    model_dir = train_member("bn")

    track_training(model_dir)

    (run,) = store.runs()
    assert (run.info.run_name, run.info.status) == ("bn", "FINISHED")
    assert run.data.params == {
        "dataset.name": "digits",
        "split.kind": "fraction",
        "split.validation": "0.1",
        "corruption.label_noise": "0",
        "corruption.pixel_noise": "0",
        "normalisation.kind": "unit",
        "seed": "1",
        "model.layers": "C4 G",
        "model.norm": "batch",
        "model.order": "norm_act",
        "model.activation": "relu",
        "model.init": "he_normal",
        "train.epochs": "3",
        "train.batch_size": "8",
        "train.device": "cpu",
        "train.precision": "fp32",
        "train.threads": "1",
        "train.ema": "0",
        "train.keep": "validation_accuracy",
        "train.seeds": "1",
        "train.compile": "false",
        "train.deterministic": "true",
        "optimizer.name": "adam",
        "optimizer.lr": "0.1",
        "optimizer.weight_decay": "0",
        "schedule.name": "constant",
        "regularisation.l2": "0.01",
        "regularisation.label_smoothing": "0",
        "regularisation.clip_norm": "0",
        "early_stopping.monitor": "none",
        "augment.flip": "none",
        "augment.rotation": "0",
        "augment.shift": "0",
        "augment.crop": "0",
        "augment.cutout": "0",
        "augment.pixel_noise": "0",
    }
    assert store.history(run, "train/loss") == [(1, 2.0), (2, 1.0), (3, 0.5)]
    assert store.history(run, "validation/accuracy") == [(1, 0.4), (2, 0.7), (3, 0.6)]
    assert store.history(run, "train/lr") == [(1, 0.1), (2, 0.2), (3, 0.1)]
    assert store.history(run, "train/l2_penalty") == [(1, 0.05), (2, 0.04), (3, 0.03)]
    assert store.history(run, "train/seconds") == [(1, 1.5), (2, 1.5), (3, 1.5)]
    assert run.data.metrics["best/validation_accuracy"] == 0.7
    assert run.data.metrics["best/epoch"] == 2
    assert run.data.metrics["model/parameters"] == 4 * 9 + 4 * 2 + 4 * 3 + 3
    assert run.data.metrics["model/images_per_second"] == 1000
    expected = {
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": "dvc.yaml:train@bn",
        "thumbnet.stage": "train",
        "thumbnet.member": "bn",
        "thumbnet.device": "cpu",
        "thumbnet.precision": "fp32",
        "thumbnet.result": tracking.result_id(model_dir),
        "mlflow.note.content": "`C4 G`, 59 parameters. Kept: epoch 2, validation accuracy 70.00%.",
    }
    assert expected.items() <= run.data.tags.items()
    assert {"thumbnet.data", "thumbnet.version"} <= run.data.tags.keys()
    assert "mlflow.parentRunId" not in run.data.tags
    assert store.artifacts(run, "training") == {"bn.csv"}
    assert "MLmodel" in store.artifacts(run, "model")
    assert run.inputs is not None
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.tags[0].value) == ("digits", "training")
    assert run.data.tags["thumbnet.data"].startswith(used.dataset.digest)
    assert json.loads(used.dataset.profile or "")["train"] == 7
    assert tracking.find_run(model_dir, "digits") == run.info.run_id
    assert capfd.readouterr() == ("", "")


def test_later_stages_add_to_the_run_of_the_training(
    params: Params, train_member: TrainMember, track_training: TrackTraining, write_files: WriteFiles, store: Store
) -> None:
    track_training(train_member("bn"))

    flipped = params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"flip": True})})
    tracking.log_evaluation(flipped, "bn", {**FIGURES, "test": {"accuracy": 0.1}}, {}, write_files("confusion.png"))
    assert store.runs()[0].data.tags["thumbnet.evaluate.flip"] == "true"
    pictures = write_files("metrics/evaluate/bn.json", "plots/confusion/bn/test.png", "plots/confusion/bn.csv")
    tracking.log_evaluation(params, "bn", FIGURES, PER_CLASS, pictures)
    tracking.log_files(params, "bn", {"gallery": write_files("test.png", "validation.png")})

    (run,) = store.runs()
    assert run.data.tags["thumbnet.evaluate.flip"] == "false"
    assert {name: value for name, value in run.data.metrics.items() if name.startswith(("test/", "best/"))} == {
        "best/epoch": 2,
        "best/temperature": 1.25,
        "best/train_accuracy": 0.9,
        "best/train_loss": 0.3,
        "best/validation_accuracy": 0.7,
        "best/validation_loss": 1.1,
        "test/accuracy": 0.8,
        "test/accuracy_p25": 0.78,
        "test/accuracy_median": 0.79,
        "test/accuracy_p75": 0.8,
        "test/loss": 1.0,
        "test/f1/T-shirt_top": 0.5,
    }
    assert run.data.metrics["validation/accuracy"] == 0.6  # the last epoch's, untouched
    assert store.artifacts(run, "evaluation") == {"confusion.png", "bn.json", "confusion"}
    assert store.artifacts(run, "evaluation/confusion") == {"test.png", "bn.csv"}
    assert store.artifacts(run, "gallery") == {"test.png", "validation.png"}
    assert run.info.status == "FINISHED"


def test_the_same_result_again_is_the_same_run(
    train_member: TrainMember, track_training: TrackTraining, store: Store
) -> None:
    model_dir = train_member("bn")
    track_training(model_dir)
    first = tracking.find_run(model_dir, "digits")

    track_training(train_member("bn"))
    assert [run.info.run_id for run in store.runs()] == [first]
    assert store.versions() == {1: "bn"}

    other = train_member("gn")
    track_training(other)
    assert {run.info.run_id for run in store.runs()} == {first, tracking.find_run(other, "digits")}


@pytest.mark.parametrize("missing", [None, "history", "splits"])
def test_a_training_without_a_run_gets_one(
    missing: str | None,
    params: Params,
    train_member: TrainMember,
    track_training: TrackTraining,
    empty_store: Path,
    store: Store,
) -> None:
    model_dir = train_member("bn")
    track_training(model_dir)
    before = store.runs()[0]
    shutil.copy(empty_store, "mlflow.db")
    if missing == "history":
        shutil.rmtree(paths.HISTORY)
    elif missing == "splits":
        (paths.SPLITS / "dataset.json").unlink()

    tracking.log_evaluation(params, "bn", FIGURES, PER_CLASS, [])

    (run,) = store.runs()
    assert run.info.status == "FINISHED"
    assert run.data.params == before.data.params
    assert run.data.tags["thumbnet.data"] == before.data.tags["thumbnet.data"]
    assert store.history(run, "train/loss") == ([] if missing == "history" else [(1, 2.0), (2, 1.0), (3, 0.5)])
    assert run.data.metrics["best/validation_accuracy"] == 0.7
    assert run.data.metrics["test/accuracy"] == 0.8
    assert "MLmodel" in store.artifacts(run, "model")


@pytest.mark.parametrize("call", ["log_batch", "log_inputs"])
@pytest.mark.parametrize(
    ("error", "told", "status"),
    [(MlflowException("no"), UserError, "FAILED"), (KeyboardInterrupt(), KeyboardInterrupt, "KILLED")],
)
def test_a_run_that_the_store_takes_in_part_has_ended_as_the_training_does_not_begin(
    call: str,
    error: BaseException,
    told: type[BaseException],
    status: str,
    params: Params,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(MlflowClient, call, refuse)
    with pytest.raises(told):
        tracking.TrainingRun(params, "bn", "1234").begin()
    assert [run.info.status for run in store.runs()] == [status]


def test_a_run_that_cannot_be_made_anew_has_failed(params: Params, train_member: TrainMember, store: Store) -> None:
    train_member("bn")
    Path("mlartifacts").touch()  # in place of the folder: as root, too, nothing can be written into it
    with pytest.raises(UserError, match="cannot be used"):
        tracking.log_files(params, "bn", {})
    assert [run.info.status for run in store.runs()] == ["FAILED"]

    Path("mlartifacts").unlink()
    tracking.log_files(params, "bn", {})
    assert [run.info.status for run in store.runs()] == ["FINISHED", "FAILED"]


def test_a_store_that_fails_is_left_alone_for_a_while(
    params: Params, train_member: TrainMember, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that hangs would cost each epoch 20 seconds."""
    tries: list[float] = []

    def fail(*_: object, **__: object) -> None:
        tries.append(time.monotonic())
        raise MlflowException("no")

    run = tracking.TrainingRun(params, "bn", "1234")
    run.begin()
    with monkeypatch.context() as patched:
        patched.setattr(MlflowClient, "log_batch", fail)
        for epoch in (1, 2, 3):
            run.log_epoch({"epoch": epoch, "train_loss": 1 / epoch})
    assert len(tries) == 1
    run.finish(train_member("bn"), [], {})
    assert len(store.history(store.run("bn"), "train/loss")) == 3


def test_where_a_run_is_made_anew_the_lost_one_has_ended(
    params: Params, train_member: TrainMember, store: Store
) -> None:
    """The server went away before the training ended; another training, of its own network, goes on."""
    for member in ("bn", "gn"):
        tracking.TrainingRun(params, member, tracking.hash_data(read_card(train_member(member))["data"])).begin()
    tracking.log_evaluation(params, "bn", FIGURES, PER_CLASS, [])
    assert sorted((run.data.tags["thumbnet.member"], run.info.status) for run in store.runs()) == [
        ("bn", "FAILED"),
        ("bn", "FINISHED"),
        ("gn", "RUNNING"),
    ]


def test_a_run_that_was_killed_without_a_word_says_so_when_its_training_goes_on(params: Params, store: Store) -> None:
    for key in ("its", "another"):
        killed = tracking.TrainingRun(params, "bn", "1234")
        killed.begin()  # and nothing else: the machine went down
        killed.tag(checkpoint=key)

    run = tracking.TrainingRun(params, "bn", "1234")
    run.begin()
    run.tag(checkpoint="its")
    run.resume(7, "its")
    statuses = [each.info.status for each in store.runs()]

    assert sorted(statuses) == ["KILLED", "RUNNING", "RUNNING"], "its own and the other training's go on"
    resumed = [each for each in store.runs() if each.data.tags.get("thumbnet.resumed") == "after epoch 7"]
    assert [each.info.run_id for each in resumed] == [run._run_id]


def test_a_run_that_is_made_anew_has_its_figures_on_test(
    params: Params,
    train_member: TrainMember,
    track_training: TrackTraining,
    write_files: Callable[..., list[Path]],
    empty_store: Path,
    store: Store,
) -> None:
    track_training(train_member("bn"))
    write_json(paths.EVALUATE_METRICS / "bn.json", FIGURES)
    shutil.copy(empty_store, "mlflow.db")

    tracking.log_files(params, "bn", {"gallery": write_files("test.png")})

    (run,) = store.runs()
    assert run.data.metrics["test/accuracy"] == 0.8
    assert store.artifacts(run, "evaluation") == {"bn.json"}
    assert store.artifacts(run, "gallery") == {"test.png"}
