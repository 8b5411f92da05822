"""The history of a training as files: its epochs as CSV for plots, its best epoch as JSON for `dvc metrics`.

Wall time is left out of both: the same training gives the same bytes. Of several seeds the history tells medians, and
quartiles beside them.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from thumbnet.files import write_json, write_table
from thumbnet.judging.quartiles import quartiles
from thumbnet.training.engine import Epoch, Outcome

COLUMNS = ("epoch", "lr", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "l2_penalty")
#: Those that have quartiles where there are several seeds.
SPREAD = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


def summarise(epochs: Sequence[Epoch]) -> dict[str, float]:
    """One epoch of several seeds as one row: the median of each value, and quartiles of losses and accuracies.

    Args:
        epochs: the same epoch of each seed that still trained, one or more.

    Returns:
        The values of `Epoch`; of more than one seed also `<name>_p25` and `<name>_p75` of those in `SPREAD`.
    """
    if len(epochs) == 1:
        return asdict(epochs[0])
    each = [asdict(epoch) for epoch in epochs]
    row: dict[str, float] = {name: float(np.median([values[name] for values in each])) for name in each[0]}
    row["epoch"] = epochs[0].epoch
    for name in SPREAD:
        found = quartiles([values[name] for values in each])
        row |= {f"{name}_p25": found["p25"], f"{name}_p75": found["p75"]}
    return row


def write_history(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Writes one row per epoch: the columns of `COLUMNS`; of several seeds medians, with quartiles after them.

    Args:
        path: of the file.
        outcomes: of each seed.
    """
    longest = max(len(outcome.history) for outcome in outcomes)
    rows = []
    for number in range(longest):
        row = summarise([outcome.history[number] for outcome in outcomes if number < len(outcome.history)])
        rows.append({name: value for name, value in row.items() if name != "seconds"})
    columns: tuple[str, ...] = COLUMNS
    if len(outcomes) > 1:
        columns += tuple(f"{name}_{end}" for name in SPREAD for end in ("p25", "p75"))
    # Where all but one seed have stopped early, its values are all there is.
    filled = ([row.get(name, row[_without_end(name)]) for name in columns] for row in rows)
    write_table(path, columns, ([f"{value:.7g}" for value in values] for values in filled))


def write_train_metrics(path: Path, outcomes: Sequence[Outcome], parameters: int) -> None:
    """Writes the size of the network, its epochs and the one of its weights; its figures are left to `evaluate`.

    Args:
        path: of the file.
        outcomes: of each seed; the first is the one that is told of.
        parameters: of one network.
    """
    first = outcomes[0]
    values: dict[str, Any] = {
        "parameters": parameters,
        "epochs": len(first.history),
        "best_epoch": first.best.epoch,
        "stopped_early": first.stopped_early,
    }
    if len(outcomes) > 1:
        # Of each seed its own last epoch: those of the history are of the seeds that came to them.
        last = {
            name: quartiles([getattr(outcome.history[-1], name) for outcome in outcomes])
            for name in ("validation_accuracy", "validation_loss")
        }
        best = quartiles([outcome.best.epoch for outcome in outcomes])
        values["seeds"] = {"count": len(outcomes), "best_epoch": best, "last_epoch": last}
    write_json(path, values)


def deterministic(epoch: Epoch) -> dict[str, float]:
    """An epoch without its wall time."""
    values = asdict(epoch)
    return {column: values[column] for column in COLUMNS}


def _without_end(name: str) -> str:
    return name.removesuffix("_p25").removesuffix("_p75")
