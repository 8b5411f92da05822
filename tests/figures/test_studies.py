"""The pictures of studies, drawn from points of their own; what they show of a study is in tests/studies."""

from pathlib import Path

import pytest
from matplotlib.text import Text

from thumbnet.figures.studies import Curve, Point, Sized, draw_curves, draw_dots, draw_lines, draw_parameters
from thumbnet.figures.style import save_figure


def test_a_single_epoch_is_drawn_as_points() -> None:
    curves = [Curve(name, range(1, epochs + 1), *[[0.5] * epochs] * 4) for name, epochs in (("one", 1), ("two", 2))]
    figure = draw_curves("Curves", curves)
    (one, two) = ([line.get_marker() for line in figure.axes[0].lines[start : start + 2]] for start in (0, 2))
    assert (one, two) == (["o", "o"], ["None", "None"])


def test_panels_have_one_scale() -> None:
    points = [Point(panel, place, "train", value, value, value)
              for panel, value in (("a", 0.2), ("b", 0.9)) for place in ("10", "20")]  # fmt: skip
    left, right = draw_lines("Lines", points, ["a", "b"], "accuracy", "width", log=False).axes
    assert left.get_ylim() == right.get_ylim()
    assert left.get_ylim()[0] < 0.2 < 0.9 < left.get_ylim()[1]


@pytest.mark.parametrize("name", [r"a$\b$", "u_$^$", "b$c$d", "long " * 100], ids=["macro", "power", "formula", "long"])
def test_names_are_drawn_as_they_are_and_shortened_where_they_are_long(tmp_path: Path, name: str) -> None:
    points = [Point(name, place, series, 0.5, 0.4, 0.6) for place, series in (("1", name), ("2", "other"))]
    of_places = [Point(name, point.series, point.series, 0.5, 0.4, 0.6) for point in points]
    sizes = [Sized(name, 1000, 0.8), Sized(name, 2000, 0.7, source="S1", measure="test")]
    for figure in (
        draw_dots("Dots", of_places, [name], "accuracy"),
        draw_lines("Lines", points, [name], "accuracy", name, log=False),
        draw_parameters("Sizes", sizes, "test"),
        draw_curves("Curves", [Curve(name, range(1, 3), *[[0.5] * 2] * 4)] * 2),
    ):
        save_figure(figure, tmp_path / "picture.png")
        texts = [text for text in figure.findobj(Text) if text.get_text().startswith(name[:4])]
        assert texts
        assert not any(text.get_parse_math() for text in texts)
        assert all(text.get_window_extent().width < 1200 for text in texts)


def test_many_figures_of_a_source_share_a_mark() -> None:
    networks = [
        Sized("mine", 1000, 0.8),
        *(Sized(f"S1: {name}", 2000, 0.7, source="S1", measure="test") for name in "ab"),
    ]
    networks += [Sized(f"S4: {count}", count, 0.6, source="S4", measure="validation") for count in range(3000, 3020)]
    (axes,) = draw_parameters("Sizes", networks, "test").axes
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["ours", "S1: a", "S1: b", "S4: 20 figures, validation"]
