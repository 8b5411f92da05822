"""The history of a training as files: its epochs as CSV for plots, its best epoch as JSON for `dvc metrics`.

Wall time is left out of both: the same training gives the same bytes.
"""

from dataclasses import asdict
from pathlib import Path

from thumbnet.files import write_json, write_table
from thumbnet.training.engine import Epoch, Outcome

COLUMNS = ("epoch", "lr", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "l2_penalty")


def write_history(path: Path, history: list[Epoch]) -> None:
    """Writes one row per epoch, with the columns of `COLUMNS`."""
    rows = ([f"{value:.7g}" for value in deterministic(epoch).values()] for epoch in history)
    write_table(path, COLUMNS, rows)


def write_train_metrics(path: Path, outcome: Outcome, parameters: int) -> None:
    """Writes the size of the network, its epochs and the one of its weights; its figures are left to `evaluate`."""
    values = {
        "parameters": parameters,
        "epochs": len(outcome.history),
        "best_epoch": outcome.best.epoch,
        "stopped_early": outcome.stopped_early,
    }
    write_json(path, values)


def deterministic(epoch: Epoch) -> dict[str, float]:
    """An epoch without its wall time."""
    values = asdict(epoch)
    return {column: values[column] for column in COLUMNS}
