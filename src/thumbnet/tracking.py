"""Runs in MLflow: each training, what later stages find out about it, and the ensemble.

A run is known by its result, a hash of the trained network: the same result is the same run, whoever trained it and
however often. This is the only module that knows MLflow (beside `thumbnet.serving`, which MLflow itself runs);
figures and tables come from its callers as finished files.
"""

import contextlib
import csv
import getpass
import hashlib
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import numpy as np
from filelock import FileLock
from sqlalchemy.exc import SQLAlchemyError

# MLflow reads these as it is imported: no usage reports, and no chatter on the screen of a training.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")

import mlflow.pyfunc
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import ColSpec, Schema, TensorSpec

from thumbnet import __version__, paths, serving
from thumbnet.errors import UserError
from thumbnet.params import Params

#: What `thumbnet.serving` needs where it is not installed with this project; MLflow adds itself.
SERVING_PACKAGES = ("numpy", "pandas", "pydantic", "pyyaml", "safetensors", "torch")

RESULT = "thumbnet.result"
MODEL = "model"


class TrainingRun:
    """The run of one training, as a context: an error ends it as FAILED, Ctrl-C as KILLED.

    Entering it reaches the store, so that one that cannot be used is told before hours of training. From then on
    nothing that befalls the store stops the training: what it did not take is sent again with the next epoch and at
    the end, and if the end fails too, `log_evaluation` makes the run anew from the training's files.

    Args:
        params: the whole `params.yaml`.
        member: the network's name in `models`; the run is called by it.
        data_hash: what the training read, from `hash_data`.

    Raises:
        UserError: on entering: the store cannot be reached or used.
    """

    def __init__(self, params: Params, member: str, data_hash: str) -> None:
        self._params = params
        self._member = member
        self._data_hash = data_hash
        self._unsent: list[Metric] = []
        self._finished = False
        self._warned = False

    def __enter__(self) -> Self:
        with _user_errors(), _brief_requests():
            self._experiment = _open_experiment(self._params.dataset.name)
            self._run_id = _start_training(self._experiment, self._params, self._member, self._data_hash)
        return self

    def tag(self, **facts: str) -> None:
        """Adds tags `thumbnet.<name>`, such as the device and the precision that `auto` turned out to be."""
        with self._warnings("tags"), _brief_requests():
            self._experiment.log(self._run_id, tags={f"thumbnet.{name}": value for name, value in facts.items()})

    def log_epoch(self, row: Mapping[str, float]) -> None:
        """Adds the metrics of one epoch.

        Args:
            row: `epoch`, which is the step, and any of `lr`, `l2_penalty`, `seconds`, `train_loss`, `train_accuracy`,
                `validation_loss`, `validation_accuracy`; the last four are logged as `train/loss` and so on.
        """
        self._unsent += _epoch_metrics(row)
        with uninterrupted(), self._warnings("metrics"), _brief_requests():
            self._send_epochs()

    def finish(self, model_dir: Path, files: Sequence[Path], summary: Mapping[str, float]) -> None:
        """Adds the trained network and ends the run; where an older run holds the same result, that one stays.

        Args:
            model_dir: the folder of weights and card.
            files: more artifacts, kept in `training/`.
            summary: figures of the whole training that the card does not hold, such as `images_per_second`.
        """
        with self._warnings("training"):
            self._send_epochs()
            _finish_training(self._experiment, self._run_id, model_dir, files, summary)
            self._finished = True

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._finished:
            status = "KILLED" if kind and issubclass(kind, KeyboardInterrupt) else "FAILED"
            with self._warnings("end"), _brief_requests():
                self._experiment.client.set_terminated(self._run_id, status)

    def _send_epochs(self) -> None:
        self._experiment.client.log_batch(self._run_id, metrics=self._unsent)
        self._unsent = []

    @contextlib.contextmanager
    def _warnings(self, what: str) -> Iterator[None]:
        """Turns what the store raises into a warning, once: a training is worth more than its record."""
        try:
            with _user_errors():
                yield
        except Exception as error:
            if not self._warned:
                print(f"warning: {self._member}: MLflow did not take the {what} of this run; its training is not "
                      f"harmed, and evaluate@{self._member} makes up for it. {error}", file=sys.stderr)  # fmt: skip
            self._warned = True


def log_evaluation(
    params: Params, member: str, metrics: Mapping[str, Any], per_class: Mapping[str, Any], files: Sequence[Path]
) -> None:
    """Adds a network's figures to the run of its training, over those of an earlier evaluation.

    Args:
        params: the whole `params.yaml`.
        member: the network's name in `models`.
        metrics: by split, what `thumbnet.judging.metrics.judge_overall` returns; accuracy and loss are logged as
            `evaluate/<split>/<figure>`, intervals are left to the files: each metric is a chart of its own in MLflow.
        per_class: what `thumbnet.judging.metrics.judge_classes` says of test; of it, the F1 is logged.
        files: artifacts, kept in `evaluation/`.

    Raises:
        UserError: the store cannot be used, or the member's training is missing.
    """
    with _user_errors():
        experiment = _open_experiment(params.dataset.name)
        run_id = _find_or_recreate(experiment, params, member)
        f1 = {name: figures["f1"] for name, figures in per_class.items()}
        logged = _evaluation_metrics(metrics) | _flatten({"evaluate": {"test": {"f1": f1}}}, "/")
        views = {"flip": str(params.evaluate.flip).lower(), "shift": str(params.evaluate.shift)}
        how = {f"thumbnet.evaluate.{name}": value for name, value in views.items()}  # the training's parameters lack it
        experiment.log(run_id, metrics=logged, tags=how, files=files, folder="evaluation")


def log_files(params: Params, member: str, files: Sequence[Path], folder: str) -> None:
    """Adds artifacts, such as galleries, to the run of a network's training.

    Args:
        params: the whole `params.yaml`.
        member: the network's name in `models`.
        files: the artifacts.
        folder: where among the run's artifacts they go.

    Raises:
        UserError: as `log_evaluation`.
    """
    with _user_errors():
        experiment = _open_experiment(params.dataset.name)
        experiment.log(_find_or_recreate(experiment, params, member), files=files, folder=folder)


def log_ensemble(params: Params, metrics: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Writes the run of the ensemble, which links the runs of its members.

    Args:
        params: the whole `params.yaml`.
        metrics: what `thumbnet.judging.ensembling.compare` returns; numbers are logged as `evaluate/<split>/...`.
        files: artifacts, kept in `evaluation/`.

    Raises:
        UserError: as `log_evaluation`.
    """
    with _user_errors():
        experiment = _open_experiment(params.dataset.name)
        members = {member: _find_or_recreate(experiment, params, member) for member in params.members}
        results = [result_id(paths.MODELS / member) for member in params.members]
        result = _hash_json({"members": results, "metrics": metrics})
        run_id = experiment.oldest_run(result) or _start_ensemble(experiment, params)
        tags = {f"thumbnet.member.{member}": member_run for member, member_run in members.items()}
        note = {"mlflow.note.content": _ensemble_note(experiment.experiment_id, members), RESULT: result}
        experiment.log(run_id, tags=tags | note, metrics=_evaluation_metrics(metrics), files=files, folder="evaluation")
        experiment.client.set_terminated(run_id)
        experiment.keep_oldest_run(result)


def find_run(model_dir: Path, experiment: str) -> str | None:
    """The id of the run that holds a trained network, or None.

    Args:
        model_dir: the folder of weights and card.
        experiment: the experiment's name, which is the data set's.

    Raises:
        UserError: the store cannot be used, or the folder is missing.
    """
    with _user_errors():
        return _open_experiment(experiment).oldest_run(result_id(model_dir))


def result_id(model_dir: Path) -> str:
    """The identity of a trained network: sha256 over its card and weights, in hex.

    Raises:
        UserError: the folder is missing.
    """
    if not model_dir.is_dir():
        raise UserError(f"{model_dir} is missing; train it with: dvc repro train@{model_dir.name}")
    digest = hashlib.sha256()
    for file in sorted(path for path in model_dir.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(model_dir).as_posix()}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def hash_data(data: Mapping[str, Any]) -> str:
    """One hash for what the card tells of the data: the data set's name and the sha256 of each split."""
    return _hash_json(data)


def tracking_uri() -> str:
    """Where runs go: `MLFLOW_TRACKING_URI`, by default `mlflow.db` at the root of the user's checkout.

    A relative SQLite path begins at that root too: DVC's temporary copies of it, and all in them, are deleted.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    database = _sqlite_file(uri)
    return f"sqlite:///{database.as_posix()}" if database else uri


def _sqlite_file(uri: str) -> Path | None:
    path = uri.removeprefix("sqlite:///")
    return None if path == uri else paths.checkout_root() / path


def _artifact_root(uri: str) -> Path | None:
    """The folder for artifacts, beside a database that is reached directly; a server has its own (None)."""
    if urlsplit(uri).scheme.startswith(("http", "databricks")):
        return None
    return (_sqlite_file(uri) or paths.checkout_root() / "mlflow.db").parent / "mlartifacts"


@dataclass(frozen=True)
class _Experiment:
    """An experiment and the client that reaches it: MLflow's own notion of a current one would be global state."""

    client: MlflowClient
    experiment_id: str

    def start_run(self, name: str, stage: str, tags: dict[str, str], params: Mapping[str, Any]) -> str:
        # Runs of a sweep are told apart by the name that DVC gave to each experiment.
        label = " ".join(filter(None, (name, os.environ.get("DVC_EXP_NAME"))))
        run = self.client.create_run(self.experiment_id, run_name=label, tags=_origin_tags(stage) | tags)
        entries = [Param(key, _as_yaml(value)) for key, value in params.items()]
        self.client.log_batch(run.info.run_id, params=entries)
        return str(run.info.run_id)

    def log(
        self,
        run_id: str,
        *,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        files: Iterable[Path] = (),
        folder: str | None = None,
    ) -> None:
        now = _milliseconds()
        self.client.log_batch(
            run_id,
            metrics=[Metric(name, value, now, step=0) for name, value in (metrics or {}).items()],
            tags=[RunTag(key, value) for key, value in (tags or {}).items()],
        )
        for file in files:
            self.client.log_artifact(run_id, str(file), folder)

    def runs_with(self, result: str) -> list[str]:
        """The runs that hold a result, the one that was finished first in front."""
        runs = self.client.search_runs(
            [self.experiment_id],
            f"tags.`{RESULT}` = '{result}' and attributes.status = 'FINISHED'",
            order_by=["attributes.end_time", "attributes.run_id"],
        )
        return [run.info.run_id for run in runs]

    def oldest_run(self, result: str) -> str | None:
        return next(iter(self.runs_with(result)), None)

    def keep_oldest_run(self, result: str) -> None:
        """Deletes all runs of a result but one.

        Two processes may train the same network at once, and neither sees the other's run before it is finished. Both
        come here after that, and whoever comes last sees both.
        """
        for run_id in self.runs_with(result)[1:]:
            with contextlib.suppress(MlflowException):  # the other process was faster
                self.client.delete_run(run_id)


def _open_experiment(name: str) -> _Experiment:
    """Reaches the store, and the experiment of this name in it; makes what is not there yet.

    One process at a time: MLflow lays out a new SQLite file in many steps, and a second process would trip over them.
    """
    uri = tracking_uri()
    database = _sqlite_file(uri)
    if database:
        _check_writable(database)
    with _brief_requests(), FileLock(f"{database}.lock") if database else contextlib.nullcontext():
        client = MlflowClient(uri)
        return _Experiment(client, _experiment_id(client, name, _artifact_root(uri)))


def _check_writable(database: Path) -> None:
    """Raises at once where MLflow would try for minutes to open the file."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()


def _experiment_id(client: MlflowClient, name: str, artifacts: Path | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, (artifacts / name).as_uri() if artifacts else None))
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process has made it meanwhile
            if found is None:
                raise
    if found.lifecycle_stage != "active":
        raise UserError(
            f"the MLflow experiment {name!r} in {_without_password(client.tracking_uri)} was deleted; bring it back "
            f"with: mlflow experiments restore --experiment-id {found.experiment_id}"
        )
    return str(found.experiment_id)


def _start_training(experiment: _Experiment, params: Params, member: str, data_hash: str) -> str:
    tags = {"thumbnet.member": member, "thumbnet.data": data_hash}
    used = _data_params(params) | _flatten(params.training_of(member), ".")
    return experiment.start_run(member, f"train@{member}", tags, used)


def _start_ensemble(experiment: _Experiment, params: Params) -> str:
    used = _data_params(params) | {"seed": params.seed, "members": ", ".join(params.members)}
    return experiment.start_run(paths.ENSEMBLE, paths.ENSEMBLE, {}, used)


def _finish_training(
    experiment: _Experiment, run_id: str, model_dir: Path, files: Iterable[Path], summary: Mapping[str, float]
) -> None:
    client = experiment.client
    result = result_id(model_dir)
    if experiment.oldest_run(result):
        client.set_terminated(run_id)
        client.delete_run(run_id)
        return
    card = _read_card(model_dir)
    best = {name: card["best"][name] for name in ("epoch", "validation_accuracy", "validation_loss")}
    figures = {"best": best, "parameters": card["parameters"], **summary}
    experiment.log(
        run_id,
        metrics=_flatten(figures, "/"),
        tags={RESULT: result},
        files=files,
        folder="training",
    )
    _log_model(experiment, run_id, model_dir, card)
    client.set_terminated(run_id)
    experiment.keep_oldest_run(result)


def _find_or_recreate(experiment: _Experiment, params: Params, member: str) -> str:
    """The run of a member's training, made from the training's files where the store has none.

    That is so when the store was deleted or is another one, when DVC restored the training from a cache that was
    filled elsewhere, and when the store was down as the training ended.
    """
    model_dir = paths.MODELS / member
    result = result_id(model_dir)
    found = experiment.oldest_run(result)
    if found is None:
        _recreate_run(experiment, params, member, model_dir)
        found = experiment.oldest_run(result)
    if found is None:
        raise UserError(f"MLflow shows no run for {model_dir} though it was just written; was it deleted meanwhile?")
    return found


def _recreate_run(experiment: _Experiment, params: Params, member: str, model_dir: Path) -> None:
    history = paths.HISTORY / f"{member}.csv"
    data_hash = hash_data(_read_card(model_dir)["data"])
    run_id = _start_training(experiment, params, member, data_hash)
    experiment.log(run_id, tags={"thumbnet.recreated": "true"})
    # DVC may leave out what no later stage reads, such as the history.
    files = [file for file in (history, paths.TRAIN_METRICS / f"{member}.json") if file.exists()]
    if history in files:
        experiment.client.log_batch(run_id, metrics=_read_history(history))
    _finish_training(experiment, run_id, model_dir, files, summary={})


def _log_model(experiment: _Experiment, run_id: str, model_dir: Path, card: Mapping[str, Any]) -> None:
    """Adds the network in MLflow's own format, as `runs:/<run id>/model`.

    `mlflow.pyfunc.log_model` would do the same within a global current run, and try the example on the model each
    time; tests do that here.
    """
    client = experiment.client
    logged = client.create_logged_model(experiment.experiment_id, MODEL, run_id, model_type="image classifier")
    example = np.load(paths.SPLITS / "validation_images.npy", mmap_mode="r")[:1]  # (1, height, width, channels)
    with tempfile.TemporaryDirectory() as temporary:
        folder, classifier = Path(temporary) / MODEL, Path(temporary) / "classifier"
        classifier.mkdir()
        for file in (path for path in model_dir.iterdir() if path.is_file()):  # without further seeds
            shutil.copy(file, classifier)
        mlflow.pyfunc.save_model(
            folder,
            python_model=serving.__file__,
            artifacts={"classifier": str(classifier)},
            code_paths=[str(Path(serving.__file__).parent)],
            signature=_signature(card),
            input_example=np.array(example),
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in _serving_packages(card)],
            mlflow_model=Model(artifact_path=logged.artifact_location, run_id=run_id, model_id=logged.model_id),
        )
        client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=int(card["best"]["epoch"]))])


def _signature(card: Mapping[str, Any]) -> ModelSignature:
    columns: list[ColSpec | TensorSpec] = [ColSpec("string", "class"), ColSpec("double", "probability")]
    columns += [ColSpec("double", name) for name in serving.column_names(card["classes"])]
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, *card["input_shape"]))]), outputs=Schema(columns)
    )


def _serving_packages(card: Mapping[str, Any]) -> tuple[str, ...]:
    return (*SERVING_PACKAGES, *(["torchvision"] if "torchvision" in card["model"] else []))


def _read_card(model_dir: Path) -> dict[str, Any]:
    """The card as plain values: the module that gives it types would bring torch along."""
    card: dict[str, Any] = json.loads((model_dir / "model.json").read_text(encoding="utf-8"))
    return card


def _read_history(path: Path) -> list[Metric]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [metric for row in rows for metric in _epoch_metrics(row)]


def _epoch_metrics(row: Mapping[str, float]) -> list[Metric]:
    now, step = _milliseconds(), int(row["epoch"])
    return [
        Metric(re.sub("^(train|validation)_", r"\1/", name), value, now, step)
        for name, value in row.items()
        if name != "epoch"
    ]


def _evaluation_metrics(figures: Mapping[str, Any]) -> dict[str, float]:
    """Accuracy and loss of each split, and whatever else is a single number, as `evaluate/...`.

    Of several seeds also their quartiles, as `evaluate/<split>/accuracy_median` and so on.
    """
    chosen: dict[str, Any] = {}
    for key, value in figures.items():
        if isinstance(value, Mapping):
            names = [name for name in ("accuracy", "loss") if name in value]
            chosen[key] = {name: value[name] for name in names}
            if "seeds" in value:
                places = ((name, *place) for name in names for place in value["seeds"][name].items())
                chosen[key] |= {f"{name}_{end}": place for name, end, place in places}
        elif isinstance(value, int | float):
            chosen[key] = value
    return {name: float(value) for name, value in _flatten({"evaluate": chosen}, "/").items()}


def _data_params(params: Params) -> dict[str, Any]:
    sized = params.dataset.name == "image_folder"
    dataset = {"name": params.dataset.name} | ({"image_size": params.dataset.image_size} if sized else {})
    sections = {name: getattr(params, name).model_dump() for name in ("split", "corruption", "normalisation")}
    return _flatten({"dataset": dataset} | sections, ".")


def _flatten(values: Mapping[str, Any], separator: str) -> dict[str, Any]:
    """Nested sections as one level, with names that MLflow allows."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = _allowed_name(key)
        if isinstance(value, Mapping):
            flat |= {f"{name}{separator}{rest}": leaf for rest, leaf in _flatten(value, separator).items()}
        else:
            flat[name] = value
    return flat


def _allowed_name(name: str) -> str:
    """A name without slashes, which group metrics, and without what MLflow refuses."""
    allowed = re.sub(r"[^\w .-]", "_", name)[:100]
    return "_" * len(allowed) if set(allowed) <= {"."} else allowed


def _as_yaml(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value) if isinstance(value, bool | list) else str(value)


def _ensemble_note(experiment_id: str, members: Mapping[str, str]) -> str:
    """What MLflow's pages show at the top of the run, in Markdown."""
    pages = f"#/experiments/{experiment_id}/runs"
    links = [f"- [{member}]({pages}/{run_id}) (run {run_id})" for member, run_id in members.items()]
    return "The mean of the probabilities of:\n\n" + "\n".join(links) + "\n"


def _origin_tags(stage: str) -> dict[str, str]:
    """Where a run comes from. MLflow's own look-up takes a second and complains where there is no git."""
    tags = {
        "mlflow.source.name": f"dvc.yaml:{stage}",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": _git_commit(),
        "mlflow.user": _user(),
        "dvc.exp_name": os.environ.get("DVC_EXP_NAME"),
        "thumbnet.stage": stage.partition("@")[0],
        "thumbnet.version": __version__,
    }
    return {key: value for key, value in tags.items() if value}


def _git_commit() -> str | None:
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return None


def _hash_json(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _milliseconds() -> int:
    return time.time_ns() // 1_000_000


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Within it Ctrl-C and SIGTERM wait for the end: a database that is interrupted prints stack traces of its own.

    Raises:
        KeyboardInterrupt: at the end, if one of them came.
    """
    came: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, lambda number, frame: came.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _brief_requests() -> Iterator[None]:
    """Within it a server that does not answer costs seconds, not MLflow's minutes; the user's own limits win."""
    limits = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
    added = {name: limit for name, limit in limits.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


@contextlib.contextmanager
def _user_errors() -> Iterator[None]:
    """What goes wrong with the store, as a UserError: errors of MLflow, of its database, of HTTP and of files."""
    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        remedy = (
            "start that server, or keep runs in mlflow.db with: unset MLFLOW_TRACKING_URI"
            if os.environ.get("MLFLOW_TRACKING_URI")
            else "check that it can be written, or move it away: a new one is made and filled from the trained models"
        )
        message = f"the MLflow store {tracking_uri()} cannot be used: {reason}; {remedy}"
        raise UserError(_without_password(message)) from error


def _without_password(text: str) -> str:
    return re.sub("//[^/@ ]*@", "//***@", text)
