"""The engine against a loop of plain PyTorch: the same weights and the same history, to the last bit, in fp32.

Whatever makes the engine faster must pass here as it stands.
"""

import copy
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import Parameter
from torch.nn.functional import cross_entropy, pad
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

from thumbnet.nets.layers import Classifier
from thumbnet.training.batches import Images
from thumbnet.training.engine import Recipe, fit
from thumbnet.training.muon import Muon

MakeImages = Callable[..., Images]
MakeNetwork = Callable[..., Classifier]
MakeRecipe = Callable[..., Recipe]

SEED, EPOCHS, SIZE, STEPS = 1, 2, 16, 8

NETWORKS = {
    "MLP": ("F L16 L8", "batch"),
    "CNN with batch normalisation and a sum": ("C4 P C4+ G", "batch"),
    "CNN with group normalisation": ("C4 S8/2 C8+ F L8", "group"),
    "dropout": ("C4 D.3 P F L8 D.5", "none"),
}
ONE_CYCLE: dict[str, Any] = {"name": "one_cycle", "warmup": 0.3}
#: Changes to `make_recipe`, the same optimizer and schedule of PyTorch's, and what else the loop is to do.
RECIPES: dict[str, tuple[dict[str, Any], Callable[..., Any], dict[str, Any]]] = {
    "sgd": (
        {"optimizer": {"name": "sgd", "lr": 0.1, "weight_decay": 0.001, "momentum": 0.9, "nesterov": True}},
        lambda groups: SGD(groups, lr=0.1, momentum=0.9, nesterov=True, fused=True),
        {"decay": 0.001},
    ),
    "sgd, average, smoothing, flips": (
        {
            "train": {"ema": 0.3},
            "regularisation": {"label_smoothing": 0.1},
            "augment": {"flip": "random"},
            "optimizer": {"name": "sgd", "lr": 0.1, "weight_decay": 0.0, "momentum": 0.9, "nesterov": True},
        },
        lambda groups: SGD(groups, lr=0.1, momentum=0.9, nesterov=True, fused=True),
        {"ema": 0.3, "smoothing": 0.1, "flip": True},
    ),
    "adamw, decay, average": (
        {"train": {"ema": 0.998}, "optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.1}},
        lambda groups: AdamW(groups, lr=0.01, fused=True),
        {"decay": 0.1, "ema": 0.998},
    ),
    "adam, flips, clipping": (
        {
            "optimizer": {"name": "adam", "lr": 0.01, "weight_decay": 0.0},
            "augment": {"flip": "random"},
            "regularisation": {"clip_norm": 0.5},
        },
        lambda groups: Adam(groups, lr=0.01, fused=True),
        {"flip": True, "clip": 0.5},
    ),
    "muon, decay, average, crops": (  # as params.yaml has it; its own steps are compared in test_optimisation.py
        {
            "train": {"ema": 0.998},
            "optimizer": {"name": "muon", "lr": 0.01, "weight_decay": 0.01, "momentum": 0.9, "nesterov": True},
            "augment": {"crop": 1},
        },
        lambda groups: Muon(*split_last(groups[0]["params"]), groups[1]["params"], 0.01, 0.01, 0.9, True),
        {"decay": 0.01, "ema": 0.998, "crop": 1},
    ),
    "rmsprop, constant rate": (
        {
            "optimizer": {"name": "rmsprop", "lr": 0.001, "weight_decay": 0.0, "momentum": 0.0},
            "schedule": {"name": "constant"},
        },
        lambda groups: RMSprop(groups, lr=0.001, foreach=True),
        {"cycle": False},
    ),
}


def split_last(kernels: list[Parameter]) -> tuple[list[Parameter], list[Parameter]]:
    return kernels[:-1], kernels[-1:]


def train_by_hand(
    classifier: Classifier, train: Images, validation: Images, optimize: Callable[..., Any], *, decay: float = 0.0,
    ema: float = 0.0, smoothing: float = 0.0, flip: bool = False, crop: int = 0, clip: float = 0.0, cycle: bool = True,
) -> tuple[list[dict[str, float]], list[dict[str, Tensor]]]:  # fmt: skip
    """The history and the weights after each epoch; they are judged as they are, or their average is."""
    network, generator, history, kept = classifier.network, torch.Generator().manual_seed(SEED), [], []
    averaged = copy.deepcopy(network) if ema else network
    kernels, others = ([weight for weight in network.parameters() if (weight.ndim > 1) == is_] for is_ in (True, False))
    optimizer = optimize([{"params": kernels, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}])
    rate = optimizer.param_groups[0]["lr"]
    cycles = {"max_lr": rate, "total_steps": STEPS + 1, "pct_start": 0.3, "cycle_momentum": False}
    schedule = OneCycleLR(optimizer, **cycles) if cycle else LambdaLR(optimizer, lambda step: 1.0)
    torch.manual_seed(SEED + 2**40)  # of dropout
    for epoch in range(1, EPOCHS + 1):
        loss_sum, hits = torch.zeros(()), 0
        for batch in torch.randperm(len(train), generator=generator).split(SIZE)[: STEPS // EPOCHS]:
            images, labels = train.images[batch], train.labels[batch]
            if crop:
                corners = torch.randint(2 * crop + 1, (2, SIZE), generator=generator).T.tolist()
                wide = pad(images, (0, 0, crop, crop, crop, crop))
                sides = images.shape[1:3]
                windows = zip(wide, corners, strict=True)
                images = torch.stack([image[y : y + sides[0], x : x + sides[1]] for image, (y, x) in windows])
            if flip:
                mirrored = torch.rand(SIZE, generator=generator) < 0.5
                images = torch.where(mirrored[:, None, None, None], images.flip(2), images)
            scaled = (images.float() - classifier.mean) / classifier.std
            logits = network.train()(scaled.permute(0, 3, 1, 2))
            optimizer.zero_grad()
            cross_entropy(logits, labels, label_smoothing=smoothing).backward()
            if clip:
                torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
            optimizer.step()
            step = schedule.last_epoch
            if ema:
                keep = min(ema, (1 + step) / (10 + step)) if step else 0.0
                for mine, other in zip(averaged.state_dict().values(), network.state_dict().values(), strict=True):
                    mine.lerp_(other, 1 - keep) if mine.is_floating_point() else mine.copy_(other)
            lr = schedule.get_last_lr()[0]
            schedule.step()
            loss_sum.add_(cross_entropy(logits.detach(), labels), alpha=SIZE)
            hits += int((logits.argmax(1) == labels).sum())
        with torch.no_grad():
            scaled = (validation.images.float() - classifier.mean) / classifier.std
            logits = averaged.eval()(scaled.permute(0, 3, 1, 2))
        history.append(
            {
                "epoch": epoch,
                "lr": float(lr),
                "train_loss": loss_sum.item() / (SIZE * STEPS // EPOCHS),
                "train_accuracy": hits / (SIZE * STEPS // EPOCHS),
                "validation_loss": cross_entropy(logits, validation.labels).item(),
                "validation_accuracy": int((logits.argmax(1) == validation.labels).sum()) / len(validation),
                "l2_penalty": 0.0,
            }
        )
        kept.append(copy.deepcopy(averaged.state_dict()))
    return history, kept


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("network", NETWORKS)
def test_the_engine_comes_to_what_a_plain_loop_comes_to_bit_by_bit(
    network: str, recipe: str, make_images: MakeImages, make_network: MakeNetwork, make_recipe: MakeRecipe
) -> None:
    changes, optimize, asked = RECIPES[recipe]
    train, validation = make_images(75, seed=1), make_images(40, seed=2)
    sections = {"schedule": ONE_CYCLE, **changes, "train": {"epochs": EPOCHS, **changes.get("train", {})}}
    ours = make_network(*NETWORKS[network])
    torch.manual_seed(123)  # whatever was drawn before changes nothing

    outcome = fit(ours, train, validation, make_recipe(**sections), torch.float32)

    history, kept = train_by_hand(make_network(*NETWORKS[network]), train, validation, optimize, **asked)
    told = [asdict(epoch) for epoch in outcome.history]
    assert [{**epoch, "seconds": 0} for epoch in told] == [{**epoch, "seconds": 0} for epoch in history]
    for name, tensor in ours.network.state_dict().items():
        assert torch.equal(tensor, kept[outcome.best.epoch - 1][name]), name
