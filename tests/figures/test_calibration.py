"""The reliability diagram: what it shows, and that all of it is inside."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from thumbnet.figures.calibration import draw_calibration
from thumbnet.figures.style import save_figure
from thumbnet.judging.calibration import AFTER, BEFORE, apply_temperature, sort_into_bins
from thumbnet.judging.metrics import judge_overall, judge_scaled
from thumbnet.judging.predictions import Predictions


def drawn(images: int = 500, temperature: float = 0.5, title: str = "bn, test") -> Figure:
    random = np.random.default_rng(0)
    labels = random.integers(10, size=images)
    logits = 3 * np.eye(10)[labels] + random.normal(0, 1, (images, 10))
    probabilities = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    judged = judge_overall(probabilities, labels, 0.95) | judge_scaled(Predictions(probabilities, labels), temperature)
    bins = {BEFORE: sort_into_bins(probabilities, labels),
            AFTER: sort_into_bins(apply_temperature(probabilities, temperature), labels)}  # fmt: skip
    return draw_calibration(bins, judged, temperature, 0.95, title)


def test_both_panels_tell_error_and_loss() -> None:
    before, _, after, _ = drawn(temperature=1.25).axes
    assert before.get_title(loc="left").startswith("As trained: error ")
    assert after.get_title(loc="left").startswith("Temperature 1.25: error ")
    assert before.get_title(loc="left").split(": ")[1] != after.get_title(loc="left").split(": ")[1]


def test_the_histogram_holds_every_image() -> None:
    figure = drawn(images=321)
    for axes in (figure.axes[1], figure.axes[3]):
        assert sum(round(patch.get_height()) for patch in axes.patches) == 321  # type: ignore[attr-defined]


def test_a_bin_is_as_high_as_its_accuracy_and_its_gap_ends_at_its_confidence() -> None:
    probabilities = np.array([[0.8, 0.2]] * 4, dtype=np.float32)
    bins = sort_into_bins(probabilities, np.array([0, 0, 1, 1]))
    judged = {"loss": 1.0, "ece": 0.3, "scaled_loss": 1.0, "scaled_ece": 0.3}
    bar, gap = draw_calibration({BEFORE: bins, AFTER: bins}, judged, 1.0, 0.95, "bn").axes[0].patches
    assert bar.get_height() == pytest.approx(0.5)  # type: ignore[attr-defined]
    assert gap.get_y() + gap.get_height() == pytest.approx(0.8)  # type: ignore[attr-defined]


@pytest.mark.parametrize("images", [1, 1000, 200_000])
def test_all_text_is_inside_the_picture(images: int) -> None:
    figure = drawn(
        images, 12.3456, "a member with $dollars$ and a name that is too long for any picture of this size, test"
    )
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    labels = [
        label for axes in figure.axes for label in (*axes.get_xticklabels(), *axes.get_yticklabels(), axes.yaxis.label)
    ]
    for text in (*figure.texts, *labels, *(axes._left_title for axes in figure.axes)):  # type: ignore[attr-defined]
        box = text.get_window_extent(renderer)
        assert box.x0 >= 0, text
        assert box.x1 <= figure.bbox.width, text


def test_the_same_figures_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        save_figure(drawn(), tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()
