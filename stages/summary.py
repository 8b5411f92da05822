"""What each network consists of, layer by layer: a table as JSON, and as a picture, for its run."""

from thumbnet.stage import run_stage  # isort: skip

from thumbnet import paths
from thumbnet.figures.networks import draw_network
from thumbnet.figures.style import save_figure
from thumbnet.files import write_json
from thumbnet.nets.summary import summarise_trained
from thumbnet.params import Params


def main(params: Params) -> None:
    files = {member: [paths.SUMMARIES / f"{member}.json", paths.SUMMARY / f"{member}.png"] for member in params.members}
    for member, (table, picture) in files.items():
        summary = summarise_trained(paths.MODELS / member)
        write_json(table, summary.as_json())
        save_figure(draw_network(summary), picture)

    from thumbnet.tracking import log_files  # MLflow takes seconds to load: last, when all files are safe

    for member in params.members:
        log_files(params, member, files[member], "summary")


if __name__ == "__main__":
    run_stage(main)
