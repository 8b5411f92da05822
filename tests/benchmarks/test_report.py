"""The table in docs/performance.md, and the picture beside it."""

from pathlib import Path

import pytest

from benchmarks.measuring import Result
from benchmarks.report import BEGIN, END, draw, tables, write_tables
from benchmarks.summary import Measurement, summarise
from thumbnet.errors import UserError
from thumbnet.figures.style import save_figure

ROOT = Path(__file__).parents[2]
FACTS = {"flagship": "48,822 parameters, CIFAR-10", "mlp_128": "101,770 parameters, MNIST"}


def measurement(part, number, network, variant, **result):
    level = 0.75 if part == "accuracy" else None
    return Measurement(part, number, network, variant, level, 9, Result(start_seconds=4.0, **result))


FIGURES = summarise(
    [
        measurement("speed", 1, "flagship", "thumbnet", images_per_second=3000.4, peak_bytes=1_234_000_000),
        measurement("speed", 1, "flagship", "pytorch", images_per_second=1000.0),
        measurement("speed", 2, "flagship", "thumbnet", images_per_second=3100.0, peak_bytes=1_200_000_000),
        measurement("speed", 2, "flagship", "pytorch", images_per_second=800.0),
        measurement("accuracy", 1, "flagship", "thumbnet", accuracies=[0.8], seconds_to_level=20.0),
        measurement("accuracy", 1, "flagship", "pytorch", accuracies=[0.7]),
        measurement("accuracy", 1, "mlp_128", "keras", accuracies=[0.7], seconds_to_level=61.25),
    ]
)


def test_the_table_tells_spread_factor_and_what_was_not_reached():
    rows = tables(FIGURES, FACTS).splitlines()
    assert rows[0] == "**flagship**: 48,822 parameters, CIFAR-10"
    assert rows[2] == "| variant | images/s | factor | peak memory, MB | start, s | seconds to 75.0 % | factor |"
    assert rows[4] == "| **thumbnet** | **3,050 (3,000–3,100)** | **–** | **1,234** | **4.0** | **20.0** | **–** |"
    assert rows[5] == (
        "| PyTorch, DataLoader | 900 (800–1,000) | 3.44 (3.00–3.88) | – | 4.0 | not reached in 9 epochs | – |"
    )
    assert rows[-1] == "| Keras on TensorFlow | – | – | – | – | 61.2 | – |"


def test_a_table_replaces_the_one_before_it_and_nothing_else(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text(f"# Speed\n\n{BEGIN}\n\nold\n\n{END}\n\n## More\n")
    write_tables(page, "new\n")
    assert page.read_text() == f"# Speed\n\n{BEGIN}\n\nnew\n\n{END}\n\n## More\n"
    write_tables(tmp_path / "docs" / "fresh.md", "new")
    assert (tmp_path / "docs" / "fresh.md").read_text() == f"{BEGIN}\n\nnew\n\n{END}\n"


@pytest.mark.parametrize("content", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_a_page_without_its_marks_is_left_alone(tmp_path: Path, content: str):
    page = tmp_path / "page.md"
    page.write_text(content)
    with pytest.raises(UserError, match=r"page\.md lacks the lines"):
        write_tables(page, "new")
    assert page.read_text() == content


def test_the_page_of_the_project_has_the_marks():
    text = (ROOT / "docs/performance.md").read_text()
    assert text.count(BEGIN) == text.count(END) == 1
    assert text.index(BEGIN) < text.index(END)


def test_the_picture_has_a_panel_for_each_network_with_speeds(tmp_path: Path):
    figure = draw(FIGURES, FACTS, "2 threads")
    (panel,) = figure.axes  # of mlp_128 only a time to an accuracy is known
    assert [label.get_text() for label in panel.get_yticklabels()] == ["thumbnet", "PyTorch, DataLoader"]
    texts = [text.get_text() for text in panel.texts]
    assert texts == ["3,050", "900   thumbnet is 3.44× as fast"]
    save_figure(figure, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 5000
