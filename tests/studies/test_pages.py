"""Pages and pictures made from tables, without running anything."""

from pathlib import Path
from typing import Any

import pytest
from matplotlib import image
from matplotlib.figure import Figure

from tests.studies.made_up import made_up, write_study
from thumbnet.errors import UserError
from thumbnet.figures.studies import Point
from thumbnet.judging.metrics import wilson_interval
from thumbnet.studies.command import renew_pages
from thumbnet.studies.findings import findings
from thumbnet.studies.pictures import draw_study
from thumbnet.studies.rows import curves_path, read_rows, rows_path, write_rows
from thumbnet.studies.study import load_study

pytestmark = pytest.mark.usefixtures("checkout")


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
