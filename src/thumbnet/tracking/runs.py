"""The run of a training: while it lasts, when it ends, and made anew from the training's files where it is missing."""

import contextlib
import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from mlflow.entities import Metric

from thumbnet import paths
from thumbnet.errors import UserError
from thumbnet.params import Params
from thumbnet.tracking.datasets import log_dataset
from thumbnet.tracking.entries import (
    as_params,
    data_params,
    epoch_metrics,
    evaluation_metrics,
    read_history,
    training_metrics,
)
from thumbnet.tracking.identity import hash_data, result_id
from thumbnet.tracking.models import log_model, read_card
from thumbnet.tracking.origin import origin_tags, run_name
from thumbnet.tracking.registry import register
from thumbnet.tracking.store import RESULT, Experiment, brief_requests, open_experiment, user_errors
from thumbnet.tracking.sweeps import parent_of_sweep, renew_sweep

#: Seconds after a failure in which epochs are kept back: a server that hangs costs 20 of them each time.
_PAUSE = 60


class TrainingRun:
    """The run of one training; `thumbnet.recording` has it written by a process of its own.

    To begin it reaches the store, so that one that cannot be used is told before hours of training. From then on
    nothing that befalls the store stops the training: what it did not take is sent again with a later epoch and at
    the end, and if the end fails too, `log_evaluation` makes the run anew from the training's files.

    Args:
        params: the whole `params.yaml`.
        member: the network's name in `models`; the run is called by it.
        data_hash: what the training read, from `hash_data`.
    """

    def __init__(self, params: Params, member: str, data_hash: str) -> None:
        self._params = params
        self._member = member
        self._data_hash = data_hash
        self._unsent: list[Metric] = []
        self._sends_from = 0.0  # on the monotonic clock
        self._restored = 0  # epochs from a checkpoint
        self._finished = False
        self._warned = False

    def begin(self) -> None:
        """Begins the run.

        Raises:
            UserError: the store cannot be reached or used.
        """
        with user_errors(), brief_requests():
            self._experiment = open_experiment(self._params.dataset.name)
            self._run_id = _start_training(self._experiment, self._params, self._member, self._data_hash)

    def tag(self, **facts: str) -> None:
        """Adds tags `thumbnet.<name>`, such as the device and the precision that `auto` turned out to be."""
        with self._warnings("tags"), brief_requests():
            self._experiment.log(self._run_id, tags={f"thumbnet.{name}": value for name, value in facts.items()})

    def resume(self, epochs: int, checkpoint: str) -> None:
        """Tells that the training goes on. The run that began it becomes KILLED, which it may not have come to itself.

        Args:
            epochs: that it had; they are sent together, with the last of them.
            checkpoint: what the tag `thumbnet.checkpoint` of both runs holds.
        """
        self._restored = epochs
        self.tag(resumed=f"after epoch {epochs}")
        with self._warnings("end of the run before"), brief_requests():
            for run in self._experiment.running("thumbnet.checkpoint", checkpoint):
                if run.info.run_id != self._run_id:
                    self._experiment.client.set_terminated(run.info.run_id, "KILLED")

    def log_epoch(self, row: Mapping[str, float]) -> None:
        """Adds the metrics of one epoch.

        Args:
            row: `epoch`, which is the step, and any of `lr`, `l2_penalty`, `seconds`, `train_loss`, `train_accuracy`,
                `validation_loss`, `validation_accuracy`; they are logged as `train/lr`, `validation/loss` and so on.
        """
        self._unsent += epoch_metrics(row)
        if row["epoch"] < self._restored or time.monotonic() < self._sends_from:
            return
        with self._warnings("metrics"), brief_requests():
            self._send_epochs()

    def finish(self, model_dir: Path, files: Sequence[Path], summary: Mapping[str, float]) -> None:
        """Adds the trained network and ends the run; where an older run holds the same result, that one stays.

        Args:
            model_dir: the folder of weights and card.
            files: more artifacts, kept in `training/`.
            summary: figures of the whole training that the card does not hold, such as `images_per_second`.
        """
        with self._warnings("training"):
            with brief_requests():
                self._send_epochs()
            _finish_training(self._experiment, self._run_id, model_dir, files, summary)
            self._finished = True

    def end(self, status: Literal["FAILED", "KILLED"]) -> None:
        """Ends the run of a training that has an error or was interrupted; one that is finished stays as it is."""
        if not self._finished:
            with self._warnings("end"), brief_requests():
                self._experiment.client.set_terminated(self._run_id, status)

    def _send_epochs(self) -> None:
        self._experiment.client.log_batch(self._run_id, metrics=self._unsent)
        self._unsent = []

    @contextlib.contextmanager
    def _warnings(self, what: str) -> Iterator[None]:
        """Turns what the store raises into a warning, once: a training is worth more than its record."""
        try:
            with user_errors():
                yield
        except Exception as error:
            if not self._warned:
                print(f"warning: {self._member}: MLflow did not take the {what} of this run; its training is not "
                      f"harmed, and evaluate@{self._member} makes up for it. {error}", file=sys.stderr)  # fmt: skip
            self._warned = True
            self._sends_from = time.monotonic() + _PAUSE


def run_of_training(experiment: Experiment, params: Params, member: str) -> str:
    """The run of a member's training, made from the files of training and evaluation where the store has none.

    That is so when the store was deleted or is another one, when DVC restored the training from a cache that was
    filled elsewhere, and when the store was down as the training ended.

    Raises:
        UserError: the training is missing, or its run was deleted at this moment.
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


def _start_training(experiment: Experiment, params: Params, member: str, data_hash: str) -> str:
    tags = origin_tags(f"train@{member}") | {"thumbnet.member": member, "thumbnet.data": data_hash}
    used = _params_of_training(params, member)
    parent = parent_of_sweep(experiment)
    run_id = experiment.start_run(run_name(member), tags, used, parent)
    with experiment.ended_by_errors(run_id):
        log_dataset(experiment, run_id, params.dataset.name, data_hash)
    return run_id


def _params_of_training(params: Params, member: str) -> dict[str, str]:
    return data_params(params) | as_params(params.training_of(member))


def _finish_training(
    experiment: Experiment, run_id: str, model_dir: Path, files: Iterable[Path], summary: Mapping[str, float]
) -> None:
    client = experiment.client
    result = result_id(model_dir)
    if experiment.oldest_run(result):
        client.set_terminated(run_id)
        client.delete_run(run_id)
        return
    card = read_card(model_dir)
    tags = {RESULT: result, "mlflow.note.content": _note(card)}
    experiment.log(run_id, metrics=training_metrics(card, summary), tags=tags, files=files, folder="training")
    log_model(experiment, run_id, model_dir, card)
    client.set_terminated(run_id)
    experiment.keep_oldest_run(result)
    kept = experiment.oldest_run(result)
    if kept:
        register(experiment, kept, result, card)
    renew_sweep(experiment)


def _recreate_run(experiment: Experiment, params: Params, member: str, model_dir: Path) -> None:
    history = paths.HISTORY / f"{member}.csv"
    data_hash = hash_data(read_card(model_dir)["data"])
    run_id = _start_training(experiment, params, member, data_hash)
    with experiment.ended_by_errors(run_id):
        experiment.log(run_id, tags={"thumbnet.recreated": "true"})
        # DVC may leave out what no later stage reads, such as the history.
        files = [file for file in (history, paths.TRAIN_METRICS / f"{member}.json") if file.exists()]
        if history in files:
            experiment.client.log_batch(run_id, metrics=read_history(history))
        judged = paths.EVALUATE_METRICS / f"{member}.json"
        if judged.exists():
            figures = json.loads(judged.read_text(encoding="utf-8"))
            experiment.log(run_id, metrics=evaluation_metrics(figures), files=[judged], folder="evaluation")
        _finish_training(experiment, run_id, model_dir, files, summary={})
    _end_lost_runs(experiment, params, member, data_hash)


def _end_lost_runs(experiment: Experiment, params: Params, member: str, data_hash: str) -> None:
    """Ends the runs of a training whose end the store did not take: now that it is there whole, none goes on."""
    used = _params_of_training(params, member)
    for run in experiment.running("thumbnet.data", data_hash):
        if run.data.tags.get("thumbnet.member") == member and run.data.params == used:
            experiment.client.set_terminated(run.info.run_id, "FAILED")


def _note(card: Mapping[str, Any]) -> str:
    """What MLflow's pages show at the top of the run."""
    network = card["model"].get("layers") or card["model"].get("torchvision")
    best = card["best"]
    return (
        f"`{network}`, {card['parameters']:,} parameters. Kept: epoch {best['epoch']:g}, "
        f"validation accuracy {best['validation_accuracy']:.2%}."
    )
