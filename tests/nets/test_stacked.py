"""Several networks as one: what comes out of it, and of its gradients, is what comes out of each alone."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from thumbnet.data.normalisation import Statistics
from thumbnet.nets.layers import Classifier
from thumbnet.nets.stacked import Stacked, can_stack
from thumbnet.params import Activation, ModelParams
from thumbnet.training.checkpoints import make_classifier

SHAPE, CLASSES, NETWORKS, BATCH = (5, 4, 3), 7, 3, 8
LINES: list[dict[str, Any]] = [
    {"layers": "F"},
    {"layers": "F L6"},
    {"layers": "F L6 L6+ L9"},
    {"layers": "F L6 L6+", "norm": "batch"},
    {"layers": "F L6 L6", "norm": "batch", "order": "act_norm"},
    {"layers": "F L6 N", "norm": "layer"},
    {"layers": "F L6 L8", "norm": "group", "groups": 2, "order": "act_norm"},
]


def make(seed: int, **model: Any) -> Classifier:
    statistics = Statistics(np.array([100.0, 120.0, 90.0]), np.array([50.0, 60.0, 70.0]))
    return make_classifier(ModelParams(**model), SHAPE, CLASSES, statistics, seed)


def draw_images(*counts: int) -> torch.Tensor:
    return torch.randint(256, (*counts, *SHAPE), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def together(model: dict[str, Any]) -> tuple[list[Classifier], Stacked]:
    classifiers = [make(seed, **model) for seed in range(NETWORKS)]
    assert can_stack(classifiers)
    return classifiers, Stacked(classifiers)


@pytest.mark.parametrize("model", LINES, ids=str)
def test_in_training_each_network_does_what_it_does_alone(model: dict[str, Any]) -> None:
    classifiers, stacked = together(model)
    images = draw_images(NETWORKS, BATCH)
    labels = torch.arange(NETWORKS * BATCH).reshape(NETWORKS, BATCH) % CLASSES

    logits = stacked(images)
    functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum").backward()
    optimizer = torch.optim.SGD(stacked.parameters(), lr=0.01)
    optimizer.step()

    for place, classifier in enumerate(classifiers):
        alone = classifier(images[place])
        torch.testing.assert_close(logits[place], alone)
        functional.cross_entropy(alone, labels[place], reduction="sum").backward()
        torch.optim.SGD(classifier.parameters(), lr=0.01).step()
        after = classifier.state_dict()
        weights = stacked.weights(place)
        assert weights.keys() == after.keys()
        for name, tensor in weights.items():
            torch.testing.assert_close(tensor, after[name], msg=name)


@pytest.mark.parametrize("model", LINES, ids=str)
def test_in_evaluation_all_networks_can_see_the_same_images(model: dict[str, Any]) -> None:
    classifiers, stacked = together(model)
    images = draw_images(BATCH)
    stacked.train()
    stacked(draw_images(NETWORKS, 50))  # so that running statistics differ
    stacked.eval()

    logits = stacked(images)

    for place, classifier in enumerate(classifiers):
        classifier.load_state_dict(stacked.weights(place))
        torch.testing.assert_close(logits[place], classifier.eval()(images))


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "tanh"])
def test_activations_of_single_values_can_be_stacked(activation: Activation) -> None:
    classifiers, stacked = together({"layers": "F L6", "activation": activation})
    images = draw_images(NETWORKS, BATCH)
    for place, classifier in enumerate(classifiers):
        torch.testing.assert_close(stacked(images)[place], classifier(images[place]))


@pytest.mark.parametrize(
    "model",
    [
        {"layers": "C4 G"},
        {"layers": "F L6 D.5"},
        {"layers": "F L6", "activation": "prelu"},
        {"layers": "F L6", "activation": "maxout"},
    ],
    ids=str,
)
def test_others_are_left_alone(model: dict[str, Any]) -> None:
    assert not can_stack([make(0, **model)])


def test_the_weights_of_one_network_are_a_copy() -> None:
    classifiers, stacked = together({"layers": "F L6"})
    weights = stacked.weights(1)
    before = {name: tensor.clone() for name, tensor in weights.items()}
    stacked.weights(2)
    with torch.no_grad():
        for parameter in [*stacked.parameters(), *classifiers[1].parameters()]:
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in weights.items())
