"""Bad input: every mistake in params.yaml is told by its key, its value, what is allowed and the nearest known name."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from thumbnet.checking import check_all
from thumbnet.errors import UserError
from thumbnet.params import Params, load_params

ROOT = Path(__file__).parents[1]
DEFAULT = yaml.safe_load((ROOT / "params.yaml").read_text())

#: A model as it could be: the table must not change with the default networks.
BN = {"layers": "C8 C8+ G", "norm": "batch"}


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Params]:
    """What `stages/check.py` does with the text of a params.yaml, in a folder as the project's root is."""
    monkeypatch.chdir(tmp_path)
    Path("data/local").mkdir(parents=True)

    def check_text(text: str) -> Params:
        Path("params.yaml").write_text(text)
        params = load_params()
        check_all(params)
        return params

    return check_text


def edited(**changes: Any) -> str:
    """The default params.yaml with values at dotted keys, `__` for the dot; `...` removes a key."""
    values = yaml.safe_load(yaml.safe_dump(DEFAULT | {"members": ["bn"], "models": {"bn": BN}}))
    for path, value in changes.items():
        *sections, key = path.split("__")
        section = values
        for name in sections:
            section = section[name]
        if value is ...:
            del section[key]
        else:
            section[key] = value
    return yaml.safe_dump(values, sort_keys=False)


def test_the_default_parameters_can_be_used(check: Callable[[str], Params]) -> None:
    params = check((ROOT / "params.yaml").read_text())
    assert params.members
    check(edited())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        # Unknown keys, at every depth, with the nearest known one.
        ({"optimiser": {"lr": 1}}, ["optimiser: unknown key", "did you mean 'optimizer'?", "the top level has seed"]),
        ({"optimizer__learning_rate": 0.1}, ["optimizer.learning_rate: unknown key", "optimizer has name, lr"]),
        ({"train__epoch": 3}, ["train.epoch: unknown key", "did you mean 'epochs'?", "train has epochs, batch_size"]),
        ({"models__bn__layer": "F"}, ["models.bn.layer: unknown key", "did you mean 'layers'?", "models.bn has"]),
        ({"models__bn__norms": "group"}, ["models.bn.norms", "did you mean 'norm'?"]),
        ({"gallery__tests": [5, 2]}, ["gallery.tests", "did you mean 'test'?"]),
        # Missing keys.
        ({"seed": ...}, ["seed: missing"]),
        ({"optimizer__lr": ...}, ["optimizer.lr: missing"]),
        ({"augment": ...}, ["augment: missing"]),
        ({"models__bn__layers": ...}, ["models.bn.layers: missing"]),
        # Wrong types.
        ({"seed": "one"}, ["seed = 'one'", "integer"]),
        ({"train__epochs": 2.5}, ["train.epochs = 2.5", "integer"]),
        ({"train__epochs": "6"}, ["train.epochs = '6'", "integer"]),
        ({"optimizer__lr": "fast"}, ["optimizer.lr = 'fast'", "number"]),
        ({"optimizer__lr": True}, ["optimizer.lr = True", "number"]),
        ({"optimizer__lr": [0.1, 0.2]}, ["optimizer.lr = [0.1, 0.2]", "number"]),
        ({"augment__flip": "maybe"}, ["augment.flip = 'maybe'", "boolean"]),
        ({"augment__flip": 1}, ["augment.flip = 1", "boolean"]),
        ({"train": 6}, ["train = 6", "section"]),
        ({"train": None}, ["train = None", "section"]),
        ({"models": ["bn"]}, ["models = ['bn']", "section"]),
        ({"models__bn": "C8 G"}, ["models.bn = 'C8 G'", "section"]),
        ({"models__bn__layers": 16}, ["models.bn.layers = 16", "string"]),
        ({"members": "bn"}, ["members = 'bn'", "list"]),
        ({"gallery__test": [5]}, ["gallery.test = [5]", "at least 2"]),
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
        ({"schedule__warmup": 1.5}, ["schedule.warmup = 1.5", "less than 1"]),
        ({"augment__crop": -1}, ["augment.crop = -1"]),
        ({"evaluate__confidence": 95}, ["evaluate.confidence = 95", "less than 1"]),
        ({"gallery__test": [0, 5]}, ["gallery.test = [0, 5]", "1 to 20"]),
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
        ({"optimizer__name": "SGD"}, ["optimizer.name = 'SGD'", "sgd, adam", "did you mean 'sgd'?"]),
        ({"schedule__name": "one-cycle"}, ["schedule.name", "did you mean 'one_cycle'?"]),
        ({"train__device": "gpu"}, ["train.device = 'gpu'", "auto, cpu, cuda, mps"]),
        ({"train__precision": "fp16"}, ["train.precision = 'fp16'", "auto, fp32, bf16"]),
        ({"evaluate__splits": ["validation", "tests"]}, ["evaluate.splits.1 = 'tests'", "did you mean 'test'?"]),
        ({"evaluate__splits": ["train"]}, ["evaluate.splits lacks validation and test"]),
        # Members and models.
        ({"members": []}, ["members = []", "at least 1"]),
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
    change: dict[str, Any], told: list[str], check: Callable[[str], Params]
) -> None:
    with pytest.raises(UserError) as refused:
        check(edited(**change))
    message = str(refused.value)
    for part in told:
        assert part in message
    assert not any(jargon in message for jargon in ("pydantic", "ValidationError", "Traceback", "Input should"))


def test_all_mistakes_are_told_at_once(check: Callable[[str], Params]) -> None:
    with pytest.raises(UserError) as refused:
        check(edited(seed="one", optimizer__lr=-1, train__epoch=3, augment=...))
    first, *lines = str(refused.value).splitlines()
    assert first == "params.yaml cannot be used:"
    assert len(lines) == 4
    for key in ("seed = 'one'", "optimizer.lr = -1", "train.epoch: unknown", "augment: missing"):
        assert sum(line.startswith(f"  - {key}") for line in lines) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed: [1\nmembers: 2", ["params.yaml is no YAML", "line 2"]),
        ("\tseed: 1", ["params.yaml is no YAML", "line 1"]),
        ("", ["params.yaml", "not keys and values"]),
        ("- bn\n- gn\n", ["params.yaml holds list, not keys and values"]),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(text: str, told: list[str], check: Callable[[str], Params]) -> None:
    with pytest.raises(UserError) as refused:
        check(text)
    for part in told:
        assert part in str(refused.value)


def test_a_file_in_another_encoding_is_told(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes("seed: 1 # für alle".encode("latin-1"))
    with pytest.raises(UserError, match=r"params\.yaml"):
        load_params(path)


def test_a_missing_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"params\.yaml is missing; .*git checkout"):
        load_params(tmp_path / "params.yaml")


@pytest.mark.parametrize("text", ["5e-4", "0.0005", "'5e-4'", ".0005", "5.0E-4"])
def test_numbers_are_read_as_people_write_them(text: str, check: Callable[[str], Params]) -> None:
    """YAML 1.1 takes 5e-4 for text."""
    params = check(edited(optimizer__weight_decay="HERE").replace("HERE", text))
    assert params.optimizer.weight_decay == 0.0005


@pytest.mark.parametrize(
    ("change", "unused"),
    [
        ({"optimizer__name": "adam"}, {"optimizer.momentum", "optimizer.nesterov"}),
        ({"schedule__name": "constant"}, {"schedule.warmup"}),
        ({"optimizer__name": "sgd"}, set()),
        ({"optimizer__name": "muon"}, set()),
    ],
)
def test_only_what_a_training_uses_is_told_of_it(
    change: dict[str, Any], unused: set[str], check: Callable[[str], Params]
) -> None:
    """Two trainings that differ in what they do not read are one and the same."""
    training = check(edited(**change)).training_of("bn")
    told = {f"{section}.{key}" for section, values in training.items() if section != "seed" for key in values}
    everything = {"optimizer.momentum", "optimizer.nesterov", "schedule.warmup"}
    assert everything - told == unused
    assert "model.groups" not in told, "the norm is batch"


def test_the_check_stage_refuses_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "data/local").mkdir(parents=True)
    (tmp_path / "params.yaml").write_text(edited(optimizer__lr=-1, models__bn__layer="F"))
    command = [sys.executable, str(ROOT / "stages/check.py")]
    refused = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert refused.returncode == 1
    assert refused.stderr.startswith("error: params.yaml cannot be used:\n")
    assert "optimizer.lr = -1" in refused.stderr
    assert "did you mean 'layers'?" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert refused.stdout == ""
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["params.yaml"]

    (tmp_path / "params.yaml").write_text(edited())
    accepted = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (accepted.returncode, accepted.stderr) == (0, "")
    first = (tmp_path / "data/params.checked").read_bytes()
    (tmp_path / "params.yaml").write_text(edited(optimizer__lr=0.3))
    assert subprocess.run(command, cwd=tmp_path).returncode == 0
    assert (tmp_path / "data/params.checked").read_bytes() == first, "or everything would run again"
