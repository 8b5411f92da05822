"""Grad-CAM pictures: which images and classes, heat in its place, and words that tell which class is meant."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from thumbnet.figures.explanations import (
    choose_classes,
    choose_images,
    draw_explanations,
    draw_unexplained,
    overlay,
)
from thumbnet.figures.style import save_figure
from thumbnet.judging.predictions import Predictions

CLASSES = ["cat", "dog", "owl"]
PREDICTIONS = Predictions(
    np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.0, 0.1, 0.9], [0.1, 0.7, 0.2], [0.5, 0.4, 0.1]], dtype=np.float32),
    np.array([0, 0, 2, 2, 0]),
)  # 1 and 3 are wrong, 3 the surer one; right and the surest of their classes are 2 and 0, then 4


def pictures(n: int, side: int = 28, channels: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, channels), dtype=np.uint8)


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


@pytest.mark.parametrize(("counts", "indices"), [((8, 4), [3, 1, 2, 0, 4]), ((1, 1), [3, 2]), ((1, 3), [3, 2, 0, 4])])
def test_mistakes_come_first_then_right_predictions_of_each_class_in_turn(
    counts: tuple[int, int], indices: list[int]
) -> None:
    assert list(choose_images(PREDICTIONS, counts, "confidence")) == indices


def test_the_other_class_is_the_true_one_or_the_second_choice() -> None:
    assert choose_classes(PREDICTIONS, np.array([3, 1, 2, 0])).tolist() == [[1, 2], [1, 0], [2, 1], [0, 1]]


def test_each_strip_says_what_it_explains() -> None:
    heat = np.ones((2, 2, 7, 7), dtype=np.float32)
    drawn = texts(draw_explanations(pictures(5), PREDICTIONS, np.array([3, 2]), heat, CLASSES, "bn, test"))
    assert drawn[:2] == [
        "bn, test",
        "Grad-CAM of 1 mistake and 1 right prediction: what in an image speaks for a class",
    ]
    assert drawn[drawn.index("most") + 1 :] == [
        *("✓ owl", "image 3", "✗ dog", "70.0 %", "predicted", "✓ owl", "20.0 %", "true class"),
        *("✓ owl", "image 2", "✓ owl", "90.0 %", "predicted", "dog", "10.0 %", "second choice"),
    ]


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (300, 200, 3)])
def test_heat_lies_over_the_place_that_it_comes_from(shape: tuple[int, int, int]) -> None:
    heat = np.zeros((4, 4), dtype=np.float32)
    heat[0, 3] = 5
    painted = overlay(np.full(shape, 128, dtype=np.uint8), heat)
    assert painted.shape == (*shape[:2], 3)
    high, wide = shape[:2]
    brightness = painted.sum(axis=2, dtype=int)
    top, left = np.unravel_index(brightness.argmax(), brightness.shape)
    assert top < high // 4
    assert left >= wide - wide // 4
    assert np.ptp(brightness[high // 2 + 1 :, : wide // 2 - 1]) < 10, "no heat, no colour"


def test_an_image_without_any_heat_is_left_to_be_seen() -> None:
    image = pictures(1)[0]
    painted = overlay(image, np.zeros((7, 7), dtype=np.float32))
    assert np.corrcoef(painted[..., 0].ravel(), image.ravel())[0, 1] > 0.999


@pytest.mark.parametrize(("count", "channels", "side"), [(1, 1, 8), (5, 3, 32), (2, 1, 200)])
@pytest.mark.parametrize("classes", [CLASSES, ["a folder with a very long name " + name for name in CLASSES]])
def test_words_stay_inside_and_apart(count: int, channels: int, side: int, classes: list[str]) -> None:
    heat = np.ones((count, 2, 4, 4), dtype=np.float32)
    images = pictures(5, side, channels)
    figure = draw_explanations(images, PREDICTIONS, np.arange(count), heat, classes, "bn, test")
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.texts if text.get_text().strip()]
    for i, box in enumerate(boxes):
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height
        for other in boxes[:i]:
            assert not (box.x0 < other.x1 - 0.1 and other.x0 < box.x1 - 0.1 and box.y0 < other.y1 and other.y0 < box.y1)


def test_a_network_without_convolutions_gets_a_picture_that_says_so(tmp_path: Path) -> None:
    figure = draw_unexplained("mlp, test", "mlp")
    assert texts(figure) == ["mlp, test", "No Grad-CAM: mlp has no convolution that keeps places apart"]
    save_figure(figure, tmp_path / "mlp.png")
    with Image.open(tmp_path / "mlp.png") as picture:
        assert picture.size[0] >= 488
