"""Pictures of an ensemble: its methods, its size, the diversity of its networks, and McNemar's test."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from thumbnet.figures.diversity import draw_diversity, draw_mcnemar
from thumbnet.figures.ensembles import draw_methods, draw_sizes
from thumbnet.figures.style import save_figure
from thumbnet.judging.comparing import compare
from thumbnet.judging.ensembling import METHODS, accuracy_by_size, combine, list_networks
from thumbnet.judging.predictions import Predictions

LONG = "a network with $dollars$ and a very long name, as some people like them, number {}"


def pictures(count: int, name: str = "m{}", images: int = 300) -> dict[str, Figure]:
    random = np.random.default_rng(0)
    labels = random.integers(4, size=images)
    members: dict[str, dict[str, Predictions]] = {}
    for number in range(count):
        logits = 2 * np.eye(4)[labels] + random.normal(0, 1.5, (2, images, 4))
        shares = (np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)).astype(np.float32)
        members[name.format(number)] = {
            split: Predictions(each, labels) for split, each in zip(("validation", "test"), shares, strict=True)
        }
    networks = list_networks(members, "first")
    metrics = compare(networks, [combine(method, networks) for method in METHODS], "weighted", 0.95)
    best = metrics["best_network"]
    return {
        "methods": draw_methods(metrics, 0.95),
        "size": draw_sizes(accuracy_by_size(networks), {s: each.accuracy for s, each in networks[best].items()}, best),
        "diversity": draw_diversity(list(networks), metrics["pairs"], "Diversity, test"),
        "mcnemar": draw_mcnemar(metrics["pairs"], images, "McNemar's test"),
    }


def labels(axes: Axes) -> list[Text]:
    """Names of axes, and of those ticks that are drawn."""
    if not axes.axison:
        return []
    shown = [axis.label for axis in (axes.xaxis, axes.yaxis) if axis.label.get_text()]
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        shown += [
            tick.label1
            for tick in axis.get_major_ticks()
            if low <= tick.get_loc() <= high and tick.label1.get_visible()
        ]
    return [text for text in shown if text.get_text()]


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in (*figure.texts, *(text for axes in figure.axes for text in axes.texts))]


def test_methods_and_networks_have_a_row_each_and_the_chosen_ones_are_bold() -> None:
    figure = pictures(3)["methods"]
    bold = [text.get_text() for text in figure.texts if text.get_fontweight() == "bold"]
    for row in ("soft vote", "mean of logits", "majority", "weighted vote", "greedy selection", "m0", "m1", "m2"):
        assert row in words(figure)
    assert bold[:2] == ["weighted vote", bold[1]]
    assert len([name for name in bold if name in ("m0", "m1", "m2")]) == 1


def test_of_many_networks_the_best_are_shown() -> None:
    shown = [word for word in words(pictures(20)["methods"]) if word.startswith("m") and word[1:].isdigit()]
    assert len(shown) == 12
    assert "the 12 best of 20" in words(pictures(20)["methods"])


def test_diversity_has_a_number_per_pair_and_none_on_the_diagonal() -> None:
    disagreement = pictures(3)["diversity"].axes[0]
    places = {text.get_position() for text in disagreement.texts}
    assert places == {(i, j) for i in range(3) for j in range(3) if i != j}


def test_mcnemar_has_a_row_per_pair_with_the_ensemble_first() -> None:
    told = words(pictures(3)["mcnemar"])
    assert told.count("ensemble") == 1
    assert next(word for word in told if word in ("ensemble", "m0", "m1", "m2")) == "ensemble"
    assert len(pictures(3)["mcnemar"].axes[0].patches) == 2 * 4


def test_of_many_pairs_the_rest_is_told() -> None:
    assert "167 more pairs are in metrics/ensemble.json." not in words(pictures(3)["mcnemar"])
    assert "166 more pairs are in metrics/ensemble.json." in words(pictures(20)["mcnemar"])  # 190 + 1 - 25


@pytest.mark.parametrize(
    ("picture", "told"),
    [
        ("methods", "One network alone: every method gives what the network gives."),
        ("size", "One network alone: there is no larger ensemble."),
        ("diversity", "One network alone: there is no other to compare it with."),
        ("mcnemar", "One network alone: there is no other to compare it with."),
    ],
)
def test_one_network_is_told_to_be_alone(picture: str, told: str) -> None:
    assert told in words(pictures(1)[picture])


@pytest.mark.parametrize("name", ["m{}", LONG], ids=["short", "long"])
@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_all_text_is_inside_the_picture(count: int, name: str) -> None:
    for figure in pictures(count, name, images=60).values():
        renderer = FigureCanvasAgg(figure).get_renderer()
        figure.draw(renderer)
        for text in (*figure.texts, *(text for axes in figure.axes for text in (*axes.texts, *labels(axes)))):
            box = text.get_window_extent(renderer)
            inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height
            assert inside, text.get_text()


def test_the_same_ensemble_gives_the_same_bytes(tmp_path: Path) -> None:
    for run in ("first", "second"):
        for name, figure in pictures(3).items():
            save_figure(figure, tmp_path / run / f"{name}.png")
    for name in ("methods", "size", "diversity", "mcnemar"):
        assert (tmp_path / f"first/{name}.png").read_bytes() == (tmp_path / f"second/{name}.png").read_bytes()
