"""The command line, `thumbnet`: what is not a stage of the pipeline.

Exit status: 0, 1 after a mistake of the user's, 2 for a command line that cannot be read.
"""

from pathlib import Path
from typing import Annotated

import typer

from thumbnet import paths
from thumbnet.checking import check_all
from thumbnet.errors import UserError
from thumbnet.params import load_params

app = typer.Typer(
    help="Reproducible studies of small image classifiers. The pipeline itself runs with: dvc repro",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def check(path: Annotated[Path, typer.Argument(help="the parameters to check")] = paths.PARAMS) -> None:
    """Checks params.yaml: unknown keys, impossible values, networks that do not fit the images."""
    params = load_params(path)
    check_all(params)
    typer.echo(f"{path} can be used: {', '.join(params.members)} on {params.dataset.name}")


@app.command()
def results() -> None:
    """Shows what the last run of the pipeline came to, and where its pictures are."""
    from thumbnet.summary import print_results  # rich is not needed for the other commands

    print_results(load_params())


def main() -> None:
    """The entry point: mistakes of the user's are one message, never a stack trace."""
    try:
        app()
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
