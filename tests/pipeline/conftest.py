"""A checkout of the project in which the whole pipeline has run once, on the digits, with two tiny networks."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

ROOT = Path(__file__).parents[2]
FILES = ("src/thumbnet", "stages", "tools", "dvc.yaml", "params.yaml", ".dvc/config", ".dvc/plots", ".dvcignore",
         ".gitignore", "data/local/README.md")  # fmt: skip
CHANGES = {
    "dataset.name": "digits",
    "split": {"kind": "holdout", "validation": 300},
    "members": ["bn", "ln"],
    "models": {
        "bn": {"layers": "C4 C4+ P G", "norm": "batch"},
        "ln": {"layers": "F L8", "norm": "layer"},
        "unused": {"layers": "F", "norm": "none"},
    },
    "train": {"epochs": 2, "batch_size": 64, "device": "cpu", "precision": "fp32"},
    "optimizer.lr": 0.05,
}


@dataclass(frozen=True)
class Checkout:
    """A checkout of the project, and commands in it as a user types them."""

    root: Path

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment() | variables
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True)

    def dvc(self, *arguments: str) -> str:
        """What a command of DVC's that succeeds says."""
        done = self.run("dvc", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def environment(self) -> dict[str, str]:
        """As the Makefile sets it: stages call `python`. The checkout's own code runs, and no file outside is touched."""
        cleared = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_", "GIT_"))}
        return cleared | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root / "src"),
            "DVC_SITE_CACHE_DIR": str(self.root / ".dvc" / "site"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{who}_{what}": "tester" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }

    def change(self, changes: dict[str, Any]) -> None:
        """Edits params.yaml: values by dotted key."""
        path = self.root / "params.yaml"
        params = yaml.safe_load(path.read_text())
        for key, value in changes.items():
            *sections, name = key.split(".")
            section = params
            for part in sections:
                section = section[part]
            section[name] = value
        path.write_text(yaml.safe_dump(params, sort_keys=False))

    def repro(self, *arguments: str) -> set[str]:
        """Runs the pipeline and returns the stages that ran; one that DVC took from its cache did not."""
        return stages_run(self.dvc("repro", *arguments))

    def runs(self, name: str) -> list[Any]:
        """The runs of this name in the checkout's MLflow store, the oldest first."""
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{self.root}/mlflow.db")
        experiment = client.get_experiment_by_name("digits")
        assert experiment is not None
        found = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{name}'", order_by=["start_time"])
        return list(found)


def stages_run(told: str) -> set[str]:
    return {line.split("'")[1] for line in told.splitlines() if line.startswith("Running stage '")}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout, clean in git, in which `dvc repro` has run; nobody may write to it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # of all workers: one of them runs the pipeline, the others wait
    checkout = Checkout(shared / "finished pipeline")
    with FileLock(shared / "pipeline.lock"):
        if not (shared / "pipeline.done").exists():
            shutil.rmtree(checkout.root, ignore_errors=True)
            make_checkout(checkout)
            (checkout.root / "first.log").write_text(checkout.dvc("repro"))
            (shared / "pipeline.done").touch()
    return checkout


def make_checkout(checkout: Checkout) -> None:
    for name in FILES:
        source, destination = ROOT / name, checkout.root / name
        destination.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, destination, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, destination)
    checkout.change(CHANGES)
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "start"]):
        done = checkout.run("git", *command)
        assert done.returncode == 0, done.stderr


@pytest.fixture
def checkout(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished checkout that a test may do with as it likes.

    MLflow's database tells artifacts by their full path, so that those of older runs stay in the original.
    """
    root = tmp_path / "checkout"
    shutil.copytree(finished.root, root, symlinks=True)
    return Checkout(root)
