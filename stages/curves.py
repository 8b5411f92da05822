"""The learning curves of all members: one table for `dvc plots`, one picture, and each member's own for its run."""

from thumbnet.stage import run_stage  # isort: skip

from thumbnet import paths
from thumbnet.figures.curves import collect_histories, draw_curves, write_curves_table
from thumbnet.figures.style import save_figure
from thumbnet.params import Params


def main(params: Params) -> None:
    points = collect_histories({member: paths.HISTORY / f"{member}.csv" for member in params.members})
    write_curves_table(paths.CURVES.with_suffix(".csv"), points)
    save_figure(draw_curves(points, params.train.keep), paths.CURVES.with_suffix(".png"))
    for member in params.members:
        own = [point for point in points if point.member == member]
        save_figure(draw_curves(own, params.train.keep), paths.MEMBER_CURVES / f"{member}.png")


if __name__ == "__main__":
    run_stage(main)
