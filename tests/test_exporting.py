"""The command `export`: ONNX files of all kinds of networks, read by onnxruntime."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from thumbnet.data.arrays import images_file, labels_file
from thumbnet.data.normalisation import Statistics
from thumbnet.errors import UserError
from thumbnet.exporting import TOLERANCE, export
from thumbnet.params import network_params
from thumbnet.training.checkpoints import Card, load_classifier, make_classifier, save_classifiers

CLASSES = ["cat", "dog", "Ente"]
GREY, COLOUR = (12, 12, 1), (16, 16, 3)


def make_member(folder: Path, model: dict[str, Any], shape: tuple[int, int, int]) -> None:
    card = Card(folder.name, model, CLASSES, shape, 1, {"seed": 1}, {"name": "animals"}, {"epoch": 1})
    statistics = Statistics(np.full(shape[2], 50.0), np.full(shape[2], 80.0))
    classifier = make_classifier(network_params(model), shape, len(CLASSES), statistics, seed=1)
    classifier.train()  # so that the running averages of batch normalisation are none that cancel out
    classifier(torch.randint(0, 256, (8, *shape), dtype=torch.uint8))
    save_classifiers(folder, [classifier], [card])


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        ({"layers": "F"}, GREY),
        ({"layers": "F L8 D.5 L8 N", "norm": "batch", "activation": "selu", "order": "act_norm"}, GREY),
        ({"layers": "C4 C4+ c6 P S6/2 A G", "norm": "batch", "activation": "silu"}, COLOUR),
        ({"layers": "C4k5v C4+ P3/2 F L8", "norm": "group", "groups": 2, "activation": "prelu"}, COLOUR),
        ({"layers": "C4 C4+ G", "norm": "layer", "activation": "maxout"}, GREY),
        ({"layers": "C4 P C4 F", "norm": "instance", "activation": "gelu"}, COLOUR),
        ({"torchvision": "squeezenet1_1", "pretrained": "none"}, (32, 32, 3)),
    ],
)
def test_a_file_says_what_the_network_says(
    model: dict[str, Any], shape: tuple[int, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder, path = tmp_path / "models/bn", tmp_path / "bn.onnx"
    make_member(folder, model, shape)
    done = export(folder, path)
    assert (done.path, done.are_real) == (path, False)
    assert done.difference <= TOLERANCE

    images = np.random.default_rng(1).integers(0, 256, (3, *shape), dtype=np.uint8)  # another number than at export
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (told,) = session.run(["probabilities"], {"images": images})
    with torch.no_grad():
        expected = load_classifier(folder)(torch.from_numpy(images)).softmax(1).numpy()
    np.testing.assert_allclose(told, expected, atol=TOLERANCE)
    metadata = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert json.loads(metadata["classes"]) == CLASSES
    height, width, channels = shape
    assert metadata["input"] == f"raw pixels 0-255, uint8, (n, {height}, {width}, {channels})"


@pytest.mark.parametrize("images", [1, 7])
def test_the_check_takes_the_test_split_where_it_fits(
    images: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_member(tmp_path / "models/bn", {"layers": "F"}, GREY)
    splits = tmp_path / "data/splits"
    splits.mkdir(parents=True)
    np.save(images_file(splits, "test"), np.zeros((images, *GREY), dtype=np.uint8))
    np.save(labels_file(splits, "test"), np.zeros(images, dtype=np.int64))
    done = export(tmp_path / "models/bn", tmp_path / "bn.onnx")
    assert (done.images, done.are_real, done.same_class) == (images, True, 1.0)


def test_missing_networks_and_packages_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bn.onnx"
    with pytest.raises(UserError, match="dvc repro train@bn"):
        export(tmp_path / "bn", path)
    make_member(tmp_path / "bn", {"layers": "F"}, GREY)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r"thumbnet\[export\]"):
        export(tmp_path / "bn", path)
    assert list(tmp_path.iterdir()) == [tmp_path / "bn"]


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    make_member(tmp_path / "bn", {"layers": "F"}, GREY)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file/bn\.onnx cannot be written: (File exists|Not a directory)"):
        export(tmp_path / "bn", tmp_path / "file/bn.onnx")
