"""The history of a training as files."""

import json
from pathlib import Path

import pytest

from thumbnet.training.engine import Epoch, Outcome
from thumbnet.training.history import write_history, write_train_metrics

EPOCHS = [
    Epoch(1, 0.003, 1.5, 0.25, 1.25, 0.375, l2_penalty=0.123456789, seconds=2.0),
    Epoch(2, 0.00131810193, 0.5, 0.75, 0.75, 0.625, l2_penalty=0.0, seconds=3.0),
]


def test_a_history_has_one_row_per_epoch_and_no_wall_time(tmp_path: Path) -> None:
    write_history(tmp_path / "bn.csv", EPOCHS)
    assert (tmp_path / "bn.csv").read_text().splitlines() == [
        "epoch,lr,train_loss,train_accuracy,validation_loss,validation_accuracy,l2_penalty",
        "1,0.003,1.5,0.25,1.25,0.375,0.1234568",
        "2,0.001318102,0.5,0.75,0.75,0.625,0",
    ]


@pytest.mark.parametrize("stopped_early", [False, True])
def test_the_metrics_tell_the_epochs_that_really_ran(stopped_early: bool, tmp_path: Path) -> None:
    write_train_metrics(tmp_path / "bn.json", Outcome(EPOCHS, EPOCHS[0], stopped_early), parameters=48822)
    told = {"parameters": 48822, "epochs": 2, "best_epoch": 1, "stopped_early": stopped_early}
    assert json.loads((tmp_path / "bn.json").read_text()) == told
