"""The run of the ensemble, and where its artifacts go."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from thumbnet import paths, tracking
from thumbnet.errors import UserError
from thumbnet.files import write_json
from thumbnet.params import Params

if TYPE_CHECKING:  # pytest puts no folder of tests on the path of modules
    from tests.tracking.conftest import Store

FIGURES: dict[str, Any] = {
    "members": ["bn", "gn"],
    "method": "soft_vote",
    "networks": 2,
    "validation": {"accuracy": 0.85, "low": 0.8},
    "test": {"accuracy": 0.9, "low": 0.8, "high": 0.95},
    "best_member": "gn",
    "gain_test_points": 1.5,
    "error_correlation": None,
    "methods": [
        {"method": "soft_vote", "test": {"accuracy": 0.9}},
        {"method": "greedy", "test": {"accuracy": 0.91}, "weights": {"bn": 1.0}},
    ],
    "singles": [{"network": "gn", "test": {"accuracy": 0.88}}],
}


@pytest.fixture
def pair(params: Params) -> Params:
    return params.model_copy(update={"members": ["bn", "gn"]})


def test_the_ensemble_is_a_run_that_links_its_members(
    pair: Params,
    train_member: Callable[..., Path],
    track_training: Callable[[Path], None],
    write_files: Callable[..., list[Path]],
    store: Store,
) -> None:
    members = {name: train_member(name) for name in pair.members}
    track_training(members["bn"])  # gn's run is missing

    for _ in range(2):
        tracking.log_ensemble(pair, FIGURES, write_files("ensemble.json"))
    tracking.log_files(pair, "ensemble", {"report": write_files("report.html")})

    assert store.names() == ["bn", "ensemble", "gn"]
    ensemble = store.run("ensemble")
    assert ensemble.info.status == "FINISHED"
    assert ensemble.data.params["members"] == "bn, gn"
    assert ensemble.data.metrics == {
        "best/validation_accuracy": 0.85,
        "test/accuracy": 0.9,
        "ensemble/networks": 2,
        "ensemble/gain_test_points": 1.5,
        "ensemble/soft_vote_test_accuracy": 0.9,
        "ensemble/greedy_test_accuracy": 0.91,
    }
    assert store.artifacts(ensemble, "evaluation") == {"ensemble.json"}
    assert store.artifacts(ensemble, "report") == {"report.html"}
    for name in members:
        run_id = store.run(name).info.run_id
        assert ensemble.data.tags[f"thumbnet.member.{name}"] == run_id
        assert f"/runs/{run_id})" in ensemble.data.tags["mlflow.note.content"]

    tracking.log_ensemble(pair, {**FIGURES, "test": {"accuracy": 0.95}}, [])
    assert store.names() == ["bn", "ensemble", "ensemble", "gn"]
    tracking.log_files(pair, "ensemble", {"report": write_files("again.html")})
    folders = {run.data.metrics["test/accuracy"]: store.artifacts(run, "report") for run in store.runs()
               if run.info.run_name == "ensemble"}  # fmt: skip
    assert folders == {0.9: {"report.html"}, 0.95: {"again.html"}}


def test_an_ensemble_whose_files_cannot_be_kept_has_failed(
    pair: Params,
    train_member: Callable[..., Path],
    track_training: Callable[[Path], None],
    write_files: Callable[..., list[Path]],
    store: Store,
) -> None:
    for name in pair.members:
        track_training(train_member(name))
    Path("mlartifacts").rename("kept")
    Path("mlartifacts").touch()
    with pytest.raises(UserError, match="cannot be used"):
        tracking.log_ensemble(pair, FIGURES, write_files("ensemble.json"))
    assert store.run("ensemble").info.status == "FAILED"


def test_a_single_network_is_no_ensemble(
    params: Params,
    train_member: Callable[..., Path],
    track_training: Callable[[Path], None],
    write_files: Callable[..., list[Path]],
    store: Store,
) -> None:
    track_training(train_member("bn"))
    tracking.log_ensemble(params, FIGURES, write_files("ensemble.json"))
    tracking.log_files(params, "ensemble", {"report": write_files("report.html")})
    (run,) = store.runs()
    assert not store.artifacts(run, "ensemble")
    assert store.artifacts(run, "report") == {"report.html"}
    assert "test/accuracy" not in run.data.metrics


def test_all_seeds_of_a_single_member_are_an_ensemble(
    params: Params, train_member: Callable[..., Path], write_files: Callable[..., list[Path]], store: Store
) -> None:
    train_member("bn")
    seeds = params.train.model_copy(update={"seeds": 2}), params.ensemble.model_copy(update={"seeds": "all"})
    params = params.model_copy(update={"train": seeds[0], "ensemble": seeds[1]})
    tracking.log_ensemble(params, FIGURES, write_files("ensemble.json"))
    tracking.log_files(params, "ensemble", {"report": write_files("report.html")})
    assert store.names() == ["bn", "ensemble"]
    assert store.artifacts(store.run("ensemble"), "report") == {"report.html"}


def test_an_ensemble_without_a_run_gets_one(
    pair: Params, train_member: Callable[..., Path], write_files: Callable[..., list[Path]], store: Store
) -> None:
    for name in pair.members:
        train_member(name)
    with pytest.raises(UserError, match="to make it: dvc repro ensemble"):
        tracking.log_files(pair, "ensemble", {"report": []})
    write_json(paths.ENSEMBLE_METRICS, FIGURES)
    tracking.log_files(pair, "ensemble", {"report": write_files("report.html")})
    tracking.log_ensemble(pair, FIGURES, [])
    assert store.names() == ["bn", "ensemble", "gn"]
    assert store.run("ensemble").data.metrics["test/accuracy"] == 0.9
    assert store.artifacts(store.run("ensemble"), "report") == {"report.html"}
