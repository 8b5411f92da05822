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


def test_garbage_is_left_lying_while_libraries_load_and_collected_while_the_stage_works(tmp_path: Path) -> None:
    """Not as rarely as to let memory grow: tensors may be part of it."""
    script = tmp_path / "stages/example.py"
    script.parent.mkdir()
    script.write_text(SCRIPT)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run([sys.executable, "stages/example.py"], cwd=tmp_path, env=environment, capture_output=True,
                          text=True)  # fmt: skip
    assert (done.stdout, done.stderr, done.returncode) == ("False True\n", "", 0)
