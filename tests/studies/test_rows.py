"""Tables of runs, and what is found in them."""

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.studies.made_up import made_up
from thumbnet import paths
from thumbnet.errors import UserError
from thumbnet.judging.metrics import wilson_interval
from thumbnet.studies.command import Ledger, renew_pages
from thumbnet.studies.findings import Finding, findings
from thumbnet.studies.planning import plan_runs
from thumbnet.studies.rows import read_rows, rows_of, rows_path, write_rows
from thumbnet.studies.study import load_study

pytestmark = pytest.mark.usefixtures("checkout")


def test_rows_of_settings_that_the_study_no_longer_has_are_left_out() -> None:
    made_up("norms")
    path = Path("studies/norms.yaml")
    path.write_text(path.read_text().replace("optimizer.lr: 0.02", "optimizer.lr: 0.03"))
    study = load_study("norms")
    found = findings("norms", study, read_rows(rows_path("norms")))[""]
    assert [finding.condition["norm"] for finding in found] == ["batch", "group", "layer", "instance"]
    renew_pages(["norms"])
    assert "3 rows there are of settings that the study no longer has" in Path("docs/studies/norms.md").read_text()


def test_rows_of_what_the_grid_sets_now_are_left_out() -> None:
    """An axis may be younger than what `-S` set."""
    made_up("norms")
    rows = read_rows(rows_path("norms"))
    rows[0] |= {"extra": "members=[bn]", "key": "older"}
    write_rows("norms", list(load_study("norms").grid), rows, [])
    renew_pages(["norms"])
    assert "1 rows there are of settings that the study no longer has" in Path("docs/studies/norms.md").read_text()


def test_figures_are_medians_and_quartiles_over_the_seeds() -> None:
    made_up("norms")
    with rows_path("norms").open() as file:
        accuracies = sorted(float(row["test_accuracy"]) for row in csv.DictReader(file) if row["norm"] == "batch")
    (batch,) = [found for found in findings("norms", load_study("norms"), read_rows(rows_path("norms")))[""]
                if found.condition == {"norm": "batch"}]  # fmt: skip
    spread = batch.accuracy("test")
    assert spread is not None
    assert spread.middle == pytest.approx(accuracies[1])
    assert spread.low == pytest.approx((accuracies[0] + accuracies[1]) / 2)
    assert batch.seeds == 3


def test_the_last_epoch_of_seeds_that_stop_early_is_that_of_each() -> None:
    """The history's last row is of the one that trained longest."""
    (run,) = plan_runs("ensemble", load_study("ensemble"), {"members": ["mlp_10"]}, seeds=[1])
    last = {"validation_accuracy": {"p25": 0.4, "median": 0.5, "p75": 0.6}, "validation_loss": {"median": 1.2}}
    trained = {"seeds": {"count": 3, "last_epoch": last}}
    history = [{"epoch": "1", "validation_accuracy": "0.9", "validation_accuracy_p25": "0.9", "validation_loss": "1"}]
    experiment: Any = SimpleNamespace(
        name="x",
        code=lambda: "c0de",
        table=lambda path: history,
        json=lambda path: trained if path.is_relative_to(paths.TRAIN_METRICS) else {},
    )
    ((row, *_), _) = rows_of(run, experiment, 1.0)
    names = ("accuracy", "p25", "p75", "loss")
    assert [row[f"last_validation_{name}"] for name in names] == ["0.5", "0.4", "0.6", "1.2"]


def test_a_run_of_several_seeds_has_their_median_loss() -> None:
    (run,) = plan_runs("ensemble", load_study("ensemble"), {"members": ["mlp_10"]}, seeds=[1])
    test = {"accuracy": 0.5, "low": 0.4, "high": 0.6, "loss": 1.5}
    judged = {"validation": test, "test": test | {"seeds": {"count": 3, "loss": {"median": 1.2}}}}
    experiment: Any = SimpleNamespace(name="x", code=lambda: "c0de", table=lambda path: [], json=lambda path: judged)
    rows, _ = rows_of(run, experiment, 1.0)
    losses = [Finding(run.condition, "mlp_10", (rows[0],)).loss(split) for split in ("validation", "test")]
    assert [loss.middle for loss in losses if loss] == [1.5, 1.2]


def test_after_the_last_epoch_one_seed_has_the_interval_of_as_many_images() -> None:
    made_up("depth_activation")
    rows = [row for row in read_rows(rows_path("depth_activation")) if row["seed"] == "1"][:1]
    low, high = wilson_interval(549, 1000, 0.95)
    rows[0] |= {"validation_accuracy": "0.549", "validation_low": f"{low:.6f}", "validation_high": f"{high:.6f}"}
    rows[0]["last_validation_accuracy"] = "0.478"
    found = Finding({}, "mlp_2000", (rows[0],)).accuracy("last_validation")
    assert found is not None
    assert (found.low, found.high) == pytest.approx(wilson_interval(478, 1000, 0.95), abs=1e-4)


def test_after_the_last_epoch_several_seeds_without_quartiles_have_their_median_alone() -> None:
    made_up("depth_activation")
    row = read_rows(rows_path("depth_activation"))[0] | {"seeds": "3", "last_validation_accuracy": "0.478"}
    found = Finding({}, "mlp_2000", (row,)).accuracy("last_validation")
    assert found is not None
    assert (found.low, found.middle, found.high) == (0.478, 0.478, 0.478)


def test_rows_from_before_an_axis_are_kept() -> None:
    made_up("norms")
    path = Path("studies/norms.yaml")
    path.write_text(path.read_text().replace("grid:", "grid:\n  train.batch_size: [128]"))
    ledger = Ledger("norms", load_study("norms"))
    ledger.take([], [])
    assert len(read_rows(rows_path("norms"))) == 15


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("test_accuracy", "abc", "line 2: test_accuracy = 'abc' is no number"),
        ("seed", "", "line 2: seed = '' is no whole number"),
        ("seed", "1.5", "line 2: seed = '1.5' is no whole number"),
        ("epochs", "1e1", "line 2: epochs = '1e1' is no whole number"),
        ("train_median", None, "line 2: the column 'train_median' is missing"),
    ],
)
def test_a_damaged_table_is_refused(column: str, value: str | None, message: str) -> None:
    made_up("norms")
    rows = read_rows(rows_path("norms"))
    for row in rows[:1] if value is not None else rows:
        row.pop(column)
        row |= {column: value} if value is not None else {}
    with rows_path("norms").open("w") as file:
        writer = csv.DictWriter(file, [name for name in rows[-1] if name in rows[0]])
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(UserError, match=message):
        renew_pages(["norms"])


def test_a_table_that_is_no_text_is_refused() -> None:
    rows_path("norms").parent.mkdir(parents=True)
    rows_path("norms").write_bytes("norm,größe\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"metrics/studies/norms\.csv cannot be read as a table: .*; bring it back"):
        renew_pages(["norms"])
