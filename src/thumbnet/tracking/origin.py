"""Where a run comes from: the commit, the user, the stage, and the sweep that it is a part of."""

import getpass
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from thumbnet import __version__

#: The environment variable that puts all runs below one parent, `study <its value>`.
STUDY = "THUMBNET_STUDY"

#: What the tag `thumbnet.stage` of a parent run holds.
SWEEP = "sweep"


@dataclass(frozen=True)
class Sweep:
    """Experiments that belong together.

    Attributes:
        key: what they have in common.
        name: of their parent run.
        what: the same in words.
    """

    key: str
    name: str
    what: str


def present_sweep() -> Sweep | None:
    """The sweep that this process runs for, or None.

    That is the study that `THUMBNET_STUDY` names; else the queue that `dvc exp run --queue -n NAME -S ...` made, whose
    experiments DVC calls `NAME-1`, `NAME-2`, ...; else all experiments of one commit, as `dvc exp show` has them.
    Outside of the queue a number is the user's own, as in `dvc exp run -n try-2`; within it, the two look the same.
    """
    study = os.environ.get(STUDY, "").replace("'", "")  # MLflow's searches have no way to write one
    if study:
        return Sweep(f"study {study}", f"study {study}", f"The runs of the study {study}.")
    experiment, baseline = os.environ.get("DVC_EXP_NAME"), os.environ.get("DVC_EXP_BASELINE_REV", "")[:7]
    if not experiment:
        return None
    queue = re.fullmatch(r"(.+)-\d+", experiment)
    if queue and _is_queued():
        return Sweep(f"{queue[1]} on {baseline}", queue[1], f"The experiments {queue[1]}-1, {queue[1]}-2, ... of DVC.")
    if not baseline:
        return None
    return Sweep(f"experiments on {baseline}", f"experiments on {baseline}", f"DVC's experiments on commit {baseline}.")


def _is_queued() -> bool:
    """DVC's queue works in `.dvc/tmp/exps/tmp...`, `--temp` in a folder `standalone` there, others in the checkout."""
    return re.search(r"/\.dvc/tmp/exps/(?!standalone/)", Path.cwd().as_posix()) is not None


def origin_tags(stage: str) -> dict[str, str]:
    """Tags of a run that `stage` makes. MLflow's own look-up takes a second and complains where there is no git."""
    sweep = present_sweep()
    tags = {
        "mlflow.source.name": f"dvc.yaml:{stage}",
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": _git_commit(),
        "mlflow.user": _user(),
        "dvc.exp_name": os.environ.get("DVC_EXP_NAME"),
        "thumbnet.stage": stage.partition("@")[0],
        "thumbnet.sweep": sweep.key if sweep else None,
        "thumbnet.version": __version__,
    }
    return {key: value for key, value in tags.items() if value}


def sweep_tags(sweep: Sweep) -> dict[str, str]:
    """Tags of a sweep's parent run: it belongs to no single experiment."""
    tags = origin_tags(SWEEP) | {"mlflow.source.name": "dvc exp run", "thumbnet.sweep": sweep.key}
    tags.pop("dvc.exp_name", None)
    return tags


def run_name(name: str) -> str:
    """Runs of a sweep are told apart by the name that DVC gave to each experiment."""
    return " ".join(filter(None, (name, os.environ.get("DVC_EXP_NAME"))))


def _git_commit() -> str | None:
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return None
