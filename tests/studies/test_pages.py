"""Pages and pictures made from tables, without running anything."""

import csv
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from matplotlib import image
from matplotlib.figure import Figure

from thumbnet import paths
from thumbnet.errors import UserError
from thumbnet.figures.studies import Point
from thumbnet.judging.metrics import wilson_interval
from thumbnet.studies import command
from thumbnet.studies.command import Ledger, Wishes, list_studies, renew_pages, run_studies
from thumbnet.studies.estimating import estimate
from thumbnet.studies.experiments import Outcome, Runner
from thumbnet.studies.findings import Finding, findings
from thumbnet.studies.pages import MARKS
from thumbnet.studies.pictures import draw_study
from thumbnet.studies.planning import plan_runs, read_overrides
from thumbnet.studies.rows import Row, curves_path, read_rows, rows_of, rows_path, write_rows
from thumbnet.studies.study import SPLITS, load_study

ROOT = Path(__file__).parents[2]
WISHES = Wishes(extra={}, seeds=[], only=[], jobs=1, renew=False, dry=False)


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """params.yaml and the studies, without any results."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for name in ("norms", "width", "sgd_rates", "pareto", "ensemble", "depth_activation"):
        (tmp_path / "studies").mkdir(exist_ok=True)
        shutil.copy(ROOT / f"studies/{name}.yaml", tmp_path / "studies")
    (tmp_path / "data/local").mkdir(parents=True)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/results.md").write_text("\n".join(MARKS))
    monkeypatch.chdir(tmp_path)


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


@pytest.mark.parametrize("name", ["norms", "width", "sgd_rates", "pareto", "ensemble", "depth_activation"])
def test_every_kind_of_picture_comes_from_the_tables_alone(name: str) -> None:
    made_up(name)
    renew_pages([name])
    height, width, _ = image.imread(f"docs/studies/{name}.png").shape
    assert width == 1200
    assert 300 < height < 1600
    page = Path(f"docs/studies/{name}.md").read_text()
    assert "not run yet" not in page.lower()
    for figure in load_study(name).published:
        assert f"{figure.value:.10g}" in page
        assert figure.what in Path("docs/results.md").read_text() or figure.repeated


def test_a_panel_without_runs_is_left_out() -> None:
    made_up("width")
    clean = [row for row in read_rows(rows_path("width")) if row["images"] == "clean"]
    rows_path("width").unlink()
    write_rows("width", list(load_study("width").grid), clean, [])
    renew_pages(["width"])
    assert image.imread("docs/studies/width.png").shape[1] == 1200
    page = Path("docs/studies/width.md").read_text()
    assert "Of 17 runs that it declares 5 have been run so far." in page


def test_only_runs_with_the_settings_of_the_study_count_as_declared_ones() -> None:
    made_up("norms", "train.epochs=2")
    keep = [row for row in read_rows(rows_path("norms")) if row["norm"] != "instance"]
    write_rows("norms", list(load_study("norms").grid), keep, [])
    made_up("norms", "dataset.name=image_folder", "photos")
    keep += [row for row in read_rows(rows_path("norms")) if row["own_images"] and row["norm"] == "batch"]
    write_rows("norms", list(load_study("norms").grid), keep, [])
    renew_pages(["norms"])
    page = Path("docs/studies/norms.md").read_text()
    assert "Of 15 runs that it declares 3 have been run so far, and 9 with other settings." in page
    assert "What the images of" not in page, "nothing tells of photos"


def test_notes_on_published_figures_stand_where_the_figures_do() -> None:
    made_up("norms")
    made_up("norms", "train.epochs=2")
    rows = [row for row in read_rows(rows_path("norms")) if not row["extra"] or row["norm"] == "instance"]
    rows_path("norms").unlink()
    write_rows("norms", list(load_study("norms").grid), rows, [])
    renew_pages(["norms"])
    page = Path("docs/studies/norms.md").read_text()
    assert "## With `train.epochs=2`" in page
    assert page.count("S1, no normalisation; 58,314 parameters") == 1


@pytest.mark.parametrize(
    ("extra", "of_train", "confidence", "told"),
    [
        ("", 5000, 0.95, "5,000 of the training images"),
        ("", 1297, 0.95, "all training images"),
        ("evaluate.train_images=100", 100, 0.95, "100 of the training images"),
        ("evaluate.train_images=0", 1297, 0.95, "all training images"),
        ("evaluate.confidence=0.5", 5000, 0.5, "5,000 of the training images"),
    ],
)
def test_notes_tell_how_the_runs_of_a_section_were_judged(
    extra: str, of_train: int, confidence: float, told: str
) -> None:
    write_study("rates")
    made_up("rates", extra)
    low, high = wilson_interval(of_train * 9 // 10, of_train, confidence)
    train = {"train_accuracy": f"{of_train * 9 // 10 / of_train:.6f}"}
    train |= {"train_low": f"{low:.6f}", "train_high": f"{high:.6f}"}
    write_rows("rates", ["optimizer.lr"], [row | train for row in read_rows(rows_path("rates"))], [])
    renew_pages(["rates"])
    page = Path("docs/studies/rates.md").read_text()
    assert f"*train*: {told}, judged" in page
    assert f"its {100 * confidence:g} % interval in brackets" in page


def test_medians_of_medians_are_told() -> None:
    write_study("rates", base={"train.seeds": 3, "members": ["mlp_10"]}, seeds=[1, 4])
    made_up("rates")
    write_rows("rates", ["optimizer.lr"], [row | {"seeds": "3"} for row in read_rows(rows_path("rates"))], [])
    renew_pages(["rates"])
    told = "Of several runs with several seeds each they are those of the runs' medians."
    assert told in Path("docs/studies/rates.md").read_text()


def test_images_and_sources_are_explained_where_the_project_does() -> None:
    made_up("norms", "dataset.name=image_folder", "photos")
    Path("studies/about.md").write_text("## Images\n\n*images of photos*: of shoes.\n\n## Sources\n\nS1: a notebook.\n")
    renew_pages(["norms"])
    page = Path("docs/studies/norms.md").read_text()
    assert "[What the images of photos are](README.md#images)" in page
    assert "[What S0 to S4 are](README.md#sources)" in page
    assert Path("docs/studies/README.md").read_text().endswith("## Sources\n\nS1: a notebook.\n")


def test_the_table_of_all_figures_tells_which_seeds_and_images() -> None:
    made_up("norms", "dataset.name=image_folder", "photos")
    keep = [row for row in read_rows(rows_path("norms")) if row["norm"] != "group" or row["seed"] == "1"]
    write_rows("norms", list(load_study("norms").grid), keep, [])
    renew_pages(["norms"])
    lines = Path("docs/results.md").read_text().splitlines()
    (batch,) = [line for line in lines if "batch normalisation | test" in line]
    (group,) = [line for line in lines if "group normalisation | test" in line]
    assert ") † | 3 | " in batch
    assert ") † | 1 of 3 | " in group
    assert "† images of photos" in lines


@pytest.mark.parametrize(
    ("when", "changes", "result", "rows_beside", "below"),
    [
        ({}, {}, "–", 0, True),
        ({"optimizer.lr": 0.1}, {"ensemble": True}, "60.00 (57.00–63.00)", 1, False),
        ({"optimizer.lr": 0.1}, {}, "2 on the study's page", 2, False),
        ({}, {"grid": {"optimizer.lr": [0.1]}, "base": {"members": ["mlp_10"]}}, "60.00 (57.00–63.00)", 1, False),
    ],
    ids=["of no condition", "of the ensemble", "of two networks", "of the only condition"],
)
def test_a_published_figure_stands_beside_the_same_of_ours_on_page_and_in_results(
    when: dict[str, Any], changes: dict[str, Any], result: str, rows_beside: int, below: bool
) -> None:
    shared = {"source": "S3", "split": "test", "value": 59}
    other = shared | {"what": "other", "when": {"optimizer.lr": 0.1}, "split": "train"}
    write_study("rates", published=[shared | {"what": "one", "when": when}, other], **changes)
    made_up("rates")
    test = {"test_accuracy": "0.6", "test_low": "0.57", "test_high": "0.63"}
    grid = list(load_study("rates").grid)
    write_rows("rates", grid, [row | test for row in read_rows(rows_path("rates"))], [])
    renew_pages(["rates"])
    (line,) = [line for line in Path("docs/results.md").read_text().splitlines() if "| one |" in line]
    assert f"| 59 | {result} |" in line
    page = Path("docs/studies/rates.md").read_text()
    assert page.count("59 test") == rows_beside
    assert ("| S3: one | test | 59 |" in page) == below


def test_a_page_has_a_section_for_what_the_command_line_added() -> None:
    made_up("norms")
    made_up("norms", "train.epochs=2")
    renew_pages(["norms"])
    page = Path("docs/studies/norms.md").read_text()
    assert page.count("![Normalisation under 50,000 parameters]") == 2
    assert "## With `train.epochs=2` in place of 20" in page
    assert Path("docs/studies/norms-2.png").exists()
    assert "train.epochs=2" not in Path("docs/results.md").read_text()  # what is nearer to the source is there
    study = load_study("norms")
    write_rows("norms", list(study.grid), [row for row in read_rows(rows_path("norms")) if row["extra"]], [])
    renew_pages(["norms"])
    assert not Path("docs/studies/norms-2.png").exists()
    assert "train.epochs=2" in Path("docs/results.md").read_text()


def test_names_stand_in_pages_as_they_are() -> None:
    name = "rates (new) [1]"
    figure = {"source": "S3", "what": "one", "split": "test", "value": 59}
    grid = {"a|b": {"x|y": {}, "<x> & *z*": {"optimizer.lr": 0.1}}}
    write_study(name, grid=grid, plot={"kind": "dots", "x": "a|b"}, published=[figure])
    made_up(name)
    renew_pages([name])
    page = Path(f"docs/studies/{name}.md").read_text()
    assert "](rates%20%28new%29%20%5B1%5D.png)" in page
    assert "](../../metrics/studies/rates%20%28new%29%20%5B1%5D.csv)" in page
    assert r"| a\|b |" in page
    assert r"| x\|y |" in page
    assert r"| \<x\> \& \*z\* |" in page
    link = r"[rates (new) \[1\]]({}rates%20%28new%29%20%5B1%5D.md)"
    assert link.format("") in Path("docs/studies/README.md").read_text()
    assert link.format("studies/") in Path("docs/results.md").read_text()


def test_pictures_of_sections_leave_those_of_other_studies_alone() -> None:
    for name in ("rates", "rates-2", "rates-2-2"):
        write_study(name)
        made_up(name)
        renew_pages([name])
    made_up("rates", "train.epochs=2")
    others = [Path(f"docs/studies/{name}.png") for name in ("rates-2", "rates-2-2")]
    before = [path.stat().st_mtime_ns for path in others]
    Path("docs/studies/rates-4.png").touch()  # of a section that there is no more
    renew_pages(["rates"])
    assert [path.stat().st_mtime_ns for path in others] == before
    assert "](rates-3.png)" in Path("docs/studies/rates.md").read_text()
    assert Path("docs/studies/rates-3.png").stat().st_size > 0
    assert not Path("docs/studies/rates-4.png").exists()


def test_own_images_are_told_by_their_name() -> None:
    made_up("norms", "dataset.name=image_folder train.epochs=2", "cifar-10-jpeg")
    renew_pages(["norms"])
    page, results = Path("docs/studies/norms.md").read_text(), Path("docs/results.md").read_text()
    assert "With images of cifar-10-jpeg, `train.epochs=2` in place of 20:" in page
    assert ") †, `train.epochs=2` in place of 20 |" in results


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


def test_pictures_put_published_figures_beside_ours_of_the_same_measure_only(monkeypatch: pytest.MonkeyPatch) -> None:
    made_up("depth_activation")
    study, rows = load_study("depth_activation"), read_rows(rows_path("depth_activation"))
    drawn: list[list[Point]] = []

    def draw(title: str, points: list[Point], *rest: object) -> Figure:
        drawn.append(points)
        return Figure()

    monkeypatch.setattr("thumbnet.figures.studies.draw_dots", draw)
    (found,) = findings("depth_activation", study, rows).values()
    draw_study(study, found, [], Path("picture.png"))
    beside = {(point.place, point.series): point.published for point in drawn[0]}
    assert beside["4000", "relu"] == (0.541,)
    assert beside["4000→2000", "elu"] == (0.537,)  # and not 55.0, which was its best epoch


@pytest.mark.parametrize(
    ("kind", "ensemble", "named"),
    [
        ("dots", False, {"0.1, mlp_10", "0.1, mlp_50", "1, mlp_10", "1, mlp_50"}),
        ("lines", True, {f"test, {network}" for network in ("mlp_10", "mlp_50", "ensemble")}),
        ("parameters", False, {"lr 0.1, mlp_10", "lr 0.1, mlp_50", "lr 1, mlp_10", "lr 1, mlp_50"}),
        ("curves", False, {"lr 0.1, mlp_10", "lr 0.1, mlp_50", "lr 1, mlp_10", "lr 1, mlp_50"}),
    ],
)
def test_networks_of_one_condition_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, kind: str, ensemble: bool, named: set[str]
) -> None:
    write_study("rates", plot={"kind": kind, "x": "optimizer.lr", "y": ["test"]}, ensemble=ensemble)
    made_up("rates")
    drawn: list[Any] = []

    def draw(title: str, shown: list[Any], *rest: object) -> Figure:
        drawn.extend(shown)
        return Figure()

    monkeypatch.setattr(f"thumbnet.figures.studies.draw_{kind}", draw)
    renew_pages(["rates"])
    what = {"dots": "place", "lines": "series"}.get(kind, "name")
    assert {getattr(shown, what) for shown in drawn} == named
    if kind == "lines":
        assert {shown.place for shown in drawn} == {"0.1", "1"}


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


@pytest.mark.parametrize(
    ("spoilt", "message"),
    [
        (lambda: Path("studies/width.yaml").write_text("title: Width\n"), "studies/width.yaml cannot be used:"),
        (
            lambda: Path("params.yaml").write_text(Path("params.yaml").read_text().replace("  mlp_10:", "  mine:")),
            "width.yaml, images clean, width 10 cannot be used",
        ),
        (lambda: rows_path("width").write_text("width\n10\n"), "metrics/studies/width.csv, line 2:"),
    ],
)
def test_a_mistake_in_another_study_does_not_keep_pages_from_being_made(
    spoilt: Callable[[], object], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made_up("norms")
    made_up("width")
    spoilt()
    renew_pages(["norms"])
    (warning,) = capsys.readouterr().err.splitlines()
    assert warning.startswith("warning: study width is passed over: ")
    assert message in warning
    index, results = Path("docs/studies/README.md").read_text(), Path("docs/results.md").read_text()
    assert ("[norms]" in index, "[norms]" in results) == (True, True)
    assert ("[width]" in index, "[width]" in results) == (False, False)
    list_studies({})
    told = capsys.readouterr()
    assert "norms                   15/15" in told.out
    assert told.err.splitlines() == [warning]


@pytest.fixture
def without_git(monkeypatch: pytest.MonkeyPatch) -> None:
    """No experiments, and code as made-up rows have it."""
    for name, value in (("commits_of_checkout", None), ("find_experiments", {}), ("code_version", "c0de")):
        monkeypatch.setattr(command, name, lambda value=value: value)


@pytest.mark.usefixtures("without_git")
def test_pages_that_cannot_be_made_do_not_stop_the_next_study(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("norms", "sgd_rates"):
        made_up(name)
    Path("docs/results.md").unlink()
    assert not run_studies(["norms", "sgd_rates"], WISHES)
    told = capsys.readouterr()
    assert "sgd_rates: Rates of SGD, and Adam\n  5 runs, 5 done, 0 to run" in told.out
    assert told.err.count("error: docs/results.md, where published figures stand, is missing") == 2


@pytest.mark.usefixtures("without_git")
@pytest.mark.parametrize("error", [OSError(36, "File name too long"), UserError("dvc exp remove failed")])
def test_a_run_that_cannot_be_started_does_not_stop_the_others(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def cannot_start(*_: object) -> None:
        raise error

    monkeypatch.setattr(Runner, "run", cannot_start)
    assert not run_studies(["sgd_rates"], WISHES)
    told = capsys.readouterr().err
    assert "[5/5] study-sgd_rates-" in told
    assert told.count(f"\nfailed: study-sgd_rates-Adam_0.001-s1: {error}\n") == 1
    assert told.count("\nfailed: study-sgd_rates-") == 5


@pytest.mark.usefixtures("without_git")
@pytest.mark.parametrize("whole", [True, False])
def test_a_run_that_went_on_has_no_time_in_the_table(
    whole: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made_up("sgd_rates")
    rows = {row["key"]: row for row in read_rows(rows_path("sgd_rates"))}
    rows_path("sgd_rates").unlink()
    experiments = {run.name: run.name for run in plan_runs("sgd_rates", load_study("sgd_rates"))}
    monkeypatch.setattr(command, "find_experiments", lambda: experiments)
    monkeypatch.setattr(command, "is_result_of", lambda *_: False)
    monkeypatch.setattr(
        command,
        "rows_of",
        lambda run, experiment, seconds: ([rows[run.key] | {"seconds": f"{seconds}" if seconds else ""}], []),
    )
    monkeypatch.setattr(Runner, "run", lambda self, run: Outcome(125.0, "", self.log(run), whole))
    assert run_studies(["sgd_rates"], WISHES)
    assert {row["seconds"] for row in read_rows(rows_path("sgd_rates"))} == {"125.0" if whole else ""}
    assert ("2 min for what was left of it" in capsys.readouterr().out) is not whole
    assert ("Together they took" in Path("docs/studies/sgd_rates.md").read_text()) is whole


@pytest.mark.usefixtures("without_git")
def test_pages_that_cannot_be_made_do_not_hide_an_interrupt(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_run_all", interrupted)
    Path("docs/results.md").unlink()
    with pytest.raises(KeyboardInterrupt):
        run_studies(["norms"], WISHES)


def test_missing_learning_curves_are_told() -> None:
    made_up("sgd_rates")
    curves_path("sgd_rates").unlink()
    with pytest.raises(UserError, match=r"sgd_rates\.curves\.csv, with the learning curves .* is missing; bring"):
        renew_pages(["sgd_rates"])


@pytest.mark.parametrize("kind", ["dots", "lines", "parameters", "curves"])
def test_without_what_it_shows_there_is_no_picture_and_the_page_says_so(kind: str) -> None:
    write_study("rates", plot={"kind": kind, "x": "optimizer.lr", "y": ["train"]})
    made_up("rates")
    rows = [
        row | {f"train_{what}": "" for what in ("accuracy", "low", "high")} for row in read_rows(rows_path("rates"))
    ]
    curves = [row | {"key": "of another run"} for row in read_rows(curves_path("rates"))]
    write_rows("rates", ["optimizer.lr"], rows, curves)
    Path("docs/studies").mkdir()
    Path("docs/studies/rates.png").touch()
    renew_pages(["rates"])
    assert not Path("docs/studies/rates.png").exists()
    lacking = "learning curves" if kind == "curves" else "an accuracy on train"
    assert f"No picture: none of these runs has {lacking}." in Path("docs/studies/rates.md").read_text()


def test_a_missing_page_of_results_is_told() -> None:
    Path("docs/results.md").unlink()
    with pytest.raises(UserError, match=r"docs/results\.md, where published figures stand, is missing"):
        renew_pages([])


def test_a_page_without_its_marks_is_refused() -> None:
    Path("docs/results.md").write_text("nothing")
    with pytest.raises(UserError, match=r"docs/results\.md lacks the lines"):
        renew_pages([])


def test_rows_stand_in_the_order_of_the_grid() -> None:
    made_up("norms")
    rows = read_rows(rows_path("norms"))
    rows_path("norms").unlink()
    ledger = Ledger("norms", load_study("norms"))
    ledger.take(rows[::-1], [])
    told = [(row["norm"], row["seed"]) for row in read_rows(rows_path("norms"))]
    assert told == [(norm, seed) for norm in ("none", "batch", "group", "layer", "instance") for seed in "123"]


def test_the_time_of_a_run_grows_with_the_networks_that_it_trains() -> None:
    name, study = "width", load_study("width")  # each of its runs trains three
    made_up(name)
    rows = [row | {"seeds": "3", "seconds": "330", "epochs": "50"} for row in read_rows(rows_path(name))]
    three, one = (plan_runs(name, study, read_overrides([f"train.seeds={seeds}"]))[0] for seeds in (3, 1))
    assert (estimate(three, rows), estimate(one, rows)) == pytest.approx((330, 130))
    alike = [*rows, *(row | {"seeds": "1", "seconds": "250"} for row in rows)]
    assert (estimate(three, alike), estimate(one, alike)) == pytest.approx((330, 250)), "three at once take less"


def test_the_list_tells_runs_on_other_images(capsys: pytest.CaptureFixture[str]) -> None:
    made_up("norms", "dataset.name=image_folder", "photos")
    list_studies({})
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("norms")]
    assert line.split(maxsplit=2)[1:] == ["15/15", "Normalisation under 50,000 parameters (15 on images of photos)"]
    list_studies({"train.batch_size": 2})
    assert "0/15" in next(line for line in capsys.readouterr().out.splitlines() if line.startswith("norms"))
