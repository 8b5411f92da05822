"""Galleries of mistakes, samples and extremes: which images, in which order, and under which words."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from thumbnet.figures.galleries import (
    draw_gallery,
    draw_least_confident,
    draw_most_confident,
    draw_order,
    draw_samples,
    find_mistakes,
    write_mistakes_table,
)
from thumbnet.figures.style import INK, RIGHT, WRONG, save_figure
from thumbnet.figures.tiles import HEADER, TILE
from thumbnet.judging.predictions import Predictions
from thumbnet.params import GalleryOrder

CLASSES = ["cat", "dog", "owl"]
NO_FILES: dict[str, list[str]] = {"validation": [], "test": []}
PREDICTIONS = Predictions(
    np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.0, 0.1, 0.9], [0.1, 0.6, 0.3], [0.5, 0.4, 0.1]], dtype=np.float32),
    np.array([0, 0, 1, 2, 1]),
)  # image 0 is right
PERFECT = Predictions(PREDICTIONS.probabilities, PREDICTIONS.predicted)


def pictures(n: int, height: int = 8, width: int = 8, channels: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, height, width, channels), dtype=np.uint8)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def captions(figure: Figure) -> list[tuple[str, ...]]:
    """The words under each image: true class, predicted class, probability."""
    words = texts(figure)[5:]
    return [tuple(words[i : i + 3]) for i in range(0, len(words), 3)]


@pytest.mark.parametrize(
    ("order", "indices"),
    [
        ("confidence", [2, 1, 3, 4]),  # 0.9, then 0.6 twice in the images' order, 0.5
        ("loss", [1, 2, 3, 4]),  # of the true class: 0.1 twice, 0.3, 0.4
        ("random", [index for index in draw_order(5) if index]),
    ],
)
def test_mistakes_come_in_the_order_that_was_asked_for(order: GalleryOrder, indices: list[int]) -> None:
    assert [mistake.index for mistake in find_mistakes(PREDICTIONS, order)] == indices


def test_a_mistake_tells_both_classes_and_what_they_were_given() -> None:
    first = find_mistakes(PREDICTIONS)[0]
    assert (first.true, first.predicted) == (1, 2)
    assert (first.probability, first.true_probability) == pytest.approx((0.9, 0.1))


def test_the_table_lists_every_mistake_of_every_split(tmp_path: Path) -> None:
    mistakes = find_mistakes(PREDICTIONS)
    write_mistakes_table(tmp_path / "bn.csv", {"validation": mistakes, "test": mistakes[:1]}, CLASSES, NO_FILES)
    rows = list(csv.reader((tmp_path / "bn.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["split", "index", "true", "predicted", "probability", "true_probability"]
    assert rows[1] == ["validation", "2", "dog", "owl", "0.900000", "0.100000"]
    assert [row[0] for row in rows[1:]] == ["validation"] * 4 + ["test"]


def test_the_table_leads_back_to_the_users_files(tmp_path: Path) -> None:
    files = {"validation": [f"train/{place}, copy.png" for place in range(5)], "test": [f"test/{n}" for n in range(5)]}
    mistakes = {"validation": find_mistakes(PREDICTIONS), "test": []}
    write_mistakes_table(tmp_path / "bn.csv", mistakes, CLASSES, files)
    rows = list(csv.DictReader((tmp_path / "bn.csv").read_text(encoding="utf-8").splitlines()))
    assert [(row["split"], row["file"]) for row in rows] == [
        ("validation", f"train/{mistake.index}, copy.png") for mistake in mistakes["validation"]
    ]


def test_the_table_of_a_perfect_network_is_its_header(tmp_path: Path) -> None:
    write_mistakes_table(tmp_path / "bn.csv", {"validation": [], "test": []}, CLASSES, NO_FILES)
    assert (tmp_path / "bn.csv").read_text() == "split,index,true,predicted,probability,true_probability\n"


@pytest.mark.parametrize(
    ("order", "told", "expected"),
    [
        ("confidence", "4 mistakes of 5, most confident first",
         ["✓ dog", "✗ owl", "90.0 %", "✓ cat", "✗ dog", "60.0 %"]),
        ("loss", "4 mistakes of 5, highest loss first",
         ["✓ cat", "10.0 %", "✗ dog", "60.0 %", "✓ dog", "10.0 %", "✗ owl", "90.0 %"]),
        ("random", "4 mistakes of 5, drawn at random", ["✓ dog", "✗ owl", "90.0 %", "✓ dog", "✗ cat", "50.0 %"]),
    ],
)  # fmt: skip
def test_captions_name_the_true_class_the_predicted_one_and_its_probability(
    order: GalleryOrder, told: str, expected: list[str]
) -> None:
    drawn = texts(draw_gallery(pictures(5), PREDICTIONS, CLASSES, (1, 2), "bn, test", order))
    assert drawn[:2] == ["bn, test", told]
    assert drawn[4:] == expected


@pytest.mark.parametrize(("rows", "columns", "shown"), [(5, 5, 4), (2, 2, 4), (1, 3, 3), (5, 1, 4), (1, 1, 1)])
def test_no_more_cells_than_asked_for_and_none_left_empty(rows: int, columns: int, shown: int) -> None:
    figure = draw_gallery(pictures(5), PREDICTIONS, CLASSES, (rows, columns), "bn, test")
    assert sum(text.endswith(" %") for text in texts(figure)) == shown
    used_rows = -(-shown // columns)
    assert figure.bbox.height < HEADER + used_rows * (TILE + 110)


def test_a_perfect_network_gets_a_picture_that_says_so() -> None:
    figure = draw_gallery(pictures(5), PERFECT, CLASSES, (5, 5), "bn, test")
    assert texts(figure) == ["bn, test", "No mistakes: all 5 images are right"]


def test_samples_show_right_and_wrong_predictions_in_their_colours() -> None:
    figure = draw_samples(pictures(5), PREDICTIONS, CLASSES, (6, 4), "bn, test")
    assert "5 of 5, drawn at random: 1 right, 4 wrong" in texts(figure)
    drawn = [(text.get_text(), text.get_color()) for text in figure.texts][5:]
    assert {tuple(drawn[i : i + 3]) for i in range(0, len(drawn), 3)} == {
        (("✓ cat", RIGHT), ("cat", INK), ("70.0 %", INK)),
        (("✓ cat", RIGHT), ("✗ dog", WRONG), ("60.0 %", WRONG)),
        (("✓ dog", RIGHT), ("✗ owl", WRONG), ("90.0 %", WRONG)),
        (("✓ owl", RIGHT), ("✗ dog", WRONG), ("60.0 %", WRONG)),
        (("✓ dog", RIGHT), ("✗ cat", WRONG), ("50.0 %", WRONG)),
    }


@pytest.mark.parametrize(("rows", "columns", "shown"), [(6, 4, 24), (1, 1, 1), (20, 20, 60)])
def test_samples_are_the_same_images_for_every_network(rows: int, columns: int, shown: int) -> None:
    """Each image has a class of its own here, so that the captions tell which were drawn."""
    classes = [f"class {label}" for label in range(60)]

    def drawn(seed: int) -> list[str]:
        probabilities = np.random.default_rng(seed).dirichlet(np.ones(60), 60).astype(np.float32)
        figure = draw_samples(pictures(60), Predictions(probabilities, np.arange(60)), classes, (rows, columns), "bn")
        return [text for text in texts(figure) if text.startswith("✓ class")]

    first = drawn(seed=1)
    assert first == drawn(seed=2)
    assert len(set(first)) == shown
    assert first[:1] != ["✓ class 0"], "at random"


def test_the_most_confident_predictions_are_taken_from_each_class_in_turn() -> None:
    """Predicted: cat with 0.7 and 0.5, dog twice with 0.6, owl with 0.9."""
    figure = draw_most_confident(pictures(5), PREDICTIONS, CLASSES, (2, 2), "bn, test")
    assert "4 of the most confident of 5 predictions, from each class in turn: 1 right, 3 wrong" in texts(figure)
    assert captions(figure) == [
        ("✓ dog", "✗ owl", "90.0 %"),
        ("✓ cat", "cat", "70.0 %"),
        ("✓ cat", "✗ dog", "60.0 %"),
        ("✓ owl", "✗ dog", "60.0 %"),
    ]


def test_the_least_confident_predictions_come_with_the_least_confident_first() -> None:
    figure = draw_least_confident(pictures(5), PREDICTIONS, CLASSES, (1, 2), "bn, test")
    assert "The 2 least confident of 5 predictions: 0 right, 2 wrong" in texts(figure)
    assert captions(figure) == [("✓ dog", "✗ cat", "50.0 %"), ("✓ cat", "✗ dog", "60.0 %")]


@pytest.mark.parametrize("draw", [draw_samples, draw_most_confident, draw_least_confident])
@pytest.mark.parametrize("judged", [PERFECT, Predictions(np.array([[0.5, 0.5]], dtype=np.float32), np.array([1]))])
def test_any_network_and_any_number_of_images_can_be_shown(draw: Callable[..., Figure], judged: Predictions) -> None:
    """A perfect network; one image and two classes, on which it is undecided."""
    images = pictures(len(judged.labels), 32, 32, 3)
    figure = draw(images, judged, CLASSES[: judged.probabilities.shape[1]], (5, 5), "bn, test")
    assert len(captions(figure)) == len(images)


def test_the_same_gallery_gives_the_same_bytes_without_a_date(tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        gallery = draw_gallery(pictures(5, 32, 32, 3), PREDICTIONS, CLASSES, (2, 2), "bn, test")
        save_figure(gallery, tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    with Image.open(tmp_path / "first.png") as picture:
        assert set(picture.info) == {"dpi"}
