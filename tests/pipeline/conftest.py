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

ROOT = Path(__file__).parents[2]
FILES = ("src/thumbnet", "stages", "tools", "dvc.yaml", "params.yaml", ".dvc/config", ".dvc/plots", ".dvc/.gitignore",
         ".dvcignore", ".gitignore", "data/local/README.md")  # fmt: skip
#: Python runs this before a script: at its end each stage writes what it has loaded.
SPY = """
import atexit, os, sys

def write():
    if sys.argv[0].startswith("stages"):
        name = "-".join([os.path.basename(sys.argv[0]).removesuffix(".py"), *sys.argv[1:]])
        with open(os.path.join(os.path.dirname(__file__), name + ".txt"), "w") as file:
            file.write(" ".join(sys.modules))

atexit.register(write)
"""
CHANGES = {
    "dataset.name": "digits",
    "split.kind": "holdout",
    "split.validation": 300,
    "members": ["bn", "ln"],
    "models": {
        "bn": {"layers": "C8 C8+ P F", "norm": "batch"},
        "ln": {"layers": "F L32", "norm": "layer"},
        "unused": {"layers": "F", "norm": "none"},
        "theirs": {"torchvision": "shufflenet_v2_x0_5"},
    },
    "train.epochs": 2,
    "train.batch_size": 32,
    "train.device": "cpu",
    "train.precision": "fp32",
    "optimizer.lr": 0.02,
    "evaluate.splits": ["train", "validation", "test"],
    "augment.flip": "none",
    "augment.crop": 1,
}


@dataclass(frozen=True)
class Checkout:
    """A checkout of the project, and commands in it as a user types them."""

    root: Path

    def run(self, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = self.environment() | variables
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True)

    def dvc(self, *arguments: str, **variables: str) -> str:
        """What a command of DVC's that succeeds says."""
        done = self.run("dvc", *arguments, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def environment(self) -> dict[str, str]:
        """As the Makefile sets it, since stages call `python`; the code is the checkout's own, and keeps to itself."""
        cleared = {
            name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_", "GIT_"))
        }
        return cleared | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root / "src"),
            "DVC_SITE_CACHE_DIR": str(self.root / ".dvc/tmp/site"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{who}_{what}": "tester" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }

    def git(self, *arguments: str) -> str:
        """What a command of git's that succeeds says."""
        done = self.run("git", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

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
        """Runs the pipeline and returns the stages that ran, `check` left out, which always does after a change."""
        return stages_run(self.dvc("repro", *arguments)) - {"check"}

    def runs(self, name: str) -> list[Any]:
        """The runs of a network or of the ensemble in the checkout's MLflow store, the oldest first."""
        from mlflow import MlflowClient

        client = MlflowClient(f"sqlite:///{self.root}/mlflow.db")
        experiment = client.get_experiment_by_name("digits")
        assert experiment is not None
        named = f"attributes.run_name LIKE '{name}%'"  # those of experiments have the experiment's name, too
        return list(client.search_runs([experiment.experiment_id], named, order_by=["attributes.start_time"]))


def stages_run(told: str) -> set[str]:
    """The stages that ran, of what DVC says; one that it took from its cache did not."""
    return {line.split("'")[1] for line in told.splitlines() if line.startswith("Running stage '")}


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout in which `dvc repro` has run and its results are committed; nobody may write to it.

    Beside it, `told.txt` holds what DVC said, `new.txt` what git saw before the commit, and `loaded` the modules that
    each stage had loaded when it ended.
    """
    folder = tmp_path_factory.mktemp("finished")
    checkout = Checkout(folder / "finished pipeline")
    make_checkout(checkout)
    spy = folder / "loaded"
    spy.mkdir()
    (spy / "sitecustomize.py").write_text(SPY)
    path = f"{spy}{os.pathsep}{checkout.environment()['PYTHONPATH']}"
    (folder / "told.txt").write_text(checkout.dvc("repro", PYTHONPATH=path))
    (folder / "new.txt").write_text(checkout.git("status", "--short"))
    checkout.commit("results")
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
    checkout.git("init", "--quiet")
    checkout.commit("start")


@pytest.fixture
def checkout(finished: Checkout, tmp_path: Path) -> Checkout:
    """A copy of the finished checkout that a test may do with as it likes.

    MLflow's database tells artifacts by their full path, so that those of older runs stay in the original.
    """
    root = tmp_path / "checkout"
    shutil.copytree(finished.root, root, symlinks=True)
    return Checkout(root)
