"""Trained classifiers on disk: nothing is lost, the same training is the same bytes, and what is missing is told."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from thumbnet.errors import UserError
from thumbnet.nets.builder import count_parameters
from thumbnet.nets.layers import Classifier
from thumbnet.params import ModelParams, NormKind
from thumbnet.training.batches import Images
from thumbnet.training.checkpoints import Card, load_card, load_classifier, save_classifiers
from thumbnet.training.engine import Recipe, fit
from thumbnet.training.history import deterministic, write_history, write_train_metrics
from thumbnet.training.prediction import predict


def card_of(classifier: Classifier, line: str, norm: NormKind) -> Card:
    return Card(
        member="bn",
        model=ModelParams(layers=line, norm=norm).used(),
        classes=["stands", "lies", "ähnlich"],
        input_shape=(6, 5, 1),
        parameters=count_parameters(classifier),
        training={"seed": 1, "optimizer": {"lr": 0.1}},
        data={"name": "stripes", "sha256": {"train": "1a"}},
        best={"epoch": 2, "validation_accuracy": 0.75},
    )


@pytest.mark.parametrize(
    ("line", "norm"),
    [("C4 C4+ c3 P G", "batch"), ("C4 C4+ F L8", "group"), ("C4 G D.5", "layer"), ("F L8 L8+", "none")],
)
def test_a_loaded_classifier_gives_the_same_logits(
    line: str,
    norm: NormKind,
    tmp_path: Path,
    make_images: Callable[..., Images],
    make_network: Callable[..., Classifier],
    make_recipe: Callable[..., Recipe],
) -> None:
    images = make_images(48)
    classifier = make_network(line, norm)
    fit(classifier, images, images, make_recipe(train={"epochs": 1}), torch.float32)
    card = card_of(classifier, line, norm)
    save_classifiers(tmp_path / "models" / "bn", [classifier], [card])

    torch.manual_seed(123)  # nothing of the initial weights may be left
    loaded = load_classifier(tmp_path / "models" / "bn")

    assert not loaded.training
    assert torch.equal(predict(loaded, images.images), predict(classifier, images.images))
    assert load_card(tmp_path / "models" / "bn") == card
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["bn"], "nothing is left beside it"
    assert json.loads((tmp_path / "models/bn/model.json").read_text())["classes"][2] == "ähnlich"


def test_a_network_is_built_on_the_cpu_and_then_goes_to_its_device(
    tmp_path: Path, make_network: Callable[..., Classifier]
) -> None:
    classifier = make_network("C4 C4+ G", "batch")
    save_classifiers(tmp_path / "bn", [classifier], [card_of(classifier, "C4 C4+ G", "batch")])
    loaded = load_classifier(tmp_path / "bn", "meta")  # a device to which no file can be read
    assert {tensor.device.type for tensor in loaded.state_dict().values()} == {"meta"}


def test_the_same_training_gives_the_same_bytes(
    tmp_path: Path,
    make_images: Callable[..., Images],
    make_network: Callable[..., Classifier],
    make_recipe: Callable[..., Recipe],
) -> None:
    def train(folder: Path, seed: int) -> dict[str, bytes]:
        classifier = make_network("C4 C4+ D.2 G", "batch", seed)
        recipe = make_recipe(augment={"flip": "random", "crop": 1})
        outcome = fit(classifier, make_images(60), make_images(20, seed=3), recipe, torch.float32)
        card = card_of(classifier, "C4 C4+ D.2 G", "batch")
        save_classifiers(folder / "bn", [classifier], [Card(**{**vars(card), "best": deterministic(outcome.best)})])
        write_history(folder / "history.csv", [outcome])
        write_train_metrics(folder / "metrics.json", [outcome], card.parameters)
        return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    first = train(tmp_path / "first", seed=0)
    assert set(first) == {"weights.safetensors", "model.json", "history.csv", "metrics.json"}
    assert train(tmp_path / "second", seed=0) == first
    assert train(tmp_path / "first", seed=0) == first, "over what is there"
    assert train(tmp_path / "third", seed=1)["weights.safetensors"] != first["weights.safetensors"]


def test_a_save_that_fails_leaves_the_old_network_alone(
    tmp_path: Path, make_network: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bn"
    classifier = make_network()
    card = card_of(classifier, "C4 C4+ G", "batch")
    save_classifiers(folder, [classifier], [card])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    unwritable = Card(**{**vars(card), "best": {"epoch": object()}})
    with pytest.raises(TypeError):
        save_classifiers(folder, [make_network(seed=5)], [unwritable])

    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert list(tmp_path.iterdir()) == [folder]


def test_whoever_may_read_the_card_may_read_the_weights(
    tmp_path: Path, make_network: Callable[..., Classifier]
) -> None:
    classifier = make_network("F L8", "none")
    save_classifiers(tmp_path / "bn", [classifier], [card_of(classifier, "F L8", "none")])
    modes = {path.name: path.stat().st_mode for path in (tmp_path / "bn").iterdir()}
    assert modes["weights.safetensors"] == modes["model.json"]


def test_a_network_that_is_not_there_is_named_with_the_command_that_trains_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"models/bn holds no trained network; train it with: dvc repro train@bn"):
        load_classifier(tmp_path / "models" / "bn")
