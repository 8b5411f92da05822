"""Memory and speed of a training on few and on many images: those of the CPU stay in their memory-mapped file.

    python -m benchmarks.memory bn --images 50000 500000

Images are random, 32×32 in colour, and lie in a file each. Every measurement is a process of its own, in turns.
"""

import thumbnet  # noqa: F401 # isort: skip - first of all, as in every stage: it says how OpenMP's threads wait

import argparse
import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.machine import cores
from thumbnet.data.arrays import images_file, labels_file
from thumbnet.data.normalisation import Statistics
from thumbnet.params import load_params
from thumbnet.training.batches import Images, load_images
from thumbnet.training.checkpoints import make_classifier
from thumbnet.training.devices import choose_precision, keep_freed_memory, use_threads
from thumbnet.training.engine import Recipe, fit

SHAPE, CLASSES, PIECE = (32, 32, 3), 10, 10_000
FEW = 100  # validate so many


class EnoughError(Exception):
    """The window is over."""


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    add = parser.add_argument
    add("network", help="an entry of `models` in params.yaml")
    add("--images", type=int, nargs="+", default=[50_000, 500_000])
    add("--rounds", type=int, default=3)
    add("--seconds", type=float, default=20.0, help="of each measurement (20)")
    add("--threads", type=int, default=cores(), help="of the processor (all of its cores)")
    add("--scratch", type=Path, default=Path("data/benchmark"), help="for the images (data/benchmark)")
    add("--one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def write_images(folder: Path, count: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if labels_file(folder, "train").exists():
        return
    draws = np.random.default_rng(0)
    images = np.lib.format.open_memmap(images_file(folder, "train"), "w+", np.uint8, (count, *SHAPE))
    for start in range(0, count, PIECE):
        images[start : start + PIECE] = draws.integers(256, size=images[start : start + PIECE].shape, dtype=np.uint8)
    images.flush()
    np.save(labels_file(folder, "train"), draws.integers(CLASSES, size=count))


def measure(folder: Path, network: str, threads: int, seconds: float) -> dict[str, float]:
    """Images per second, and memory in MB: the process's own, that of the file (which can be taken back), the peak."""
    keep_freed_memory()
    use_threads(threads)
    device, params = torch.device("cpu"), load_params()
    train = load_images(folder, "train", device)
    few = Images(train.images[:FEW], train.labels[:FEW])
    statistics = Statistics(np.full(3, 120.0), np.full(3, 60.0))
    classifier = make_classifier(params.models[network], SHAPE, CLASSES, statistics, params.seed)
    sections = (params.optimizer, params.schedule, params.regularisation, params.early_stopping, params.augment)
    recipe = Recipe(params.seed, params.train.model_copy(update={"epochs": 1000}), *sections)
    times: list[float] = []

    def on_batch() -> None:
        times.append(time.perf_counter())
        if times[-1] - times[0] > seconds:
            raise EnoughError

    with contextlib.suppress(EnoughError):
        fit(classifier, train, few, recipe, choose_precision("auto", device), on_batch=on_batch)
    speed = params.train.batch_size * (len(times) - 1) / (times[-1] - times[0])
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    resident = {name: int(status[name].split()[0]) / 1024 for name in ("RssAnon", "RssFile", "VmHWM")}
    return {"images_per_second": speed, **resident}


def main() -> None:
    options = read_options()
    if options.one:
        folder = options.scratch / f"random-{options.one}"
        print(json.dumps(measure(folder, options.network, options.threads, options.seconds)))
        return
    found: dict[int, list[dict[str, float]]] = {count: [] for count in options.images}
    for count in options.images:
        write_images(options.scratch / f"random-{count}", count)
    for number in range(options.rounds):
        for count in options.images:
            command = [sys.executable, "-m", "benchmarks.memory", *sys.argv[1:], "--one", str(count)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            found[count].append(json.loads(done.stdout))
            print(f"round {number + 1}, {count:,} images: {found[count][-1]}", flush=True)
    for count, measured in found.items():
        middle = {name: median(each[name] for each in measured) for name in measured[0]}
        factors = sorted(
            each["images_per_second"] / first["images_per_second"]
            for each, first in zip(measured, found[options.images[0]], strict=True)
        )
        print(
            f"{options.network}, {count:,} images: {middle['images_per_second']:,.0f} images/s, "
            f"{median(factors):.2f} ({factors[0]:.2f}–{factors[-1]:.2f}) of the first; memory of its own "
            f"{middle['RssAnon']:,.0f} MB, of the file {middle['RssFile']:,.0f} MB, peak {middle['VmHWM']:,.0f} MB"
        )


if __name__ == "__main__":
    main()
