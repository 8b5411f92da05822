"""Where the time of a whole run of the pipeline goes: a table in Markdown, stage by stage.

    .venv/bin/python tools/breakdown.py                      # the default job
    .venv/bin/python tools/breakdown.py -S train.epochs=1    # another one
    .venv/bin/python tools/breakdown.py --keep FOLDER        # the checkout that it ran in is there afterwards

The checkout is copied to a temporary folder, as it stands, with what is in data/local and nothing that the pipeline has
made. Leave the machine alone while it runs.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CLOCK = Path(__file__).with_name("stage_clock.py")
#: What stage_clock.py tells apart, and a column heading for each; the rest of a stage's wall time is Python's end.
PARTS = {
    "start": "start",
    "batches": "batches",
    "judging": "judging",
    "MLflow": "MLflow",
    "work": "the rest",
}
REPEATS = 5


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "-S", "--set-param", action="append", default=[], metavar="KEY=VALUE", help="a change to params.yaml"
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where to leave the checkout; made anew")
    return parser.parse_args()


def main() -> None:
    options = read_options()
    with tempfile.TemporaryDirectory(prefix="thumbnet-breakdown-") as temporary:
        scratch = Path(temporary)
        copy = scratch / "checkout"
        copy_checkout(copy, options.set_param)
        environment = make_environment(scratch)
        # The installation does it, so that it is no part of the job.
        subprocess.run([sys.executable, "tools/compile_kernels.py"], cwd=copy, env=environment, check=True)
        start = time.perf_counter()
        subprocess.run(["dvc", "repro"], cwd=copy, env=environment, check=True)
        wall = time.perf_counter() - start
        stages = [json.loads(line) for line in (scratch / "stages.jsonl").read_text().splitlines()]
        print("\n" + "\n".join(stage_table(stages, wall)))
        if options.keep:
            shutil.copytree(copy, options.keep)
        nothing = time_command(["dvc", "repro"], copy, environment)
        empty = scratch / "empty"
        write_empty_pipeline(empty, len(stages), environment)
        subprocess.run(["dvc", "repro", "--quiet"], cwd=empty, env=environment, check=True)
        least = time_command(["dvc", "repro"], empty, environment)
    print(f"\n`dvc repro` with nothing to do: {nothing}; of an empty pipeline with as many stages: {least}.")


def copy_checkout(copy: Path, changes: list[str]) -> None:
    """The files that git knows or would take, and data/local, as a repository of their own."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], ROOT)
    names = {name for name in listed.split("\0") if name and (ROOT / name).is_file()}
    made = ("dvc.lock", "metrics/", "plots/")
    for name in names:
        if not name.startswith(made):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    shutil.copytree(ROOT / "data/local", copy / "data/local", dirs_exist_ok=True)
    params = yaml.safe_load((copy / "params.yaml").read_text())
    for change in changes:
        key, _, value = change.partition("=")
        *sections, name = key.split(".")
        section: Any = params
        for part in sections:
            section = section[part]
        if name not in section:
            sys.exit(f"-S {change}: params.yaml has no {key}")
        section[name] = yaml.safe_load(value)
    if changes:
        (copy / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False, allow_unicode=True))
    run(["git", "init", "--quiet"], copy)
    run(["git", "add", "--all"], copy)
    run(["git", "-c", "user.name=x", "-c", "user.email=x@localhost", "commit", "--quiet", "--message", "start"], copy)


def make_environment(scratch: Path) -> dict[str, str]:
    """`python` is stage_clock.py there, and the code is the copy's own."""
    tools = scratch / "bin"
    tools.mkdir()
    (tools / "python").write_text(
        f"#!{sys.executable} -IS\nimport runpy\nrunpy.run_path({str(CLOCK)!r}, None, '__main__')\n"
    )
    (tools / "python").chmod(0o755)
    others = ("MLFLOW_", "DVC_", "GIT_", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    return kept | {
        "PATH": os.pathsep.join([str(tools), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(scratch / "checkout" / "src"),
        "DVC_SITE_CACHE_DIR": str(scratch / "site"),
        "STAGE_CLOCK": str(scratch / "stages.jsonl"),
        "STAGE_CLOCK_PYTHON": sys.executable,
    }


def stage_table(stages: list[dict[str, Any]], wall: float) -> list[str]:
    """A row for each kind of stage, for DVC and for all; seconds."""
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    for stage in stages:
        parts = {part: stage["parts"].get(part, 0.0) for part in PARTS}
        rows[Path(stage["stage"][0]).stem].append({"wall": stage["seconds"], **parts})
    lines = ["| stage | wall | " + " | ".join(PARTS.values()) + " | end |", "|---|" + "---|" * (len(PARTS) + 2)]
    total = dict.fromkeys(("wall", *PARTS, "end"), 0.0)
    for name, found in rows.items():
        sums = {part: sum(each[part] for each in found) for part in ("wall", *PARTS)}
        sums["end"] = sums["wall"] - sum(sums[part] for part in PARTS)
        label = f"`{name}`" if len(found) == 1 else f"`{name}`, {len(found)} times"
        lines.append(f"| {label} | " + " | ".join(f"{seconds:.1f}" for seconds in sums.values()) + " |")
        total = {part: total[part] + sums[part] for part in total}
    lines.append(f"| DVC | {wall - total['wall']:.1f} |" + " |" * (len(PARTS) + 1))
    total["wall"] = wall
    lines.append("| all | " + " | ".join(f"{seconds:.1f}" for seconds in total.values()) + " |")
    lines.append("| share, % | " + " | ".join(f"{100 * seconds / wall:.1f}" for seconds in total.values()) + " |")
    first = [stage["first_batch"] for stage in stages if stage["first_batch"]]
    return [*lines, "", f"From the start of `train` to the end of its first batch: {spread(first)}."]


def write_empty_pipeline(folder: Path, stages: int, environment: dict[str, str]) -> None:
    folder.mkdir()
    run(["git", "init", "--quiet"], folder)
    run(["dvc", "init", "--quiet"], folder, environment)  # .venv need not be on the caller's path
    config = ROOT / ".dvc/config"
    shutil.copy2(config, folder / ".dvc/config")
    lines = ["stages:", *(f"  stage{number}: {{cmd: cd ., outs: [], deps: [.dvcignore]}}" for number in range(stages))]
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")


def time_command(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return spread(times)


def spread(seconds: list[float]) -> str:
    return f"{median(seconds):.2f} s ({min(seconds):.2f}–{max(seconds):.2f}, {len(seconds)} times)"


def run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    return subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
