"""Bars of probabilities: of the right images and classes, as long as the probabilities say, and nothing overlaps."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from thumbnet.errors import UserError
from thumbnet.figures.bars import LONGEST_BAR, OTHER, choose_images, draw_bars, make_bars
from thumbnet.figures.style import INK, RIGHT, WRONG, save_figure
from thumbnet.figures.tiles import rgb
from thumbnet.judging.predictions import Predictions

LONG = "a folder with $dollars$ and a very long name, number "


def pictures(n: int, height: int = 28, width: int = 28, channels: int = 1) -> NDArray[np.uint8]:
    return np.full((n, height, width, channels), 40, dtype=np.uint8)


def predictions(n: int, classes: int, seed: int = 0) -> Predictions:
    random = np.random.default_rng(seed)
    return Predictions(random.dirichlet(np.ones(classes), n).astype(np.float32), random.integers(0, classes, n))


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


@pytest.mark.parametrize(
    ("wanted", "images"),
    [
        ([2, 0], [2, 0]),
        ([], [3, 4, 1, 2, 0]),  # mistakes by confidence, right predictions by doubt
    ],
)
def test_the_images_are_those_asked_for_or_mistakes_and_doubtful_ones(wanted: list[int], images: list[int]) -> None:
    sure = np.array([0.95, 0.6, 0.7, 0.9, 0.8], dtype=np.float32)
    judged = Predictions(np.stack([sure, 1 - sure], axis=1), np.array([0, 0, 0, 1, 1]))  # 3 and 4 are wrong
    assert choose_images(judged, wanted, "confidence") == images


@pytest.mark.parametrize(
    ("mistakes", "right", "expected"), [(50, 50, 4), (1, 50, 1), (50, 1, 7), (0, 50, 0), (3, 2, 3)]
)
def test_mistakes_and_right_predictions_make_up_for_each_other(mistakes: int, right: int, expected: int) -> None:
    labels = np.repeat([0, 1], [right, mistakes])
    judged = Predictions(np.tile(np.array([0.6, 0.4], dtype=np.float32), (len(labels), 1)), labels)
    chosen = choose_images(judged, [], "loss")
    assert len(chosen) == len(set(chosen)) == min(8, mistakes + right)
    assert int(labels[chosen].sum()) == expected


def test_an_image_that_is_not_there_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(UserError, match=r"gallery\.bars names image 100: test has 100; allowed are 0 to 99"):
        choose_images(predictions(100, 3), [99, 100], "confidence")


def test_a_bar_for_each_class_in_their_order_with_the_truth_and_the_mistake_marked() -> None:
    bars = make_bars(np.array([0.3, 0.6, 0.1], dtype=np.float32), 0, ["cat", "dog", "owl"])
    assert [(bar.words, bar.colour, bar.bold) for bar in bars] == [
        ("✓ cat", RIGHT, False),
        ("✗ dog", WRONG, True),
        ("owl", INK, False),
    ]
    assert [bar.probability for bar in bars] == pytest.approx([0.3, 0.6, 0.1])


def test_of_many_classes_the_most_probable_and_the_true_one_have_bars() -> None:
    probabilities = np.arange(100, dtype=np.float32) / np.arange(100).sum()
    bars = make_bars(probabilities, 5, [f"class {label}" for label in range(100)])
    assert [bar.words for bar in bars] == ["✗ class 99", *(f"class {label}" for label in range(98, 90, -1)),
                                           "✓ class 5", "90 others"]  # fmt: skip
    assert sum(bar.probability for bar in bars) == pytest.approx(1)


def test_bars_are_as_long_as_probabilities_are_high(tmp_path: Path) -> None:
    judged = Predictions(np.array([[0.2, 0.7, 0.1]], dtype=np.float32), np.array([0]))
    save_figure(draw_bars(pictures(1), judged, ["cat", "dog", "owl"], [0], "bn, test"), tmp_path / "bars.png")
    picture = np.asarray(Image.open(tmp_path / "bars.png").convert("RGB"))
    for colour, probability in ((RIGHT, 0.2), (WRONG, 0.7), (OTHER, 0.1)):
        own = (picture == rgb(colour)).all(axis=-1).ravel()
        ends = np.flatnonzero(np.diff(np.concatenate([[False], own, [False]])))
        assert (ends[1::2] - ends[::2]).max() == round(probability * LONGEST_BAR), "letters are never so long"


@pytest.mark.parametrize("classes", [2, 10, 11, 100])
@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (400, 300, 3)])
def test_words_stay_inside_and_apart(classes: int, shape: tuple[int, int, int]) -> None:
    judged = predictions(5, classes)
    names = [f"{LONG}{label}" for label in range(classes)]
    figure = draw_bars(pictures(5, *shape), judged, names, range(5), "network " * 30)
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    for i, box in enumerate(boxes):
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height
        for other in boxes[:i]:
            assert not (box.x0 < other.x1 - 0.1 and other.x0 < box.x1 - 0.1 and box.y0 < other.y1 and other.y0 < box.y1)
