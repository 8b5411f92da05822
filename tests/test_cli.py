"""The command line: what `thumbnet` says, to the screen and by its exit status."""

import errno
import json
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from thumbnet import cli

ROOT = Path(__file__).parents[1]


def thumbnet(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "thumbnet"), *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project's root with parameters of two members, and nothing run."""
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["members"] = ["bn", "gn"]
    values["models"] = {name: {"layers": "C8 G", "norm": "batch"} for name in ("bn", "gn")}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(values))
    (tmp_path / "data/local").mkdir(parents=True)
    return tmp_path


@pytest.fixture
def finished(project: Path) -> Path:
    """The same with the metrics that the pipeline leaves."""

    def judged(accuracy: float) -> dict[str, Any]:
        return {"accuracy": accuracy, "low": accuracy - 0.01, "high": accuracy + 0.02, "loss": 0.3}

    def write(name: str, content: dict[str, Any]) -> None:
        path = project / "metrics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))

    for member, validation, test in (("bn", 0.9, 0.925), ("gn", 0.88, 0.91)):
        write(f"train/{member}.json", {"parameters": 49746, "epochs": 6, "best_epoch": 5})
        write(f"evaluate/{member}.json", {"validation": judged(validation), "test": judged(test)})
    write("ensemble.json", {"members": ["bn", "gn"], "networks": 4, "data": "fashion_mnist", "confidence": 0.95,
                            "validation": judged(0.91), "test": judged(0.9312),
                            "best_member": "bn", "best_network": "bn/2", "gain_validation_points": 1.0,
                            "gain_test_points": 0.62, "mcnemar_p": 0.0312})  # fmt: skip
    return project


def test_check_says_what_can_be_used(project: Path) -> None:
    done = thumbnet(project, "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "params.yaml can be used: bn, gn on fashion_mnist\n"

    shutil.copy(project / "params.yaml", project / "other.yaml")
    assert thumbnet(project, "check", "other.yaml").stdout.startswith("other.yaml can be used")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("epochs:", "epoch:", ["error: params.yaml cannot be used", "train.epoch: unknown key", "'epochs'?"]),
        ("cutout: 0", "cutout: 28", ["error: augment.cutout = 28", "28×28", "0 to 27"]),
        ("crop: 0", "crop: 64", ["error: augment.crop = 64", "28×28", "0 to 27"]),
        ("shift: 0\n  splits", "shift: 30\n  splits", ["error: evaluate.shift = 30", "28×28", "0 to 27"]),
        ("C8 G", "C8 L10", ["error: models.bn.layers", 'token 2 ("L10")', "28×28×8"]),
    ],
)
def test_check_refuses_what_cannot(old: str, new: str, told: list[str], project: Path) -> None:
    path = project / "params.yaml"
    path.write_text(path.read_text().replace(old, new))
    done = thumbnet(project, "check")
    assert done.returncode == 1
    assert done.stdout == ""
    for part in told:
        assert part in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status"), [(["nonsense"], 2), (["check", "missing.yaml"], 1), (["check", "data"], 1)]
)
def test_what_cannot_be_read_has_its_own_status(arguments: list[str], status: int, project: Path) -> None:
    done = thumbnet(project, *arguments)
    assert done.returncode == status
    assert arguments[-1] in done.stderr
    assert "Traceback" not in done.stderr


def test_the_version_is_that_of_the_package(tmp_path: Path) -> None:
    assert thumbnet(tmp_path, "--version").stdout == f"thumbnet {version('thumbnet')}\n"


def test_help_lists_the_commands_and_the_pipeline(tmp_path: Path) -> None:
    shown = thumbnet(tmp_path, "--help").stdout
    for part in ("check", "results", "dvc repro"):
        assert part in shown


def test_results_shows_each_network_and_the_ensemble(finished: Path) -> None:
    done = thumbnet(finished, "results")
    assert (done.returncode, done.stderr) == (0, "")
    rows = {line.split()[0]: line for line in done.stdout.splitlines() if line.split()}
    for part in ("49,746", "5 of 6", "90.00 (89.00–92.00)", "92.50 (91.50–94.50)"):
        assert part in rows["bn"]
    assert "91.00 (90.00–93.00)" in rows["gn"]
    assert "93.12 (92.12–95.12)" in rows["ensemble"]
    assert "bn/2, the best network on validation: +0.62 points on test" in done.stdout
    for part in ("95 % intervals", "p = 0.031", "plots/report.html", "dvc plots show", "mlflow ui", "dvc exp run -S"):
        assert part in done.stdout


def test_results_of_a_single_network_have_no_ensemble(finished: Path) -> None:
    params, metrics = finished / "params.yaml", finished / "metrics/ensemble.json"
    params.write_text(params.read_text().replace("- gn\n", ""))
    told = json.loads(metrics.read_text()) | {"members": ["bn"], "networks": 1}
    metrics.write_text(json.dumps(told))
    shown = thumbnet(finished, "results").stdout
    assert "90.00 (89.00–92.00)" in shown
    assert "ensemble" not in shown


def test_results_names_the_level_that_its_intervals_were_made_with(finished: Path) -> None:
    params, metrics = finished / "params.yaml", finished / "metrics/ensemble.json"
    params.write_text(params.read_text().replace("confidence: 0.95", "confidence: 0.5"))
    metrics.write_text(metrics.read_text().replace('"confidence": 0.95', '"confidence": 0.995'))
    assert "Accuracy on fashion_mnist, with 99.5 % intervals" in thumbnet(finished, "results").stdout


def test_results_says_what_sweeps_need_without_git(finished: Path) -> None:
    (finished / ".dvc").mkdir()
    (finished / ".dvc/config.local").write_text("[core]\n    no_scm = true\n")
    assert "git init" in thumbnet(finished, "results").stdout


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("params.yaml", "- gn\n", "", "is of bn, gn, and members are now bn"),
        ("params.yaml", "name: fashion_mnist", "name: mnist", "is of fashion_mnist, and dataset.name is now mnist"),
        ("metrics/ensemble.json", '"confidence": 0.95, ', "", "was written by an earlier version of thumbnet"),
    ],
    ids=["members", "data set", "version"],
)
def test_results_of_another_run_are_not_shown(file: str, old: str, new: str, told: str, finished: Path) -> None:
    path = finished / file
    before = path.read_text()
    path.write_text(before.replace(old, new))
    assert path.read_text() != before
    done = thumbnet(finished, "results")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"error: metrics/ensemble.json {told}; run: dvc repro\n"


def test_results_before_the_first_run_says_what_to_run(project: Path) -> None:
    done = thumbnet(project, "results")
    assert done.returncode == 1
    assert done.stderr == "error: metrics/ensemble.json is missing; make it with: dvc repro\n"


@pytest.mark.parametrize(
    ("number", "file", "told"),
    [
        (errno.EACCES, "docs/studies/norms.md", "docs/studies/norms.md: Permission denied"),
        (errno.EROFS, "docs/studies/norms.md", "docs/studies/norms.md: Read-only file system"),
        (errno.ENOSPC, None, "No space left on device"),
        (errno.ENOENT, "docs/studies/norms.md", None),
        (errno.EPERM, None, None),
    ],
)
def test_a_disk_that_refuses_is_told_and_no_other_error_is_hidden(
    number: int, file: str | None, told: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def write() -> None:
        raise OSError(number, os.strerror(number), file)

    monkeypatch.setattr(cli, "app", write)  # root may write anywhere
    with pytest.raises(SystemExit if told else OSError) as ended:
        cli.main()
    if told:
        assert ended.value.args == (1,)
        assert capsys.readouterr().err == f"error: {told}\n"
