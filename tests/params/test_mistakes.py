"""Bad input: every mistake in params.yaml is told by its key, its value, what is allowed and the nearest known name."""

from collections.abc import Callable
from typing import Any

import pytest

from thumbnet.errors import UserError
from thumbnet.params import Params

BN = {"layers": "C8 C8+ G", "norm": "batch"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        # Unknown keys, at every depth, with the nearest known one.
        ({"optimiser": {"lr": 1}}, ["optimiser: unknown key", "did you mean 'optimizer'?", "the top level has seed"]),
        ({"optimizer__learning_rate": 0.1}, ["optimizer.learning_rate: unknown key", "optimizer has name, lr"]),
        ({"train__epoch": 3}, ["train.epoch: unknown key", "did you mean 'epochs'?", "train has epochs, batch_size"]),
        ({"models__bn__layer": "F"}, ["models.bn.layer: unknown key", "did you mean 'layers'?", "models.bn has"]),
        ({"models__bn__norms": "group"}, ["models.bn.norms", "did you mean 'norm'?"]),
        ({"models__bn__torchvison": "resnet18"}, ["models.bn.torchvison: unknown key", "did you mean 'torchvision'?"]),
        ({"models__bn__pretrained": "none"}, ["models.bn.pretrained: unknown key; models.bn has layers, norm"]),
        ({"models__bn": {"torchvision": "resnet18", "norm": "batch"}},
         ["models.bn.norm: unknown key; models.bn has torchvision, pretrained"]),
        ({"models": {"layers": {**BN, "norms": "group"}}, "members": ["layers"]}, ["models.layers.norms: unknown key"]),
        ({"early_stopping__patient": 3}, ["early_stopping.patient", "did you mean 'patience'?"]),
        ({"gallery__tests": [5, 2]}, ["gallery.tests", "did you mean 'test'?"]),
        # Missing keys.
        ({"seed": ...}, ["seed: missing"]),
        ({"optimizer__lr": ...}, ["optimizer.lr: missing"]),
        ({"augment": ...}, ["augment: missing"]),
        ({"models__bn__layers": ...}, ["models.bn.layers: missing"]),
        ({"models__bn": {}}, ["models.bn.layers: missing"]),
        ({"regularisation": ...}, ["regularisation: missing"]),
        # Wrong types.
        ({"seed": "one"}, ["seed = 'one'", "integer"]),
        ({"train__epochs": 2.5}, ["train.epochs = 2.5", "integer"]),
        ({"train__epochs": "6"}, ["train.epochs = '6'", "integer"]),
        ({"optimizer__lr": "fast"}, ["optimizer.lr = 'fast'", "number"]),
        ({"optimizer__lr": True}, ["optimizer.lr = True", "number"]),
        ({"optimizer__lr": [0.1, 0.2]}, ["optimizer.lr = [0.1, 0.2]", "number"]),
        ({"evaluate__flip": "maybe"}, ["evaluate.flip = 'maybe'", "boolean"]),
        ({"evaluate__flip": 1}, ["evaluate.flip = 1", "boolean"]),
        ({"augment__flip": True}, ["augment.flip = True", "none, random, alternating"]),
        ({"models__bn": None}, ["models.bn = None", "section"]),
        ({"models__bn": {"torchvision": 18}}, ["models.bn.torchvision = 18", "string"]),
        ({"train": 6}, ["train = 6", "section"]),
        ({"train": None}, ["train = None", "section"]),
        ({"models": ["bn"]}, ["models = ['bn']", "section"]),
        ({"models__bn": "C8 G"}, ["models.bn = 'C8 G'", "section"]),
        ({"models__bn__layers": 16}, ["models.bn.layers = 16", "string"]),
        ({"members": "bn"}, ["members = 'bn'", "list"]),
        ({"gallery__test": [5]}, ["gallery.test = [5]: must have at least 2 entries, and has 1"]),
        ({"gallery__test": [5, 2, 1]}, ["gallery.test = [5, 2, 1]", "at most 2"]),
        # Impossible values.
        ({"seed": -1}, ["seed = -1", "greater than or equal to 0"]),
        ({"seed": 2**31}, [f"seed = {2**31}", "less than"]),
        ({"train__epochs": 0}, ["train.epochs = 0", "greater than or equal to 1"]),
        ({"train__ema": 1}, ["train.ema = 1", "less than 1"]),
        ({"train__batch_size": 0}, ["train.batch_size = 0", "greater than or equal to 1"]),
        ({"optimizer__lr": 0}, ["optimizer.lr = 0", "greater than 0"]),
        ({"optimizer__lr": -0.1}, ["optimizer.lr = -0.1", "greater than 0"]),
        ({"optimizer__lr": float("inf")}, ["optimizer.lr = inf", "finite"]),
        ({"optimizer__lr": float("nan")}, ["optimizer.lr = nan"]),
        ({"optimizer__momentum": 1}, ["optimizer.momentum = 1", "less than 1"]),
        ({"optimizer__momentum": 0}, ["optimizer.nesterov", "optimizer.momentum > 0"]),
        ({"optimizer__weight_decay": -1}, ["optimizer.weight_decay = -1"]),
        ({"optimizer": {"name": "sgd", "lr": 1, "weight_decay": 0, "momentum": 0, "nesterov": True}},
         ["optimizer.nesterov = true needs optimizer.momentum > 0"]),
        ({"train__threads": -1}, ["train.threads = -1", "greater than or equal to 0"]),
        ({"train__threads": 5000}, ["train.threads = 5000", "less than or equal to 1024"]),
        ({"regularisation__l2": -0.1}, ["regularisation.l2 = -0.1", "greater than or equal to 0"]),
        ({"regularisation__label_smoothing": 1}, ["regularisation.label_smoothing = 1", "less than 1"]),
        ({"regularisation__clip_norm": -1}, ["regularisation.clip_norm = -1", "greater than or equal to 0"]),
        ({"early_stopping__patience": 0}, ["early_stopping.patience = 0", "greater than or equal to 1"]),
        ({"early_stopping__min_delta": -1}, ["early_stopping.min_delta = -1", "greater than or equal to 0"]),
        ({"schedule__warmup": -0.1}, ["schedule.warmup = -0.1", "greater than or equal to 0"]),
        ({"schedule__decay": -1}, ["schedule.decay = -1", "greater than or equal to 0"]),
        ({"schedule__every": 0}, ["schedule.every = 0", "greater than or equal to 1"]),
        ({"schedule__factor": 0}, ["schedule.factor = 0", "greater than 0"]),
        ({"schedule__factor": 2}, ["schedule.factor = 2", "less than or equal to 1"]),
        ({"schedule__warmup": 1.5}, ["schedule.warmup = 1.5", "less than 1"]),
        ({"augment__crop": -1}, ["augment.crop = -1"]),
        ({"augment__rotation": 200}, ["augment.rotation = 200", "less than or equal to 180"]),
        ({"augment__shift": 1}, ["augment.shift = 1", "less than 1"]),
        ({"augment__cutout": -1}, ["augment.cutout = -1"]),
        ({"augment__pixel_noise": -1}, ["augment.pixel_noise = -1"]),
        ({"corruption__label_noise": 1.5}, ["corruption.label_noise = 1.5", "less than or equal to 1"]),
        ({"corruption__pixel_noise": -1}, ["corruption.pixel_noise = -1"]),
        ({"evaluate__confidence": 95}, ["evaluate.confidence = 95", "less than 1"]),
        ({"gallery__test": [0, 5]}, ["gallery.test = [0, 5]", "1 to 20"]),
        ({"gallery__samples": [5, 21]}, ["gallery.samples = [5, 21]", "1 to 20"]),
        ({"gallery__extremes": [0, 5]}, ["gallery.extremes = [0, 5]", "1 to 20"]),
        ({"gallery__order": "confident"}, ["gallery.order = 'confident'", "did you mean 'confidence'?"]),
        ({"gallery__explain": [0, 4]}, ["gallery.explain = [0, 4]", "1 to 50"]),
        ({"gallery__bars": [0, -1]}, ["gallery.bars = [0, -1]", "from 0"]),
        ({"gallery__bars": [3, 10_000]}, ["gallery.bars", "10000", "test has 10,000", "0 to 9999"]),
        ({"gallery__bars": [5000], "split": {"kind": "test_halves", "validation": 5000}}, ["image 5000", "0 to 4999"]),
        ({"dataset__image_size": 2}, ["dataset.image_size = 2", "4"]),
        ({"split__validation": 0}, ["split.validation = 0", "greater than 0"]),
        ({"split": {"kind": "holdout", "validation": float("inf")}}, ["split.validation = inf", "finite"]),
        ({"split": {"kind": "fraction", "validation": 5000}}, ["split.validation = 5000", "between 0 and 1"]),
        ({"split": {"kind": "holdout", "validation": 0.1}}, ["split.validation = 0.1", "whole number", "holdout"]),
        ({"train__batch_size": 1, "models__bn__layers": "F L8"}, ["train.batch_size = 1", "batch"]),
        ({"train__batch_size": 1, "models__bn__layers": "P28 C8 G"}, ["train.batch_size = 1", "C8", "single value"]),
        ({"split": {"kind": "holdout", "validation": 60_000}}, ["split.validation = 60000", "60,000 training images"]),
        ({"split": {"kind": "test_halves", "validation": 10_000}}, ["split.validation = 10000", "10,000 test images"]),
        ({"dataset__path": ""}, ["dataset.path = ''", "the project's own results"]),
        ({"dataset__path": "."}, ["dataset.path = '.'", "the project's own results"]),
        ({"dataset__path": "x" * 300}, ["no such file or folder"]),
        # Unknown names, with the nearest known one.
        ({"dataset__name": "fashion-mnist"}, ["dataset.name", "cifar10", "did you mean 'fashion_mnist'?"]),
        ({"dataset__path": "nowhere.zip"}, ["dataset.path = 'nowhere.zip'", "no such file or folder", "data/local"]),
        ({"split__kind": "hold_out"}, ["split.kind", "did you mean 'holdout'?"]),
        ({"normalisation__kind": "channels"}, ["none, unit, channel, pixel", "did you mean 'channel'?"]),
        ({"models__bn__norm": "bach"}, ["models.bn.norm = 'bach'", "batch, group, layer", "did you mean 'batch'?"]),
        ({"optimizer__name": "SGD"}, ["optimizer.name = 'SGD'", "sgd, rmsprop, adam", "did you mean 'sgd'?"]),
        ({"schedule__name": "one-cycle"}, ["schedule.name", "did you mean 'one_cycle'?"]),
        ({"schedule__name": "inverse"}, ["schedule.name", "did you mean 'inverse_time'?"]),
        ({"train__keep": "accuracy"}, ["train.keep = 'accuracy'", "did you mean 'validation_accuracy'?"]),
        ({"early_stopping__monitor": "val_loss"}, ["early_stopping.monitor", "did you mean 'validation_loss'?"]),
        ({"early_stopping__mode": "less"}, ["early_stopping.mode = 'less'", "auto, min, max"]),
        ({"models__bn__activation": "ReLU6"}, ["models.bn.activation = 'ReLU6'", "did you mean 'relu'?"]),
        ({"models__bn__init": "he"}, ["models.bn.init = 'he'", "he_normal"]),
        ({"models__bn__order": "post"}, ["models.bn.order = 'post'", "norm_act, act_norm"]),
        ({"models__bn": {"torchvision": "ResNet-18"}}, ["models.bn.torchvision = 'ResNet-18'", "such as resnet18"]),
        ({"train__device": "gpu"}, ["train.device = 'gpu'", "auto, cpu, cuda, mps"]),
        ({"train__precision": "fp16"}, ["train.precision = 'fp16'", "auto, fp32, bf16"]),
        ({"evaluate__splits": ["validation", "tests"]}, ["evaluate.splits.1 = 'tests'", "did you mean 'test'?"]),
        ({"evaluate__splits": ["train"]}, ["evaluate.splits lacks validation and test"]),
        ({"evaluate__splits": []}, ["evaluate.splits lacks validation and test"]),
        ({"report__title": "t" * 201}, ["report.title has 201 characters; allowed are 200 at most"]),
        ({"models__bn": {"torchvision": "resnet18", "pretrained": ""}}, ["models.bn.pretrained is empty"]),
        # Members and models.
        ({"members": []}, ["members = []: must have at least 1 entry, and has 0"]),
        ({"members": ["bm"]}, ["members names 'bm'", "not in models", "did you mean 'bn'?", "models has bn"]),
        ({"members": ["ensemble"], "models": {"ensemble": BN}}, ["members names 'ensemble'", "rename it"]),
        ({"members": ["bn", "bn"]}, ["members names bn more than once"]),
        ({"members": ["../x"]}, ["members.0 = '../x'", "letters, digits, - and _"]),
        ({"models": {"bn": BN, "no dots.": BN}}, ["models.no dots.", "starts with a letter"]),
        ({"models": {"bn": BN, 1: BN}}, ["models.1", "string"]),
        # Lines that do not fit; more of them in tests/nets.
        ({"models__bn__layers": "C8 Q G"}, ["models.bn.layers = 'C8 Q G'", 'token 2 ("Q")']),
        ({"models__bn__layers": "C8 C16+ G"}, ['token 2 ("C16+")', "28×28×8", "28×28×16"]),
        ({"models__bn__layers": "C8 L10"}, ['token 2 ("L10")', "flat"]),
        ({"dataset__name": "digits", "models__bn__layers": "C8 P P P P G"}, ["on images of 8×8×1", 'token 5 ("P")']),
        ({"dataset__name": "cifar10", "models__bn__layers": "C8"}, ["images of 32×32×3", "end the line with G or F"]),
        ({"models__bn": {**BN, "norm": "group", "groups": 3}}, ["groups = 3", "8 channels"]),
        ({"models__bn": {**BN, "norm": "group", "groups": 0}}, ["models.bn.groups = 0"]),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_mistake_is_told_in_the_users_terms(
    change: dict[str, Any], told: list[str], check: Callable[[str], Params], edited: Callable[..., str]
) -> None:
    with pytest.raises(UserError) as refused:
        check(edited(**change))
    message = str(refused.value)
    for part in told:
        assert part in message
    assert not any(jargon in message for jargon in ("pydantic", "ValidationError", "Traceback", "Input should"))
