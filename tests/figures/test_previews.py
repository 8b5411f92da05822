"""Previews: the right images in the right rows, and words that tell what is on."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from thumbnet.figures.previews import (
    IMAGES_PER_CLASS,
    MISLABELLED,
    MOST_CLASSES,
    draw_augmentation,
    draw_classes,
    draw_mislabelled,
)
from thumbnet.figures.style import save_figure
from thumbnet.params import AugmentParams

OFF = {"flip": "none", "rotation": 0, "shift": 0, "crop": 0, "border": "black", "cutout": 0, "pixel_noise": 0}
LABELS = np.arange(60) % 3


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.texts]


def numbered(count: int) -> NDArray[np.uint8]:
    """Image i is all i, which no ink and no paper is; (count, 8, 8, 1)."""
    return np.arange(1, count + 1, dtype=np.uint8).repeat(64).reshape(count, 8, 8, 1)


def shown(figure: Figure, folder: Path, side: int) -> list[list[int]]:
    """The grey of each image in a table of images of 8×8 pixels, by row."""
    save_figure(figure, folder / "picture.png")
    picture = np.asarray(Image.open(folder / "picture.png").convert("RGB"))
    inside = (picture == picture[..., :1]).all(-1) & (picture[..., 0] < 200)
    edges = inside & ~np.roll(inside, 1, axis=0) & ~np.roll(inside, 1, axis=1)  # of images, and of letters
    corners = [
        (top, left)
        for top, left in np.argwhere(edges)
        if len(np.unique(picture[top : top + side, left : left + side])) == 1
    ]
    return [
        [int(picture[top, left, 0]) for top, left in sorted(corners) if top == row]
        for row in sorted({top for top, _ in corners})
    ]


def test_each_class_has_a_row_of_its_first_images(tmp_path: Path) -> None:
    figure = draw_classes(numbered(60), LABELS, ["cat", "dog", "owl"], "pets, train")
    expected = [[label + 3 * number + 1 for number in range(IMAGES_PER_CLASS)] for label in range(3)]
    assert shown(figure, tmp_path, 112) == expected
    assert texts(figure) == ["pets, train", "The first 8 images of each class", "cat", "20 of 60", "dog", "20 of 60",
                             "owl", "20 of 60"]  # fmt: skip


def test_a_class_with_few_images_or_none_has_a_short_row(tmp_path: Path) -> None:
    figure = draw_classes(numbered(4), np.array([2, 0, 2, 2]), ["cat", "dog", "owl"], "pets, train")
    assert shown(figure, tmp_path, 112) == [[2], [1, 3, 4]]
    assert "0 of 4" in texts(figure)


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (200, 150, 3)])
@pytest.mark.parametrize("classes", [2, 21, 100])
def test_any_number_of_classes_with_long_names_fits(classes: int, shape: tuple[int, int, int]) -> None:
    images = np.zeros((8 * classes, *shape), dtype=np.uint8)
    names = [f"a folder with a very long name, number {label}" for label in range(classes)]
    figure = draw_classes(images, np.arange(8 * classes) % classes, names, "pets, train")
    assert max(figure.bbox.width, figure.bbox.height) < 4000, "a page, not a ribbon"
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    assert all(0 <= box.x0 < box.x1 <= figure.bbox.width and box.y0 >= 0 for box in boxes)
    assert sum(text.startswith("a folder") or "…" in text for text in texts(figure)) == classes


def test_of_many_classes_the_first_are_shown() -> None:
    count = MOST_CLASSES + 1
    figure = draw_classes(numbered(count), np.arange(count), [f"class {label}" for label in range(count)], "many")
    assert f"The first {IMAGES_PER_CLASS} images of {MOST_CLASSES} classes of {count}" in texts(figure)
    assert f"class {MOST_CLASSES - 1}" in texts(figure)
    assert f"class {MOST_CLASSES}" not in texts(figure)


def test_each_image_is_followed_by_what_the_epochs_see_of_it(tmp_path: Path) -> None:
    images = numbered(2)
    seen = np.stack([images + 10, images + 20, images + 30])
    augment = AugmentParams.model_validate(OFF | {"flip": "alternating", "rotation": 15, "crop": 2, "shift": 0.1})
    figure = draw_augmentation(images, seen, augment, "pets, augmentation")
    assert shown(figure, tmp_path, 112) == [[1, 11, 21, 31], [2, 12, 22, 32]]
    assert texts(figure) == ["pets, augmentation", "flip alternating    rotation 15    shift 0.1    crop 2",
                             "image", "epoch 1", "epoch 2", "epoch 3"]  # fmt: skip


def test_without_augmentation_the_picture_says_so(tmp_path: Path) -> None:
    images = numbered(8)
    figure = draw_augmentation(images, np.stack([images, images]), AugmentParams.model_validate(OFF), "pets")
    assert shown(figure, tmp_path, 112) == [list(range(1, 9))]
    assert texts(figure)[1] == "No augmentation is on: every epoch sees the images as they are"


@pytest.mark.parametrize(("wrong", "told"), [(0, "0.0 %"), (3, "5.0 %"), (45, "75.0 %")])
def test_images_with_wrong_labels_are_shown_with_both(wrong: int, told: str) -> None:
    labels = LABELS.copy()
    labels[5 : 5 + wrong] = (labels[5 : 5 + wrong] + 1) % 3
    figure = draw_mislabelled(numbered(60), labels, LABELS, ["cat", "dog", "owl"], "pets, label noise")
    header, captions = texts(figure)[:4], texts(figure)[4:]
    assert header == ["pets, label noise", f"{told} of 60 labels are wrong: label noise", "✓ true class    ", "✗ label"]
    assert len(captions) == 2 * min(wrong, MISLABELLED[0] * MISLABELLED[1])
    assert captions[:4] == ["✓ owl", "✗ cat", "✓ cat", "✗ dog"][: 2 * wrong]
