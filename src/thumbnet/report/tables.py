"""The tables of the report: the figures that earlier stages wrote as JSON and CSV, put in rows.

How they look is left to the template.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thumbnet import paths
from thumbnet.errors import UserError
from thumbnet.figures.curves import Point

#: Epochs of a member that the page holds; of longer trainings it holds so many, evenly spaced.
MOST_EPOCHS = 400


@dataclass(frozen=True)
class Result:
    """A row of the headline table.

    Attributes:
        name: of a member, or `ensemble`.
        train: how the training went: `parameters`, `epochs`, `best_epoch`; empty for the ensemble.
        judged: metrics by split.
        difference: accuracy on test minus that of the best network on validation, in percentage points; None for that
            network itself.
        p: McNemar's for that difference, corrected for the number of pairs after Holm; None where it was not computed.
    """

    name: str
    train: Mapping[str, Any]
    judged: Mapping[str, Any]
    difference: float | None
    p: float | None


def read_results(members: Sequence[str], ensemble: Mapping[str, Any]) -> list[Result]:
    """The members and, if several networks vote, their ensemble.

    A member's row is of its first seed, while the best network may be of another seed.

    Args:
        members: their names, in the order of the rows.
        ensemble: contents of `metrics/ensemble.json`.
    """
    judged: dict[str, Mapping[str, Any]] = {
        member: read_json(paths.EVALUATE_METRICS / f"{member}.json") for member in members
    }
    trained = {member: read_json(paths.TRAIN_METRICS / f"{member}.json") for member in members}
    if ensemble["networks"] > 1:
        judged[paths.ENSEMBLE] = ensemble
    best = ensemble["best_network"]
    singles = {single["network"]: single for single in ensemble["singles"]}
    yardstick = singles[best]["test"]["accuracy"]
    p_values = {frozenset((pair["first"], pair["second"])): pair["p_holm"] for pair in ensemble["pairs"]}
    # Of a member whose seeds all vote the first network is `<member>/1`.
    networks = {name: f"{name}/1" if f"{name}/1" in singles else name for name in judged}
    return [
        Result(
            name,
            trained.get(name, {}),
            values,
            None if networks[name] == best else 100 * (values["test"]["accuracy"] - yardstick),
            p_values.get(frozenset((networks[name], best))),
        )
        for name, values in judged.items()
    ]


def curves_as_json(points: Sequence[Point], best_epochs: Mapping[str, int]) -> list[dict[str, Any]]:
    """The learning curves for the page's script: of each member its epochs, and by split accuracies and losses.

    Args:
        points: what `thumbnet.figures.curves.collect_histories` returns.
        best_epochs: the epoch of each member whose weights were kept.
    """
    curves = []
    for member, best in best_epochs.items():
        epochs = sorted({point.epoch for point in points if point.member == member})
        if len(epochs) > MOST_EPOCHS:
            places = np.linspace(0, len(epochs) - 1, MOST_EPOCHS).round().astype(int)
            epochs = sorted({epochs[place] for place in places} | {best})
        curve: dict[str, Any] = {"name": member, "best": best, "epochs": epochs}
        for split in ("train", "validation"):
            of_split = {point.epoch: point for point in points if point.member == member and point.split == split}
            kept = [of_split[epoch] for epoch in epochs]
            curve[split] = {
                "accuracy": [round(point.accuracy, 5) for point in kept],
                "loss": [_number(point.loss) for point in kept],
            }
            if kept[0].quartiles:
                curve[split]["bands"] = {
                    quantity: [[_number(value) for value in point.quartiles[quantity]] for point in kept]
                    for quantity in ("accuracy", "loss")
                }
        curves.append(curve)
    return curves


def _number(value: float) -> float | None:
    """Five digits; JSON has no word for a loss that is no number."""
    return float(f"{value:.5g}") if np.isfinite(value) else None


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON file of an earlier stage.

    Raises:
        UserError: it is missing.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; make it with: dvc repro") from None
    return content


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file of an earlier stage; none where there is no such file."""
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
