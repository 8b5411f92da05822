"""Studies and tables that the tests make up."""

import random
from pathlib import Path
from typing import Any

import yaml

from thumbnet.studies.planning import plan_runs, read_overrides
from thumbnet.studies.rows import Row, read_rows, rows_path, write_rows
from thumbnet.studies.study import SPLITS, load_study


def write_study(name: str, **changes: Any) -> None:
    """A study of two rates and two networks."""
    values = {
        "title": "Rates",
        "question": "Which rate?",
        "base": {"dataset.name": "mnist", "members": ["mlp_10", "mlp_50"]},
        "grid": {"optimizer.lr": [0.1, 1]},
        "plot": {"kind": "dots", "x": "optimizer.lr"},
    }
    Path(f"studies/{name}.yaml").write_text(yaml.safe_dump(values | changes, sort_keys=False))


def made_up(name: str, extra: str = "", images: str = "") -> None:
    """Tables as if the study had been run, on own images where they have a name: accuracies near 60 % on validation."""
    draw = random.Random(0)
    study = load_study(name)
    rows: list[Row] = []
    curves: list[Row] = []
    for run in plan_runs(name, study, read_overrides(extra.split())):
        for member in [*run.params.members, *(["ensemble"] if study.ensemble else [])]:
            row = run.condition | {"seed": str(run.seed), "member": member, "key": run.key, "extra": run.extra}
            row["own_images"] = images
            row |= {"parameters": str(draw.randint(5_000, 10_000_000)), "epochs": "10", "best_epoch": "9"}
            row |= {"seconds": "60", "experiment": run.name, "code": "c0de"}
            for split in SPLITS:
                middle = draw.uniform(0.55, 0.65)
                row |= {f"{split}_accuracy": f"{middle}", f"{split}_loss": "1.2"}
                row |= {f"{split}_low": f"{middle - 0.03}", f"{split}_high": f"{middle + 0.03}"}
            row["last_validation_accuracy"] = "0.5"
            rows.append(row)
            for epoch in range(1, 4):
                figures = {"train_loss": 1 / epoch, "train_accuracy": 0.5, "validation_loss": 1.0}
                curve = {name: str(value) for name, value in (figures | {"validation_accuracy": 0.4}).items()}
                curves.append(row | curve | {"epoch": str(epoch)})
    known = read_rows(rows_path(name))
    write_rows(name, list(study.grid), [*known, *rows], curves if study.plot.kind == "curves" else [])
