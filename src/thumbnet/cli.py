"""The command line, `thumbnet`: what is not a stage of the pipeline.

Exit status: 0, 1 after a mistake of the user's, 2 for a command line that cannot be read.
"""

import json
from pathlib import Path
from typing import Annotated

import typer

from thumbnet import paths
from thumbnet.checking import check_all
from thumbnet.errors import UserError
from thumbnet.nets.notation import Shape
from thumbnet.params import Activation, NormKind, Order, load_params

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
    from thumbnet.results import print_results  # rich is not needed for the other commands

    print_results(load_params())


def _shape(text: str) -> Shape:
    from thumbnet.describing import read_shape

    try:
        return read_shape(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


@app.command()
def summary(
    network: Annotated[str, typer.Argument(help="an entry of models in params.yaml, or a line of layers in quotes")],
    image: Annotated[
        Shape | None,
        typer.Option("--input", parser=_shape, metavar="CxHxW", help="one image; default: those of the data set"),
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, help="default: those of the data set, and 10 with --input")
    ] = None,
    norm: Annotated[NormKind | None, typer.Option(help="default: the entry's own, and none for a line")] = None,
    groups: Annotated[int | None, typer.Option(min=1, help="of --norm group")] = None,
    order: Annotated[Order | None, typer.Option(help="of normalisation and activation")] = None,
    activation: Annotated[Activation | None, typer.Option(help="default: the entry's own, and relu for a line")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
    figure: Annotated[Path | None, typer.Option(metavar="FILE.png", help="draw the table, too")] = None,
) -> None:
    """Shows a network layer by layer: shapes, parameters with their arithmetic,
    receptive fields, multiply-adds.

    The receptive field is the part of the image, in pixels, that one output
    of a layer depends on; padding counts as a part of the image. The jump is
    the distance in pixels from one output to its neighbour. Multiply-adds are
    those of the kernels, for one image.

    \b
    thumbnet summary bn
    thumbnet summary bn --norm none --activation maxout
    thumbnet summary 'C16 C16+ c12 P C32 C32+ G' --input 3x32x32 --norm batch
    thumbnet summary 'F L128' --input 1x28x28 --json
    """
    from thumbnet.describing import describe, print_summary

    options = {"norm": norm, "groups": groups, "order": order, "activation": activation}
    changes = {name: value for name, value in options.items() if value is not None}
    if figure is not None and figure.suffix.lower() != ".png":
        raise UserError(f"--figure {figure}: pictures are PNG files; let the name end in .png")
    described = describe(network, image, classes, changes)
    if figure is not None:
        from thumbnet.figures.networks import draw_network
        from thumbnet.figures.style import save_figure

        try:
            save_figure(draw_network(described), figure)
        except OSError as error:
            raise UserError(f"--figure {figure} cannot be written: {error.strerror}") from None
    if as_json:
        typer.echo(json.dumps(described.as_json(), indent=2, ensure_ascii=False))
    else:
        print_summary(described)


@app.command()
def params() -> None:
    """Prints the reference of all parameters, as Markdown."""
    from thumbnet.reference import params_reference

    typer.echo(params_reference(), nl=False)


def main() -> None:
    """The entry point: mistakes of the user's are one message, never a stack trace."""
    try:
        app()
    except UserError as error:
        typer.echo(f"error: {error}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
