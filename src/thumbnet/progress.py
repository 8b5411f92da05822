"""The training on screen: a moving bar on a terminal, one line per epoch everywhere."""

import sys
from statistics import median
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from thumbnet.training.engine import Epoch, Outcome


class TrainingProgress:
    """Shows a training; a context, since a terminal must be left as it was found.

    Args:
        member: the network's name, in front of each line.
        epochs: of the whole training.
        batches: of one epoch.
        images: in one epoch.
    """

    def __init__(self, member: str, epochs: int, batches: int, images: int) -> None:
        self._member = member
        self._epochs = epochs
        self._batches = batches
        self._images = images
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("batches,"),
            TimeRemainingColumn(), TextColumn("left"), disable=not sys.stdout.isatty(), transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task(member, total=epochs * batches)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def on_batch(self) -> None:
        """One batch is done."""
        self._bar.advance(self._task)

    def on_resume(self, epochs: int) -> None:
        """The training goes on: a line that says so, before those of its epochs so far."""
        self._print(f"{self._member}  goes on after epoch {epochs}, from its checkpoint; so far:")
        self._bar.advance(self._task, epochs * self._batches)

    def on_epoch(self, epochs: list[Epoch]) -> None:
        """One epoch is done: its line, of several seeds with their medians."""
        train, train_loss, validation, validation_loss = (
            median(getattr(epoch, name) for epoch in epochs)
            for name in ("train_accuracy", "train_loss", "validation_accuracy", "validation_loss")
        )
        speed = self._images * len(epochs) / sum(epoch.seconds for epoch in epochs)
        line = (
            f"{self._member}  epoch {epochs[0].epoch:>{len(str(self._epochs))}}/{self._epochs}"
            f"  train {train:6.2%} (loss {train_loss:.4f})"
            f"  validation {validation:6.2%} (loss {validation_loss:.4f})"
            f"  {speed:,.0f} images/s"
            f"{f'  median of {len(epochs)} seeds' if len(epochs) > 1 else ''}"
        )
        self._print(line)

    def on_end(self, outcome: Outcome) -> None:
        """The training is over: a line where that was before its last epoch."""
        if outcome.stopped_early:
            ran, best = len(outcome.history), outcome.best.epoch
            self._print(
                f"{self._member}  stopped early, after {ran} of {self._epochs} epochs; the best was epoch {best}"
            )

    def _print(self, line: str) -> None:
        if sys.stdout.isatty():
            self._bar.console.print(line, highlight=False, soft_wrap=True)
        else:
            print(line, flush=True)
