"""What the other stages have drawn, added to the runs in MLflow, which takes seconds to load: here once, for all."""

from thumbnet.stage import run_stage  # isort: skip

from pathlib import Path

from thumbnet import paths
from thumbnet.params import Params
from thumbnet.tracking import log_files


def main(params: Params) -> None:
    for member in params.members:
        log_files(params, member, _files_of(member))
    log_files(params, paths.ENSEMBLE, {"report": [paths.REPORT]})
    # The same text whatever the runs are: their ids are of no concern to DVC.
    paths.LOGGED.write_text("MLflow has what was drawn\n", encoding="utf-8")


def _files_of(member: str) -> dict[str, list[Path]]:
    """A network's tables and pictures, by the folder of its run that they go to."""
    return {
        "curves": [paths.MEMBER_CURVES / f"{member}.png"],
        "explain": [paths.EXPLAIN / f"{member}.png"],
        "gallery": [paths.MISTAKES / f"{member}.csv", *sorted((paths.GALLERY / member).iterdir())],
        "shared": [paths.SHARED, paths.SHARED_MISTAKES],
        "summary": [paths.SUMMARIES / f"{member}.json", paths.SUMMARY / f"{member}.png"],
    }


if __name__ == "__main__":
    run_stage(main)
