"""Experiments that belong together have a parent run, whose note and view tell what differs between them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from thumbnet import tracking
from thumbnet.params import Params

if TYPE_CHECKING:  # pytest puts no folder of tests on the path of modules
    from tests.tracking.conftest import Store

BASELINE = "1a2b3c4d5e6f"

#: Where DVC's queue runs an experiment.
QUEUED = ".dvc/tmp/exps/tmpabc"


@pytest.fixture
def sweep(
    checkout: Path, params: Params, train_member: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., None]:
    """Trains and evaluates one experiment at this rate, with these environment variables, optimizer and folder."""

    def run(lr: float, variables: dict[str, str], optimizer: str = "sgd", folder: str = QUEUED) -> None:
        (checkout / folder).mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(checkout / folder)
        for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "THUMBNET_STUDY"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        changed = params.model_copy(
            update={"optimizer": params.optimizer.model_copy(update={"lr": lr, "name": optimizer})}
        )
        model_dir = train_member("bn", accuracy=0.5 + lr)
        training = tracking.TrainingRun(changed, "bn", "1234")
        training.begin()
        training.log_epoch({"epoch": 1, "train_loss": 2.0})
        training.finish(model_dir, [], {})
        tracking.log_evaluation(changed, "bn", {"test": {"accuracy": 0.4 + lr}}, {}, [])

    return run


def numbered(name: str) -> dict[str, str]:
    return {"DVC_EXP_NAME": name, "DVC_EXP_BASELINE_REV": BASELINE}


@pytest.mark.parametrize(
    ("experiments", "parents"),
    [
        ([{}, {}], {}),
        ([numbered("lr-1"), numbered("lr-2")], {"lr": 2}),
        ([numbered("lr-1"), numbered("wd-1"), numbered("lr-10")], {"lr": 2, "wd": 1}),
        ([numbered("modal-holy"), numbered("taped-farm")], {"experiments on 1a2b3c4": 2}),
        ([numbered("lr-1"), numbered("lr-2") | {"THUMBNET_STUDY": "norms"}, {"THUMBNET_STUDY": "norms"}],
         {"lr": 1, "study norms": 2}),
        ([numbered("lr-1"), numbered("lr-2") | {"DVC_EXP_BASELINE_REV": "ffff"}], {"lr": 1, "lr again": 1}),
        ([{"THUMBNET_STUDY": "Bob's"}], {"study Bobs": 1}),
    ],
)  # fmt: skip
def test_experiments_that_belong_together_have_one_parent(
    experiments: list[dict[str, str]], parents: dict[str, int], sweep: Callable[..., None], store: Store
) -> None:
    for number, variables in enumerate(experiments):
        sweep(0.1 * (number + 1), variables)
    runs = store.runs()
    assert sum(run.data.tags["thumbnet.stage"] == "train" for run in runs) == len(experiments)
    above = {run.info.run_id: run.info.run_name for run in runs if run.data.tags["thumbnet.stage"] == "sweep"}
    found: dict[str, int] = {}
    for parent, name in sorted(above.items(), key=lambda item: item[1]):
        children = [run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent]
        assert all(run.data.tags["thumbnet.stage"] == "train" for run in children)
        found[f"{name} again" if name in found else str(name)] = len(children)
    assert found == parents


@pytest.mark.parametrize("folder", [".", ".dvc/tmp/exps/standalone/tmpabc"])
def test_a_number_that_the_user_gave_makes_no_queue(folder: str, sweep: Callable[..., None], store: Store) -> None:
    sweep(0.1, numbered("try-2"), folder=folder)
    assert store.names() == ["bn try-2", "experiments on 1a2b3c4"]


def test_the_parent_tells_what_differs(sweep: Callable[..., None], store: Store) -> None:
    for number, lr in enumerate((0.1, 0.3, 0.2), 1):
        sweep(lr, numbered(f"lr-{number}"))

    parent = store.run("lr")
    assert parent.info.status == "FINISHED"
    lines = parent.data.tags["mlflow.note.content"].splitlines()
    assert "experiments lr-1, lr-2, ... of DVC" in lines[0]
    assert lines[2] == "| run | lr | validation | test |"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[4:]]
    assert [row[1:] for row in rows] == [
        ["0.3", "80.00%", "70.00%"],
        ["0.2", "70.00%", "60.00%"],
        ["0.1", "60.00%", "50.00%"],
    ]
    assert rows[0][0].startswith("[bn lr-2](#/experiments/")
    last = max(run.info.end_time for run in store.runs() if run is not parent)
    assert parent.info.end_time >= last, "the parent lasts as long as the sweep"


def test_a_sweep_has_a_view_of_its_own(sweep: Callable[..., None], store: Store) -> None:
    for number, lr in enumerate((0.1, 0.3), 1):
        sweep(lr, numbered(f"lr-{number}"))
    name, state = views(store)[store.run("lr").info.run_id]
    assert name == "lr"
    assert "params.`optimizer.lr`" in state["selectedColumns"]
    assert "params.`train.epochs`" not in state["selectedColumns"]
    parallel = state["compareRunCharts"][0]
    assert (parallel["type"], parallel["selectedParams"]) == ("PARALLEL", ["optimizer.lr"])
    (scatter,) = (card for card in state["compareRunCharts"] if card["type"] == "SCATTER")
    assert scatter["xaxis"] == {"key": "optimizer.lr", "type": "PARAM"}
    found = store.client.search_runs([store.experiment.experiment_id], state["searchFilter"], order_by=[
        f"{state['orderByKey']} {'ASC' if state['orderByAsc'] else 'DESC'}"])  # fmt: skip
    assert [run.info.run_name for run in found] == ["bn lr-2", "bn lr-1"]


def test_parallel_coordinates_have_no_axis_that_a_run_lacks(sweep: Callable[..., None], store: Store) -> None:
    for number, optimizer in enumerate(("sgd", "adam"), 1):
        sweep(number / 10, numbered(f"opt-{number}"), optimizer)
    _, state = views(store)[store.run("opt").info.run_id]
    assert state["compareRunCharts"][0]["selectedParams"] == ["optimizer.lr", "optimizer.name"]
    assert "params.`optimizer.momentum`" in state["selectedColumns"]


def test_a_new_experiment_has_views_whose_metrics_exist(sweep: Callable[..., None], store: Store) -> None:
    sweep(0.1, {})
    saved = views(store)
    assert {name for name, _ in saved.values()} == {"Leaderboard", "Learning curves"}
    note = store.experiment.tags["mlflow.note.content"]
    (run,) = store.runs()
    known = {f"metrics.`{name}`" for name in run.data.metrics} | {f"params.`{name}`" for name in run.data.params}
    for key, (_, state) in saved.items():
        assert f"viewStateShareKey={key}" in note
        assert set(state["selectedColumns"]) <= set(state["columnOrder"])
        columns = set(state["selectedColumns"]) - {"attributes.`Models`", "metrics.`test/loss`"}
        assert columns <= known
        assert store.client.search_runs([run.info.experiment_id], state["searchFilter"])


def views(store: Store) -> dict[str, tuple[str, dict[str, Any]]]:
    """Name and state of each saved view, by its id."""
    prefix = "mlflow.sharedViewState."
    tags = store.experiment.tags
    saved = {key.removeprefix(prefix): json.loads(value) for key, value in tags.items() if key.startswith(prefix)}
    return {key: (view["name"], json.loads(view["state"])) for key, view in saved.items()}
