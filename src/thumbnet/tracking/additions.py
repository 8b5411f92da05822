"""What later stages find out: added to the runs of the trainings, and to the run of the ensemble."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thumbnet import paths
from thumbnet.errors import UserError
from thumbnet.params import Params
from thumbnet.tracking.entries import as_params, class_metrics, data_params, ensemble_metrics, evaluation_metrics
from thumbnet.tracking.identity import hash_json, result_id
from thumbnet.tracking.models import read_card
from thumbnet.tracking.origin import origin_tags, run_name
from thumbnet.tracking.registry import register
from thumbnet.tracking.runs import run_of_training
from thumbnet.tracking.store import RESULT, Experiment, open_experiment, user_errors
from thumbnet.tracking.sweeps import parent_of_sweep, renew_sweep

#: The tag that tells which networks an ensemble is of: a hash of their results.
_MEMBERS = "thumbnet.members"


def log_evaluation(
    params: Params, member: str, metrics: Mapping[str, Any], per_class: Mapping[str, Any], files: Sequence[Path]
) -> None:
    """Adds a network's figures to the run of its training, over those of an earlier evaluation.

    Args:
        params: the whole `params.yaml`.
        member: the network's name in `models`.
        metrics: by split its figures, and single numbers beside them; see `entries.evaluation_metrics`.
        per_class: by class its figures on test; the F1 is logged.
        files: artifacts, kept in `evaluation/`; those below `plots/KIND` in a folder of that name there, since
            `plots/confusion/bn.csv` and `plots/per_class/bn.csv` have one name.

    Raises:
        UserError: the store cannot be used, or the member's training is missing.
    """
    with user_errors():
        experiment = open_experiment(params.dataset.name)
        run_id = run_of_training(experiment, params, member)
        logged = evaluation_metrics(metrics) | class_metrics(per_class)
        views = {"flip": str(params.evaluate.flip).lower(), "shift": str(params.evaluate.shift)}
        how = {f"thumbnet.evaluate.{name}": value for name, value in views.items()}  # the training's parameters lack it
        experiment.log(run_id, metrics=logged, tags=how)
        _log_by_folder(experiment, run_id, files)
        # Does nothing but where the store could not do so as the training ended.
        register(experiment, run_id, result_id(paths.MODELS / member), read_card(paths.MODELS / member))
        renew_sweep(experiment)


def log_files(params: Params, member: str, files: Mapping[str, Sequence[Path]]) -> None:
    """Adds artifacts, such as galleries, to the run of a network's training, or to that of the ensemble.

    Args:
        params: the whole `params.yaml`.
        member: the network's name in `models`, or `ensemble`.
        files: the artifacts, by the folder among the run's artifacts that they go to.

    Raises:
        UserError: as `log_evaluation`; or the ensemble has no run.
    """
    with user_errors():
        experiment = open_experiment(params.dataset.name)
        find = _run_of_ensemble if member == paths.ENSEMBLE else run_of_training
        run_id = find(experiment, params, member)
        for folder, within in files.items():
            for file in within:
                experiment.client.log_artifact(run_id, str(file), folder)


def log_ensemble(params: Params, metrics: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Writes the run of the ensemble, which links the runs of its members; of a single network there is none.

    Args:
        params: the whole `params.yaml`.
        metrics: its figures, by split and beside them; see `entries.ensemble_metrics`.
        files: artifacts, kept as those of `log_evaluation`.

    Raises:
        UserError: as `log_evaluation`.
    """
    with user_errors():
        experiment = open_experiment(params.dataset.name)
        if params.voters > 1:
            _write_ensemble(experiment, params, metrics, files)


def find_run(model_dir: Path, experiment: str) -> str | None:
    """The id of the run that holds a trained network, or None.

    Args:
        model_dir: the folder of weights and card.
        experiment: the experiment's name, which is the data set's.

    Raises:
        UserError: the store cannot be used, or the folder is missing.
    """
    with user_errors():
        return open_experiment(experiment).oldest_run(result_id(model_dir))


def _run_of_ensemble(experiment: Experiment, params: Params, member: str) -> str:
    """The latest run of the ensemble, made anew where it is missing; with one network, the run of its training."""
    if params.voters == 1:
        return run_of_training(experiment, params, params.members[0])
    runs = experiment.finished_runs(_MEMBERS, hash_json({"members": _results(params)}))
    if runs:
        return str(runs[-1].info.run_id)
    if not paths.ENSEMBLE_METRICS.exists():
        raise UserError(f"{paths.ENSEMBLE_METRICS} is missing; to make it: dvc repro {member}")
    metrics = json.loads(paths.ENSEMBLE_METRICS.read_text(encoding="utf-8"))
    return _write_ensemble(experiment, params, metrics, [paths.ENSEMBLE_METRICS])


def _write_ensemble(experiment: Experiment, params: Params, metrics: Mapping[str, Any], files: Sequence[Path]) -> str:
    members = {member: run_of_training(experiment, params, member) for member in params.members}
    result = hash_json({"members": _results(params), "metrics": metrics})
    run_id = experiment.oldest_run(result) or _start_ensemble(experiment, params)
    tags = {f"thumbnet.member.{member}": member_run for member, member_run in members.items()}
    tags |= {"mlflow.note.content": _note(experiment.experiment_id, members, metrics)}
    tags |= {RESULT: result, _MEMBERS: hash_json({"members": _results(params)})}
    with experiment.ended_by_errors(run_id):
        experiment.log(run_id, tags=tags, metrics=ensemble_metrics(metrics))
        _log_by_folder(experiment, run_id, files)
    experiment.client.set_terminated(run_id)
    experiment.keep_oldest_run(result)
    return run_id


def _log_by_folder(experiment: Experiment, run_id: str, files: Sequence[Path]) -> None:
    for file in files:
        # The name of the network leaves the path, so that pictures of two runs have the same one.
        kind = file.relative_to(paths.PLOTS).parts[:-1] if file.is_relative_to(paths.PLOTS) else ()
        within = f"/{kind[0]}" if kind else ""
        experiment.client.log_artifact(run_id, str(file), f"evaluation{within}")


def _start_ensemble(experiment: Experiment, params: Params) -> str:
    members = {"seed": params.seed, "members": ", ".join(params.members)}
    used = data_params(params) | as_params(members)
    parent = parent_of_sweep(experiment)
    return experiment.start_run(run_name(paths.ENSEMBLE), origin_tags(paths.ENSEMBLE), used, parent)


def _results(params: Params) -> list[str]:
    return [result_id(paths.MODELS / member) for member in params.members]


def _note(experiment_id: str, members: Mapping[str, str], metrics: Mapping[str, Any]) -> str:
    """What MLflow's pages show at the top of the run, in Markdown."""
    pages = f"#/experiments/{experiment_id}/runs"
    links = [f"- [{member}]({pages}/{run_id}) (run {run_id})" for member, run_id in members.items()]
    method = str(metrics.get("method", "soft_vote")).replace("_", " ")
    return f"The ensemble ({method}) of:\n\n" + "\n".join(links) + "\n"
