"""A training on disk before it is over, so that one that was cut off goes on and comes to the same bits.

A checkpoint is what the training is at the end of an epoch: weights, the state of optimizer and schedule, averages,
generators, the epochs so far and the best weights. `thumbnet.training.engine` says what that is; when it is written,
under which name, and what becomes of it stands here.
"""

import hashlib
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from thumbnet import nets, training
from thumbnet.files import fresh_file

State = dict[str, Any]

#: Writing takes at most this share of the time of a training.
_SHARE = 0.01

#: Seconds after which a checkpoint is taken for one that nobody goes on with.
_FORGOTTEN = 14 * 24 * 3600


class Checkpoint:
    """The file of one training; a disk that does not take it is told once, and stops no training.

    Args:
        folder: of all checkpoints; it is made when there is one to write.
        facts: all that the training depends on, as plain values. The library's own modules and PyTorch's version are
            added: another one begins anew.

    Attributes:
        key: of the training, 32 hex digits.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        known = [repr(sorted(facts.items())), torch.__version__, _sources()]
        self.key = hashlib.sha256(repr(known).encode()).hexdigest()[:32]
        self._file = folder / f"{self.key}.pt"
        self._due = 0.0
        self._refused = False

    def read(self) -> State | None:
        """What the training was when it was last written, on the CPU; None where that never was."""
        try:
            state: State = torch.load(self._file, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except (OSError, EOFError, RuntimeError, UnpicklingError) as error:
            print(f"warning: {self._file} cannot be read, so that the training begins anew: {error}", file=sys.stderr)
            return None
        return state

    def offer(self, state: Callable[[], State]) -> None:
        """Writes the state if that is due: after the first epoch, then as often as takes a hundredth of the time.

        Args:
            state: makes it: tensors, and plain values in lists and dictionaries.
        """
        start = time.monotonic()
        if self._refused or start < self._due:
            return
        try:
            _forget(self._file.parent)
            with fresh_file(self._file) as aside:
                torch.save(state(), aside)
        except (OSError, RuntimeError) as error:  # PyTorch makes a RuntimeError of a full disk
            print(f"warning: no checkpoint of this training can be written to {self._file.parent}: {error}",
                  file=sys.stderr)  # fmt: skip
            self._refused = True
        now = time.monotonic()
        self._due = now + (now - start) / _SHARE

    def remove(self) -> None:
        """To be called when what the training came to is on disk."""
        self._file.unlink(missing_ok=True)


def _forget(folder: Path) -> None:
    """Removes what trainings left that were cut off long ago, or killed while they wrote."""
    for file in folder.iterdir() if folder.exists() else ():
        if time.time() - file.stat().st_mtime > _FORGOTTEN:
            file.unlink(missing_ok=True)


def _sources() -> str:
    """A hash of the modules that a training's course comes from."""
    folders = (Path(folder) for package in (nets, training) for folder in package.__path__)
    digest = hashlib.sha256()
    for file in sorted(file for folder in folders for file in folder.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
