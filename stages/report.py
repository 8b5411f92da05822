"""One page with all that the run came to: results, pictures of members side by side, data, settings."""

from thumbnet.stage import run_stage  # isort: skip

from thumbnet import paths
from thumbnet.files import fresh_file
from thumbnet.params import Params
from thumbnet.report.page import render_report
from thumbnet.report.provenance import find_provenance


def main(params: Params) -> None:
    page = render_report(params, find_provenance())
    with fresh_file(paths.REPORT) as aside:
        aside.write_text(page, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    run_stage(main)
