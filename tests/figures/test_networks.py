"""The picture of a network's layers: what stands in it, that it fits, and that large networks stay legible."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.patches import Rectangle

from thumbnet.figures.networks import BAR, MOST_ROWS, PARAMETERS, WORK, draw_network, make_rows
from thumbnet.figures.style import save_figure
from thumbnet.nets.notation import Shape
from thumbnet.nets.summary import Summary, summarise
from thumbnet.params import ModelParams, TorchvisionParams

NORMS_STUDY = "C16 C16+ c16 P C32 C32+ C32+ c12 P C32 C32+ C32+ G"
DEEP = " ".join(["C16"] + 20 * ["C16+"] + ["S128k5v/2", "A3/2", "D.25", "F"] + 5 * ["L1000"])


def of(line: str, name: str = "bn", **choices: Any) -> Summary:
    return summarise(name, ModelParams(layers=line, **choices), Shape(1, 28, 20), 10)


def torchvision(name: str) -> Summary:
    return summarise(name, TorchvisionParams(torchvision=name), Shape(3, 224, 224), 10)


def test_every_layer_is_there_with_its_arithmetic_and_the_totals() -> None:
    summary = of(NORMS_STUDY, norm="batch")
    texts = [text.get_text() for text in draw_network(summary).texts]
    for layer in summary.layers:
        for cell in (layer.token, layer.what, layer.arithmetic, f"{layer.parameters:,}", f"{layer.multiply_adds:,}"):
            assert cell in texts
    for cell in ("bn: " + NORMS_STUDY, "48,822", "28×20×16", "total", "receptive field", "68×60", "jump"):
        assert cell in texts
    assert any("batch norm" in text and "28×20×1" in text for text in texts)


def test_bars_are_as_long_as_their_numbers() -> None:
    figure = draw_network(of("C16 C32 P G"))
    for colour, numbers in ((PARAMETERS, [160, 4640, 330]), (WORK, [80640, 2580480, 320])):
        bars = [bar for bar in figure.artists + figure.patches if isinstance(bar, Rectangle) and same(bar, colour)]
        lengths = [bar.get_width() * figure.bbox.width for bar in bars]
        assert lengths == pytest.approx([max(1, BAR * number / max(numbers)) for number in numbers])


def same(bar: Rectangle, colour: str) -> bool:
    from matplotlib.colors import to_rgb

    return to_rgb(bar.get_facecolor()) == to_rgb(colour)


@pytest.mark.parametrize(
    "summary",
    [
        of("F"),
        of(NORMS_STUDY, norm="group", activation="prelu"),
        of(DEEP, name="a-network-with-a-long-name-" * 5, norm="batch"),
        of(DEEP, name=DEEP),
        torchvision("vit_b_16"),
    ],
    ids=["softmax", "default", "deep", "line", "torchvision"],
)
def test_everything_stays_inside_the_picture_and_apart(summary: Summary) -> None:
    figure = draw_network(summary)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    boxes = np.array([text.get_window_extent(renderer).extents for text in figure.texts if text.get_text()])
    left, bottom, right, top = boxes.T  # (n,) each
    assert left.min() >= 0
    assert bottom.min() >= 0
    assert right.max() <= figure.bbox.width
    assert top.max() <= figure.bbox.height
    beside = (left[:, None] >= right) | (left >= right[:, None])  # (n, n)
    above = (bottom[:, None] >= top) | (bottom >= top[:, None])
    assert (beside | above | np.eye(len(boxes), dtype=bool)).all()


@pytest.mark.parametrize(
    ("name", "rows"),
    [("resnet18", ["conv1", "bn1", "relu", "maxpool", *(f"layer{n}.{m}" for n in range(1, 5) for m in (0, 1)),
                   "avgpool", "fc"]),
     ("resnet152", ["conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "fc"])],
)  # fmt: skip
def test_large_networks_are_drawn_by_blocks(name: str, rows: list[str]) -> None:
    summary = torchvision(name)
    assert len(summary.layers) > MOST_ROWS
    drawn = make_rows(summary)
    assert [row.token for row in drawn] == rows
    assert sum(row.parameters for row in drawn) == summary.parameters
    assert sum(row.multiply_adds for row in drawn) == summary.multiply_adds
    block = drawn[rows.index("layer1.0" if name == "resnet18" else "layer1")]
    assert "Conv2d" in block.what
    assert block.output == ("64×56×56" if name == "resnet18" else "256×56×56")


def test_a_line_is_never_drawn_by_blocks() -> None:
    assert [row.token for row in make_rows(of(DEEP))] == [*DEEP.split(), "classifier"]


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        save_figure(draw_network(of(NORMS_STUDY)), tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
