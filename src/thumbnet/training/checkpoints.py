"""A trained classifier on disk: weights as safetensors, and beside them a card that tells what they are.

Both files are deterministic: the same parameters, data and machine give the same bytes. No pickle is involved.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import nn

from thumbnet.data.normalisation import Statistics
from thumbnet.errors import UserError
from thumbnet.files import fresh_folder, write_json
from thumbnet.nets.builder import build_network
from thumbnet.nets.layers import Classifier
from thumbnet.nets.notation import Shape
from thumbnet.params import NetworkParams, TorchvisionParams, network_params

WEIGHTS = "weights.safetensors"
CARD = "model.json"
#: Holds a folder like its own for each further seed.
SEEDS = "seeds"


@dataclass(frozen=True)
class Card:
    """What a trained classifier is, and how it came to be.

    Attributes:
        member: its name in `models`.
        model: its network, as `network_params` reads it.
        classes: names in the order of the logits.
        input_shape: height, width and channels of one image.
        parameters: the number of trained values.
        training: every parameter that the training used, by section.
        data: name of the data set and sha256 of each split.
        best: the epoch of the weights: its number, losses and accuracies.
    """

    member: str
    model: dict[str, Any]
    classes: list[str]
    input_shape: tuple[int, int, int]
    parameters: int
    training: dict[str, Any]
    data: dict[str, Any]
    best: dict[str, float]


def make_classifier(
    params: NetworkParams, image: tuple[int, int, int], classes: int, statistics: Statistics, seed: int
) -> Classifier:
    """A new classifier, with its initial weights, on the CPU.

    Args:
        params: its network.
        image: height, width and channels of one image.
        classes: the number of logits.
        statistics: of the training split.
        seed: of the initial weights (PyTorch's global generator is set to it, and dropout draws from it later).

    Raises:
        UserError: the network does not fit the images.
    """
    torch.manual_seed(seed)
    network = build_network(params, image_shape(image), classes)
    classifier = Classifier(network, torch.from_numpy(statistics.mean), torch.from_numpy(statistics.std))
    return classifier.to(memory_format=torch.channels_last)


def save_classifiers(folder: Path, classifiers: Sequence[nn.Module], cards: Sequence[Card]) -> None:
    """Writes weights and card of a network, and of its further seeds; the folder appears whole or not at all.

    Args:
        folder: of the first one; the others go below it, to `seeds/<seed>`.
        classifiers: of one seed or more.
        cards: of each of them.
    """
    with fresh_folder(folder) as aside:
        for classifier, card in zip(classifiers, cards, strict=True):
            own = aside if card is cards[0] else aside / SEEDS / str(card.training["seed"])
            own.mkdir(parents=True, exist_ok=True)
            weights = {name: tensor.detach().cpu().contiguous() for name, tensor in classifier.state_dict().items()}
            (own / WEIGHTS).write_bytes(save(weights))  # `save_file` would make it readable by its owner alone
            write_json(own / CARD, asdict(card))


def seed_folders(folder: Path) -> list[Path]:
    """The folders of a network and of its further seeds, in the order of the seeds; `load_classifier` reads each."""
    further = (folder / SEEDS).iterdir() if (folder / SEEDS).is_dir() else []
    return [folder, *sorted(further, key=lambda path: int(path.name))]


def load_card(folder: Path) -> Card:
    """Reads the card of a trained classifier.

    Raises:
        UserError: there is none.
    """
    try:
        values = json.loads((folder / CARD).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} holds no trained network; train it with: dvc repro train@{folder.name}") from None
    return Card(**{**values, "input_shape": tuple(values["input_shape"])})


def load_classifier(folder: Path, device: str | torch.device = "cpu") -> Classifier:
    """Rebuilds a trained classifier.

    Returns:
        In evaluation mode; maps uint8 images (n, height, width, channels) to logits (n, classes).

    Raises:
        UserError: the folder holds no trained network.
    """
    card = load_card(folder)
    weights = load_file(folder / WEIGHTS)
    params = network_params(card.model)
    if isinstance(params, TorchvisionParams):  # its weights lie here: none are fetched to begin from
        params = params.model_copy(update={"pretrained": "none"})
    network = build_network(params, image_shape(card.input_shape), len(card.classes))
    classifier = Classifier(network, weights["mean"], weights["std"])
    classifier.load_state_dict(weights)
    return classifier.to(memory_format=torch.channels_last).to(device).eval()


def image_shape(input_shape: tuple[int, int, int]) -> Shape:
    """(height, width, channels), as arrays have it, as the shape that a network is planned on."""
    height, width, channels = input_shape
    return Shape(channels, height, width)
