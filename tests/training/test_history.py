"""The history of a training as files."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from thumbnet.training.engine import Epoch, Outcome
from thumbnet.training.history import write_history, write_train_metrics

EPOCHS = [
    Epoch(1, 0.003, 1.5, 0.25, 1.25, 0.375, l2_penalty=0.123456789, seconds=2.0),
    Epoch(2, 0.00131810193, 0.5, 0.75, 0.75, 0.625, l2_penalty=0.0, seconds=3.0),
]


def test_a_history_has_one_row_per_epoch_and_no_wall_time(tmp_path: Path) -> None:
    write_history(tmp_path / "bn.csv", [Outcome(EPOCHS, EPOCHS[0], stopped_early=False)])
    assert (tmp_path / "bn.csv").read_text().splitlines() == [
        "epoch,lr,train_loss,train_accuracy,validation_loss,validation_accuracy,l2_penalty",
        "1,0.003,1.5,0.25,1.25,0.375,0.1234568",
        "2,0.001318102,0.5,0.75,0.75,0.625,0",
    ]


def seeds(*accuracies: list[float]) -> list[Outcome]:
    """Trainings with such validation accuracies, epoch by epoch."""
    histories = [
        [replace(EPOCHS[0], epoch=number, validation_accuracy=value) for number, value in enumerate(values, 1)]
        for values in accuracies
    ]
    return [Outcome(history, history[-1], stopped_early=False) for history in histories]


def test_of_several_seeds_the_history_has_medians_and_quartiles(tmp_path: Path) -> None:
    write_history(tmp_path / "bn.csv", seeds([0.1, 0.6], [0.2, 0.7], [0.4], [0.8, 0.9], [0.3]))
    with (tmp_path / "bn.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    told = [[row[f"validation_accuracy{end}"] for end in ("_p25", "", "_p75")] for row in rows]
    assert told == [["0.2", "0.3", "0.4"], ["0.65", "0.7", "0.8"]]
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert "seconds" not in rows[0]


def test_where_one_seed_is_left_its_values_are_the_quartiles_too(tmp_path: Path) -> None:
    write_history(tmp_path / "bn.csv", seeds([0.1, 0.6], [0.2]))
    with (tmp_path / "bn.csv").open(encoding="utf-8", newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert [last[f"validation_accuracy{end}"] for end in ("_p25", "", "_p75")] == ["0.6", "0.6", "0.6"]


def test_of_several_seeds_the_metrics_tell_when_they_were_best(tmp_path: Path) -> None:
    write_train_metrics(tmp_path / "bn.json", seeds([0.1, 0.6], [0.2, 0.7], [0.4]), parameters=10)
    told = json.loads((tmp_path / "bn.json").read_text())
    assert told["best_epoch"] == 2, "of the first"
    assert told["seeds"]["count"] == 3
    assert told["seeds"]["best_epoch"] == {"p25": 1.5, "median": 2, "p75": 2}


def test_the_last_epoch_is_that_of_each_seed_where_some_stop_early(tmp_path: Path) -> None:
    write_train_metrics(tmp_path / "bn.json", seeds([0.1, 0.6], [0.2, 0.8], [0.4]), parameters=10)
    told = json.loads((tmp_path / "bn.json").read_text())
    assert told["seeds"]["last_epoch"]["validation_accuracy"] == {"p25": 0.5, "median": 0.6, "p75": 0.7}


@pytest.mark.parametrize("stopped_early", [False, True])
def test_the_metrics_tell_the_epochs_that_really_ran(stopped_early: bool, tmp_path: Path) -> None:
    write_train_metrics(tmp_path / "bn.json", [Outcome(EPOCHS, EPOCHS[0], stopped_early)], parameters=48822)
    told = {"parameters": 48822, "epochs": 2, "best_epoch": 1, "stopped_early": stopped_early}
    assert json.loads((tmp_path / "bn.json").read_text()) == told
