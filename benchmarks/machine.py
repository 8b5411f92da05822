"""What a benchmark ran on: the processor, the commit, and the versions of the tools."""

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thumbnet.errors import UserError
from thumbnet.report.provenance import find_provenance

_PACKAGES = ("torch", "torchvision", "tensorflow-cpu", "tensorflow", "keras", "lightning", "numpy")
_ASK = f"""
import json
from importlib.metadata import PackageNotFoundError, version
found = {{}}
for name in {_PACKAGES!r}:
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
print(json.dumps(found))
"""


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def describe(pythons: Sequence[Path]) -> dict[str, Any]:
    """The machine and the tools.

    Args:
        pythons: of the environments that variants run in, later ones on top of the earlier.

    Raises:
        UserError: one of them is missing.
    """
    versions: dict[str, str] = {}
    for python in pythons:
        if not python.exists():
            raise UserError(f"{python} is missing; `make bench` makes it, and --variants leaves out what needs it")
        versions |= json.loads(subprocess.run([python, "-c", _ASK], capture_output=True, check=True).stdout)
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "thumbnet": _commit(),
        **versions,
    }


def _commit() -> str:
    """Of the code that is measured, such as `1e24311` or, with changes, `1e24311-dirty`; empty where git tells none."""
    found = find_provenance()
    return f"{found.commit[:7]}{'-dirty' if found.changed else ''}" if found.commit else ""


def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """Such as `AMD EPYC, family 25, model 17`; the name alone is often the same for years of processors."""
    try:
        lines = [line.partition(":") for line in cpuinfo.read_text().splitlines()]
    except OSError:
        return platform.processor() or platform.machine()
    values = {name.strip(): value.strip() for name, _, value in reversed(lines)}
    if "model name" not in values:
        return platform.machine()
    return f"{values['model name']}, family {values['cpu family']}, model {values['model']}"
