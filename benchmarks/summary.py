"""From single measurements to figures: medians with their spread, and ratios within each round."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from benchmarks.measuring import Result
from benchmarks.networks import OURS
from thumbnet.errors import UserError
from thumbnet.files import fresh_file

Part = Literal["speed", "accuracy"]

#: median, min and max.
Spread = dict[str, float]
#: Network, variant, and what is known of the two.
Figures = dict[str, dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Measurement:
    """One measurement, and which of all it is. Rounds count from 1; `epochs` are those of the recipe."""

    part: Part
    round: int
    network: str
    variant: str
    level: float | None
    epochs: int
    result: Result

    @property
    def key(self) -> tuple[Part, int, str, str]:
        return self.part, self.round, self.network, self.variant


class Log:
    """The measurements of one benchmark on disk, a line of JSON each: what is there stays, whatever ends the process.

    Args:
        path: the file.
        conditions: what the benchmark is made with, by name. Measurements made under others are not mixed with these;
            a name that is on one side only does not matter.
        resume: whether to go on with the file that is there. Otherwise it is put aside, as `*.before.jsonl`.

    Raises:
        UserError: the file to go on with was made under other conditions.
    """

    def __init__(self, path: Path, conditions: dict[str, Any], resume: bool) -> None:
        self._path = path
        self.measurements: list[Measurement] = []
        if resume and path.exists():
            first, *lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
            before = json.loads(first)
            _refuse_other_conditions(path, before, conditions)
            conditions = before | conditions
            # A process that is killed may leave half a line at the end.
            self.measurements = [_read(line) for line in lines if line.endswith("\n")]
        elif path.exists():
            path.replace(path.with_suffix(".before.jsonl"))
        lines = [json.dumps(conditions), *(json.dumps(asdict(measurement)) for measurement in self.measurements)]
        with fresh_file(path) as aside:
            aside.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def has(self, key: tuple[Part, int, str, str]) -> bool:
        return any(measurement.key == key for measurement in self.measurements)

    def add(self, measurement: Measurement) -> None:
        self.measurements.append(measurement)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(measurement)) + "\n")


def _read(line: str) -> Measurement:
    values = json.loads(line)
    return Measurement(**(values | {"result": Result(**values["result"])}))


def _refuse_other_conditions(path: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    other = [name for name in before if name in now and before[name] != now[name]]
    if other:
        changes = "; ".join(f"{name} was {before[name]!r} and is {now[name]!r}" for name in other)
        raise UserError(f"{path} cannot be resumed: {changes}. Leave out --resume to begin anew")


def order_of_variants(variants: Sequence[str], number: int) -> list[str]:
    """Each round begins with another variant, so that none always follows the same one."""
    first = (number - 1) % len(variants)
    return [*variants[first:], *variants[:first]]


def summarise(measurements: Iterable[Measurement]) -> Figures:
    """All figures of all networks and variants, in the order in which they first occur.

    Ratios are thumbnet's speed to the variant's, or the variant's time to thumbnet's: above 1, thumbnet is ahead. Each
    is of two measurements of the same round, so that slow changes of the machine do not enter.
    """
    known = list(measurements)
    figures: Figures = {}
    for network in dict.fromkeys(measurement.network for measurement in known):
        of_network = [measurement for measurement in known if measurement.network == network]
        figures[network] = {}
        for variant in dict.fromkeys(measurement.variant for measurement in of_network):
            speed, accuracy = (_of(of_network, part, variant) for part in ("speed", "accuracy"))
            ours = [_of(of_network, part, OURS) for part in ("speed", "accuracy")]
            entry: dict[str, Any] = {}
            if speed:
                entry |= _speed_figures(speed, ours[0])
            if accuracy:
                entry["to_accuracy"] = _accuracy_figures(accuracy, ours[1])
            figures[network][variant] = entry
    return figures


def _of(measurements: Iterable[Measurement], part: str, variant: str) -> dict[int, Measurement]:
    """By round."""
    return {
        measurement.round: measurement
        for measurement in measurements
        if measurement.part == part and measurement.variant == variant
    }


def _speed_figures(theirs: dict[int, Measurement], ours: dict[int, Measurement]) -> dict[str, Any]:
    results = [measurement.result for measurement in theirs.values()]
    speeds = {number: _known(measurement.result.images_per_second) for number, measurement in theirs.items()}
    our_speeds = {number: _known(measurement.result.images_per_second) for number, measurement in ours.items()}
    ratios = [our_speeds[number] / speed for number, speed in speeds.items() if number in our_speeds]
    peaks = [result.peak_bytes for result in results if result.peak_bytes is not None]
    return {
        "runs": len(results),
        "images_per_second": spread(speeds.values(), 1),
        "ratio": spread(ratios, 3) if ratios else None,
        "peak_memory_mb": round(max(peaks) / 1e6) if peaks else None,
        "start_seconds": round(median(result.start_seconds for result in results), 1),
    }


def _accuracy_figures(theirs: dict[int, Measurement], ours: dict[int, Measurement]) -> dict[str, Any]:
    reached = _times(theirs)
    our_times = _times(ours)
    ratios = [seconds / our_times[number] for number, seconds in reached.items() if number in our_times]
    first = next(iter(theirs.values()))
    return {
        "level": first.level,
        "epochs": first.epochs,
        "runs": len(theirs),
        "reached": len(reached),
        "seconds": spread(reached.values(), 2) if reached else None,
        "ratio": spread(ratios, 3) if ratios else None,
        "start_seconds": round(median(measurement.result.start_seconds for measurement in theirs.values()), 1),
        "accuracies": [[round(value, 4) for value in taken.result.accuracies] for taken in theirs.values()],
    }


def _times(measurements: dict[int, Measurement]) -> dict[int, float]:
    """By round, of the runs that reached the level."""
    seconds = {number: measurement.result.seconds_to_level for number, measurement in measurements.items()}
    return {number: value for number, value in seconds.items() if value is not None}


def _known(value: float | None) -> float:
    assert value is not None
    return value


def spread(values: Iterable[float], digits: int) -> Spread:
    """Median, min and max, rounded."""
    known = list(values)
    return {name: round(of(known), digits) for name, of in (("median", median), ("min", min), ("max", max))}
