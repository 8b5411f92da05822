"""Epochs of one network on random images, with and without something, in turns: what such measurements share."""

import thumbnet  # noqa: F401 # isort: skip - first of all, as in every stage: it says how OpenMP's threads wait

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from torch import nn

from benchmarks.machine import cores
from thumbnet.data.normalisation import Statistics
from thumbnet.params import load_params
from thumbnet.training.batches import Images
from thumbnet.training.checkpoints import make_classifier
from thumbnet.training.devices import choose_precision, keep_freed_memory, use_threads
from thumbnet.training.engine import Recipe, fit_seeds

CLASSES = 10


def make_parser(module: str, description: str | None) -> argparse.ArgumentParser:
    """The options of all measurements.

    Args:
        module: what is run, after `python -m`.
        description: of it.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    add = parser.add_argument
    add("network", help="an entry of `models` in params.yaml")
    add("--optimizer", default="sgd", choices=["sgd", "rmsprop", "adam", "adamw", "muon"])
    add("--lr", type=float, default=0.0001, help="the rate (0.0001)")
    add("--ema", type=float, default=0.0, help="decay of the average of the weights (0: none)")
    add("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    add("--batch-size", type=int, default=64)
    add("--images", type=int, default=20_000, help="in an epoch (20,000)")
    add("--rounds", type=int, default=7, help="of one epoch each, in turns (7)")
    add("--threads", type=int, default=cores(), help="of the processor (all of its cores)")
    add("--processor-time", action="store_true", help="of all threads, for machines that are not quiet")
    return parser


@dataclass(frozen=True)
class Epochs:
    """Trains a network for one epoch, and takes the time; the process has the stages' settings from then on.

    Args:
        options: as a parser of `make_parser` reads them.
        shape: (height, width, channels) of the images.
    """

    options: argparse.Namespace
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        keep_freed_memory()
        use_threads(self.options.threads)

    @property
    def precision(self) -> torch.dtype:
        return choose_precision(self.options.precision, torch.device("cpu"))

    def make_classifiers(self, seeds: int) -> list[nn.Module]:
        """So many of the network, untrained."""
        model, channels = load_params().models[self.options.network], self.shape[2]
        statistics = Statistics(np.full(channels, 120.0), np.full(channels, 60.0))
        return [make_classifier(model, self.shape, CLASSES, statistics, seed) for seed in range(seeds)]

    def train(self, seeds: int = 1) -> float:
        """Seconds of an epoch of so many networks at once."""
        options, params = self.options, load_params()
        draws = torch.Generator().manual_seed(0)
        images = torch.randint(256, (options.images, *self.shape), dtype=torch.uint8, generator=draws)
        train = Images(images, torch.randint(CLASSES, (options.images,), generator=draws))
        few = Images(train.images[:100], train.labels[:100])  # only batches of training count
        recipe = Recipe(
            params.seed,
            params.train.model_copy(update={"epochs": 1, "batch_size": options.batch_size, "ema": options.ema}),
            params.optimizer.model_copy(update={"name": options.optimizer, "lr": options.lr}),
            params.schedule,
            params.regularisation,
            params.early_stopping,
            params.augment,
        )
        classifiers = self.make_classifiers(seeds)
        clock = time.process_time if options.processor_time else time.perf_counter
        start = clock()
        fit_seeds(classifiers, train, few, recipe, self.precision)
        return clock() - start

    def time_in_turns(self, first: Callable[[], float], second: Callable[[], float]) -> list[tuple[float, float]]:
        """Seconds of both in every round, after one of each to warm up."""
        first()
        second()
        return [(first(), second()) for _ in range(self.options.rounds)]

    def print_result(self, parts: Sequence[str]) -> None:
        """Prints what was found, with what it was found for."""
        options, precision = self.options, str(self.precision).removeprefix("torch.")
        what = f"{options.network}, {options.optimizer}, {precision}, batches of {options.batch_size}"
        print(f"{what}: {', '.join(parts)}")


def show_ratio(ratios: Sequence[float]) -> str:
    """Their median, least and greatest."""
    return f"{median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f} in {len(ratios)} rounds)"
