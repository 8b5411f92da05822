"""The parent run of a sweep: a table of its experiments with what differs between them, and charts of just that."""

import contextlib
import re
from collections.abc import Sequence

from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from thumbnet.tracking.entries import differing
from thumbnet.tracking.origin import SWEEP, Sweep, present_sweep, sweep_tags
from thumbnet.tracking.store import Experiment, mere_warnings
from thumbnet.tracking.views import save_sweep_view, view_link

#: Rows of the table, and characters: MLflow's limit for a note is 8,000.
_ROWS = 40
_CHARACTERS = 7500


def parent_of_sweep(experiment: Experiment) -> str | None:
    """The parent run of the present sweep, made by whichever of its experiments comes first; None outside of one."""
    sweep = present_sweep()
    return _parent(experiment, sweep) if sweep else None


def _parent(experiment: Experiment, sweep: Sweep) -> str:
    with experiment.one_at_a_time():
        found = _parents(experiment, sweep)
        if not found:
            made = experiment.start_run(sweep.name, sweep_tags(sweep) | {"mlflow.note.content": sweep.what})
            experiment.client.set_terminated(made)
            # On a server two experiments may have made one each: both keep the older one.
            found = _parents(experiment, sweep)
            for run_id in found[1:]:
                with contextlib.suppress(MlflowException):
                    experiment.client.delete_run(run_id)
    return found[0]


def renew_sweep(experiment: Experiment) -> None:
    """Brings the parent's table and charts in line with its runs, and ends it anew: its duration is the sweep's."""
    sweep = present_sweep()
    if sweep is None:
        return
    with mere_warnings(f"{sweep.name}, the parent run in MLflow, is not up to date"):
        _renew(experiment, sweep)


def _renew(experiment: Experiment, sweep: Sweep) -> None:
    parent = _parent(experiment, sweep)
    with experiment.one_at_a_time():
        runs = [run for run in experiment.finished_runs("mlflow.parentRunId", parent) if _is_training(run)]
        names = differing(run.data.params for run in runs)
        if runs:
            numeric = {name: all(_is_number(run.data.params.get(name, "")) for run in runs) for name in names}
            everywhere = [name for name in names if all(name in run.data.params for run in runs)]
            save_sweep_view(experiment.client, experiment.experiment_id, parent, sweep.name, numeric, everywhere)
        link = view_link(experiment.experiment_id, parent)
        experiment.log(parent, tags={"mlflow.note.content": _note(sweep, link, runs, names)})
        experiment.client.set_terminated(parent)


def _parents(experiment: Experiment, sweep: Sweep) -> list[str]:
    found = experiment.client.search_runs(
        [experiment.experiment_id],
        f"tags.`thumbnet.sweep` = '{sweep.key}' and tags.`thumbnet.stage` = '{SWEEP}'",
        order_by=["attributes.start_time", "attributes.run_id"],
    )
    return [run.info.run_id for run in found]


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?[\d.]+(e[-+]?\d+)?", text) is not None


def _is_training(run: Run) -> bool:
    return run.data.tags.get("thumbnet.stage") == "train"


def _note(sweep: Sweep, link: str, runs: Sequence[Run], names: Sequence[str]) -> str:
    """What MLflow's pages show at the top of the run, in Markdown: the best runs by validation first."""
    lines = [f"{sweep.what} [Charts of these runs]({link})", ""]
    header = ["run", *(name.partition(".")[2] or name for name in names), "validation", "test"]
    lines += [_row(header), _row(["---"] * len(header))]
    ranked = sorted(runs, key=lambda run: -run.data.metrics.get("best/validation_accuracy", 0))
    for run in ranked[:_ROWS]:
        accuracies = [run.data.metrics.get(name) for name in ("best/validation_accuracy", "test/accuracy")]
        shown = ["" if value is None else f"{value:.2%}" for value in accuracies]
        page = f"[{run.info.run_name}](#/experiments/{run.info.experiment_id}/runs/{run.info.run_id})"
        lines.append(_row([page, *(run.data.params.get(name, "") for name in names), *shown]))
    if len(runs) > _ROWS:
        lines += ["", f"The best {_ROWS} of {len(runs)}."]
    while sum(len(line) + 1 for line in lines) > _CHARACTERS:
        lines.pop()
    return "\n".join(lines)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
