"""The command line, `thumbnet`: what is not a stage of the pipeline.

Exit status: 0; 1 after a mistake of the user's; 2 for a command line that cannot be read; 3 when `predict` could read
some of the images and not others.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thumbnet import paths
from thumbnet.checking import check_all
from thumbnet.errors import UserError, did_you_mean, message_of
from thumbnet.nets.notation import Shape
from thumbnet.params import Activation, NormKind, Order, load_params

if TYPE_CHECKING:  # matplotlib takes a second to load
    from matplotlib.figure import Figure

#: What `predict` ends with where some images could be read and others not.
SOME_FAILED = 3

#: Groups of commands in the help.
BEFORE, AFTER = "Before a run", "After a run"

HELP = """Reproducible studies of small image classifiers.

The pipeline itself runs with: dvc repro

Another value for one run: dvc exp run -S optimizer.lr=0.03"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"thumbnet {version('thumbnet')}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    pass


@app.command(rich_help_panel=BEFORE)
def check(path: Annotated[Path, typer.Argument(help="the parameters to check")] = paths.PARAMS) -> None:
    """Checks params.yaml: unknown keys, impossible values, networks that do not fit the images."""
    params = load_params(path)
    check_all(params)
    typer.echo(f"{path} can be used: {', '.join(params.members)} on {params.dataset.name}")


@app.command(rich_help_panel=AFTER)
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


@app.command(rich_help_panel=BEFORE)
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
    """Shows a network layer by layer: shapes, parameters, receptive fields, multiply-adds.

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
    _check_figure(figure)
    described = describe(network, image, classes, changes)
    if figure is not None:
        from thumbnet.figures.networks import draw_network

        _save_figure(draw_network(described), figure)
    if as_json:
        typer.echo(json.dumps(described.as_json(), indent=2, ensure_ascii=False))
    else:
        print_summary(described)


def _check_figure(path: Path | None) -> None:
    if path is not None and path.suffix.lower() != ".png":
        raise UserError(f"--figure {path}: pictures are PNG files; let the name end in .png")


def _save_figure(figure: "Figure", path: Path) -> None:
    from thumbnet.figures.style import save_figure

    try:
        save_figure(figure, path)
    except OSError as error:
        raise UserError(f"--figure {path} cannot be written: {error.strerror}") from None


@app.command(rich_help_panel=AFTER)
def predict(
    images: Annotated[list[str], typer.Argument(help="files, or folders of files", show_default=False)],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="a member, ensemble, or an address in MLflow's store: models:/NAME@ALIAS, models:/NAME/VERSION, "
            "runs:/ID/model; default: the ensemble, and with one network that one",
        ),
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="classes shown of each image")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON with the probabilities of all classes")] = False,
    figure: Annotated[Path | None, typer.Option(metavar="FILE.png", help="draw images beside bars, too")] = None,
) -> None:
    """Says what is on images: classes with their probabilities.

    Images may have any size and mode. They become what the network was
    trained on as those of dataset.name = image_folder do: turned as their
    EXIF data say, on black where they are transparent, stretched to a square,
    and grey where the network is.

    \b
    thumbnet predict photo.png
    thumbnet predict photos/ --model bn --top 5
    thumbnet predict a.png b.jpg --json
    thumbnet predict a.png --model models:/thumbnet-mnist@champion --figure bars.png

    \b
    Exit status: 0 when all images could be read, 1 when none could (and after
    other mistakes), 3 when some could.
    """
    from thumbnet import predicting

    _check_figure(figure)
    files = predicting.find_images(images)
    predictor = predicting.load_predictor(model, load_params())
    answers = predicting.predict_files(predictor, files)
    read = [answer for answer in answers if answer.error is None]
    if figure is not None and read:
        _save_figure(predicting.draw(predictor, answers), figure)
    if as_json:
        typer.echo(json.dumps(predicting.as_json(predictor, answers), indent=2, ensure_ascii=False))
    else:
        predicting.print_answers(predictor, answers, top)
    for answer in answers:
        if answer.error is not None:
            typer.echo(f"error: {answer.image}: {answer.error}", err=True)
    if len(read) < len(answers):
        raise typer.Exit(SOME_FAILED if read else 1)


@app.command(rich_help_panel=AFTER)
def show(
    path_only: Annotated[bool, typer.Option("--path", help="print where it is, and open nothing")] = False,
) -> None:
    """Opens the report of the last run in a browser."""
    from thumbnet.showing import show_report

    show_report(path_only)


@app.command(rich_help_panel=AFTER)
def export(
    member: Annotated[str, typer.Argument(help="a member that was trained")],
    output: Annotated[Path | None, typer.Option(metavar="FILE.onnx", help="default: MEMBER.onnx")] = None,
) -> None:
    """Writes a trained network as an ONNX file, and checks it against PyTorch.

    Its input takes raw pixels: images, uint8, (n, height, width, channels);
    its output are probabilities, float32, (n, classes). Names of classes are
    in its metadata. The packages that this needs come with the extra export.

    \b
    thumbnet export bn
    thumbnet export bn --output /tmp/fashion.onnx
    """
    from thumbnet.exporting import export as export_onnx

    members = load_params().members
    if member not in members:
        raise UserError(
            f"{member!r} is no member{did_you_mean(member, members)}; networks are exported one by one, "
            f"allowed are {', '.join(members)}"
        )
    path = output or Path(f"{member}.onnx")
    if path.suffix.lower() != ".onnx":
        raise UserError(f"--output {path}: let the name end in .onnx")
    done = export_onnx(paths.MODELS / member, path)
    which = "images of the test split" if done.are_real else "random images (data/splits has none of its size)"
    typer.echo(
        f"{done.path}: on {done.images} {which} onnxruntime's probabilities differ from PyTorch's by "
        f"{done.difference:.1g} at most; the class is the same for {100 * done.same_class:g} %"
    )


@app.command(rich_help_panel=BEFORE)
def study(
    names: Annotated[
        list[str] | None, typer.Argument(help="files of studies/, without .yaml", show_default=False)
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="all studies")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="show the plan, and run nothing")] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="runs at a time; they share the cores")] = 1,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", "-S", metavar="KEY=VALUE", help="for all runs, over what the study says", show_default=False
        ),
    ] = None,
    seeds: Annotated[
        list[int] | None, typer.Option("--seed", min=0, help="in place of the study's seeds", show_default=False)
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="AXIS=VALUE", help="conditions with that value only", show_default=False)
    ] = None,
    renew: Annotated[bool, typer.Option("--renew", help="run again what other code has made")] = False,
    pages: Annotated[
        bool, typer.Option("--pages", help="make pages anew from metrics/studies, and run nothing")
    ] = False,
    take_from: Annotated[
        Path | None,
        typer.Option(metavar="CHECKOUT", help="take in runs that another checkout has had, and run nothing"),
    ] = None,
    listing: Annotated[bool, typer.Option("--list", help="show all studies")] = False,
) -> None:
    """Runs studies: many experiments that answer one question.

    What is done is not run again: interrupted, the same command goes on.
    Results: metrics/studies/NAME.csv, and pages in docs/studies.

    \b
    thumbnet study --list
    thumbnet study norms --dry-run
    thumbnet study norms -j 2
    thumbnet study norms --only norm=batch --only norm=group
    thumbnet study norms -S dataset.name=image_folder -S dataset.path=cifar.zip
    """
    from thumbnet.studies import command
    from thumbnet.studies.planning import read_overrides
    from thumbnet.studies.study import study_names

    of_all = everything or ((pages or take_from is not None) and not names)
    chosen = study_names() if of_all else list(names or [])
    if listing:
        command.list_studies(read_overrides(overrides or []))
        return
    if not chosen:
        raise UserError("which study? Name some of them, or --all; thumbnet study --list tells what there is")
    given = {"--dry-run": dry_run, "-S": overrides, "--seed": seeds, "--only": only, "--renew": renew}
    for option, asked in (("--pages", pages), ("--take-from", take_from)):
        useless = [name for name, value in given.items() if asked and value]
        if useless:
            raise UserError(f"{option} runs nothing, and has no use for {', '.join(useless)}")
    if pages:
        with command.alone_in_checkout():
            command.renew_pages(chosen)
        return
    if take_from is not None:
        command.take_runs(chosen, take_from)
        return
    wishes = command.Wishes(read_overrides(overrides or []), seeds or [], only or [], jobs, renew, dry_run)
    try:
        done = command.run_studies(chosen, wishes)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    if not done:
        raise typer.Exit(1)


@app.command(rich_help_panel=BEFORE)
def params() -> None:
    """Prints the reference of all parameters, as Markdown."""
    from thumbnet.reference import params_reference

    typer.echo(params_reference(), nl=False)


def main() -> None:
    """The entry point: mistakes of the user's, and a disk that refuses, are one message, never a stack trace."""
    try:
        app()
    except (UserError, OSError) as error:
        told = message_of(error)
        if told is None:
            raise
        typer.echo(f"error: {told}", err=True)
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
