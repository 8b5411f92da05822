"""Where a report comes from, as far as that is not in the files it is made of: the commit, and what it was made with.

DVC knows nothing of either, so that a page which it restores from its cache tells of the first time it was made.
"""

import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import yaml

from thumbnet import paths
from thumbnet.files import read_yaml

#: Folders and files that results come from; what DVC writes itself says nothing about them.
SOURCES = ("src", "stages", "dvc.yaml", "params.yaml", "requirements.lock")
LIBRARIES = ("thumbnet", "torch", "torchvision", "numpy")


@dataclass(frozen=True)
class Provenance:
    """What surrounds a run.

    Attributes:
        commit: the full hash of git's HEAD; None where there is no git or no commit.
        changed: those of `SOURCES` that differ from it, with what is in them; sorted.
        committed: the `params.yaml` of that commit, to tell what was changed since; None where it is not known.
        experiment: what DVC calls the experiment; None outside of one.
        environment: names and values to show: Python, libraries, system, processor.
    """

    commit: str | None = None
    changed: tuple[str, ...] = ()
    committed: Mapping[str, Any] | None = None
    experiment: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def find_provenance() -> Provenance:
    """Asks git and the system; what cannot be found out is left out."""
    commit = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=all", "--", *SOURCES) if commit else None
    return Provenance(
        commit=commit.strip() if commit else None,
        changed=tuple(sorted(line[3:] for line in (changed or "").splitlines())),
        committed=_committed_params() if commit else None,
        experiment=os.environ.get("DVC_EXP_NAME"),
        environment=_environment(),
    )


def _committed_params() -> Mapping[str, Any] | None:
    text = _git("show", f"HEAD:./{paths.PARAMS}")
    try:
        values = read_yaml(text or "")
    except yaml.YAMLError:
        return None
    return values if isinstance(values, dict) else None


def _environment() -> dict[str, str]:
    found = {"Python": f"{platform.python_version()} ({platform.python_implementation()})"}
    for library in LIBRARIES:
        try:
            found[library] = version(library)
        except PackageNotFoundError:
            continue
    found["System"] = f"{platform.system()} {platform.machine()}"
    processor = _processor()
    if processor:
        found["Processor"] = f"{processor}, {os.cpu_count()} cores"
    return found


def _processor() -> str:
    """The processor's name; of Linux, where Python does not know it, from the kernel."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return " ".join(line.partition(":")[2].split())
    except OSError:
        pass
    return platform.processor()


def _git(*arguments: str) -> str | None:
    """What a command of git's says; None where there is no git, no repository, or nothing such in it."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
