"""The store of runs: where it is, how it is reached, and what its errors are called."""

import contextlib
import os
import re
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from thumbnet import paths
from thumbnet.errors import UserError
from thumbnet.tracking.entries import milliseconds
from thumbnet.tracking.moving import follow_the_checkout
from thumbnet.tracking.views import describe_experiment

#: The tag that holds a run's `result_id`.
RESULT = "thumbnet.result"

#: Of runs in charts: those of the figures, which are told apart with any kind of colour vision.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1b1b1f", "#8c8c96")


def tracking_uri() -> str:
    """Where runs go: `MLFLOW_TRACKING_URI`, by default `mlflow.db` at the root of the user's checkout.

    A relative SQLite path begins at that root too: DVC's temporary copies of it, and all in them, are deleted.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    database = _sqlite_file(uri)
    return f"sqlite:///{database.as_posix()}" if database else uri


@dataclass(frozen=True)
class Experiment:
    """An experiment and the client that reaches it: MLflow's own notion of a current one would be global state."""

    client: MlflowClient
    experiment_id: str
    #: The SQLite file, where the store is one.
    database: Path | None = None

    def start_run(
        self, name: str, tags: Mapping[str, str], params: Mapping[str, str] | None = None, parent: str | None = None
    ) -> str:
        """A new run, which begins now; returns its id."""
        more = {"mlflow.runColor": self._next_colour()} | ({"mlflow.parentRunId": parent} if parent else {})
        run_id = str(self.client.create_run(self.experiment_id, run_name=name, tags=more | dict(tags)).info.run_id)
        with self.ended_by_errors(run_id):
            self.client.log_batch(run_id, params=[Param(key, value) for key, value in (params or {}).items()])
        return run_id

    @contextlib.contextmanager
    def ended_by_errors(self, run_id: str) -> Iterator[None]:
        """Within it an error ends the run as FAILED, Ctrl-C as KILLED; one that has ended before stays as it is."""
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(Exception):  # the first error tells what is wrong with the store
                if self.client.get_run(run_id).info.status == "RUNNING":
                    status = "KILLED" if isinstance(error, KeyboardInterrupt) else "FAILED"
                    self.client.set_terminated(run_id, status)
            raise

    def _next_colour(self) -> str:
        """The one that was not taken for the longest time: MLflow draws colours by lot, and often the same."""
        latest = self.client.search_runs(
            [self.experiment_id], max_results=len(COLOURS) - 1, order_by=["attributes.start_time DESC"]
        )
        taken = {run.data.tags.get("mlflow.runColor") for run in latest}
        return next(colour for colour in COLOURS if colour not in taken)

    def log(
        self,
        run_id: str,
        *,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        files: Iterable[Path] = (),
        folder: str | None = None,
    ) -> None:
        """Adds to a run; of a metric or tag that is there already, the new value counts."""
        now = milliseconds()
        self.client.log_batch(
            run_id,
            metrics=[Metric(name, value, now, step=0) for name, value in (metrics or {}).items()],
            tags=[RunTag(key, value) for key, value in (tags or {}).items()],
        )
        for file in files:
            self.client.log_artifact(run_id, str(file), folder)

    def finished_runs(self, tag: str, value: str) -> list[Run]:
        """The finished runs with a tag, the one that was finished first in front; a thousand at most."""
        return self._runs_with(tag, value, "FINISHED")

    def running(self, tag: str, value: str) -> list[Run]:
        """The runs with a tag that have not ended, or could not say so; a thousand at most."""
        return self._runs_with(tag, value, "RUNNING")

    def _runs_with(self, tag: str, value: str, status: str) -> list[Run]:
        return list(
            self.client.search_runs(
                [self.experiment_id],
                f"tags.`{tag}` = '{value}' and attributes.status = '{status}'",
                order_by=["attributes.end_time", "attributes.run_id"],
            )
        )

    def oldest_run(self, result: str) -> str | None:
        """The run that holds a result."""
        return next((run.info.run_id for run in self.finished_runs(RESULT, result)), None)

    def keep_oldest_run(self, result: str) -> None:
        """Deletes all runs of a result but one.

        Two processes may train the same network at once, and neither sees the other's run before it is finished. Both
        come here after that, and whoever comes last sees both.
        """
        for run in self.finished_runs(RESULT, result)[1:]:
            with contextlib.suppress(MlflowException):  # the other process was faster
                self.client.delete_run(run.info.run_id)

    def one_at_a_time(self) -> contextlib.AbstractContextManager[object]:
        """Within it no other process of this project writes to a SQLite file: it reads first, and then writes."""
        return one_at_a_time(self.database)


def one_at_a_time(database: Path | None) -> contextlib.AbstractContextManager[object]:
    """A lock beside the SQLite file; nothing for a server."""
    return FileLock(f"{database}.lock") if database else contextlib.nullcontext()


def open_experiment(name: str) -> Experiment:
    """Reaches the store, and the experiment of this name in it; makes what is not there yet.

    One process at a time: MLflow lays out a new SQLite file in many steps, and a second process would trip over them.

    Raises:
        UserError: the experiment was deleted.
    """
    uri = tracking_uri()
    database = _sqlite_file(uri)
    if database:
        _check_writable(database)
    with brief_requests(), one_at_a_time(database):
        client = MlflowClient(uri)
        experiment_id = _experiment_id(client, name, _artifact_root(uri))
        if database:
            follow_the_checkout(database, experiment_id)
        return Experiment(client, experiment_id, database)


@contextlib.contextmanager
def brief_requests() -> Iterator[None]:
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
def user_errors() -> Iterator[None]:
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


@contextlib.contextmanager
def mere_warnings(what: str) -> Iterator[None]:
    """What goes wrong with the store, as a warning that begins with `what`: the run is complete without it."""
    try:
        with user_errors(), brief_requests():
            yield
    except UserError as error:
        print(f"warning: {what}. {error}", file=sys.stderr)


def _sqlite_file(uri: str) -> Path | None:
    path = uri.removeprefix("sqlite:///")
    return None if path == uri else paths.checkout_root() / path


def _artifact_root(uri: str) -> Path | None:
    """The folder for artifacts, beside a database that is reached directly; a server has its own (None)."""
    if urlsplit(uri).scheme.startswith(("http", "databricks")):
        return None
    return (_sqlite_file(uri) or paths.checkout_root() / "mlflow.db").parent / "mlartifacts"


def _check_writable(database: Path) -> None:
    """Raises at once where MLflow would try for minutes to open the file."""
    database.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(database, timeout=60)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("PRAGMA user_version = 0")  # a write: of a read-only file, that beginning is one to read
        connection.rollback()


def _experiment_id(client: MlflowClient, name: str, artifacts: Path | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            made = str(client.create_experiment(name, (artifacts / name).as_uri() if artifacts else None))
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process has made it meanwhile
            if found is None:
                raise
        else:
            describe_experiment(client, made)
            return made
    if found.lifecycle_stage != "active":
        raise UserError(
            f"the MLflow experiment {name!r} in {_without_password(client.tracking_uri)} was deleted; bring it back "
            f"with: mlflow experiments restore --experiment-id {found.experiment_id}"
        )
    return str(found.experiment_id)


def _without_password(text: str) -> str:
    return re.sub("//[^/@ ]*@", "//***@", text)
