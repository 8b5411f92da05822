"""What users find in MLflow after trainings, evaluations, retrainings and accidents; on real SQLite stores."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run, ViewType

from thumbnet import paths, tracking
from thumbnet.errors import UserError
from thumbnet.params import Params

TrainMember = Callable[[str], Path]
TrackTraining = Callable[[Path], None]

FIGURES = {
    "validation": {"accuracy": 0.7, "low": 0.6, "high": 0.8, "loss": 1.1},
    "test": {"accuracy": 0.8, "low": 0.7, "high": 0.9, "loss": 1.0},
}
PER_CLASS = {"T-shirt/top": {"f1": 0.5, "recall": 0.4}}


def runs(experiment: str = "digits", view: int = ViewType.ACTIVE_ONLY) -> list[Run]:
    client = MlflowClient(tracking.tracking_uri())
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id], run_view_type=view)) if found else []


def artifacts(run: Run, folder: str) -> set[str]:
    listed = MlflowClient(tracking.tracking_uri()).list_artifacts(run.info.run_id, folder)
    return {Path(entry.path).name for entry in listed}


def history(run: Run, metric: str) -> list[tuple[int, float]]:
    entries = MlflowClient(tracking.tracking_uri()).get_metric_history(run.info.run_id, metric)
    return [(entry.step, entry.value) for entry in entries]


def write_files(*names: str) -> list[Path]:
    files = [Path(name) for name in names]
    for file in files:
        file.write_text(file.name)
    return files


def test_a_training_is_one_run_with_all_that_was_known_of_it(
    train_member: TrainMember,
    track_training: TrackTraining,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DVC_EXP_NAME", "lofty-hen")
    for command in ("init -q", "-c user.name=a -c user.email=a@b commit -q --allow-empty -m first"):
        subprocess.run(["git", *command.split()], check=True)
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], text=True).strip()
    model_dir = train_member("bn")

    track_training(model_dir)

    (run,) = runs()
    assert (run.info.run_name, run.info.status) == ("bn lofty-hen", "FINISHED")
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
    assert history(run, "train/loss") == [(1, 2.0), (2, 1.0), (3, 0.5)]
    assert history(run, "validation/accuracy") == [(1, 0.4), (2, 0.7), (3, 0.6)]
    assert history(run, "lr") == [(1, 0.1), (2, 0.2), (3, 0.1)]
    assert history(run, "l2_penalty") == [(1, 0.05), (2, 0.04), (3, 0.03)]
    assert history(run, "seconds") == [(1, 1.5), (2, 1.5), (3, 1.5)]
    assert run.data.metrics["best/validation_accuracy"] == 0.7
    assert run.data.metrics["best/epoch"] == 2
    assert run.data.metrics["parameters"] == 4 * 9 + 4 * 2 + 4 * 3 + 3
    assert run.data.metrics["images_per_second"] == 1000
    expected = {
        "mlflow.source.git.commit": commit,
        "mlflow.source.name": "dvc.yaml:train@bn",
        "dvc.exp_name": "lofty-hen",
        "thumbnet.stage": "train",
        "thumbnet.member": "bn",
        "thumbnet.device": "cpu",
        "thumbnet.precision": "fp32",
        "thumbnet.result": tracking.result_id(model_dir),
    }
    assert expected.items() <= run.data.tags.items()
    assert {"thumbnet.data", "thumbnet.version"} <= run.data.tags.keys()
    assert artifacts(run, "training") == {"bn.csv"}
    assert "MLmodel" in artifacts(run, "model")
    assert tracking.find_run(model_dir, "digits") == run.info.run_id
    assert capfd.readouterr() == ("", "")


def test_later_stages_add_to_the_run_of_the_training(
    params: Params, train_member: TrainMember, track_training: TrackTraining
) -> None:
    track_training(train_member("bn"))

    flipped = params.model_copy(update={"evaluate": params.evaluate.model_copy(update={"flip": True})})
    tracking.log_evaluation(flipped, "bn", {**FIGURES, "test": {"accuracy": 0.1}}, {}, write_files("confusion.png"))
    assert runs()[0].data.tags["thumbnet.evaluate.flip"] == "true"
    tracking.log_evaluation(params, "bn", FIGURES, PER_CLASS, write_files("confusion.png"))
    tracking.log_files(params, "bn", write_files("test.png", "validation.png"), "gallery")

    (run,) = runs()
    assert run.data.tags["thumbnet.evaluate.flip"] == "false"
    evaluated = {name: value for name, value in run.data.metrics.items() if name.startswith("evaluate/")}
    assert evaluated == {
        "evaluate/validation/accuracy": 0.7,
        "evaluate/validation/loss": 1.1,
        "evaluate/test/accuracy": 0.8,
        "evaluate/test/loss": 1.0,
        "evaluate/test/f1/T-shirt_top": 0.5,
    }
    assert run.data.metrics["validation/accuracy"] == 0.6  # the last epoch's, untouched
    assert artifacts(run, "evaluation") == {"confusion.png"}
    assert artifacts(run, "gallery") == {"test.png", "validation.png"}
    assert run.info.status == "FINISHED"


def test_the_same_result_again_is_the_same_run(train_member: TrainMember, track_training: TrackTraining) -> None:
    model_dir = train_member("bn")
    track_training(model_dir)
    first = tracking.find_run(model_dir, "digits")

    track_training(train_member("bn"))
    assert [run.info.run_id for run in runs()] == [first]

    other = train_member("gn")
    track_training(other)
    assert {run.info.run_id for run in runs()} == {first, tracking.find_run(other, "digits")}


@pytest.mark.parametrize("with_history", [True, False])
def test_a_training_without_a_run_gets_one(
    params: Params, train_member: TrainMember, track_training: TrackTraining, empty_store: Path, with_history: bool
) -> None:
    model_dir = train_member("bn")
    track_training(model_dir)
    before = runs()[0]
    shutil.copy(empty_store, "mlflow.db")
    if not with_history:
        shutil.rmtree(paths.HISTORY)

    tracking.log_evaluation(params, "bn", FIGURES, PER_CLASS, [])

    (run,) = runs()
    assert run.info.status == "FINISHED"
    assert run.data.params == before.data.params
    assert run.data.tags["thumbnet.data"] == before.data.tags["thumbnet.data"]
    assert history(run, "train/loss") == ([(1, 2.0), (2, 1.0), (3, 0.5)] if with_history else [])
    assert run.data.metrics["best/validation_accuracy"] == 0.7
    assert run.data.metrics["evaluate/test/accuracy"] == 0.8
    assert "MLmodel" in artifacts(run, "model")


def test_the_ensemble_is_a_run_that_links_its_members(
    params: Params, train_member: TrainMember, track_training: TrackTraining
) -> None:
    params = params.model_copy(update={"members": ["bn", "gn"]})
    members = {name: train_member(name) for name in params.members}
    track_training(members["bn"])  # gn's run is missing
    figures = {"members": ["bn", "gn"], "test": {"accuracy": 0.9}, "best_member": "gn", "gain_test_points": 1.5}

    for _ in range(2):
        tracking.log_ensemble(params, figures, write_files("ensemble.json"))

    by_name = {run.info.run_name: run for run in runs()}
    assert sorted(run.info.run_name for run in runs()) == ["bn", "ensemble", "gn"]
    ensemble = by_name["ensemble"]
    assert ensemble.info.status == "FINISHED"
    assert ensemble.data.params["members"] == "bn, gn"
    assert ensemble.data.metrics == {"evaluate/test/accuracy": 0.9, "evaluate/gain_test_points": 1.5}
    assert artifacts(ensemble, "evaluation") == {"ensemble.json"}
    for name in members:
        run_id = by_name[name].info.run_id
        assert ensemble.data.tags[f"thumbnet.member.{name}"] == run_id
        assert f"/runs/{run_id})" in ensemble.data.tags["mlflow.note.content"]

    tracking.log_ensemble(params, {**figures, "test": {"accuracy": 0.95}}, [])
    assert sorted(run.info.run_name for run in runs()) == ["bn", "ensemble", "ensemble", "gn"]


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, "KILLED"), (UserError, "FAILED")])
def test_an_interrupted_training_says_so(
    error: type[BaseException], status: str, params: Params, checkout: Path
) -> None:
    def interrupted() -> None:
        with tracking.TrainingRun(params, "bn", "1234") as run:
            run.log_epoch({"epoch": 1, "train_loss": 2.0})
            raise error("stop")

    with pytest.raises(error, match="stop"):
        interrupted()
    (run,) = runs()
    assert run.info.status == status
    assert history(run, "train/loss") == [(1, 2.0)]


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
    checkout: Path, train_member: TrainMember, track_training: TrackTraining, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = checkout / ".dvc" / "tmp" / "exps" / "tmpabc"
    copy.mkdir(parents=True)
    monkeypatch.chdir(copy)
    track_training(train_member("bn"))
    monkeypatch.chdir(checkout)
    shutil.rmtree(copy)

    (run,) = runs()
    assert artifacts(run, "training") == {"bn.csv"}
    assert "MLmodel" in artifacts(run, "model")


def test_two_processes_share_a_new_store(checkout: Path, params: Params, train_member: TrainMember) -> None:
    Path("mlflow.db").unlink()
    model_dir = train_member("bn")
    Path("params.json").write_text(params.model_dump_json())
    Path("train.py").write_text(
        "from pathlib import Path\n"
        "from thumbnet import tracking\n"
        "from thumbnet.params import Params\n"
        "params = Params.model_validate_json(Path('params.json').read_text())\n"
        "with tracking.TrainingRun(params, 'bn', '1234') as run:\n"
        "    run.log_epoch({'epoch': 1, 'train_loss': 2.0})\n"
        "    run.finish(Path('models/bn'), [], {})\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "train.py"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=120)[0] for process in processes]

    assert outputs == ["", ""]
    (run,) = runs()  # both trained the same network
    assert run.info.run_id == tracking.find_run(model_dir, "digits")
    assert len(runs(view=ViewType.ALL)) == 2


def test_an_unreachable_server_is_told_before_the_training(
    checkout: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{free_port()}")
    start = time.monotonic()
    with pytest.raises(UserError, match="unset MLFLOW_TRACKING_URI") as told, tracking.TrainingRun(params, "bn", "1"):
        pytest.fail("the training began")
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
        tracking.log_files(params, "bn", [], "gallery")


def test_a_deleted_experiment_is_a_clear_error(checkout: Path, params: Params, train_member: TrainMember) -> None:
    client = MlflowClient(tracking.tracking_uri())
    client.delete_experiment(client.create_experiment("digits"))
    with pytest.raises(UserError, match="mlflow experiments restore --experiment-id 1"):
        tracking.find_run(train_member("bn"), "digits")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def server(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """A real MLflow server, which MLFLOW_TRACKING_URI names."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", "sqlite:///mlflow.db", "--artifacts-destination", "kept"]
    with Path("server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    try:
        wait_for(port, process)
        yield process
    finally:
        stop(process)


def wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, Path("server.log").read_text()
        time.sleep(0.1)
    pytest.fail("the server does not start: " + Path("server.log").read_text())


def stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=20)


def test_a_server_gets_the_runs_and_its_end_does_not_harm_a_training(
    server: subprocess.Popen[bytes],
    params: Params,
    train_member: TrainMember,
    track_training: TrackTraining,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    track_training(train_member("bn"))
    tracking.log_evaluation(params, "bn", FIGURES, PER_CLASS, write_files("confusion.png"))
    (run,) = runs()
    assert run.data.metrics["evaluate/test/accuracy"] == 0.8
    assert "MLmodel" in artifacts(run, "model")
    assert artifacts(run, "evaluation") == {"confusion.png"}
    assert capfd.readouterr() == ("", "")

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    model_dir = train_member("gn")
    with tracking.TrainingRun(params, "gn", "1234") as training:
        stop(server)
        training.log_epoch({"epoch": 1, "train_loss": 2.0})
        training.finish(model_dir, [], {})
    told = capfd.readouterr().err
    assert told.count("warning:") == 1
    assert "evaluate@gn" in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_until_an_epoch_is_stored(number: signal.Signals) -> None:
    stored = False
    before = signal.getsignal(number)

    def store() -> None:
        nonlocal stored
        with tracking.uninterrupted():
            os.kill(os.getpid(), number)
            stored = True

    with pytest.raises(KeyboardInterrupt):
        store()
    assert stored
    assert signal.getsignal(number) is before
