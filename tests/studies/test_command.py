"""What `thumbnet study` does around its runs, without running anything."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.studies.made_up import made_up
from thumbnet.errors import UserError
from thumbnet.studies import command
from thumbnet.studies.command import Ledger, Wishes, list_studies, renew_pages, run_studies
from thumbnet.studies.estimating import estimate
from thumbnet.studies.experiments import Outcome, Runner
from thumbnet.studies.planning import plan_runs, read_overrides
from thumbnet.studies.rows import read_rows, rows_path
from thumbnet.studies.study import load_study

pytestmark = pytest.mark.usefixtures("checkout")
WISHES = Wishes(extra={}, seeds=[], only=[], jobs=1, renew=False, dry=False)


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
