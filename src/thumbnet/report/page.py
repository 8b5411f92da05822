"""The report as one HTML page: what earlier stages left in files, put in order and filled into the template.

The page needs nothing but itself: style, script and pictures are within it, and it may load nothing else. Its bytes
follow from the files, the parameters and the provenance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from thumbnet import paths
from thumbnet.data.arrays import DatasetInfo, load_info, load_names, load_split
from thumbnet.data.corruption import load_true_labels
from thumbnet.figures.curves import collect_histories
from thumbnet.judging.predictions import load_predictions
from thumbnet.params import Params
from thumbnet.report.answers import Answers, collect_answers
from thumbnet.report.pictures import Album, collect_pictures
from thumbnet.report.provenance import Provenance
from thumbnet.report.settings import as_lines, settings
from thumbnet.report.tables import Result, curves_as_json, read_json, read_results, read_table

LIMIT = 6_000_000  # bytes of a page
_SLACK = 20_000  # for what the pictures' places take in the page

#: The data sets as people write them.
NAMES = {"cifar10": "CIFAR-10", "mnist": "MNIST", "fashion_mnist": "Fashion-MNIST", "digits": "digits"}
METHODS = {
    "soft_vote": "mean of probabilities (soft vote)",
    "logit_mean": "mean of logits",
    "majority": "majority vote",
    "weighted": "weights fitted on validation",
    "greedy": "greedy selection on validation",
}
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Kind:
    """A kind of picture that members have.

    Attributes:
        label: what people choose it by; those of one label differ by split.
        split: whose images it is of; empty where it is of none.
        file: where it is, with `{}` for the member's name.
        alt: what a screen reader says, with `{}` for the member's name.
    """

    label: str
    split: str
    file: str
    alt: str

    @property
    def key(self) -> str:
        """In the page's markup."""
        return "-".join(part for part in (*self.label.lower().split(), self.split) if part)

    @property
    def caption(self) -> str:
        """What it is called where all of them stand below each other."""
        return f"{self.label} on {self.split}" if self.split else self.label


def _mistakes(split: str) -> Kind:
    alt = "images that {} gets wrong, each with its true class, the class {} says, and the probability"
    return Kind("Mistakes", split, f"{paths.GALLERY}/{{}}/{split}.png", f"{split.capitalize()} {alt}")


def _confusion(split: str) -> Kind:
    alt = f"Confusion matrix of {{}} on {split}: images by true class and by the class it says"
    return Kind("Confusion", split, f"{paths.CONFUSION}/{{}}/{split}.png", alt)


def _calibration(split: str) -> Kind:
    alt = f"Reliability diagrams of {{}} on {split}: accuracy against confidence, before and after temperature scaling"
    return Kind("Calibration", split, f"{paths.CALIBRATION}/{{}}/{split}.png", alt)


#: In the order of importance: where a page has no room, the last ones go.
KINDS = (
    _mistakes("test"),
    _confusion("test"),
    Kind("Grad-CAM", "test", f"{paths.EXPLAIN}/{{}}.png",
         "Test images with overlays of Grad-CAM: where {} looks for the class it says and for another one"),
    Kind("Probabilities", "test", f"{paths.GALLERY}/{{}}/bars.png",
         "Test images, each beside bars of the probabilities that {} gives to the classes"),
    _calibration("test"),
    Kind("Random images", "test", f"{paths.GALLERY}/{{}}/samples.png",
         "Test images drawn at random, each with its true class and the class {} says"),
    Kind("Least sure", "test", f"{paths.GALLERY}/{{}}/least_confident.png",
         "The test images of which {} is least sure, right or wrong"),
    Kind("Surest", "test", f"{paths.GALLERY}/{{}}/most_confident.png",
         "The test images of which {} is surest, right or wrong"),
    Kind("Layers", "", f"{paths.SUMMARY}/{{}}.png",
         "The layers of {}: output shapes, parameters and receptive fields"),
    _mistakes("validation"),
    _confusion("validation"),
    _confusion("train"),
    _calibration("validation"),
    _calibration("train"),
)  # fmt: skip

#: Pictures that are not of one member: file and alternative text by key.
COMMON = {
    "curves": (paths.CURVES.with_suffix(".png"),
               "Learning curves: accuracy and loss of each member after each epoch, on train and validation"),
    "shared": (paths.SHARED, "Test images that all members get wrong, with each member's answer"),
    "methods": (paths.ENSEMBLE_PLOTS / "methods.png",
                "Accuracy of each member and of each way to combine them, with intervals"),
    "size": (paths.ENSEMBLE_PLOTS / "size.png", "Accuracy of ensembles by the number of their networks"),
    "diversity": (paths.ENSEMBLE_PLOTS / "diversity.png",
                  "Disagreement of each pair of networks, and correlation of their errors"),
    "mcnemar": (paths.ENSEMBLE_PLOTS / "mcnemar.png",
                "Difference in test accuracy of each pair of networks, with p values of McNemar's test"),
    "classes": (paths.PREVIEW / "classes.png", "The first training images of each class"),
    "augmentation": (paths.PREVIEW / "augmentation.png", "Training images before and after augmentation"),
    "corruption": (paths.PREVIEW / "corruption.png", "Training images that noise gave a wrong label"),
}  # fmt: skip


def render_report(params: Params, provenance: Provenance) -> str:
    """The page, as HTML.

    Args:
        params: the members, and what to show.
        provenance: what the files do not tell.

    Raises:
        UserError: the pipeline has not run to its end for these members.
    """
    ensemble = read_json(paths.ENSEMBLE_METRICS)
    info = load_info(paths.SPLITS)
    results = read_results(params.members, ensemble)
    answers = _answers(params)
    template = _environment().get_template("report.html")
    render = partial(
        template.render,
        title=params.report.title or NAMES.get(info.name, info.name),
        dataset=NAMES.get(info.name, info.name),
        params=params,
        results=results,
        ensemble=ensemble,
        best=next(result for result in results if result.name == ensemble["best_member"]),
        rival=next(single for single in ensemble["singles"] if single["network"] == ensemble["best_network"]),
        methods=METHODS,
        members=params.members,
        sections=_sections(params),
        kinds=KINDS,
        common={key: alt for key, (_, alt) in COMMON.items()},
        answers=answers,
        per_class={result.name: _by_split(paths.PER_CLASS / f"{result.name}.csv") for result in results},
        confused={result.name: _by_split(paths.CONFUSED / f"{result.name}.csv") for result in results},
        summaries={member: read_json(paths.SUMMARIES / f"{member}.json") for member in params.members},
        scale=_scale(results),
        data=_data(params, info),
        settings=as_lines(settings(params), provenance.committed),
        provenance=provenance,
        script_data={
            "members": [result.name for result in results],
            "classes": info.classes,
            "curves": _curves(params, results),
            "answers": answers.as_json(),
        },
    )
    nothing = Album({}, 1, True, ())
    taken = len(render(album=nothing, describe=partial(_describe, nothing)).encode())
    files = _files([result.name for result in results])
    # Each address stands in the page once, with an alternative text and markup around it.
    album = collect_pictures(files, LIMIT - taken - _SLACK - 600 * len(files))
    return render(album=album, describe=partial(_describe, album)) + "\n"


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("thumbnet.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    folder = Path(__file__).parent / "templates"
    environment.globals["style"] = Markup((folder / "report.css").read_text(encoding="utf-8"))
    environment.globals["script"] = Markup((folder / "report.js").read_text(encoding="utf-8"))
    environment.filters["percent"] = lambda share, decimals=2: f"{100 * share:.{decimals}f}"
    environment.filters["p_value"] = lambda p: "p < 0.001" if p < 0.001 else f"p = {p:.2g}"
    environment.filters["points"] = lambda points: f"{points:+.2f}".replace("-", "\N{MINUS SIGN}")
    environment.filters["thousands"] = lambda number: f"{number:,}"
    return environment


def _sections(params: Params) -> dict[str, str]:
    """The page's sections: anchors and names."""
    sections = {
        "results": "Results",
        "compare": "Side by side",
        "answers": "Image by image",
        "curves": "Learning curves",
        "members": "Members",
        "ensemble": "Ensemble",
        "data": "Data",
        "settings": "Settings",
    }
    if params.voters == 1:
        del sections["ensemble"]
    return sections


def _files(names: list[str]) -> dict[str, Path]:
    """The files of all pictures by key, the most important first."""
    common = {key: path for key, (path, _) in COMMON.items()}
    return common | {f"{kind.key}/{name}": Path(kind.file.format(name)) for kind in KINDS for name in names}


def _describe(album: Album, key: str) -> str | None:
    """Why a picture is not there; None where it is, or where there was none to begin with."""
    return "left out, as the page has room for no more" if key in album.left_out else None


def _answers(params: Params) -> Answers:
    files = {member: paths.PREDICTIONS / f"{member}.npz" for member in params.members}
    if params.voters > 1:
        files[paths.ENSEMBLE] = paths.ENSEMBLE_PREDICTIONS
    networks = {name: load_predictions(path)["test"] for name, path in files.items()}
    images, _ = load_split(paths.SPLITS, "test", mmap=True)
    return collect_answers(networks, images, load_names(paths.SPLITS, "test"), params.report.images)


def _by_split(table: Path) -> dict[str, list[dict[str, str]]]:
    """The rows of a table by what its column `split` says."""
    return {split: list(rows) for split, rows in groupby(read_table(table), key=lambda row: row["split"])}


def _scale(results: list[Result]) -> tuple[float, float]:
    """The ends of the axis for intervals of accuracy, as fractions: all of them and a little air."""
    judged = [result.judged[split] for result in results for split in ("validation", "test")]
    low, high = min(each["low"] for each in judged), max(each["high"] for each in judged)
    air = 0.04 * (high - low) + 1e-6
    return low - air, high + air


def _curves(params: Params, results: list[Result]) -> list[dict[str, Any]]:
    points = collect_histories({member: paths.HISTORY / f"{member}.csv" for member in params.members})
    best = {result.name: result.train["best_epoch"] for result in results if result.name in params.members}
    return curves_as_json(points, best)


def _data(params: Params, info: DatasetInfo) -> dict[str, Any]:
    """Classes, numbers of images, statistics and hashes, for the section on the data."""
    counts: Mapping[str, list[int]] = {
        split: np.bincount(load_split(paths.SPLITS, split, mmap=True)[1], minlength=len(info.classes)).tolist()
        for split in SPLITS
    }
    return {
        "info": info,
        "counts": counts,
        "wrong_labels": _wrong_labels(),
        "normalisation": read_json(paths.NORMALISATION_METRICS),
    }


def _wrong_labels() -> int:
    """Training labels that noise has made wrong."""
    truth = load_true_labels(paths.SPLITS)
    return 0 if truth is None else int(np.count_nonzero(truth != load_split(paths.SPLITS, "train", mmap=True)[1]))
