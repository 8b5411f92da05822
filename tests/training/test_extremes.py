"""Trainings that cannot go well: they diverge, need too much memory, or begin at zero."""

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from stages import train
from thumbnet.data.arrays import DatasetInfo
from thumbnet.data.normalisation import Statistics
from thumbnet.errors import UserError
from thumbnet.nets.layers import Classifier
from thumbnet.params import ModelParams, load_params
from thumbnet.training.batches import Images
from thumbnet.training.checkpoints import make_classifier
from thumbnet.training.devices import short_memory_told
from thumbnet.training.engine import Epoch, Recipe, fit

MakeImages = Callable[..., Images]
MakeNetwork = Callable[..., Classifier]
MakeRecipe = Callable[..., Recipe]


def test_a_training_that_diverges_is_told_and_ended(
    make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    recipe = make_recipe(optimizer={"lr": 1e12}, schedule={"name": "constant"})
    heard = list[Epoch]()
    with pytest.raises(UserError, match=r"diverged in epoch \d: .*nan.* smaller optimizer\.lr than 1e\+12"):
        fit(make_network("F L8 L8", "none"), make_images(64), make_images(9), recipe, torch.float32, heard.append)
    assert all(torch.isfinite(torch.tensor(epoch.validation_loss)) for epoch in heard)


class Greedy(nn.Module):
    """Wants more memory than a processor can address."""

    def forward(self, images: Tensor) -> Tensor:
        return torch.empty(2**50) + images


def test_too_little_memory_is_told_with_the_size_of_the_batch(
    make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    network = nn.Sequential(make_network(), Greedy())
    message = r"train\.batch_size = 16: .* more memory .* smaller .*DefaultCPUAllocator"
    with pytest.raises(UserError, match=message), short_memory_told(16):
        fit(network, make_images(32), make_images(8), make_recipe(), torch.float32)


@pytest.mark.usefixtures("restored_switches")
def test_the_stage_tells_of_too_little_memory_before_the_first_batch_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def run_short(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(train, "load_info", lambda _: DatasetInfo("digits", ("0", "1"), (8, 8, 1), {}, {}))
    monkeypatch.setattr(train, "keep_freed_memory", lambda: None)  # which would last, for other tests
    monkeypatch.setattr(train, "load_images", run_short)
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    with pytest.raises(UserError, match=r"train\.batch_size = \d+: .* more memory .*CUDA out of memory"):
        train.main(params, params.members[0])


@pytest.mark.parametrize("line", ["C8 C8 G", "F L16"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "muon"])
def test_a_network_that_begins_at_zero_never_learns(line: str, optimizer: str, make_recipe: MakeRecipe) -> None:
    """Each layer's gradient is a multiple of zeros, but for the last biases: the loss stays at ln 10 = 2.3026."""
    digits = load_digits()
    images = torch.from_numpy((digits.images * 15).astype(np.uint8)[..., None])  # (1797, 8, 8, 1)
    labels = torch.from_numpy(digits.target)
    train, validation = Images(images[:1500], labels[:1500]), Images(images[1500:], labels[1500:])
    statistics = Statistics(np.full(1, 78.0), np.full(1, 90.0))
    network = make_classifier(ModelParams(layers=line, init="zero"), (8, 8, 1), 10, statistics, seed=1)
    recipe = make_recipe(optimizer={"name": optimizer, "lr": 0.001})

    history = fit(network, train, validation, recipe, torch.float32).history

    for epoch in history:
        assert epoch.train_loss == pytest.approx(math.log(10), abs=2e-3)
        assert epoch.validation_loss == pytest.approx(math.log(10), abs=2e-3)
        assert epoch.validation_accuracy < 0.15
    kernels = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    assert len(kernels) > 1
    assert all(torch.count_nonzero(kernel) == 0 for kernel in kernels)
