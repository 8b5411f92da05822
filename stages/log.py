"""What the other stages have drawn, added to the runs in MLflow, which takes seconds to load: here once, for all."""

from thumbnet.stage import run_stage  # isort: skip

from pathlib import Path

from thumbnet import paths
from thumbnet.files import write_json
from thumbnet.params import Params
from thumbnet.tracking import log_files


def main(params: Params) -> None:
    files = {member: _files_of(member) for member in params.members}
    for member, folders in files.items():
        log_files(params, member, folders)
    report = {"report": [paths.REPORT]}
    log_files(params, paths.ENSEMBLE, report)

    logged = {**files, paths.ENSEMBLE: report}
    names = {run: {folder: [path.name for path in found] for folder, found in of.items()} for run, of in logged.items()}
    write_json(paths.LOGGED, names)


def _files_of(member: str) -> dict[str, list[Path]]:
    """A network's tables and pictures, by the folder of its run that they go to."""
    return {
        "curves": [paths.MEMBER_CURVES / f"{member}.png"],
        "explain": [paths.EXPLAIN / f"{member}.png"],
        "gallery": [paths.MISTAKES / f"{member}.csv", *sorted((paths.GALLERY / member).glob("*.png"))],
        "shared": [paths.SHARED, paths.SHARED_MISTAKES],
        "summary": [paths.SUMMARIES / f"{member}.json", paths.SUMMARY / f"{member}.png"],
    }


if __name__ == "__main__":
    run_stage(main)
