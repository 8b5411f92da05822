"""What each network consists of, layer by layer: a table as JSON, and as a picture, for its run."""

from thumbnet.stage import run_stage  # isort: skip

from thumbnet import paths
from thumbnet.figures.networks import draw_network
from thumbnet.figures.style import save_figure
from thumbnet.files import write_json
from thumbnet.nets.summary import summarise_trained
from thumbnet.params import Params


def main(params: Params) -> None:
    for member in params.members:
        summary = summarise_trained(paths.MODELS / member)
        write_json(paths.SUMMARIES / f"{member}.json", summary.as_json())
        save_figure(draw_network(summary), paths.SUMMARY / f"{member}.png")


if __name__ == "__main__":
    run_stage(main)
