"""Several seeds of a network trained at once, beside one seed: seconds of an epoch, on random images.

python -m benchmarks.seeds mlp_128 --seeds 5 --optimizer sgd --batch-size 64
"""

import thumbnet  # noqa: F401 # isort: skip - first of all, as in every stage: it says how OpenMP's threads wait

import argparse
import time
from statistics import median

import numpy as np
import torch

from benchmarks.machine import cores
from thumbnet.data.normalisation import Statistics
from thumbnet.params import load_params
from thumbnet.training.batches import Images
from thumbnet.training.checkpoints import make_classifier
from thumbnet.training.devices import choose_precision, keep_freed_memory, use_threads
from thumbnet.training.engine import Recipe, fit_seeds

SHAPE, CLASSES = (28, 28, 1), 10


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.seeds", description=__doc__)
    add = parser.add_argument
    add("network", help="an entry of `models` in params.yaml")
    add("--seeds", type=int, default=5, help="trained at once (5)")
    add("--optimizer", default="sgd", choices=["sgd", "rmsprop", "adam", "adamw", "muon"])
    add("--precision", default="auto", choices=["auto", "fp32", "bf16"])
    add("--batch-size", type=int, default=64)
    add("--images", type=int, default=20_000, help="in an epoch (20,000)")
    add("--rounds", type=int, default=7, help="of one epoch each, in turns (7)")
    add("--threads", type=int, default=cores(), help="of the processor (all of its cores)")
    add("--processor-time", action="store_true", help="of all threads, for machines that are not quiet")
    return parser.parse_args()


def main() -> None:
    options = read_options()
    keep_freed_memory()
    use_threads(options.threads)
    draws = torch.Generator().manual_seed(0)
    images = torch.randint(256, (options.images, *SHAPE), dtype=torch.uint8, generator=draws)
    train = Images(images, torch.randint(CLASSES, (options.images,), generator=draws))
    few = Images(train.images[:100], train.labels[:100])  # only batches of training count
    params = load_params()
    recipe = Recipe(
        params.seed,
        params.train.model_copy(update={"epochs": 1, "batch_size": options.batch_size}),
        params.optimizer.model_copy(update={"name": options.optimizer, "lr": 0.01}),
        params.schedule,
        params.regularisation,
        params.early_stopping,
        params.augment,
    )
    precision = choose_precision(options.precision, torch.device("cpu"))
    clock = time.process_time if options.processor_time else time.perf_counter

    def train_once(seeds: int) -> float:
        statistics = Statistics(np.full(1, 120.0), np.full(1, 60.0))
        classifiers = [
            make_classifier(params.models[options.network], SHAPE, CLASSES, statistics, seed) for seed in range(seeds)
        ]
        start = clock()
        fit_seeds(classifiers, train, few, recipe, precision)
        return clock() - start

    for seeds in (1, options.seeds):  # to warm up
        train_once(seeds)
    rounds = [(train_once(1), train_once(options.seeds)) for _ in range(options.rounds)]
    factors = sorted(together / alone for alone, together in rounds)
    print(
        f"{options.network}, {options.optimizer}, {str(precision).removeprefix('torch.')}, batches of "
        f"{options.batch_size}: one seed {median(alone for alone, _ in rounds):.3f} s, {options.seeds} seeds "
        f"{median(together for _, together in rounds):.3f} s, {median(factors):.2f} times as long "
        f"({factors[0]:.2f}–{factors[-1]:.2f} in {options.rounds} rounds)"
    )


if __name__ == "__main__":
    main()
