"""A study from its file to its page, in a checkout of its own, on the digits."""

import csv
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from filelock import FileLock

from tests.pipeline.conftest import Checkout, make_checkout

pytestmark = pytest.mark.slow

MARKS = "<!-- published figures: made by `thumbnet study --pages` -->\n<!-- end of published figures -->\n"
TINY = {
    "title": "A tiny study",
    "question": "Which network?",
    "base": {"members": ["bn"], "train.epochs": 1, "models.*.norm": "none"},
    "grid": {
        "network": {
            "dense": {"models.*.layers": "F L8", "optimizer.name": "sgd"},
            "broken": {"models.*.layers": "F L8", "optimizer.lr": 1e6, "regularisation.l2": 1e6},
            "conv": {"models.*.layers": "C4 P F"},
        }
    },
    "plot": {"kind": "curves"},
    "published": [
        {"source": "S3", "what": "dense", "when": {"network": "dense"}, "split": "validation", "value": 89.07},
        {"source": "S3", "what": "broken", "when": {"network": "broken"}, "split": "test", "value": 12.5},
    ],
}


def study(checkout: Checkout, *arguments: str) -> subprocess.CompletedProcess[str]:
    return checkout.run("python", "-m", "thumbnet.cli", "study", *arguments)


def interrupted(
    checkout: Checkout, when: Callable[[], bool], number: signal.Signals = signal.SIGINT
) -> tuple[int, str]:
    """A long study that gets a signal as soon as something is so; its exit status, and its errors."""
    command = ["python", "-m", "thumbnet.cli", "study", "tiny", "-S", "train.epochs=400"]
    process = subprocess.Popen(command, cwd=checkout.root, env=checkout.environment(), text=True,
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)  # fmt: skip
    until = time.monotonic() + 120
    while not when():
        assert time.monotonic() < until, "it never came to this"
        time.sleep(0.01)
    os.kill(process.pid, number)
    _, errors = process.communicate(timeout=120)
    return process.returncode, errors


def rows(checkout: Checkout) -> list[dict[str, str]]:
    with (checkout.root / "metrics/studies/tiny.csv").open() as file:
        return list(csv.DictReader(file))


def text(checkout: Checkout, path: str) -> str:
    return (checkout.root / path).read_text()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, subprocess.CompletedProcess[str]]:
    """A checkout in which a study of three runs, one of which fails, has been run; and what it said."""
    checkout = Checkout(tmp_path_factory.mktemp("study") / "checkout")
    for folder in ("studies", "docs"):
        (checkout.root / folder).mkdir(parents=True)
    (checkout.root / "studies/tiny.yaml").write_text(yaml.safe_dump(TINY, sort_keys=False))
    (checkout.root / "docs/results.md").write_text(f"before\n{MARKS}after\n")
    make_checkout(checkout)
    return checkout, study(checkout, "tiny", "-j", "2")


def test_a_failed_run_is_told_and_does_not_stop_the_others(
    told: tuple[Checkout, subprocess.CompletedProcess[str]],
) -> None:
    checkout, done = told
    assert done.returncode == 1, done.stdout + done.stderr
    assert "3 runs, 0 done, 3 to run" in done.stdout
    assert "failed: study-tiny-broken-s1: the training of seed 1 diverged" in done.stderr
    assert {row["network"] for row in rows(checkout)} == {"dense", "conv"}


def test_rows_and_pages_tell_what_came_of_it(told: tuple[Checkout, subprocess.CompletedProcess[str]]) -> None:
    checkout, _ = told
    for row in rows(checkout):
        assert row["experiment"] == f"study-tiny-{row['network']}-s1"
        assert float(row["validation_low"]) < float(row["validation_accuracy"]) < float(row["validation_high"])
        assert (row["epochs"], row["seed"], float(row["seconds"]) > 0) == ("1", "1", True)
    dense = next(row for row in rows(checkout) if row["network"] == "dense")
    difference = f"{100 * float(dense['validation_accuracy']) - 89.07:+.2f}"
    page = text(checkout, "docs/studies/tiny.md")
    assert "| dense | 1 |" in page
    assert difference in page
    results = text(checkout, "docs/results.md")
    assert results.startswith("before\n<!--")
    assert results.endswith("after\n")
    assert difference in results
    assert "| 12.5 | not run yet |" in results
    assert (checkout.root / "docs/studies/tiny.png").stat().st_size > 10_000
    assert "2 runs, no answer yet" in text(checkout, "docs/studies/README.md")


def test_runs_are_experiments_of_dvc_below_one_run_of_mlflow(
    told: tuple[Checkout, subprocess.CompletedProcess[str]],
) -> None:
    checkout, _ = told
    assert set(checkout.dvc("exp", "list", "--name-only").split()) == {"study-tiny-dense-s1", "study-tiny-conv-s1"}
    (parent,) = [run for run in checkout.runs("study tiny") if run.info.run_name == "study tiny"]
    children = checkout.runs("bn study-tiny")
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    assert not (checkout.root / "plots/gallery").exists()  # nothing but training and judging has run
    assert checkout.git("status", "--short", "--", "params.yaml", "src") == ""


def test_what_is_done_is_not_run_again(told: tuple[Checkout, subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    checkout = Checkout(tmp_path / "checkout")
    shutil.copytree(told[0].root, checkout.root, symlinks=True)
    before = text(checkout, "metrics/studies/tiny.csv")
    assert "3 runs, 2 done, 1 to run" in study(checkout, "tiny", "--dry-run").stdout

    # the table is lost, the experiments are there: rows are taken from them, all but their times
    (checkout.root / "metrics/studies/tiny.csv").unlink()
    fixed = TINY | {"skip": [{"network": "broken"}], "published": []}
    (checkout.root / "studies/tiny.yaml").write_text(yaml.safe_dump(fixed, sort_keys=False))
    done = study(checkout, "tiny")
    assert done.returncode == 0, done.stderr
    assert "2 runs, 0 done, 2 finished and to be taken in, 0 to run" in done.stdout
    kept = [row | {"seconds": ""} for row in csv.DictReader(before.splitlines())]
    assert rows(checkout) == kept

    # other code: it is told, and --renew would run it again
    (checkout.root / "src/thumbnet/training/schedules.py").open("a").write("# mended\n")
    assert "2 of those done are of other code" in study(checkout, "tiny", "--dry-run").stdout
    assert "2 runs, 0 done, 2 to run" in study(checkout, "tiny", "--dry-run", "--renew").stdout


def test_an_interrupt_while_a_run_starts_leaves_what_is_not_committed(
    told: tuple[Checkout, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """DVC stashes it for a moment."""
    checkout = Checkout(tmp_path / "checkout")
    shutil.copytree(told[0].root, checkout.root, symlinks=True)
    tracked = checkout.root / "dvc.yaml"
    mine, begun = tracked.read_text() + "# mine\n", time.time()
    tracked.write_text(mine)
    code, errors = interrupted(checkout, lambda: tracked.read_text() != mine)
    assert code == 130
    assert "To go on: the same command" in errors
    assert tracked.read_text() == mine
    assert subprocess.run(["git", "stash", "list"], cwd=checkout.root, capture_output=True, check=True).stdout == b""
    # DVC was left alone until it had brought it back; the moment may have been that of the second run.
    last = max((checkout.root / ".dvc/tmp/studies/tiny").glob("*.log"), key=lambda log: log.stat().st_mtime)
    assert last.stat().st_mtime > begun
    assert "tage '" in last.read_text()


def test_mistakes_are_told_before_anything_runs(told: tuple[Checkout, subprocess.CompletedProcess[str]]) -> None:
    checkout, _ = told
    for arguments, message in [
        (["tiny", "tni"], "there is no study 'tni'"),
        (["tiny", "-S", "seed=3"], "write --seed 3"),
        (["--pages", "--seed", "3", "--dry-run"], "--pages runs nothing, and has no use for --dry-run, --seed"),
        (["tiny", "-S", "dataset.name=image_folder", "-S", "dataset.path=nowhere"], "nowhere"),
    ]:
        ended = study(checkout, *arguments, "--seed", "5")
        assert ended.returncode == 1
        assert message in ended.stderr
        assert ended.stdout == ""
        assert "Traceback" not in ended.stderr


def test_two_processes_do_not_write_over_each_other(told: tuple[Checkout, subprocess.CompletedProcess[str]]) -> None:
    checkout, _ = told
    with FileLock(checkout.root / ".dvc/tmp/studies/lock"):
        ended = study(checkout, "tiny")
        assert "another thumbnet study runs in this checkout" in ended.stderr
        assert ended.returncode == 1
        assert study(checkout, "tiny", "--dry-run").returncode == 0


def test_runs_of_another_checkout_are_taken_in(
    told: tuple[Checkout, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    other, checkout = told[0], Checkout(tmp_path / "checkout")
    shutil.copytree(other.root, checkout.root, symlinks=True)
    for table in ("tiny.csv", "tiny.curves.csv"):
        path = checkout.root / "metrics/studies" / table
        kept = [line for line in path.read_text().splitlines(keepends=True) if not line.startswith("conv,")]
        path.write_text("".join(kept))
    done = study(checkout, "--take-from", str(other.root))
    assert done.returncode == 0, done.stderr
    assert "tiny: runs taken in: 1" in done.stdout
    assert rows(checkout) == [row | ({} if row["network"] == "dense" else {"seconds": ""}) for row in rows(other)]
    assert "| conv | 1 |" in text(checkout, "docs/studies/tiny.md")
    assert text(checkout, "metrics/studies/tiny.curves.csv") == text(other, "metrics/studies/tiny.curves.csv")
    assert "nothing to take" in study(checkout, "tiny", "--take-from", str(other.root)).stdout

    wrong = study(checkout, "--take-from", str(tmp_path))
    assert wrong.returncode == 1
    assert "metrics/studies is missing; name the root of a checkout" in wrong.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_study_goes_on_where_it_was(
    told: tuple[Checkout, subprocess.CompletedProcess[str]], tmp_path: Path, number: signal.Signals
) -> None:
    checkout = Checkout(tmp_path / "checkout")
    shutil.copytree(told[0].root, checkout.root, symlinks=True)
    logs = checkout.root / ".dvc/tmp/studies/tiny"
    code, errors = interrupted(
        checkout, lambda: any("epoch" in log.read_text() for log in logs.glob("*dense-*-s1.log")), number
    )
    assert code == 130
    assert "To go on: the same command" in errors
    assert list((checkout.root / ".dvc/tmp/exps/standalone").glob("tmp*")) == []
    assert "3 runs, 0 done, 3 to run" in study(checkout, "tiny", "-S", "train.epochs=400", "--dry-run").stdout
    assert "3 runs, 2 done, 1 to run" in study(checkout, "tiny", "--dry-run").stdout
