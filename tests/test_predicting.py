"""The commands `predict` and `show`: image files of all kinds in, classes and exit statuses out."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image

from thumbnet import predicting
from thumbnet.data.normalisation import Statistics
from thumbnet.errors import UserError
from thumbnet.figures.style import save_figure
from thumbnet.params import ModelParams, Params, load_params
from thumbnet.training.checkpoints import Card, make_classifier, save_classifiers

ROOT = Path(__file__).parents[1]
CLASSES = ["cat", "dog", "owl"]
SHAPE = (12, 12, 3)

# Red above blue, as a picture of 24×24.
PICTURE = np.zeros((24, 24, 3), dtype=np.uint8)
PICTURE[:12, :, 0] = 200
PICTURE[12:, :, 2] = 100


def make_member(name: str, seeds: int = 1) -> None:
    """A network as training leaves it, with the weights that it begins with."""
    model = ModelParams(layers="C4 G", norm="none")
    cards = [
        Card(name, model.model_dump(), CLASSES, SHAPE, 1, {"seed": seed}, {"name": "animals"}, {"epoch": 1})
        for seed in range(1, seeds + 1)
    ]
    statistics = Statistics(np.full(3, 50.0), np.full(3, 80.0))
    classifiers = [
        make_classifier(model, SHAPE, len(CLASSES), statistics, seed + 10 * len(name)) for seed in range(seeds)
    ]
    save_classifiers(Path("models") / name, classifiers, cards)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with two members that were trained, and their ensemble."""
    monkeypatch.chdir(tmp_path)
    values = yaml.safe_load((ROOT / "params.yaml").read_text())
    values["members"], values["models"] = ["a", "bb"], {name: {"layers": "C4 G"} for name in ("a", "bb", "ccc")}
    Path("params.yaml").write_text(yaml.safe_dump(values))
    make_member("a", seeds=2)
    make_member("bb", seeds=2)
    write_ensemble()
    Image.fromarray(PICTURE).save("picture.png")
    return tmp_path


def write_ensemble(method: str = "soft_vote", networks: int = 2, weights: dict[str, float] | None = None) -> None:
    entry: dict[str, Any] = {"method": method} | ({"weights": weights} if weights else {})
    told = {"members": ["a", "bb"], "method": method, "networks": networks, "methods": [entry]}
    Path("metrics").mkdir(exist_ok=True)
    Path("metrics/ensemble.json").write_text(json.dumps(told))


def probabilities(model: str | None, params: Params | None = None) -> NDArray[np.float32]:
    """What a model says of the picture, (classes,)."""
    predictor = predicting.load_predictor(model, params or load_params())
    (answer,) = predicting.predict_files(predictor, [Path("picture.png")])
    assert answer.probabilities is not None
    return answer.probabilities


def thumbnet(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "BROWSER")}
    command = [str(Path(sys.executable).parent / "thumbnet"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


def as_16_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)


def turned(image: Image.Image) -> Image.Image:
    """The pixels stand on their head, and the EXIF data say so."""
    head_down = image.rotate(180)
    head_down.getexif()[0x0112] = 3
    return head_down


@pytest.mark.parametrize(
    ("change", "ending", "options"),
    [
        (lambda image: image, "png", {}),
        (lambda image: image.resize((300, 150), Image.Resampling.NEAREST), "png", {}),
        (lambda image: image.convert("RGBA"), "webp", {"lossless": True}),
        (lambda image: image.convert("P", palette=Image.Palette.ADAPTIVE), "gif", {}),
        (lambda image: image.convert("CMYK"), "tif", {}),
        (lambda image: image, "gif", {"save_all": True, "append_images": [Image.new("RGB", (24, 24), "white")]}),
        (turned, "png", {}),
        (lambda image: image.convert("L"), "png", {}),
        (as_16_bits, "png", {}),
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_any_file_becomes_what_the_network_was_trained_on(
    channels: int, change: Callable[[Image.Image], Image.Image], ending: str, options: dict[str, Any], tmp_path: Path
) -> None:
    path = tmp_path / f"image.{ending}"
    changed = change(Image.fromarray(PICTURE))
    if "exif" not in options and changed.getexif():
        options = {**options, "exif": changed.getexif()}
    changed.save(path, **options)
    pixels = predicting.read_image(path, (12, 12, channels))
    assert pixels.shape == (12, 12, channels)
    expected = np.asarray(Image.fromarray(PICTURE[::2, ::2]).convert("L"))[..., None]
    if channels == 3:
        is_grey = changed.mode in ("L", "I;16")
        expected = np.repeat(expected, 3, axis=2) if is_grey else PICTURE[::2, ::2]
    # Away from the edge between the colours, which resizing blurs.
    for rows in (slice(0, 4), slice(8, 12)):
        np.testing.assert_allclose(pixels[rows].astype(int), expected[rows], atol=2)


def test_images_that_are_not_square_are_taken_by_networks_that_are_not(tmp_path: Path) -> None:
    Image.fromarray(PICTURE).save(tmp_path / "image.png")
    pixels = predicting.read_image(tmp_path / "image.png", (12, 8, 3))
    assert pixels.shape == (12, 8, 3)
    assert (pixels[0, :, 0] > 190).all()


def test_a_member_says_what_the_stage_evaluate_says(project: Path) -> None:
    torch.set_num_threads(1)
    from thumbnet.training.checkpoints import load_classifier

    pixels = torch.from_numpy(np.array(predicting.read_image(Path("picture.png"), SHAPE)))[None]
    with torch.no_grad():
        expected = load_classifier(Path("models/a"))(pixels).softmax(1)[0].numpy()
    np.testing.assert_allclose(probabilities("a"), expected, rtol=1e-5)
    params = load_params()
    turned_too = replace_evaluate(params, flip=True, shift=1)
    assert not np.allclose(probabilities("a", turned_too), expected, rtol=1e-5)


def replace_evaluate(params: Params, **changes: Any) -> Params:
    return params.model_copy(update={"evaluate": params.evaluate.model_copy(update=changes)})


@pytest.mark.parametrize(
    ("method", "networks", "weights"),
    [
        ("soft_vote", 2, None),
        ("weighted", 2, {"a": 0.9, "bb": 0.1}),
        ("greedy", 4, {"a/1": 0.0, "a/2": 0.0, "bb/1": 1.0, "bb/2": 0.0}),
    ],
)
def test_the_ensemble_votes_as_it_was_chosen(
    method: str, networks: int, weights: dict[str, float] | None, project: Path
) -> None:
    write_ensemble(method, networks, weights)
    a, b = probabilities("a"), probabilities("bb")
    expected = {"soft_vote": (a + b) / 2, "weighted": 0.9 * a + 0.1 * b, "greedy": b}[method]
    np.testing.assert_allclose(probabilities(None), expected, rtol=1e-5)
    np.testing.assert_allclose(probabilities("ensemble"), expected, rtol=1e-5)


def test_the_ensemble_of_all_seeds_has_their_networks(project: Path) -> None:
    first = probabilities("ensemble")
    write_ensemble(networks=4)
    assert not np.allclose(probabilities("ensemble"), first, rtol=1e-4)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("ccc", ["--model ccc", "no such network", "a, bb, ensemble"]),
        ("b", ["--model b", "did you mean 'bb'?"]),
        ("models:/nothing@champion", ["--model models:/nothing@champion", "mlflow.db"]),
    ],
)
def test_a_network_that_is_not_there_is_told(model: str, told: list[str], project: Path) -> None:
    with pytest.raises(UserError) as error:
        predicting.load_predictor(model, load_params())
    for part in told:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("a", "^--model a: .*dvc repro train@a"),
        ("ensemble", "^--model ensemble: a, bb not trained here; train with: dvc repro"),
        (None, "^ensemble, which predicts without --model: a, bb not trained"),
    ],
)
def test_what_was_not_trained_is_told(model: str | None, told: str, project: Path) -> None:
    Path("models").rename("elsewhere")
    with pytest.raises(UserError, match=told):
        predicting.load_predictor(model, load_params())


def test_places_are_files_folders_and_patterns(project: Path) -> None:
    folder = Path("photos")
    folder.mkdir()
    for name in ("b.jpg", "a.PNG", "notes.txt", "._b.jpg"):
        (folder / name).touch()
    found = predicting.find_images(["photos", "photos/*.txt", "picture.png"])
    assert [str(path) for path in found] == ["photos/a.PNG", "photos/b.jpg", "photos/notes.txt", "picture.png"]


@pytest.mark.parametrize(
    ("place", "told"), [("pictur.png", "did you mean 'picture.png'"), ("models", "no images in this folder")]
)
def test_places_that_name_nothing_are_told(place: str, told: str, project: Path) -> None:
    with pytest.raises(UserError, match=told):
        predicting.find_images([place])


def test_large_images_are_taken_and_huge_ones_refused(
    project: Path, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    for side in (120, 150):
        Image.new("RGB", (side, side), "red").save(f"{side}.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # Pillow warns of more, and refuses twice as many
    predictor = predicting.load_predictor("bb", load_params())
    large, huge = predicting.predict_files(predictor, [Path("120.png"), Path("150.png")])
    assert large.error is None
    assert huge.error == "it has more than 0.02 million pixels; make it smaller first"
    assert not recwarn.list


def test_json_names_the_likeliest_class_however_close_the_next_one_is() -> None:
    predictor = predicting.Predictor("bn", ["a", "b"], SHAPE, lambda pixels: pixels.astype(np.float32))
    answer = predicting.Answer(Path("x.png"), None, np.array([0.4999997, 0.5000003], np.float32))
    (entry,) = predicting.as_json(predictor, [answer])["images"]
    assert (entry["class"], entry["probabilities"]) == ("b", {"a": 0.5, "b": 0.5})


def test_names_with_brackets_are_names(project: Path) -> None:
    """rich takes `[/y]` for the end of a style, and `:owl:` for a picture."""
    names = ["[red]a[bold].png", "x[/y].png", ":owl:.png"]
    for name in names:
        Path(name).parent.mkdir(exist_ok=True)
        Image.fromarray(PICTURE).save(name)
    done = thumbnet("predict", *names, "--top", "1")
    assert (done.returncode, done.stderr) == (0, "")
    assert [line.split()[0] for line in done.stdout.splitlines() if ".png" in line] == names


def test_a_file_that_cannot_be_read_stops_no_other(project: Path) -> None:
    Path("broken.png").write_bytes(Path("picture.png").read_bytes()[:60])
    Path("text.png").write_text("no image")
    done = thumbnet("predict", "text.png", "picture.png", "broken.png", "--json")
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == "error: text.png: broken, or no image"
    assert done.stderr.splitlines()[1].startswith("error: broken.png: ")
    told = json.loads(done.stdout)
    assert (told["model"], told["classes"]) == ("ensemble of a, bb", CLASSES)
    text, picture, broken = told["images"]
    assert text == {"image": "text.png", "error": "broken, or no image"}
    assert set(broken) == {"image", "error"}
    assert sum(picture["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert picture["probability"] == max(picture["probabilities"].values())
    assert picture["probabilities"][picture["class"]] == picture["probability"]


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [
        (["predict", "picture.png", "--model", "bb", "--top", "1"], 0, "bb, 3 classes"),
        (["predict", "params.yaml"], 1, "error: params.yaml: broken, or no image"),
        (["predict", "picture.png", "--figure", "bars.jpg"], 1, "error: --figure bars.jpg"),
        (["predict"], 2, "Missing argument"),
        (["predict", "picture.png", "--top", "0"], 2, "--top"),
        (["show"], 1, "error: plots/report.html is missing; make it with: dvc repro"),
    ],
)
def test_the_exit_status_says_how_it_went(arguments: list[str], status: int, told: str, project: Path) -> None:
    done = thumbnet(*arguments)
    assert done.returncode == status
    assert told in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_show_says_where_the_report_is(project: Path) -> None:
    report = project / "plots/report.html"
    report.parent.mkdir()
    report.touch()
    assert thumbnet("show", "--path").stdout == f"{report.resolve()}\n"
    done = thumbnet("show")
    assert done.returncode == 0
    assert str(report.resolve()) in done.stdout


def test_the_figure_shows_what_could_be_read(project: Path) -> None:
    predictor = predicting.load_predictor("a", load_params())
    answers = predicting.predict_files(predictor, [Path("params.yaml"), Path("picture.png"), Path("picture.png")])
    save_figure(predicting.draw(predictor, answers), Path("bars.png"))
    two = Image.open("bars.png").size
    save_figure(predicting.draw(predictor, [answers[0], replace(answers[1])]), Path("bars.png"))
    one = Image.open("bars.png").size
    assert two[0] > one[0]
    assert two[1] == one[1]
