"""Text that fits, on every picture."""

from pathlib import Path

import numpy as np
import pytest

from thumbnet.figures import style
from thumbnet.figures.style import SERIES, ellipsize, percent, percent_tick, series_colour, text_width


@pytest.mark.parametrize(
    ("text", "beginning", "end"),
    [("a folder, number 7", "a fo", " 7"), ("$a$ folder with $dollars$", "$a$ ", "ars$")],
)
def test_text_that_does_not_fit_keeps_both_its_ends(text: str, beginning: str, end: str) -> None:
    shortened = ellipsize(text, 0.7 * text_width(text, 10), size=10)
    assert shortened.startswith(beginning)
    assert shortened.endswith(end)
    assert shortened.count("…") == 1


@pytest.mark.parametrize(("text", "width", "expected"), [("cat", 200, "cat"), ("cat", 1, "…"), ("", 1, "")])
def test_text_that_fits_is_left_alone_and_no_room_leaves_an_ellipsis(text: str, width: float, expected: str) -> None:
    assert ellipsize(text, width, size=10) == expected


@pytest.mark.parametrize("width", [20, 50, 100, 200])
def test_shortened_text_fits_and_wastes_little(width: int) -> None:
    shortened = ellipsize("W" * 100, width, size=10)
    assert text_width(shortened, 10) <= width < text_width(shortened + "W", 10)


def test_an_umlaut_does_not_move_a_line() -> None:
    figure = style.new_figure(200, 60)
    for x, text in ((10, "pfel"), (70, "Äpfel"), (140, "")):
        style.write(figure, x, 20, text, 13)
    plain, umlaut, _ = figure.texts
    assert plain.get_position()[1] == umlaut.get_position()[1]
    assert plain.get_verticalalignment() == umlaut.get_verticalalignment() == "baseline"
    figure.canvas.draw()
    dark = np.asarray(figure.canvas.buffer_rgba())[:, :60, 0] < 128  # type: ignore[attr-defined]
    assert np.flatnonzero(dark.any(axis=1))[0] in (20, 21), "the top of its l"


def test_letters_that_the_font_lacks_are_told_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    style._tell_missing.cache_clear()
    figure = style.new_figure(200, 60)
    style.write_title(figure, "日本語")
    style.save_figure(figure, tmp_path / "title.png")
    assert text_width("日本", 10) > 0
    assert capsys.readouterr().err.count("\n") == 1
    assert not recwarn.list


def test_percent() -> None:
    assert (percent(0.9231), percent(0.9231, 2), percent_tick(0.255, 0)) == ("92 %", "92.31 %", "25.5 %")


def test_twenty_networks_have_twenty_colours() -> None:
    assert len({series_colour(place) for place in range(20)}) == 20
    assert [series_colour(place) for place in range(len(SERIES))] == list(SERIES)
    assert series_colour(20) == series_colour(0)
