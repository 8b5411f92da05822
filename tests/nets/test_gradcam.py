"""Grad-CAM: the right feature map, and heat where the evidence is."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from thumbnet.nets.builder import build_network
from thumbnet.nets.gradcam import explain, find_feature_map
from thumbnet.nets.layers import Classifier
from thumbnet.nets.notation import Shape
from thumbnet.params import ModelParams, TorchvisionParams


def classifier(network: nn.Module) -> Classifier:
    return Classifier(network, torch.zeros(1), torch.full((1,), 255.0)).eval()


def images(n: int, side: int, channels: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (n, side, side, channels), dtype=np.uint8)


@pytest.mark.parametrize(
    ("line", "side", "place", "size"),
    [
        # The block of the last convolution, its normalisation, activation and sum included.
        ("C8 C8+ P C8 C8+ G", 28, 4, 14),
        ("C8 C8+ P F", 8, 1, 8),
        ("C8 P C8 P F L16", 28, 2, 14),  # before the pooling, where places are finer
        ("C8 P c8 P S8 P C8 G", 28, 4, 7),  # of 3 by 3 places the last one would be too coarse
        ("C8v C8v F", 8, 1, 4),
    ],
)
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_the_last_feature_map_that_is_fine_enough_is_explained(
    line: str, side: int, place: int, size: int, norm: str
) -> None:
    model = ModelParams.model_validate({"layers": line, "norm": norm})
    network = build_network(model, Shape(1, side, side), 3).eval()
    assert find_feature_map(network, torch.zeros(1, 1, side, side)) is list(network.children())[place]
    heat = explain(classifier(network), images(2, side, 1), np.array([[0, 1], [2, 0]]))
    assert heat is not None
    assert heat.shape == (2, 2, size, size)
    assert np.isfinite(heat).all()
    assert (heat >= 0).all()


@pytest.mark.parametrize("line", ["F", "F L8", "P7 C8 G"])
def test_a_network_without_a_map_of_places_is_not_explained(line: str) -> None:
    network = build_network(ModelParams(layers=line), Shape(1, 14, 14), 3).eval()
    assert explain(classifier(network), images(1, 14, 1), np.array([[0, 1]])) is None


@pytest.mark.parametrize(
    ("name", "channels", "place"),
    [
        ("resnet18", 1, "network.layer2"),  # layer3 has 2 by 2 places left, layer4 one
        ("resnet18", 3, "layer2"),
        ("resnet50", 3, "layer2"),  # not the first convolution of layer3, which has a way around it
        ("vgg11", 3, "features.13"),
        ("mobilenet_v3_small", 1, "network.features.3"),
        ("densenet121", 3, "features.transition2.conv"),
        ("convnext_tiny", 3, "features.3"),
        ("swin_t", 3, "features.0.0"),  # its only convolution
    ],
)
def test_networks_of_torchvision_are_explained(name: str, channels: int, place: str) -> None:
    torch.manual_seed(0)
    network = build_network(TorchvisionParams(torchvision=name), Shape(channels, 32, 32), 3).eval()
    assert find_feature_map(network, torch.zeros(1, channels, 32, 32)) is network.get_submodule(place)
    heat = explain(classifier(network), images(2, 32, channels), np.array([[0, 1], [2, 0]]))
    assert heat is not None
    assert min(heat.shape[2:]) >= 4
    assert np.isfinite(heat).all()


def test_heat_is_where_the_evidence_is() -> None:
    """A class that is bright pixels on the left, one that is bright pixels anywhere, and one that is darkness."""
    convolution = nn.Conv2d(1, 1, 1, bias=False)
    dense = nn.Linear(64, 3, bias=False)
    nn.init.ones_(convolution.weight)
    left = torch.zeros(8, 8)
    left[:, :4] = 1
    dense.weight.data = torch.stack([left.flatten(), torch.ones(64), -torch.ones(64)])
    picture = np.zeros((1, 8, 8, 1), dtype=np.uint8)
    picture[0, 2:4, 1:3] = 255
    heat = explain(classifier(nn.Sequential(convolution, nn.Flatten(), dense)), picture, np.array([[0, 1, 2]]))
    assert heat is not None
    bright = picture[0, ..., 0] > 0
    for label in (0, 1):
        assert (heat[0, label][bright] > 0).all()
        assert (heat[0, label][~bright] == 0).all()
    assert not heat[0, 2].any(), "nothing speaks for darkness"
