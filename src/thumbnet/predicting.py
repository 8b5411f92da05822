"""The command `thumbnet predict`: image files in, classes and their probabilities out.

Images come to what a network was trained on in the way of `thumbnet.data.image_folder`, and are judged as the stage
`evaluate` judges, test-time flips and shifts included. torch is loaded when a network is.
"""

import glob
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from thumbnet import paths
from thumbnet.data.image_folder import ENDINGS, allow_large_images, decode_image, is_hidden
from thumbnet.errors import UserError, did_you_mean, nearest_name
from thumbnet.judging.ensembling import METHODS, vote
from thumbnet.params import EvaluateParams, Params

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Addresses that MLflow reads.
STORED = ("models:/", "runs:/")

Vote = Callable[[NDArray[np.float32]], NDArray[np.float32]]  # (networks, n, classes) -> (n, classes)


@dataclass(frozen=True)
class Predictor:
    """One trained network, or several that vote.

    Attributes:
        name: as a person calls it.
        classes: names, in the order of the probabilities.
        input_shape: height, width and channels of the images that it was trained on.
        predict: maps such images, uint8 (n, height, width, channels), to probabilities, float32 (n, classes).
    """

    name: str
    classes: list[str]
    input_shape: tuple[int, int, int]
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class Answer:
    """What became of one file.

    Attributes:
        image: the file, as it was named.
        pixels: what the network saw, uint8 (height, width, channels); None where the file cannot be read.
        probabilities: float32 (classes,); None where the file cannot be read.
        error: why it cannot be read.
    """

    image: Path
    pixels: NDArray[np.uint8] | None = None
    probabilities: NDArray[np.float32] | None = None
    error: str | None = None


def find_images(places: Sequence[str]) -> list[Path]:
    """The files that are meant, in the order given.

    Args:
        places: files; folders, for the images directly in them, by name, without hidden ones; or patterns such as
            `photos/*.jpg`, which some shells leave as they are.

    Raises:
        UserError: one of them names nothing.
    """
    found: list[Path] = []
    for place in places:
        path = Path(place)
        if path.is_dir():
            files = sorted(file for file in path.iterdir() if _is_shown_image(file))
            if not files:
                raise UserError(f"{place}: no images in this folder; files count that end in {' '.join(ENDINGS)}")
        elif path.exists():
            files = [path]
        else:
            files = [Path(match) for match in sorted(glob.glob(place))]
            if not files:
                near = nearest_name(path.name, _names_beside(path))
                hint = f" (did you mean {str(path.with_name(near))!r}?)" if near else ""
                raise UserError(f"{place}: no such file or folder{hint}")
        found += files
    return found


def _is_shown_image(file: Path) -> bool:
    """Hidden files are not the user's: `._photo.jpg` is what a Mac leaves beside `photo.jpg`, and no image."""
    return file.suffix.lower() in ENDINGS and not is_hidden(file.name) and file.is_file()


def _names_beside(path: Path) -> Iterator[str]:
    return (file.name for file in path.parent.iterdir()) if path.parent.is_dir() else iter(())


def load_predictor(model: str | None, params: Params) -> Predictor:
    """The network, or the networks, that are to predict.

    Args:
        model: a member that was trained, `ensemble`, or an address in MLflow's store (`models:/NAME@champion`,
            `models:/NAME/3`, `runs:/ID/model`); None: the ensemble, and with one network that one.
        params: says what the members are, and how images are judged.

    Raises:
        UserError: there is no such network, or it was not trained yet.
    """
    asked = f"--model {model}"
    if model is None:
        model = paths.ENSEMBLE if params.voters > 1 else params.members[0]
        asked = f"{model}, which predicts without --model"
    if model.startswith(STORED):
        from thumbnet.tracking import fetch_classifier

        return _of_folders(model, [fetch_classifier(model)], params.evaluate, lambda each: each[0])
    if model == paths.ENSEMBLE:
        return _load_ensemble(params, asked)
    if not (paths.MODELS / model).is_dir():
        _refuse(model, params, asked)
    return _of_folders(model, [paths.MODELS / model], params.evaluate, lambda each: each[0])


def _refuse(model: str, params: Params, asked: str) -> None:
    if model in params.members:
        raise UserError(f"{asked}: it is not trained yet; train it with: dvc repro train@{model}")
    trained = sorted(path.name for path in paths.MODELS.glob("*/")) if paths.MODELS.is_dir() else []
    if not trained:
        raise UserError(f"{asked}: no network is trained yet; train those of params.yaml with: dvc repro")
    known = [*trained, paths.ENSEMBLE]
    raise UserError(f"{asked}: no such network{did_you_mean(model, known)}; allowed: {', '.join(known)}, "
                    "models:/NAME@ALIAS, runs:/ID/model")  # fmt: skip


def _load_ensemble(params: Params, asked: str) -> Predictor:
    """The ensemble as the stage of this name chose it, with its weights."""
    try:
        chosen: dict[str, Any] = json.loads(paths.ENSEMBLE_METRICS.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{asked}: {paths.ENSEMBLE_METRICS} is missing; make it with: dvc repro") from None
    members: list[str] = chosen["members"]
    missing = [member for member in members if not (paths.MODELS / member).is_dir()]
    if missing:
        raise UserError(
            f"{asked}: {', '.join(missing)} not trained here; train with: dvc repro; or, if DVC's cache has it, "
            "bring it back with: dvc checkout"
        )
    from thumbnet.training.checkpoints import seed_folders

    method = chosen["method"]
    if method not in METHODS:
        raise UserError(f"{paths.ENSEMBLE_METRICS}: method = {method!r}; allowed: {', '.join(METHODS)}")
    of_seeds = [seed_folders(paths.MODELS / member) for member in members]
    all_seeds = chosen["networks"] > len(members)
    folders = [folder for seeds in of_seeds for folder in (seeds if all_seeds else seeds[:1])]
    # Weights stand in the order of the networks, and are there for the methods that have any.
    entry = next(entry for entry in chosen["methods"] if entry["method"] == method)
    weights = list(entry["weights"].values()) if "weights" in entry else None
    name = f"ensemble of {', '.join(members)}"
    return _of_folders(name, folders, params.evaluate, lambda each: vote(method, each, weights))


def _of_folders(name: str, folders: Sequence[Path], judged: EvaluateParams, combine: Vote) -> Predictor:
    import torch

    from thumbnet.training.checkpoints import load_card, load_classifier
    from thumbnet.training.prediction import predict

    card = load_card(folders[0])
    classifiers = [load_classifier(folder) for folder in folders]

    def probabilities(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        tensor = torch.from_numpy(images)
        each = [
            predict(classifier, tensor, flip=judged.flip, shift=judged.shift, border=judged.border).softmax(1).numpy()
            for classifier in classifiers
        ]
        return combine(np.stack(each))

    return Predictor(name, card.classes, card.input_shape, probabilities)


def predict_files(predictor: Predictor, images: Sequence[Path]) -> list[Answer]:
    """Reads the files and judges them all together; a file that cannot be read does not stop the others.

    Args:
        predictor: what `load_predictor` found.
        images: any files.

    Returns:
        One answer per file, in the same order.
    """
    with allow_large_images():
        answers = [_read(image, predictor.input_shape) for image in images]
    pixels = [answer.pixels for answer in answers if answer.pixels is not None]
    judged = iter(predictor.predict(np.stack(pixels)) if pixels else ())
    return [
        answer if answer.pixels is None else Answer(answer.image, answer.pixels, next(judged)) for answer in answers
    ]


def _read(image: Path, shape: tuple[int, int, int]) -> Answer:
    try:
        return Answer(image, read_image(image, shape))
    except UnidentifiedImageError:
        return Answer(image, error="broken, or no image")
    except OSError as error:
        return Answer(image, error=error.strerror or str(error))
    except (ValueError, SyntaxError, EOFError) as error:
        return Answer(image, error=str(error))


def read_image(image: Path, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """One image file as a network takes it.

    Size, mode and orientation are dealt with as `decode_image` says; for grey networks colours become their luminance.

    Args:
        image: a file of any format that Pillow reads.
        shape: height, width and channels, 1 or 3.

    Returns:
        uint8, (height, width, channels).

    Raises:
        OSError, ValueError: it cannot be read.
    """
    height, width, channels = shape
    rgb = decode_image(image.read_bytes(), max(height, width))
    if height != width:
        rgb = np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))
    if channels == 1:
        return np.asarray(Image.fromarray(rgb).convert("L"))[..., None]
    return rgb


def as_json(predictor: Predictor, answers: Sequence[Answer]) -> dict[str, Any]:
    """The answers as `--json` prints them.

    Returns:
        `model`, `classes` (names), and `images`: for each file `image`, and either `class`, `probability` and
        `probabilities` (by class, to six decimals) or `error`.
    """
    return {"model": predictor.name, "classes": predictor.classes, "images": [_entry(predictor, a) for a in answers]}


def _entry(predictor: Predictor, answer: Answer) -> dict[str, Any]:
    if answer.probabilities is None:
        return {"image": str(answer.image), "error": answer.error}
    shares = dict(zip(predictor.classes, (round(float(each), 6) for each in answer.probabilities), strict=True))
    best = predictor.classes[int(answer.probabilities.argmax())]  # before rounding, which may make two equal
    return {"image": str(answer.image), "class": best, "probability": shares[best], "probabilities": shares}


def print_answers(predictor: Predictor, answers: Sequence[Answer], top: int, console: Console | None = None) -> None:
    """Prints a row for each image that could be read: its class, and the next ones.

    Args:
        predictor: what was asked.
        answers: what it said.
        top: how many classes of each image are shown, 1 or more.
        console: where to; default: the screen.
    """
    console = console or Console(highlight=False, markup=False, emoji=False)  # names may have brackets and colons
    table = Table(box=SIMPLE_HEAD, padding=(0, 1))
    for column in ("image", "class", "%", "next, %")[: 4 if top > 1 else 3]:
        table.add_column(column, justify="right" if column == "%" else "left", overflow="fold")
    for answer in answers:
        if answer.probabilities is not None:
            (first, share), *rest = _ranked(answer.probabilities, predictor.classes, top)
            following = ", ".join(f"{name} {100 * each:.1f}" for name, each in rest)
            cells = [str(answer.image), first, f"{100 * share:.1f}", following]
            table.add_row(*(cells if top > 1 else cells[:3]))
    if table.row_count:
        console.print(f"{predictor.name}, {len(predictor.classes)} classes")
        console.print(table)


def _ranked(probabilities: NDArray[np.float32], classes: Sequence[str], top: int) -> list[tuple[str, float]]:
    order = np.argsort(-probabilities, kind="stable")[:top]
    return [(classes[int(index)], float(probabilities[index])) for index in order]


def draw(predictor: Predictor, answers: Sequence[Answer]) -> "Figure":
    """The images that could be read, as the network saw them, beside bars of their probabilities.

    Args:
        predictor: what was asked.
        answers: what it said; one or more with probabilities.
    """
    from thumbnet.figures.bars import draw_answers

    read = [(answer.pixels, answer.probabilities, answer.image.name) for answer in answers]
    shown = [(pixels, shares, name) for pixels, shares, name in read if pixels is not None and shares is not None]
    pixels, shares, names = zip(*shown, strict=True)
    return draw_answers(pixels, shares, names, predictor.classes, predictor.name)
