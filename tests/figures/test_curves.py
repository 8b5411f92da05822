"""Learning curves: the tidy table, the best epoch, the picture."""

import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from thumbnet.errors import UserError
from thumbnet.figures.curves import Point, best_point, collect_histories, draw_curves, write_curves_table
from thumbnet.figures.style import SERIES, save_figure
from thumbnet.params import Kept

HEADER = "epoch,lr,train_loss,train_accuracy,validation_loss,validation_accuracy,l2_penalty\n"


def history(folder: Path, member: str, accuracies: list[float]) -> Path:
    path = folder / f"{member}.csv"
    lines = [f"{i + 1},0.1,{1 / (i + 1)},{accuracy + 0.01},{1.1 / (i + 1)},{accuracy},0.25\n"
             for i, accuracy in enumerate(accuracies)]  # fmt: skip
    path.write_text(HEADER + "".join(lines))
    return path


def points(members: int, epochs: int) -> list[Point]:
    return [
        Point(f"{'a-network-with-a-long-name-' * (i % 2)}{i}", epoch, split, 0.5 + 0.01 * epoch, 1 / epoch, 0.1, 0.0)
        for i in range(members)
        for epoch in range(1, epochs + 1)
        for split in ("train", "validation")
    ]


def test_histories_become_one_tidy_table(tmp_path: Path) -> None:
    collected = collect_histories({"gn": history(tmp_path, "gn", [0.5]), "bn": history(tmp_path, "bn", [0.25, 0.75])})
    write_curves_table(tmp_path / "curves.csv", collected)
    assert (tmp_path / "curves.csv").read_text().splitlines() == [
        "member,epoch,split,accuracy,loss,lr,l2_penalty",
        "gn,1,train,0.51,1.0,0.1,0.25",
        "gn,1,validation,0.5,1.1,0.1,0.25",
        "bn,1,train,0.26,1.0,0.1,0.25",
        "bn,1,validation,0.25,1.1,0.1,0.25",
        "bn,2,train,0.76,0.5,0.1,0.25",
        "bn,2,validation,0.75,0.55,0.1,0.25",
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "is missing"),
        ("epoch,lr\n1,0.1\n", "no history"),
        (HEADER + "one,two\n", "no history"),
        (HEADER, "no epoch"),
    ],
    ids=["missing", "columns", "values", "empty"],
)
def test_a_history_that_cannot_be_used_is_told_with_its_remedy(tmp_path: Path, content: str | None, told: str) -> None:
    path = tmp_path / "bn.csv"
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match=told) as error:
        collect_histories({"bn": path})
    assert "dvc repro" in str(error.value)
    assert "train@bn" in str(error.value)


@pytest.mark.parametrize(
    ("accuracies", "losses", "keep", "best"),
    [
        ([0.1, 0.3, 0.2], [0.9, 0.8, 0.7], "validation_accuracy", 2),
        ([0.1, 0.3, 0.3], [0.9, 0.8, 0.7], "validation_accuracy", 3),
        ([0.4], [0.9], "validation_accuracy", 1),
        ([0.1, 0.3, 0.2], [0.9, 0.8, 0.7], "validation_loss", 3),
        ([0.1, 0.2, 0.3], [0.9, 0.7, 0.7], "validation_loss", 3),
        ([0.1, 0.3, 0.2], [0.9, 0.7, 0.7], "validation_loss", 2),
    ],
)
def test_the_best_epoch_is_the_one_that_the_training_keeps(
    accuracies: list[float], losses: list[float], keep: Kept, best: int
) -> None:
    points = [
        Point("bn", epoch, split, accuracy, loss, 0.1, 0.0)
        for epoch, (accuracy, loss) in enumerate(zip(accuracies, losses, strict=True), start=1)
        for split in ("train", "validation")
    ]
    assert best_point(points, "bn", keep).epoch == best
    figure = draw_curves(points, keep)
    assert list(np.asarray(figure.axes[0].lines[2].get_xdata())) == [best]
    ring = {"validation_accuracy": "best validation accuracy", "validation_loss": "lowest validation loss"}[keep]
    assert ring in [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def test_each_member_has_a_colour_two_lines_and_a_ring_in_both_panels() -> None:
    figure = draw_curves(points(members=3, epochs=4), "validation_accuracy")
    for axes in figure.axes:
        assert len(axes.lines) == 3 * 3
        assert [line.get_color() for line in axes.lines[::3]] == list(SERIES[:3])
        ring = axes.lines[2]
        assert list(np.asarray(ring.get_xdata())) == [4]
    assert figure.axes[1].get_yscale() == "log"


@pytest.mark.parametrize("members", [1, 3, 8, 20])
@pytest.mark.parametrize(("epochs", "keep"), [(1, "validation_loss"), (40, "validation_accuracy")])
def test_everything_stays_inside_the_picture_and_epochs_are_whole(members: int, epochs: int, keep: Kept) -> None:
    figure = draw_curves(points(members, epochs), keep)
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    for part in (*figure.legends, *figure.texts, *figure.axes):
        box = part.get_tightbbox(renderer)
        assert box is not None
        assert 0 <= box.x0 < box.x1 <= figure.bbox.width
        assert 0 <= box.y0 < box.y1 <= figure.bbox.height
    for axes in figure.axes:
        assert all(float(tick).is_integer() for tick in axes.get_xticks())


def test_a_training_that_diverged_is_drawn_all_the_same(tmp_path: Path) -> None:
    lost = [
        Point("bn", epoch, split, 0.1, float("nan"), 9.0, 0.0) for epoch in (1, 2) for split in ("train", "validation")
    ]
    save_figure(draw_curves(lost, "validation_accuracy"), tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 0


def test_the_same_curves_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("first.png", "second.png"):
        save_figure(draw_curves(points(members=2, epochs=3), "validation_accuracy"), tmp_path / name)
    assert (tmp_path / "first.png").read_bytes() == (tmp_path / "second.png").read_bytes()


def test_dvc_fills_our_template(tmp_path: Path) -> None:
    from dvc_render.vega import VegaRenderer

    rows = [{"rev": "workspace", "member": "bn", "epoch": "1", "split": "train", "accuracy": "0.5", "lr": "0.1"}]
    folder = str(Path(__file__).parents[2] / ".dvc" / "plots")
    plot = VegaRenderer(rows, "curves", template="curves", template_dir=folder, x="epoch", y="accuracy", title="T")
    filled = json.dumps(plot.get_filled_template())
    assert "<DVC_METRIC" not in filled
    assert '"field": "accuracy"' in filled


def test_of_several_seeds_a_band_reaches_from_quartile_to_quartile(tmp_path: Path) -> None:
    path = history(tmp_path, "bn", [0.5, 0.75])
    ends = [f"{split}_{quantity}_{end}" for split in ("train", "validation") for quantity in ("accuracy", "loss")
            for end in ("p25", "p75")]  # fmt: skip
    head, *rows = path.read_text().splitlines()
    path.write_text("\n".join([f"{head},{','.join(ends)}", *(f"{row},0.3,0.6,1,2,0.4,0.8,1.5,2.5" for row in rows)]))
    collected = collect_histories({"bn": path})
    assert collected[1].quartiles == {"accuracy": (0.4, 0.8), "loss": (1.5, 2.5)}
    figure = draw_curves(collected, "validation_accuracy")
    assert [len(axes.collections) for axes in figure.axes] == [1, 1]
    assert "medians of seeds, quartile to quartile" in [
        text.get_text() for legend in figure.legends for text in legend.get_texts()
    ]
