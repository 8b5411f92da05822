"""What a variant is asked to do, and the watch that measures it.

Each measurement is a process of its own, in the environment of its tool: a `Job` goes in as JSON, a `Result` comes out
as JSON. torch and thumbnet are not imported here: a peer has to load torch first, since thumbnet sets a variable that
OpenMP reads as torch loads.
"""

import json
import multiprocessing
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Batches that always belong to the warm-up, however short that is.
FEWEST_BATCHES = 5


@dataclass(frozen=True)
class Job:
    """One measurement.

    Attributes:
        variant, network: their names.
        model: the network's entry of `models` in params.yaml, with all its keys.
        parameters: how many trained values it has.
        data: the folder of the splits, as `thumbnet.data.arrays` has them.
        image_shape: height, width and channels.
        classes: how many.
        mean, std: of the training images by channel, in units of pixel values (0–255).
        augment: whether training images are flipped at random and cropped at random after padding by 4 pixels.
        batch_size, epochs, seed: of the training.
        lr: the highest rate of SGD.
        changes: of thumbnet's own recipe against params.yaml, by section.
        threads: of the processor, for the training process.
        level: the validation accuracy that ends the training; None to measure the speed of batches.
        warmup, seconds: for speed: how long the batches before the window take, and the window itself.
        launched: when the process was started (`time.time`).
    """

    variant: str
    network: str
    model: dict[str, Any]
    parameters: int
    data: str
    image_shape: tuple[int, int, int]
    classes: int
    mean: list[float]
    std: list[float]
    augment: bool
    batch_size: int
    epochs: int
    seed: int
    lr: float
    changes: dict[str, dict[str, Any]]
    threads: int
    level: float | None
    warmup: float
    seconds: float
    launched: float

    #: Of SGD, which is Nesterov's, and its decay of all weights.
    momentum = 0.9
    weight_decay = 5e-4
    #: The rate rises over this share of the steps, and falls to zero along a cosine.
    rise = 0.2

    @property
    def validates(self) -> bool:
        """Whether the training is validated after each epoch."""
        return self.level is not None

    def load(self, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """`train` or `validation` in memory: images (n, height, width, channels) and labels (n,)."""
        return np.load(f"{self.data}/{split}_images.npy"), np.load(f"{self.data}/{split}_labels.npy")


@dataclass
class Result:
    """What one measurement came to.

    Attributes:
        start_seconds: from the start of the process to the end of its first batch: imports, images, compilation.
        images_per_second: over the window; None where accuracy was measured.
        peak_bytes: the most memory that the process had resident, and the pages that its workers had to themselves.
        accuracies: on validation, after each epoch.
        seconds_to_level: from the end of the first batch to the end of the validation that reached the level; None
            where none did, or where speed was measured.
    """

    start_seconds: float = 0.0
    images_per_second: float | None = None
    peak_bytes: int | None = None
    accuracies: list[float] = field(default_factory=list)
    seconds_to_level: float | None = None


class Finished(Exception):  # noqa: N818 - no error: the measurement is complete
    """Ends a training from within its loop or its callbacks, whatever the tool."""


class Watch:
    """Hears of a training as it goes, and ends it by `Finished`.

    Args:
        job: what is measured.
        clock: seconds, from anywhere.
    """

    def __init__(self, job: Job, clock: Callable[[], float] = time.perf_counter) -> None:
        self.result = Result()
        self._job = job
        self._clock = clock
        self._first: float | None = None  # when the first batch was done
        self._opened: float | None = None  # when the window was opened
        self._batches = 0
        self._images = 0  # within the window

    def begin(self, parameters: int) -> None:
        """The network is there; no other than the one that was asked for is measured."""
        if parameters != self._job.parameters:
            raise SystemExit(f"the network has {parameters:,} trained values instead of {self._job.parameters:,}")

    def batch(self, images: int) -> None:
        """A training batch is done."""
        now = self._clock()
        self._batches += 1
        if self._first is None:
            self._first = now
            self.result.start_seconds = time.time() - self._job.launched
        if self._job.validates:
            return
        if self._opened is None:
            if self._batches >= FEWEST_BATCHES and now - self._first >= self._job.warmup:
                self._opened = now
            return
        self._images += images
        if now - self._opened >= self._job.seconds:
            self.result.images_per_second = self._images / (now - self._opened)
            self._finish()

    def epoch(self, accuracy: float) -> None:
        """An epoch is over, and its validation too."""
        assert self._first is not None
        assert self._job.level is not None
        self.result.accuracies.append(accuracy)
        if accuracy >= self._job.level:
            self.result.seconds_to_level = self._clock() - self._first
        if self.result.seconds_to_level is not None or len(self.result.accuracies) == self._job.epochs:
            self._finish()

    def _finish(self) -> None:
        self.result.peak_bytes = peak_memory()
        raise Finished


def peak_memory() -> int | None:
    """Bytes: the most that this process had resident, and what its workers have to themselves now; None but on Linux.

    A worker is forked: most of what it has resident are the pages of this process, which must not be counted twice.
    """
    if not Path("/proc/self/smaps_rollup").exists():
        return None
    peak = _kilobytes(Path("/proc/self/status"), "VmHWM:")
    for worker in multiprocessing.active_children():
        peak += _kilobytes(Path(f"/proc/{worker.pid}/smaps_rollup"), "Private_Clean:", "Private_Dirty:")
    return 1024 * peak


def _kilobytes(path: Path, *names: str) -> int:
    rows = (line.split() for line in path.read_text().splitlines())
    return sum(int(row[1]) for row in rows if row[0] in names)


def run_variant(train: Callable[[Job, Watch], None]) -> None:
    """The main function of each variant: `python -m benchmarks.variants.NAME JOB.json RESULT.json`."""
    job_file, result_file = map(Path, sys.argv[1:])
    job = Job(**json.loads(job_file.read_text()))
    watch = Watch(job)
    try:
        train(job, watch)
    except Finished:
        result_file.write_text(json.dumps(asdict(watch.result)))
    else:
        raise SystemExit("the training ended before it was measured")
