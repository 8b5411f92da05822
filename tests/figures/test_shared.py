"""Mistakes that all networks share: which, under whose answers, and what one network or none of them makes of it."""

import csv
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from thumbnet.figures.shared import draw_shared, find_shared, write_shared_table
from thumbnet.judging.predictions import Predictions
from thumbnet.params import GalleryOrder

CLASSES = ["cat", "dog", "owl"]
LABELS = np.array([0, 0, 1, 2])
IMAGES = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 1), dtype=np.uint8)

# What each says about the images: both are wrong on 1 and 3, with the same answer on 1.
BN = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.05, 0.9, 0.05]]
LN = [[0.1, 0.8, 0.1], [0.1, 0.6, 0.3], [0.1, 0.8, 0.1], [0.5, 0.1, 0.4]]


def judged(*members: list[list[float]]) -> dict[str, Predictions]:
    rows: list[NDArray[np.float32]] = [np.array(rows, dtype=np.float32) for rows in members]
    return {f"m{number}": Predictions(row, LABELS) for number, row in enumerate(rows, 1)}


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


@pytest.mark.parametrize(
    ("members", "order", "indices"),
    [
        ([BN], "confidence", [3, 1, 2]),  # 0.9, 0.7, 0.6
        ([BN, LN], "confidence", [3, 1]),  # on average 0.7, 0.65
        ([BN, LN], "loss", [1, 3]),  # of the true class: 0.2 and 0.1; 0.05 and 0.4; their product counts
    ],
)
def test_shared_mistakes_are_those_of_every_network(
    members: list[list[list[float]]], order: GalleryOrder, indices: list[int]
) -> None:
    assert list(find_shared(judged(*members), order)) == indices


def test_drawn_at_random_they_are_the_same_every_time() -> None:
    predictions = {
        "m": Predictions(np.tile(np.array([0.9, 0.1], dtype=np.float32), (50, 1)), np.ones(50, dtype=np.int64))
    }
    first = find_shared(predictions, "random")
    assert list(first) == list(find_shared(predictions, "random"))
    assert sorted(first) == list(range(50)) != list(first)


def test_each_image_is_over_the_answers_of_all() -> None:
    drawn = texts(draw_shared(IMAGES, judged(BN, LN), CLASSES, (5, 5), "Mistakes of m1, m2, test"))
    assert drawn[0] == "Mistakes of m1, m2, test"
    assert drawn[1] == "Both networks are wrong on 2 of 4 images; on 1 of them they give the same answer"
    assert drawn[5:] == ["✓ owl", "m1", "✗ dog", "90.0 %", "m2", "✗ cat", "50.0 %",
                         "✓ cat", "m1", "✗ dog", "70.0 %", "m2", "✗ dog", "60.0 %"]  # fmt: skip


def test_answers_of_many_networks_are_counted() -> None:
    """Nine networks on one cat: dog three times, and each of six other answers once."""
    classes = ["cat", "dog", *"abcdef"]
    answers = [1, 1, 1, *range(2, 8)]
    members = {
        f"m{number}": Predictions(np.eye(8, dtype=np.float32)[[answer]] * np.float32(0.5), np.array([0]))
        for number, answer in enumerate(answers)
    }
    drawn = texts(draw_shared(IMAGES[:1], members, classes, (5, 5), "test"))
    assert drawn[1] == "All 9 networks are wrong on 1 of 1 images; on 0 of them they give the same answer"
    assert drawn[5:] == ["✓ cat", "3 ×", "✗ dog", "50.0 %", "1 ×", "✗ a", "50.0 %", "1 ×", "✗ b", "50.0 %", "4 ×",
                         "other answers"]  # fmt: skip


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ([BN], "m1 is the only network: it is wrong on 3 of 4 images"),
        ([np.eye(3)[LABELS].tolist()], "m1 is the only network: it is wrong on 0 of 4 images"),
        ([np.eye(3)[LABELS].tolist(), BN],
         "Both networks are wrong on none of 4 images: each image is right in at least one"),
    ],
)  # fmt: skip
def test_one_network_alone_or_no_shared_mistake_is_told(members: list[list[list[float]]], told: str) -> None:
    figure = draw_shared(IMAGES, judged(*members), CLASSES, (5, 5), "test")
    assert texts(figure)[1] == told


def test_the_table_lists_the_answers_of_all(tmp_path: Path) -> None:
    members = judged(BN, LN)
    splits = {"validation": members, "test": members}
    write_shared_table(tmp_path / "shared.csv", splits, CLASSES, list(members), {split: [] for split in splits})
    rows = list(csv.reader((tmp_path / "shared.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["split", "index", "true", "m1", "m1_probability", "m2", "m2_probability"]
    assert rows[1] == ["validation", "3", "owl", "dog", "0.900000", "cat", "0.500000"]
    assert [row[:2] for row in rows[1:]] == [["validation", "3"], ["validation", "1"], ["test", "3"], ["test", "1"]]
    files = {split: [f"{split}/{place}.png" for place in range(4)] for split in splits}
    write_shared_table(tmp_path / "shared.csv", splits, CLASSES, list(members), files)
    of_files = list(csv.reader((tmp_path / "shared.csv").read_text(encoding="utf-8").splitlines()))
    assert [row[:-1] for row in of_files] == rows
    assert [row[-1] for row in of_files] == ["file", *(f"{row[0]}/{row[1]}.png" for row in rows[1:])]
