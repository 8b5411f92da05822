"""Thumbnails in rows and columns: enlarged sharply, each where it belongs, and no words over an edge or each other."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from thumbnet.figures.style import INK, save_figure
from thumbnet.figures.tiles import SMALL_TILE, TILE, Tile, Words, draw_table, draw_tiles, enlarge

LONG = "a folder with $dollars$ and a very long name, number "


def pictures(n: int, height: int = 8, width: int = 8, channels: int = 1) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, height, width, channels), dtype=np.uint8)


def pixels(figure: Figure, folder: Path) -> NDArray[np.uint8]:
    """(height, width, 3)."""
    save_figure(figure, folder / "picture.png")
    return np.asarray(Image.open(folder / "picture.png").convert("RGB"))


def place(tile: NDArray[np.uint8], picture: NDArray[np.uint8]) -> tuple[int, int]:
    """Where in the picture the tile is, as it is, and just once: its left and upper edges."""
    tall, wide, _ = tile.shape
    found = [
        (int(left), int(top))
        for top, left in np.argwhere((picture[:-tall, :-wide] == tile[0, 0]).all(axis=-1))
        if np.array_equal(picture[top : top + tall, left : left + wide], tile)
    ]
    assert len(found) == 1
    return found[0]


def assert_words_stay_inside_and_apart(figure: Figure) -> None:
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    for i, box in enumerate(boxes):
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height
        for other in boxes[:i]:
            assert not (box.x0 < other.x1 and other.x0 < box.x1 and box.y0 < other.y1 and other.y0 < box.y1)


@pytest.mark.parametrize(
    ("shape", "side", "expected"),
    [
        ((28, 28, 1), TILE, (224, 224, 3)),  # 8 times
        ((32, 32, 3), TILE, (224, 224, 3)),  # 7 times
        ((8, 8, 1), TILE, (224, 224, 3)),  # 28 times
        ((32, 32, 3), SMALL_TILE, (96, 96, 3)),  # 3 times
        ((400, 200, 3), TILE, (224, 112, 3)),  # reduced
    ],
)
def test_images_are_enlarged_to_fit_a_tile(
    shape: tuple[int, int, int], side: int, expected: tuple[int, int, int]
) -> None:
    assert enlarge(pictures(1, *shape)[0], side).shape == expected


def test_tiles_follow_each_other_row_by_row(tmp_path: Path) -> None:
    images = pictures(5, 28, 28, 3)
    picture = pixels(draw_tiles([Tile(image, (Words("a"), Words("b"))) for image in images], 2, "title", []), tmp_path)
    places = [place(enlarge(image, TILE), picture) for image in images]
    lefts, tops = (sorted({position[axis] for position in places}) for axis in (0, 1))
    assert places == [(lefts[number % 2], tops[number // 2]) for number in range(5)]


def test_a_table_has_its_rows_below_each_other(tmp_path: Path) -> None:
    images = pictures(5, 8, 8)
    rows = [([Words("first")], list(images[:3])), ([Words("second")], list(images[3:]))]
    picture = pixels(draw_table(rows, ["a", "b", "c"], "title", [[Words("words")]]), tmp_path)
    places = [place(enlarge(image, SMALL_TILE), picture) for image in images]
    lefts, tops = (sorted({position[axis] for position in places}) for axis in (0, 1))
    assert places == [(lefts[column], tops[row]) for row, column in ((0, 0), (0, 1), (0, 2), (1, 0), (1, 1))]


def test_neighbours_that_belong_together_stand_closer(tmp_path: Path) -> None:
    images = pictures(6, 28, 28)
    tiles = [Tile(image, (Words("a"),)) for image in images]
    picture = pixels(draw_tiles(tiles, 6, "title", [], together=3), tmp_path)
    lefts = [place(enlarge(image, TILE), picture)[0] for image in images]
    within, between = lefts[1] - lefts[0], lefts[3] - lefts[2]
    assert np.diff(lefts).tolist() == [within, within, between, within, within]
    assert TILE < within < between


def test_a_long_table_can_be_broken_into_columns(tmp_path: Path) -> None:
    images = pictures(5, 8, 8)
    rows = [([Words(f"class {number}")], [image]) for number, image in enumerate(images)]
    picture = pixels(draw_table(rows, [], "title", [[Words("words")]], side=64, blocks=2), tmp_path)
    places = [place(enlarge(image, 64), picture) for image in images]
    lefts, tops = (sorted({position[axis] for position in places}) for axis in (0, 1))
    assert places == [(lefts[number // 3], tops[number % 3]) for number in range(5)]


def test_a_table_may_begin_with_a_row_without_images(tmp_path: Path) -> None:
    images = pictures(1, 8, 8)
    rows = [([Words("none")], []), ([Words("one")], list(images))]
    picture = pixels(draw_table(rows, [], "title", [[Words("words")]]), tmp_path)
    assert place(enlarge(images[0], SMALL_TILE), picture)


def test_who_says_so_stands_before_the_words_which_begin_below_each_other() -> None:
    caption = (Words("true"), Words("first", lead="bn"), Words("second", lead="a name", aside="9 %"))
    figure = draw_tiles([Tile(pictures(1)[0], caption)], 1, "title", [])
    left = {text.get_text(): text.get_position()[0] for text in figure.texts}
    assert left["true"] == left["bn"] == left["a name"] < left["first"] == left["second"]
    assert_words_stay_inside_and_apart(figure)


@pytest.mark.parametrize("header", ["a", "words of a header that is longer than an image and its caption are wide"])
def test_a_picture_of_one_image_is_wide_enough_for_its_header(header: str) -> None:
    figure = draw_tiles([Tile(pictures(1)[0], (Words("a"),))], 5, "title", [[Words(header)]])
    assert header in [text.get_text() for text in figure.texts], "not shortened"
    assert_words_stay_inside_and_apart(figure)


@pytest.mark.parametrize("columns", [1, 2, 5])
def test_long_captions_stay_inside_and_apart(columns: int) -> None:
    caption = (Words(LONG + "1", bold=True), Words(LONG + "2", aside="99.0 %"), Words(LONG, lead=LONG, aside="99.0 %"))
    header = [[Words(LONG * 9)], [Words("short    "), Words(LONG * 9)]]
    figure = draw_tiles([Tile(image, caption) for image in pictures(5)], columns, "network " * 30, header)
    assert_words_stay_inside_and_apart(figure)


@pytest.mark.parametrize("shape", [(8, 8), (100, 4), (4, 100), (300, 200)])
@pytest.mark.parametrize("columns", [1, 8])
def test_long_names_of_rows_stay_inside_and_apart(shape: tuple[int, int], columns: int) -> None:
    words = [Words(LONG + "1", INK, bold=True), Words("5,400 of 54,000")]
    rows = [(words, list(pictures(columns, *shape)))] * 3
    heads = [f"epoch {number}" for number in range(columns)]
    assert_words_stay_inside_and_apart(draw_table(rows, heads, "data " * 30, [[Words(LONG * 9)]]))
