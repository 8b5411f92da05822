"""What a run says, in MLflow's terms: names and values of metrics and parameters.

`train/...` and `validation/...` are learning curves, a value per epoch; `best/...` are figures of the weights that are
kept; `test/...` those of the test split, the ensemble's too; `ensemble/...` compare the ensemble with its members.
"""

import csv
import json
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Metric

from thumbnet.params import Params

#: Ends of intervals are left to the files: each metric is a chart of its own in MLflow.
_INTERVAL = ("low", "high")


def epoch_metrics(row: Mapping[str, float]) -> list[Metric]:
    """The metrics of one epoch, such as `train/loss`; see `TrainingRun.log_epoch`."""
    now, step = milliseconds(), int(row["epoch"])
    return [Metric(_curve_name(name), value, now, step) for name, value in row.items() if name != "epoch"]


def read_history(path: Path) -> list[Metric]:
    """The metrics of all epochs, from the table that the training wrote."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [metric for row in rows for metric in epoch_metrics(row)]


def training_metrics(card: Mapping[str, Any], summary: Mapping[str, float]) -> dict[str, float]:
    """The figures of a finished training, by its card and what the card does not hold."""
    best = {f"best/{name}": card["best"][name] for name in ("epoch", "validation_accuracy", "validation_loss")}
    return {**best, "model/parameters": card["parameters"], **{f"model/{name}": summary[name] for name in summary}}


def evaluation_metrics(figures: Mapping[str, Any], scalars: str = "best") -> dict[str, float]:
    """Every single number about test, `test/accuracy`; accuracy and loss alone of other splits, `best/train_loss`.

    Of several seeds also the quartiles, `test/accuracy_median`.

    Args:
        figures: by split a mapping of figures, and single numbers beside them. Texts, lists and further levels are
            left to the files.
        scalars: the group of the single numbers.
    """
    logged: dict[str, float] = {}
    for key, value in figures.items():
        if isinstance(value, Mapping):
            single = _split_figures(value)
            if key == "test":
                logged |= {f"test/{name}": leaf for name, leaf in single.items()}
            else:
                logged |= {
                    f"best/{key}_{name}": single[name] for name in single if name.startswith(("accuracy", "loss"))
                }
        elif _is_number(value):
            logged[f"{scalars}/{key}"] = float(value)
    return logged


def ensemble_metrics(figures: Mapping[str, Any]) -> dict[str, float]:
    """Those of `evaluation_metrics`, and the test accuracy of each method, as `ensemble/<method>_test_accuracy`."""
    methods = {entry["method"]: entry["test"]["accuracy"] for entry in figures.get("methods", [])}
    compared = {f"ensemble/{method}_test_accuracy": float(accuracy) for method, accuracy in methods.items()}
    return evaluation_metrics(figures, "ensemble") | compared


def class_metrics(per_class: Mapping[str, Any]) -> dict[str, float]:
    """The F1 of every class that has images of test, as `test/f1/<class>`."""
    return {
        f"test/f1/{allowed_name(name)}": float(figures["f1"])
        for name, figures in per_class.items()
        if figures["f1"] is not None
    }


def data_params(params: Params) -> dict[str, str]:
    """The parameters of the stages before the training."""
    sized = params.dataset.name == "image_folder"
    dataset = {"name": params.dataset.name} | ({"image_size": params.dataset.image_size} if sized else {})
    sections = {name: getattr(params, name).model_dump() for name in ("split", "corruption", "normalisation")}
    return as_params({"dataset": dataset} | sections)


def as_params(sections: Mapping[str, Any]) -> dict[str, str]:
    """Sections of parameters as one level, `optimizer.lr`, with values as `params.yaml` writes them."""
    flat: dict[str, str] = {}
    for key, value in sections.items():
        if isinstance(value, Mapping):
            flat |= {f"{key}.{rest}": leaf for rest, leaf in as_params(value).items()}
        else:
            flat[key] = _as_yaml(value)
    return flat


def allowed_name(name: str) -> str:
    """A name without slashes, which group metrics, and without what MLflow refuses."""
    allowed = re.sub(r"[^\w .-]", "_", name)[:100]
    return "_" * len(allowed) if set(allowed) <= {"."} else allowed


def milliseconds() -> int:
    """The time, as MLflow has it."""
    return time.time_ns() // 1_000_000


def differing(runs: Iterable[Mapping[str, str]]) -> list[str]:
    """The parameters that are not the same in all runs, in alphabetical order; one that a run lacks is another value.

    Args:
        runs: the parameters of each.
    """
    runs = list(runs)
    names = {name for run in runs for name in run}
    return sorted(name for name in names if len({run.get(name) for run in runs}) > 1)


def _curve_name(name: str) -> str:
    """`train_loss` becomes `train/loss`; what belongs to no split is the training's, such as `train/lr`."""
    split = re.fullmatch("(train|validation)_(.*)", name)
    return f"{split[1]}/{split[2]}" if split else f"train/{name}"


def _split_figures(figures: Mapping[str, Any]) -> dict[str, float]:
    single = {name: value for name, value in figures.items() if _is_number(value) and name not in _INTERVAL}
    for name, quartiles in figures.get("seeds", {}).items():
        if isinstance(quartiles, Mapping):
            single |= {f"{name}_{place}": value for place, value in quartiles.items()}
    return {name: float(value) for name, value in single.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_yaml(value: object) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return json.dumps(value) if isinstance(value, bool | list) else str(value)
