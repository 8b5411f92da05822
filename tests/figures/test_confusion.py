"""The confusion matrix as a picture."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from thumbnet.figures.confusion import draw_confusion
from thumbnet.figures.style import save_figure

JUDGED = {"accuracy": 0.9, "low": 0.8812, "high": 0.9163}


def drawn(classes: list[str], labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> Figure:
    return draw_confusion(labels, predicted, classes, JUDGED, 0.95, "bn, test")


def cells(figure: Figure) -> dict[tuple[int, int], list[str]]:
    """The numbers in the picture, from top to bottom, by true and predicted class."""
    found: dict[tuple[int, int], list[str]] = {}
    for text in figure.axes[0].texts:
        column, row = text.get_position()
        found.setdefault((round(row), round(column)), []).append(text.get_text())
    return found


def test_cells_show_numbers_of_images_and_shares_of_the_row_and_nothing_for_none() -> None:
    figure = drawn(["cat", "dog", "owl"], np.array([0] * 1500 + [1, 1, 2]), np.array([0] * 1500 + [1, 2, 2]))
    assert cells(figure) == {
        (0, 0): ["1,500", "100.0 %"],
        (1, 1): ["1", "50.0 %"],
        (1, 2): ["1", "50.0 %"],
        (2, 2): ["1", "100.0 %"],
    }


def test_a_class_without_images_is_white() -> None:
    """Green of the lightest shade would say that it is never recognised."""
    (image,) = drawn(["cat", "dog", "owl"], np.array([0, 0, 1]), np.array([0, 2, 1])).axes[0].images
    colours = np.asarray(image.get_array())
    assert colours[2, 2].tolist() == [1, 1, 1, 1] != colours[1, 1].tolist()


def test_small_cells_show_numbers_of_images_alone() -> None:
    labels = np.repeat(np.arange(30), 10)
    assert cells(drawn([str(i) for i in range(30)], labels, labels))[0, 0] == ["10"]


def test_numbers_stay_inside_their_cells() -> None:
    labels = np.repeat(np.arange(12), 10_000)
    figure = drawn([str(i) for i in range(12)], labels, labels)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    axes = figure.axes[0]
    cell = axes.get_window_extent(renderer).width / 12
    for text in axes.texts:
        assert text.get_window_extent(renderer).width < cell


def test_the_header_has_accuracy_and_interval() -> None:
    figure = drawn(["cat", "dog"], np.array([0, 1]), np.array([0, 1]))
    assert [text.get_text() for text in figure.texts] == [
        "bn, test",
        "90.00 % of 2 images are right",
        "95 % interval: 88.12 % to 91.63 %",
        "no mistakes",
    ]


def test_the_header_names_the_commonest_mistakes() -> None:
    labels, predicted = np.array([0, 0, 0, 1, 1, 2]), np.array([1, 1, 0, 0, 1, 0])
    texts = [text.get_text() for text in drawn(["cat", "dog", "owl"], labels, predicted).texts]
    assert texts[-1] == "commonest mistakes: cat as dog (2); dog as cat (1); owl as cat (1)"


def test_few_mistakes_are_as_visible_as_many() -> None:
    labels = np.repeat([0, 1], 1000)
    predicted = labels.copy()
    predicted[:30] = 1
    shades = np.asarray(drawn(["cat", "dog"], labels, predicted).axes[0].images[0].get_array())  # (2, 2, 4)
    assert shades[0, 1, :3].sum() < 1.5  # 3 % of a row, and dark
    assert shades[1, 0, :3].sum() == pytest.approx(3)  # none, and white


@pytest.mark.parametrize("classes", [2, 3, 10, 40, 100])
def test_labels_stay_inside_the_picture_and_out_of_the_matrix(classes: int) -> None:
    names = [f"a folder with $dollars$ and a very long name, number {i}" for i in range(classes)]
    figure = drawn(names, np.arange(classes), np.arange(classes))
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    axes = figure.axes[0]
    matrix = axes.get_window_extent(renderer)
    for label in axes.get_xticklabels() + axes.get_yticklabels() + [axes.xaxis.label, axes.yaxis.label]:
        box = label.get_window_extent(renderer)
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= matrix.x0 or box.y1 <= matrix.y0
    for text in figure.texts:
        assert text.get_window_extent(renderer).x1 <= figure.bbox.width


@pytest.mark.parametrize(("classes", "numbered"), [(10, True), (100, False)])
def test_numbers_are_left_out_where_they_could_not_be_read(classes: int, numbered: bool) -> None:
    labels = np.repeat(np.arange(classes), 1000)
    assert bool(cells(drawn([str(i) for i in range(classes)], labels, labels))) is numbered


def test_the_same_matrix_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        save_figure(drawn(["cat", "dog"], np.array([0, 1, 1]), np.array([0, 1, 0])), tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
