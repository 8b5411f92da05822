"""Galleries of mistakes: which, in which order, and nothing runs over an edge or into its neighbour."""

import csv
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from thumbnet.figures.galleries import HEADER, TILE, draw_gallery, enlarge, find_mistakes, write_mistakes_table
from thumbnet.figures.style import save_figure
from thumbnet.judging.predictions import Predictions

CLASSES = ["cat", "dog", "owl"]
PREDICTIONS = Predictions(
    np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.0, 0.1, 0.9], [0.1, 0.6, 0.3], [0.5, 0.4, 0.1]], dtype=np.float32),
    np.array([0, 0, 1, 2, 1]),
)  # image 0 is right


def pictures(n: int, height: int = 8, width: int = 8, channels: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, height, width, channels), dtype=np.uint8)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def test_mistakes_come_with_the_surest_first_and_ties_in_the_images_order() -> None:
    mistakes = find_mistakes(PREDICTIONS)
    assert [mistake.index for mistake in mistakes] == [2, 1, 3, 4]
    first = mistakes[0]
    assert (first.true, first.predicted) == (1, 2)
    assert (first.probability, first.true_probability) == pytest.approx((0.9, 0.1))


def test_the_table_lists_every_mistake_of_every_split(tmp_path: Path) -> None:
    mistakes = find_mistakes(PREDICTIONS)
    write_mistakes_table(tmp_path / "bn.csv", {"validation": mistakes, "test": mistakes[:1]}, CLASSES)
    rows = list(csv.reader((tmp_path / "bn.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[0] == ["split", "index", "true", "predicted", "probability", "true_probability"]
    assert rows[1] == ["validation", "2", "dog", "owl", "0.900000", "0.100000"]
    assert [row[0] for row in rows[1:]] == ["validation"] * 4 + ["test"]


def test_the_table_of_a_perfect_network_is_its_header(tmp_path: Path) -> None:
    write_mistakes_table(tmp_path / "bn.csv", {"validation": [], "test": []}, CLASSES)
    assert (tmp_path / "bn.csv").read_text() == "split,index,true,predicted,probability,true_probability\n"


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((28, 28, 1), (224, 224, 3)),  # 8 times
        ((32, 32, 3), (224, 224, 3)),  # 7 times
        ((8, 8, 1), (224, 224, 3)),  # 28 times
        ((400, 200, 3), (224, 112, 3)),  # reduced
    ],
)
def test_images_are_enlarged_to_fit_a_tile(shape: tuple[int, int, int], expected: tuple[int, int, int]) -> None:
    assert enlarge(pictures(1, *shape)[0]).shape == expected


def test_every_pixel_stays_a_sharp_square_in_the_picture(tmp_path: Path) -> None:
    images = pictures(5, 28, 28)
    mistakes = find_mistakes(PREDICTIONS)
    save_figure(draw_gallery(images, mistakes, CLASSES, 1, 1, "bn, test"), tmp_path / "gallery.png")
    picture = np.asarray(Image.open(tmp_path / "gallery.png").convert("RGB"))  # (height, width, 3)
    expected = enlarge(images[mistakes[0].index])
    tall, wide, _ = expected.shape
    found = [
        (top, left)
        for top, left in np.argwhere((picture[:-tall, :-wide] == expected[0, 0]).all(axis=-1))
        if np.array_equal(picture[top : top + tall, left : left + wide], expected)
    ]
    assert len(found) == 1


def test_captions_name_the_true_class_the_predicted_one_and_its_probability() -> None:
    drawn = texts(draw_gallery(pictures(5), find_mistakes(PREDICTIONS), CLASSES, 1, 2, "bn, test"))
    assert "bn, test" in drawn
    assert "4 mistakes of 5, most confident first" in drawn
    assert drawn[-6:] == ["✓ dog", "✗ owl", "90.0 %", "✓ cat", "✗ dog", "60.0 %"]


@pytest.mark.parametrize(("rows", "columns", "shown"), [(5, 5, 4), (2, 2, 4), (1, 3, 3), (5, 1, 4), (1, 1, 1)])
def test_no_more_cells_than_asked_for_and_none_left_empty(rows: int, columns: int, shown: int) -> None:
    figure = draw_gallery(pictures(5), find_mistakes(PREDICTIONS), CLASSES, rows, columns, "bn, test")
    assert sum(text.endswith(" %") for text in texts(figure)) == shown
    used_rows = -(-shown // columns)
    assert figure.bbox.height < HEADER + used_rows * (TILE + 110)


def test_a_perfect_network_gets_a_picture_that_says_so() -> None:
    figure = draw_gallery(pictures(5), [], CLASSES, 5, 5, "bn, test")
    assert "No mistakes: all 5 images are right" in texts(figure)


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_long_names_stay_inside_and_apart(columns: int) -> None:
    classes = [f"a folder with $dollars$ and a very long name, number {i}" for i in range(3)]
    figure = draw_gallery(pictures(5, 28, 28), find_mistakes(PREDICTIONS), classes, 5, columns, "network " * 30)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    for i, box in enumerate(boxes):
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height
        for other in boxes[:i]:
            assert not (box.x0 < other.x1 and other.x0 < box.x1 and box.y0 < other.y1 and other.y0 < box.y1)


def test_the_same_gallery_gives_the_same_bytes_without_a_date(tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        gallery = draw_gallery(pictures(5, 32, 32, 3), find_mistakes(PREDICTIONS), CLASSES, 2, 2, "bn, test")
        save_figure(gallery, tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
    with Image.open(tmp_path / "first.png") as picture:
        assert set(picture.info) == {"dpi"}
