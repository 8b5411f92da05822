"""The parts of the page that work something out: which images are chosen, curves, differences, YAML."""

from typing import Any

import numpy as np
import pytest
import yaml

from thumbnet.figures.curves import Point
from thumbnet.judging.predictions import Predictions
from thumbnet.report.answers import choose, collect_answers
from thumbnet.report.settings import as_lines
from thumbnet.report.tables import MOST_EPOCHS, curves_as_json, read_results


@pytest.mark.parametrize(
    ("count", "chosen"),
    [(1, [4]), (2, [4, 1]), (3, [4, 1, 3]), (4, [4, 1, 3, 0]), (9, [4, 1, 3, 0, 5, 2])],
)
def test_images_are_taken_from_each_group_in_turn_the_hardest_first(count: int, chosen: list[int]) -> None:
    groups = ["rr", "rw", "rr", "ww", "rr", "rw"]
    truth = np.array([0.7, 0.2, 0.9, 0.1, 0.6, 0.3])
    assert choose(groups, truth, count) == chosen


def test_every_image_stands_with_what_all_networks_say_of_it() -> None:
    labels = np.array([0, 1])
    bn = Predictions(np.array([[0.8, 0.2], [0.9, 0.1]], np.float32), labels)
    ln = Predictions(np.array([[0.6, 0.4], [0.25, 0.75]], np.float32), labels)
    images = np.arange(2 * 100 * 50 * 3, dtype=np.uint8).reshape(2, 100, 50, 3)
    answers = collect_answers({"bn": bn, "ln": ln}, images, ["a.png", "b.png"], 10)
    assert answers.groups == {"rr": 1, "wr": 1}
    assert sorted(answers.images) == [(0, 0, [(0, 800, 800), (0, 600, 600)]), (1, 1, [(0, 900, 100), (1, 750, 750)])]
    assert answers.files == [["a.png", "b.png"][index] for index, *_ in answers.images]
    assert answers.tile == (32, 64), "large images are made smaller"


def test_long_trainings_are_thinned_and_keep_the_best_epoch() -> None:
    points = [
        Point("bn", epoch, split, 0.5, float("nan") if epoch == 1 else 1 / epoch, 0.1, 0)
        for epoch in range(1, 3001)
        for split in ("train", "validation")
    ]
    (curve,) = curves_as_json(points, {"bn": 1234})
    assert len(curve["epochs"]) in (MOST_EPOCHS, MOST_EPOCHS + 1)
    assert {1, 1234, 3000} <= set(curve["epochs"])
    assert len(curve["validation"]["loss"]) == len(curve["epochs"])
    assert curve["train"]["loss"][0] is None, "JSON has no number for it"


@pytest.mark.parametrize(
    ("members", "networks", "best", "told"),
    [
        ("abc", "a b c", "c", [("a", -1, None), ("b", -1, 0.8), ("c", None, None), ("ensemble", 4, 0.003)]),
        ("ab", "a/1 a/2 b/1 b/2", "b/2", [("a", -1, None), ("b", -1, 0.8), ("ensemble", 4, 0.003)]),
        ("ab", "a/1 a/2 b/1 b/2", "b/1", [("a", -1, None), ("b", None, None), ("ensemble", 4, 0.003)]),
        ("a", "a/1 a/2", "a/2", [("a", -1, None), ("ensemble", 4, 0.003)]),
        ("a", "a", "a", [("a", None, None)]),
    ],
    ids=[
        "members",
        "seeds, the best is another one",
        "seeds, the best is the first",
        "seeds of one member",
        "one network",
    ],
)
def test_differences_are_from_the_best_network_on_validation(
    members: str, networks: str, best: str, told: list[Any], make_run: Any
) -> None:
    """With all seeds it may be another than that of the member's row, and p is of the very pair."""
    make_run(members)  # every row says 0.9
    judged = {"accuracy": 0.95, "low": 0.9, "high": 0.97, "loss": 0.1}
    other = "b" if members == "abc" else "b/1"
    tested = {"ensemble": (0.001, 0.003), **({other: (0.4, 0.8)} if other != best else {})}
    pairs = [{"first": name, "second": best, "p": p, "p_holm": p_holm} for name, (p, p_holm) in tested.items()]
    singles = [{"network": name, "test": {"accuracy": 0.91}} for name in networks.split()]
    ensemble = {"networks": len(singles), "best_network": best, "test": judged, "validation": judged, "pairs": pairs,
                "singles": singles}  # fmt: skip
    found = [(row.name, row.difference, row.p) for row in read_results(list(members), ensemble)]
    expected: list[Any] = [(name, pytest.approx(difference), p) for name, difference, p in told]
    assert found == expected


def test_parameters_are_yaml_that_can_be_used_again() -> None:
    values = {"seed": 1, "members": ["a", "b"], "models": {"a": {"layers": "C8 G", "norm": "none"}},
              "train": {"ema": 0.998, "compile": True, "l2": 1e-7}, "title": ""}  # fmt: skip
    committed = {"seed": 1, "members": ["a"], "models": {"a": {"layers": "C8 G"}}, "train": {"ema": 0, "compile": True}}
    lines = as_lines(values, committed)
    assert yaml.safe_load("\n".join(line.text for line in lines)) == values
    assert {line.text.strip(): line.before for line in lines if line.before is not None} == {
        "members: [a, b]": "[a]",
        "ema: 0.998": "0",
    }
    assert all(line.before is None for line in as_lines(values, None))
