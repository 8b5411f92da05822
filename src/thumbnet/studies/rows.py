"""What came of a study's runs: metrics/studies/<name>.csv, and for curves <name>.curves.csv beside it."""

import contextlib
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from thumbnet import paths
from thumbnet.errors import UserError
from thumbnet.files import write_table
from thumbnet.studies.experiments import Experiment
from thumbnet.studies.planning import Run, run_key, unsaid_values
from thumbnet.studies.study import COLUMNS, QUARTILES, SEED, SPLITS, Overrides

#: A row by column; all text, empty where nothing is known.
Row: TypeAlias = dict[str, str]

CURVE_COLUMNS = (SEED, "member", "key", "epoch", "train_loss", "train_accuracy", "validation_loss",
                 "validation_accuracy")  # fmt: skip
ENSEMBLE = paths.ENSEMBLE
_WHOLE = (SEED, "seeds", "parameters", "epochs", "best_epoch", "epoch")
_TEXTS = ("member", "experiment", "own_images", "extra", "key", "code")


def rows_path(study: str) -> Path:
    """The table of a study's runs."""
    return paths.STUDY_METRICS / f"{study}.csv"


def curves_path(study: str) -> Path:
    """The learning curves of a study's runs."""
    return paths.STUDY_METRICS / f"{study}.curves.csv"


def read_rows(path: Path) -> list[Row]:
    """The rows of a table; none where there is no file.

    Raises:
        UserError: the file is no such table.
    """
    if not path.is_file():
        return []
    back = f"bring it back with: git checkout {path}"
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [dict(row) for row in csv.DictReader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as a table: {error}; {back}") from None
    for line, row in enumerate(rows, 2):
        fault = _fault(path, row)
        if fault:
            raise UserError(f"{path}, line {line}: {fault}; {back}")
    return rows


def _fault(path: Path, row: Row) -> str:
    """What keeps a row from being one of a study's tables; empty for nothing."""
    columns = CURVE_COLUMNS if path.name.endswith(".curves.csv") else COLUMNS
    if None in row or None in row.values():
        return "it has not as many cells as the first line"
    missing = [name for name in columns if name not in row]
    if missing:
        return f"the column {missing[0]!r} is missing"
    for name in columns:
        if name not in _TEXTS and (row[name] or name in (SEED, "epoch")):
            whole = name in _WHOLE
            try:
                int(row[name]) if whole else float(row[name])
            except ValueError:
                return f"{name} = {row[name]!r} is no {'whole ' if whole else ''}number"
    return ""


def write_rows(study: str, axes: Sequence[str], rows: Sequence[Row], curves: Sequence[Row]) -> None:
    """Writes both tables, the second only where it has rows; sorted, so that the order of runs does not matter."""
    _write(rows_path(study), [*axes, *COLUMNS], rows)
    if curves:
        _write(curves_path(study), [*axes, *CURVE_COLUMNS], curves)


def _write(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    write_table(path, columns, [[row.get(column, "") for column in columns] for row in rows])


def is_result_of(experiment: Experiment, run: Run) -> bool:
    """Whether an experiment has the parameters of a run, and has been judged."""
    values = experiment.params()
    told = paths.ENSEMBLE_METRICS if run.ensemble else paths.EVALUATE_METRICS / f"{run.params.members[0]}.json"
    if unsaid_values(values, run.overrides):
        return False
    try:
        return run_key(values, overrides_in(values, run), run.ensemble) == run.key and experiment.text(told) is not None
    except KeyError:  # it has not all of the run's parameters
        return False


def overrides_in(values: Mapping[str, Any], run: Run) -> Overrides:
    """The values that a params.yaml has for the keys that a run overrides.

    Raises:
        KeyError: it lacks one.
    """
    found = {}
    for key in run.overrides:
        value: Any = values
        for part in key.split("."):
            value = value[part]
        if isinstance(value, str) and isinstance(run.overrides[key], float):
            with contextlib.suppress(ValueError):
                value = float(value)  # DVC writes 1e-05, which YAML 1.1 takes for text
        found[key] = value
    return found


def own_images(run: Run) -> str:
    """The name of the folder or archive whose images a run has; empty where the data set's name tells them."""
    dataset = run.params.dataset
    return Path(dataset.path).name.partition(".")[0] if dataset.name == "image_folder" else ""


def rows_of(run: Run, experiment: Experiment, seconds: float) -> tuple[list[Row], list[Row]]:
    """What came of a run: a row for each network and for the ensemble, and its learning curves.

    Args:
        run: which.
        experiment: its results.
        seconds: that it took; 0 where that is not known.
    """
    shared = run.condition | {
        SEED: str(run.seed),
        "experiment": experiment.name,
        "own_images": own_images(run),
        "extra": run.extra,
        "key": run.key,
        "code": experiment.code(),
        "seconds": f"{seconds / len(run.params.members):.1f}" if seconds else "",
    }
    rows, curves = [], []
    for member in run.params.members:
        trained = experiment.json(paths.TRAIN_METRICS / f"{member}.json")
        history = experiment.table(paths.HISTORY / f"{member}.csv")
        last = _last_epoch(trained, history)
        rows.append(
            shared
            | {
                "member": member,
                "seeds": str(run.params.train.seeds),
                "parameters": str(trained.get("parameters", "")),
                "epochs": str(len(history)),
                "best_epoch": str(trained.get("best_epoch", "")),
                **last,
                **_judged(experiment.json(paths.EVALUATE_METRICS / f"{member}.json")),
            }
        )
        curves += [{**shared, **epoch, "member": member} for epoch in history]
    if run.ensemble:
        judged = _judged(experiment.json(paths.ENSEMBLE_METRICS))
        total = sum(int(row["parameters"] or 0) for row in rows)
        rows.append(shared | {"member": ENSEMBLE, "seeds": "1", "parameters": str(total), "seconds": "", **judged})
    return rows, curves


def _last_epoch(trained: Mapping[str, Any], history: Sequence[Row]) -> Row:
    """The figures after the last epoch; of several seeds medians and quartiles, of each seed after its own last one."""
    last = history[-1] if history else {}
    of_seeds = trained.get("seeds", {}).get("last_epoch")
    if of_seeds:
        accuracies, losses = of_seeds["validation_accuracy"], of_seeds["validation_loss"]
        values = [accuracies["median"], accuracies["p25"], accuracies["p75"], losses["median"]]
    else:
        names = ("validation_accuracy", "validation_accuracy_p25", "validation_accuracy_p75", "validation_loss")
        values = [last.get(name, "") for name in names]
    columns = ("accuracy", "p25", "p75", "loss")
    return {f"last_validation_{column}": str(value) for column, value in zip(columns, values, strict=True)}


def _judged(metrics: Mapping[str, Any]) -> Row:
    """Accuracies are of the first seed, with the quartiles of all; losses, a column each, are all seeds' median."""
    row = {}
    for split in SPLITS:
        told = metrics.get(split, {})
        for what in ("accuracy", "low", "high", "loss"):
            row[f"{split}_{what}"] = str(told.get(what, ""))
        of_seeds = told.get("seeds", {})
        row[f"{split}_loss"] = str(of_seeds.get("loss", {}).get("median", row[f"{split}_loss"]))
        accuracies = of_seeds.get("accuracy", {})
        for what in QUARTILES:
            row[f"{split}_{what}"] = str(accuracies.get(what, ""))
    return row
