"""Our templates of `dvc plots`: each is used, DVC fills it, and it asks for columns that the tables have."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from dvc_render.vega import VegaRenderer

from thumbnet.judging.calibration import AFTER, BEFORE, sort_into_bins, write_calibration
from thumbnet.judging.ensembling import accuracy_by_size, write_sizes
from thumbnet.judging.metrics import judge_classes, write_confused, write_confusion, write_per_class
from thumbnet.judging.predictions import Predictions

ROOT = Path(__file__).parents[2]
PREDICTIONS = Predictions(np.array([[0.7, 0.3], [0.8, 0.2]], dtype=np.float32), np.array([0, 1]))
CLASSES = ["cat", "dog"]


def declared() -> dict[str, dict[str, Any]]:
    """The entries of dvc.yaml that name a template of ours, by that name."""
    ours = {path.stem for path in (ROOT / ".dvc/plots").glob("*.json")}
    plots = [plot for stage in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"].values()
             for plot in stage.get("plots", []) if isinstance(plot, dict)]  # fmt: skip
    named = [settings for plot in plots for settings in plot.values() if settings.get("template") in ours]
    return {settings["template"]: settings for settings in named}


def write(template: str, path: Path) -> None:
    """A table of the kind that the template is for."""
    bins = sort_into_bins(PREDICTIONS.probabilities, PREDICTIONS.labels)
    match template:
        case "confusion_shares":
            write_confusion(path, {"test": PREDICTIONS}, CLASSES)
        case "confused":
            write_confused(path, {"test": PREDICTIONS}, CLASSES)
        case "per_class":
            write_per_class(path, {"test": judge_classes(PREDICTIONS.predicted, PREDICTIONS.labels, CLASSES)})
        case "calibration":
            write_calibration(path, {"test": {BEFORE: bins, AFTER: bins}})
        case "ensemble_size":
            write_sizes(path, accuracy_by_size({"bn": {split: PREDICTIONS for split in ("validation", "test")}}))


def fields(spec: object) -> set[str]:
    """All columns that a Vega-Lite specification names."""
    if isinstance(spec, list):
        return {field for part in spec for field in fields(part)}
    if not isinstance(spec, dict):
        return set()
    own = {spec["field"]} if isinstance(spec.get("field"), str) else set()
    return own | {field for part in spec.values() for field in fields(part)}


def test_every_template_is_used() -> None:
    assert set(declared()) == {path.stem for path in (ROOT / ".dvc/plots").glob("*.json")}


@pytest.mark.parametrize("template", ["confusion_shares", "confused", "per_class", "calibration", "ensemble_size"])
def test_dvc_fills_a_template_with_columns_that_are_there(template: str, tmp_path: Path) -> None:
    write(template, tmp_path / "table.csv")
    with (tmp_path / "table.csv").open() as file:
        rows = [{**row, "rev": "workspace"} for row in csv.DictReader(file)]
    settings = declared()[template] | {"title": "T", "template_dir": str(ROOT / ".dvc/plots")}
    filled = VegaRenderer(rows, template, **settings).get_filled_template()
    assert "<DVC_METRIC" not in json.dumps(filled)
    assert fields({**filled, "data": None}) <= set(rows[0])
