"""From measurements to figures, and the log that survives a killed benchmark."""

from pathlib import Path

import pytest

from benchmarks.measuring import Result
from benchmarks.summary import Log, Measurement, order_of_variants, spread, summarise
from thumbnet.errors import UserError


def speed(number: int, variant: str, images_per_second: float, peak: int | None = None) -> Measurement:
    result = Result(start_seconds=2.0 + number, images_per_second=images_per_second, peak_bytes=peak)
    return Measurement("speed", number, "flagship", variant, None, 1000, result)


def accuracy(number: int, variant: str, seconds: float | None) -> Measurement:
    result = Result(start_seconds=3.0, accuracies=[0.5, 0.71234567], seconds_to_level=seconds)
    return Measurement("accuracy", number, "flagship", variant, 0.7, 2, result)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([3.0], {"median": 3.0, "min": 3.0, "max": 3.0}),
        ([5.0, 1.0, 2.0], {"median": 2.0, "min": 1.0, "max": 5.0}),
        ([4.0, 1.0, 2.26, 3.0], {"median": 2.6, "min": 1.0, "max": 4.0}),
    ],
)
def test_a_spread_is_median_min_and_max(values, expected):
    assert spread(values, 1) == expected


def test_each_ratio_is_of_one_round():
    """The machine was half as fast in the second round: the ratio of that round is the same as that of the first."""
    figures = summarise(
        [
            *(speed(1, "thumbnet", 3000), speed(1, "pytorch", 1000, peak=7_000_000)),
            *(speed(2, "thumbnet", 1500), speed(2, "pytorch", 500, peak=9_000_000)),
            speed(3, "thumbnet", 9000),  # killed before the other one
        ]
    )
    theirs = figures["flagship"]["pytorch"]
    assert theirs["ratio"] == {"median": 3.0, "min": 3.0, "max": 3.0}
    assert theirs["images_per_second"] == {"median": 750.0, "min": 500, "max": 1000}
    assert (theirs["runs"], theirs["peak_memory_mb"], theirs["start_seconds"]) == (2, 9, 3.5)
    assert "to_accuracy" not in theirs
    ours = figures["flagship"]["thumbnet"]
    assert (ours["runs"], ours["images_per_second"]["median"], ours["peak_memory_mb"]) == (3, 3000, None)


def test_times_to_an_accuracy_count_only_where_it_was_reached():
    figures = summarise(
        [
            *(accuracy(1, "thumbnet", 10), accuracy(1, "keras", 35), accuracy(1, "lightning", None)),
            *(accuracy(2, "thumbnet", None), accuracy(2, "keras", 45)),
        ]
    )["flagship"]
    assert figures["keras"]["to_accuracy"] == {
        "level": 0.7,
        "epochs": 2,
        "runs": 2,
        "reached": 2,
        "seconds": {"median": 40, "min": 35, "max": 45},
        "ratio": {"median": 3.5, "min": 3.5, "max": 3.5},
        "start_seconds": 3.0,
        "accuracies": [[0.5, 0.7123], [0.5, 0.7123]],
    }
    assert figures["lightning"]["to_accuracy"]["seconds"] is None
    assert figures["lightning"]["to_accuracy"]["ratio"] is None
    assert figures["thumbnet"]["to_accuracy"]["reached"] == 1


def test_without_thumbnet_there_is_no_ratio():
    assert summarise([speed(1, "keras", 7)])["flagship"]["keras"]["ratio"] is None


def test_every_variant_comes_first_once_and_last_once():
    variants = ["a", "b", "c"]
    orders = [order_of_variants(variants, number) for number in (1, 2, 3, 4)]
    assert orders == [["a", "b", "c"], ["b", "c", "a"], ["c", "a", "b"], ["a", "b", "c"]]


def test_a_killed_benchmark_goes_on_after_its_last_whole_line(tmp_path: Path):
    path = tmp_path / "scratch" / "log.jsonl"
    log = Log(path, {"cores": 2}, resume=True)  # there is nothing to resume
    log.add(speed(1, "thumbnet", 3000, peak=5))
    log.add(accuracy(1, "keras", None))
    with path.open("a") as file:
        file.write('{"part": "speed", "result": {}')

    resumed = Log(path, {"cores": 2, "keras": "3"}, resume=True)
    assert resumed.measurements == [speed(1, "thumbnet", 3000, peak=5), accuracy(1, "keras", None)]
    assert resumed.has(("speed", 1, "flagship", "thumbnet"))
    assert not resumed.has(("speed", 2, "flagship", "thumbnet"))
    resumed.add(speed(2, "keras", 1))
    assert len(Log(path, {"keras": "3"}, resume=True).measurements) == 3


def test_measurements_under_other_conditions_are_not_mixed(tmp_path: Path):
    path = tmp_path / "log.jsonl"
    Log(path, {"cores": 2, "torch": "2.8"}, resume=False).add(speed(1, "keras", 1))
    with pytest.raises(UserError, match=r"cores was 2 and is 4\. Leave out --resume"):
        Log(path, {"cores": 4, "torch": "2.8"}, resume=True)
    assert Log(path, {"cores": 4}, resume=False).measurements == []
    assert len(Log(tmp_path / "log.before.jsonl", {}, resume=True).measurements) == 1, "what was there is put aside"
