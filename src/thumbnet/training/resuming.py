"""A training on disk before it is over, so that one that was cut off goes on and comes to the same bits.

A checkpoint is what the training is at the end of an epoch: weights, the state of optimizer and schedule, averages,
generators, the epochs so far and the best weights. `thumbnet.training.engine` says what that is; when it is written,
under which name, and what becomes of it stands here.
"""

import contextlib
import hashlib
import os
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import filelock
import torch
from torch import nn

from thumbnet import nets, training
from thumbnet.files import fresh_file
from thumbnet.training.devices import bf16_instructions

State = dict[str, Any]

#: Writing takes at most this share of the time of a training.
_SHARE = 0.01

#: Seconds after which a checkpoint is taken for one that nobody goes on with.
_FORGOTTEN = 14 * 24 * 3600

#: Seconds in which another process may come to its end, after Ctrl-C for instance.
_PATIENCE = 10.0


class Checkpoint:
    """The file of one training, as a context: within it no other process has it.

    A disk that does not take it is told once, and stops no training; neither does another process that trains the same
    at this moment, beside which this one has no checkpoint.

    Args:
        folder: of all checkpoints; it is made.
        facts: all that the training depends on, as plain values. The library's own modules, PyTorch's version and the
            instructions that it computes with are added: with others it begins anew.

    Attributes:
        key: of the training, 32 hex digits.
    """

    def __init__(self, folder: Path, facts: Mapping[str, Any]) -> None:
        tools = torch.__version__, _version("numba"), torch.backends.cpu.get_cpu_capability(), bf16_instructions()
        known = [sorted(facts.items()), tools, _sources()]
        self.key = hashlib.sha256(repr(known).encode()).hexdigest()[:32]
        self._file = folder / f"{self.key}.pt"
        self._lock = filelock.FileLock(folder / f"{self.key}.lock", timeout=_PATIENCE)
        self._due = 0.0
        self._warned = False

    def __enter__(self) -> Self:
        folder = self._file.parent
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _forget(folder)
            self._lock.acquire()
            os.utime(self._lock.lock_file)  # it may have been left by one that was killed, long ago
        except filelock.Timeout:
            print(f"warning: another process trains the same at this moment, and has the checkpoint {self._file}; this "
                  "one has none", file=sys.stderr)  # fmt: skip
        except (OSError, NotImplementedError) as error:  # file systems without locks
            self._warn(error)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.held:
            with contextlib.suppress(OSError):
                Path(self._lock.lock_file).unlink(missing_ok=True)
                self._lock.release()

    @property
    def held(self) -> bool:
        """Whether the file is this process's; without it nothing is read or written."""
        return self._lock.is_locked

    def read(self) -> State | None:
        """What the training was when it was last written, on the CPU; None where that never was."""
        if not self.held:
            return None
        try:
            with zipfile.ZipFile(self._file) as archive:  # PyTorch looks at no checksum
                damaged = archive.testzip()
            if damaged:
                raise zipfile.BadZipFile(f"{damaged} in it is damaged")
            state: State = torch.load(self._file, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except Exception as error:  # zipfile, pickle and PyTorch raise many kinds where bytes are damaged
            print(f"warning: {self._file} cannot be read, so that the training begins anew: {error}", file=sys.stderr)
            return None
        return state

    def offer(self, state: Callable[[], State]) -> None:
        """Writes the state if that is due: after the first epoch, then as often as takes a hundredth of the time.

        Args:
            state: makes it: tensors, and plain values in lists and dictionaries.
        """
        start = time.monotonic()
        if not self.held or start < self._due:
            return
        try:
            with fresh_file(self._file) as aside, aside.open("wb") as file:
                torch.save(state(), file)
                file.flush()
                os.fsync(file.fileno())  # or a machine that goes down may leave a file of zeros
            os.utime(self._lock.lock_file)  # or another training would take it for forgotten
        except (OSError, RuntimeError) as error:  # PyTorch makes a RuntimeError of a full disk
            self._warn(error)
        now = time.monotonic()
        self._due = now + (now - start) / _SHARE

    def remove(self) -> None:
        """To be called when what the training came to is on disk, or when it cannot come to anything."""
        if self.held:
            try:
                self._file.unlink(missing_ok=True)
            except OSError as error:
                self._warn(error)

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            print(f"warning: {self._file.parent} does not take the checkpoint of this training: {error}",
                  file=sys.stderr)  # fmt: skip
        self._warned = True


def hash_weights(networks: Iterable[nn.Module]) -> str:
    """A hash of all weights and buffers, which also tells apart what files of pretrained weights have held."""
    digest = hashlib.sha256()
    for network in networks:
        for name, tensor in network.state_dict().items():
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
            digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _version(package: str) -> str:
    with contextlib.suppress(PackageNotFoundError):
        return version(package)
    return "none"


def _forget(folder: Path) -> None:
    """Removes what trainings left that were cut off long ago, or killed while they wrote."""
    for file in folder.iterdir():
        with contextlib.suppress(OSError):  # another training may remove it at this moment
            if time.time() - file.stat().st_mtime > _FORGOTTEN:
                file.unlink()


def _sources() -> str:
    """A hash of the modules that a training's course comes from."""
    folders = (Path(folder) for package in (nets, training) for folder in package.__path__)
    digest = hashlib.sha256()
    for file in sorted(file for folder in folders for file in folder.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()
