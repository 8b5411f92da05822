"""The frame of the stages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = """
from thumbnet.stage import run_stage

import gc
import weakref

class Node:
    pass

def leave_garbage():
    node = Node()
    node.itself = node
    return weakref.ref(node)

while_loading = gc.isenabled()

def main(params):
    left = leave_garbage()
    fillers = [[] for _ in range(20_000)]
    print(while_loading, left() is None)

run_stage(main)
"""


def run_script(folder: Path, script: str) -> tuple[str, str, int]:
    """A stage in a checkout of its own: its output, its errors and its exit status."""
    path = folder / "stages/example.py"
    path.parent.mkdir()
    path.write_text(script)
    shutil.copy(ROOT / "params.yaml", folder)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "stages/example.py"], cwd=folder, env=environment, capture_output=True,
                          text=True)  # fmt: skip
    return done.stdout, done.stderr, done.returncode


def test_garbage_is_left_lying_while_libraries_load_and_collected_while_the_stage_works(tmp_path: Path) -> None:
    """Not as rarely as to let memory grow: tensors may be part of it."""
    assert run_script(tmp_path, SCRIPT) == ("False True\n", "", 0)


def test_a_second_interrupt_prints_no_trace(tmp_path: Path) -> None:
    """What libraries do as Python ends takes a while, and may be interrupted as all else."""
    script = """
from thumbnet.stage import run_stage

import atexit
import signal

atexit.register(signal.raise_signal, signal.SIGINT)

def main(params):
    signal.raise_signal(signal.SIGINT)

run_stage(main)
"""
    output, errors, status = run_script(tmp_path, script)
    assert (output, status) == ("", 130)
    assert errors.strip() == "interrupted: nothing half-written is left; `dvc repro` goes on from here"


def test_a_disk_that_refuses_is_told_in_plain_words(tmp_path: Path) -> None:
    script = """
from thumbnet.stage import run_stage

def main(params):
    raise PermissionError(13, "Permission denied", "metrics/train/bn.json")  # root may write anywhere

run_stage(main)
"""
    assert run_script(tmp_path, script) == ("", "error: metrics/train/bn.json: Permission denied\n", 1)
