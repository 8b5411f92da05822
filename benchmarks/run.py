"""thumbnet beside other tools, on the same networks and images; docs/performance.md says what is measured, and how.

Rounds are interleaved: each takes every variant of every network once, each in a process of its own. Measurements are
written as they are made, and `--resume` goes on after the last one.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from benchmarks.environment import STARTED_WITH  # before all that imports thumbnet
from benchmarks.images import Prepared, prepare, prepare_random
from benchmarks.machine import cores, describe
from benchmarks.measuring import Job, Result
from benchmarks.networks import BATCH_SIZE, NETWORKS, OURS, VARIANTS, Network
from benchmarks.report import draw, tables, write_tables
from benchmarks.summary import Log, Measurement, Part, order_of_variants, summarise
from thumbnet.errors import UserError
from thumbnet.figures.style import save_figure
from thumbnet.files import write_json
from thumbnet.nets.notation import Shape
from thumbnet.nets.summary import summarise as summarise_network
from thumbnet.params import NetworkParams, load_params

ROOT = Path(__file__).parents[1]
CLASSES = 10
PARTS = get_args(Part)
#: Of speed: as many as its medians want, with windows that are long beside a batch.
ROUNDS = 5
SECONDS = 6.0
#: More than any window needs.
EPOCHS_FOR_SPEED = 1000
#: A measurement of speed that takes so much longer than its window hangs.
PATIENCE = 600


@dataclass(frozen=True)
class Task:
    """A network with all that its jobs need.

    Attributes:
        network: which.
        model: its entry of `models`.
        parameters: how many trained values it has.
        images: what it is trained on.
    """

    network: Network
    model: NetworkParams
    parameters: int
    images: Prepared

    def __str__(self) -> str:
        changed = ", flipped and cropped" if self.network.augment else ""
        return f"{self.parameters:,} parameters, {self.images.title}{changed}"


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    add = parser.add_argument
    add("--cifar10", metavar="PATH", help="a local copy: the official files, or a folder or archive of images")
    add("--mnist", metavar="PATH", help="the same of MNIST")
    add("--random-images", type=int, metavar="N", help="measure speed on N random images; nothing is downloaded")
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    add("--networks", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    add("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    add("--rounds", type=int, default=ROUNDS, help=f"of speed ({ROUNDS})")
    add("--seconds", type=float, default=SECONDS, help=f"of each window in which batches are counted ({SECONDS:g})")
    add("--warmup", type=float, default=1.5, help="seconds of batches before it (1.5)")
    add("--accuracy-rounds", type=int, default=1, help="runs to the stated accuracy, each with its own seed (1)")
    add("--epochs", type=int, help="of all recipes to the stated accuracy, in place of those in networks.py")
    add("--threads", type=int, default=cores(), help="of the processor (all of its cores)")
    add("--resume", action="store_true", help="go on with the measurements that are there")
    add("--scratch", type=Path, default=Path("data/benchmark"), help="for images and measurements (data/benchmark)")
    add("--output", type=Path, metavar="FOLDER", help="where metrics/benchmark.json and docs/performance.* go; "
        f"default: the project when all parts, networks and variants are measured, on real images and in {ROUNDS} "
        "rounds at least, else the scratch folder")  # fmt: skip
    return parser.parse_args()


def main() -> None:
    options = read_options()
    scratch = options.scratch.resolve()
    pythons = {".venv": Path(sys.executable), ".venv-bench": ROOT / ".venv-bench/bin/python"}
    used = dict.fromkeys(pythons[VARIANTS[name].environment] for name in options.variants)
    machine = describe(list(used))
    tasks = make_tasks(options, scratch)
    settings = {
        "batch_size": BATCH_SIZE,
        "threads": options.threads,
        "window_seconds": options.seconds,
        "warmup_seconds": options.warmup,
    }
    facts = {name: str(task) for name, task in tasks.items()}
    log = Log(scratch / "measurements.jsonl", machine | settings | facts, options.resume)
    schedule = [key for key in plan(options, tasks) if not log.has(key)]
    for place, (part, number, name, variant) in enumerate(schedule, start=1):
        job = make_job(options, tasks[name], part, number, variant)
        result = measure(job, pythons[VARIANTS[variant].environment])
        log.add(Measurement(part, number, name, variant, job.level, job.epochs, result))
        print(f"{place:>4}/{len(schedule)}  round {number}  {name:10} {variant:15} {in_words(job, result)}", flush=True)
    write_results(log, facts, machine, settings, output_folder(options, tasks.values(), scratch))


def make_tasks(options: argparse.Namespace, scratch: Path) -> dict[str, Task]:
    """The chosen networks with their images, which are prepared if they are not there."""
    networks = [NETWORKS[name] for name in options.networks]
    given = {"cifar10": options.cifar10, "mnist": options.mnist}
    images = {
        data: prepare_random(data, options.random_images, scratch)
        if options.random_images
        else prepare(data, given[data], scratch)
        for data in dict.fromkeys(network.data for network in networks)
    }
    models = load_params(ROOT / "params.yaml").models
    tasks = {}
    for network in networks:
        height, width, channels = images[network.data].image_shape
        shape = Shape(channels, height, width)
        parameters = summarise_network(network.name, models[network.member], shape, CLASSES).parameters
        tasks[network.name] = Task(network, models[network.member], parameters, images[network.data])
    return tasks


def plan(options: argparse.Namespace, tasks: dict[str, Task]) -> Iterator[tuple[Part, int, str, str]]:
    """All measurements in order: part, round, network, variant."""
    rounds: dict[Part, int] = {"speed": options.rounds, "accuracy": options.accuracy_rounds}
    for part, count in rounds.items():
        if part in options.parts:
            for number in range(1, count + 1):
                for name, task in tasks.items():
                    if part == "speed" or task.images.are_real:
                        for variant in order_of_variants(options.variants, number):
                            yield part, number, name, variant


def make_job(options: argparse.Namespace, task: Task, part: Part, number: int, variant: str) -> Job:
    network, images = task.network, task.images
    epochs = EPOCHS_FOR_SPEED
    if part == "accuracy":
        epochs = options.epochs or (network.epochs if variant == OURS else network.peer_epochs)
    return Job(
        variant=variant,
        network=network.name,
        model=task.model.model_dump(),
        parameters=task.parameters,
        data=str(images.folder),
        image_shape=images.image_shape,
        classes=CLASSES,
        mean=images.statistics.mean.tolist(),
        std=images.statistics.std.tolist(),
        augment=network.augment,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        seed=number,
        lr=network.peer_lr,
        changes=network.changes,
        threads=options.threads,
        level=network.level if part == "accuracy" else None,
        warmup=options.warmup,
        seconds=options.seconds,
        launched=time.time(),
    )


def measure(job: Job, python: Path) -> Result:
    """Runs one job in a process of its own.

    Raises:
        UserError: it failed, or hangs.
    """
    with tempfile.TemporaryDirectory() as folder:
        job_file, result_file = Path(folder, "job.json"), Path(folder, "result.json")
        job_file.write_text(json.dumps(asdict(replace(job, launched=time.time()))))
        command = [str(python), "-m", f"benchmarks.variants.{VARIANTS[job.variant].module}"]
        command += [str(job_file), str(result_file)]
        limit = None if job.validates else job.warmup + job.seconds + PATIENCE
        environment = STARTED_WITH | {"PYTHONPATH": str(ROOT / "src")}
        try:
            told = subprocess.run(command, cwd=ROOT, env=environment, timeout=limit, capture_output=True, text=True,
                                  errors="replace")  # fmt: skip
        except subprocess.TimeoutExpired:
            raise UserError(f"{job.variant} on {job.network} was not done after {limit:,.0f} s") from None
        if told.returncode or not result_file.exists():
            last = "\n".join(told.stderr.strip().splitlines()[-20:])
            raise UserError(f"{job.variant} on {job.network} failed; --resume tries it again:\n{last}")
        return Result(**json.loads(result_file.read_text()))


def in_words(job: Job, result: Result) -> str:
    started = f"started in {result.start_seconds:.1f} s"
    peak = "" if result.peak_bytes is None else f", {result.peak_bytes / 1e6:,.0f} MB"
    if result.images_per_second is not None:
        return f"{result.images_per_second:>9,.0f} images/s   {started}{peak}"
    accuracies = " ".join(f"{100 * accuracy:.1f}" for accuracy in result.accuracies)
    took = "not reached" if result.seconds_to_level is None else f"{result.seconds_to_level:.1f} s"
    return f"{took} to {100 * (job.level or 0):g} %   {accuracies}   {started}{peak}"


def output_folder(options: argparse.Namespace, tasks: Iterable[Task], scratch: Path) -> Path:
    if options.output is not None:
        return Path(options.output)
    real = all(task.images.are_real for task in tasks)  # on others no accuracy is measured
    return ROOT if real and is_complete(options) else scratch


def is_complete(options: argparse.Namespace) -> bool:
    """Whether what is measured, on real images, may take the place of the figures in git."""
    return (
        set(options.parts) == set(PARTS)
        and set(options.networks) == set(NETWORKS)
        and set(options.variants) == set(VARIANTS)
        and options.rounds >= ROUNDS
        and options.seconds >= SECONDS
        and options.epochs is None
    )


def write_results(
    log: Log, facts: dict[str, str], machine: dict[str, Any], settings: dict[str, Any], folder: Path
) -> None:
    """Writes figures, tables and picture, and shows the tables."""
    figures = {name: entry for name, entry in summarise(log.measurements).items() if name in facts}
    date = datetime.now(UTC).date().isoformat()
    write_json(
        folder / "metrics/benchmark.json",
        {"machine": machine, "settings": settings | {"networks": facts}, "date": date, **figures},
    )
    page = folder / "docs/performance.md"
    text = f"{conditions(machine, settings)}, {date}.\n\n{tables(figures, facts)}"
    write_tables(page, text)
    save_figure(draw(figures, facts, conditions(machine, settings)), page.with_suffix(".png"))
    print(f"\n{text}\n\nwritten to {folder / 'metrics/benchmark.json'}, {page} and {page.with_suffix('.png')}")


def conditions(machine: dict[str, Any], settings: dict[str, Any]) -> str:
    """The machine and the versions in a line."""
    versions = ", ".join(f"{name} {machine[name]}" for name in ("thumbnet", "torch", "keras", "lightning")
                         if machine.get(name))  # fmt: skip
    tensorflow = machine.get("tensorflow-cpu") or machine.get("tensorflow")
    versions += f", tensorflow {tensorflow}" if tensorflow else ""
    return f"{machine['processor']}, {settings['threads']} threads, batch {settings['batch_size']}, {versions}"


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\ninterrupted: --resume goes on from here", file=sys.stderr)
        sys.exit(130)
