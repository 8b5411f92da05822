"""How params.yaml is read: files that are none, numbers as people write them, and what of it is really used."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thumbnet.errors import UserError
from thumbnet.params import Params, load_params

ROOT = Path(__file__).parents[2]


def test_the_default_parameters_can_be_used(check: Callable[[str], Params], edited: Callable[..., str]) -> None:
    params = check((ROOT / "params.yaml").read_text())
    assert params.members
    check(edited())


def test_all_mistakes_are_told_at_once(check: Callable[[str], Params], edited: Callable[..., str]) -> None:
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
        ("train: {epochs: 1, epochs: 2}", ["params.yaml is no YAML", "'epochs' is here twice", "line 1, column 20"]),
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
def test_numbers_are_read_as_people_write_them(
    text: str, check: Callable[[str], Params], edited: Callable[..., str]
) -> None:
    """YAML 1.1 takes 5e-4 for text."""
    params = check(edited(optimizer__weight_decay="HERE").replace("HERE", text))
    assert params.optimizer.weight_decay == 0.0005


@pytest.mark.parametrize(
    ("change", "section", "used"),
    [
        ({"optimizer__name": "sgd"}, "optimizer", {"name", "lr", "weight_decay", "momentum", "nesterov"}),
        ({"optimizer__name": "muon"}, "optimizer", {"name", "lr", "weight_decay", "momentum", "nesterov"}),
        ({"optimizer__name": "rmsprop"}, "optimizer", {"name", "lr", "weight_decay", "momentum"}),
        ({"optimizer__name": "adam"}, "optimizer", {"name", "lr", "weight_decay"}),
        ({"optimizer__name": "adamw"}, "optimizer", {"name", "lr", "weight_decay"}),
        ({"schedule__name": "constant"}, "schedule", {"name"}),
        ({"schedule__name": "inverse_time"}, "schedule", {"name", "decay"}),
        ({"schedule__name": "step"}, "schedule", {"name", "every", "factor"}),
        ({"schedule__name": "one_cycle"}, "schedule", {"name", "warmup"}),
        ({"schedule__name": "cosine"}, "schedule", {"name", "warmup"}),
        ({"schedule__name": "linear"}, "schedule", {"name", "warmup"}),
        ({"early_stopping__monitor": "none"}, "early_stopping", {"monitor"}),
        ({"early_stopping__monitor": "validation_loss"}, "early_stopping",
         {"monitor", "mode", "patience", "min_delta"}),
        ({}, "regularisation", {"l2", "label_smoothing", "clip_norm"}),
        ({}, "train", {"epochs", "batch_size", "device", "precision", "threads", "ema", "keep", "seeds", "compile",
                       "deterministic"}),
    ],
)  # fmt: skip
def test_only_what_a_training_uses_is_told_of_it(
    change: dict[str, Any],
    section: str,
    used: set[str],
    check: Callable[[str], Params],
    edited: Callable[..., str],
) -> None:
    """Two trainings that differ in what they do not read are one and the same."""
    assert check(edited(**change)).training_of("bn")[section].keys() == used


@pytest.mark.parametrize(
    ("norm", "used"), [("batch", {"norm", "order"}), ("group", {"norm", "order", "groups"}), ("none", {"norm"})]
)
def test_a_network_is_told_of_its_own_normalisation_alone(
    norm: str, used: set[str], check: Callable[[str], Params], edited: Callable[..., str]
) -> None:
    network = check(edited(models__bn__norm=norm)).training_of("bn")["model"]
    assert network.keys() & {"norm", "order", "groups"} == used


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer": {"name": "rmsprop", "lr": 0.1, "weight_decay": 0, "momentum": 0, "nesterov": True}},
        {"optimizer": {"name": "adamw", "lr": 0.1, "weight_decay": 0, "momentum": 0, "nesterov": True}},
        {"split": {"kind": "train_test", "validation": 0.5}},
        {"split": {"kind": "train_test", "validation": 70_000}},
        {"schedule__warmup": 0},
        {"regularisation": {"l2": "1e-4", "label_smoothing": 0.1, "clip_norm": 1}},
    ],
    ids=str,
)
def test_what_can_work_is_not_refused(
    change: dict[str, Any], check: Callable[[str], Params], edited: Callable[..., str]
) -> None:
    check(edited(**change))


def test_the_check_stage_refuses_before_anything_is_written(tmp_path: Path, edited: Callable[..., str]) -> None:
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
