"""`make bench` itself, on little data and in short windows, with the variants that .venv can run."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.images import Prepared
from benchmarks.networks import NETWORKS, VARIANTS
from benchmarks.run import Task, output_folder, read_options
from thumbnet.data.normalisation import Statistics
from thumbnet.params import load_params

ROOT = Path(__file__).parents[2]
PARAMS = load_params(ROOT / "params.yaml")


def bench(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    places = ["--scratch", str(folder / "scratch"), "--output", str(folder)]
    command = [sys.executable, "-m", "benchmarks.run", *places, "--threads", "1", *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.slow
def test_speed_is_measured_and_nothing_is_measured_twice(tmp_path: Path):
    options = ["--networks", "flagship", "--variants", "thumbnet", "pytorch", "--random-images", "600",
               "--rounds", "1", "--seconds", "0.2", "--warmup", "0"]  # fmt: skip
    told = bench(tmp_path, *options)
    assert told.returncode == 0, told.stderr
    assert told.stdout.count("round 1") == 2, "no time is taken to an accuracy on random images"

    content = json.loads((tmp_path / "metrics/benchmark.json").read_text())
    assert content["machine"]["torch"]
    assert re.fullmatch(r"([0-9a-f]{7,}(-dirty)?)?", content["machine"]["thumbnet"])
    assert content["settings"]["threads"] == 1
    ours, theirs = content["flagship"]["thumbnet"], content["flagship"]["pytorch"]
    expected = ours["images_per_second"]["median"] / theirs["images_per_second"]["median"]
    assert theirs["ratio"]["median"] == pytest.approx(expected, abs=0.01)
    assert 100 < ours["peak_memory_mb"] < 3000
    assert "600 random images in the shape of CIFAR-10" in (tmp_path / "docs/performance.md").read_text()
    assert (tmp_path / "docs/performance.png").exists()

    again = bench(tmp_path, *options, "--resume")
    assert again.returncode == 0, again.stderr
    assert "round" not in again.stdout
    assert json.loads((tmp_path / "metrics/benchmark.json").read_text())["flagship"] == content["flagship"]

    other = bench(tmp_path, *options, "--resume", "--seconds", "0.3")
    assert other.returncode == 1
    assert "window_seconds was 0.2 and is 0.3" in other.stderr


@pytest.mark.slow
def test_time_is_taken_to_an_accuracy_on_images_of_a_folder(tmp_path: Path):
    """Dark images and bright ones, which any recipe tells apart soon."""
    generator = np.random.default_rng(0)
    for name, base in (("bright", 150), ("dark", 0)):
        (tmp_path / "images/train" / name).mkdir(parents=True)
        for number in range(150):
            pixels = base + generator.integers(100, size=(28, 28))
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"images/train/{name}/{number}.png")
    told = bench(tmp_path, "--networks", "mlp_128", "--variants", "thumbnet", "pytorch_memory", "--epochs", "30",
                 "--mnist", str(tmp_path / "images"), "--parts", "accuracy")  # fmt: skip
    assert told.returncode == 0, told.stderr
    variants = json.loads((tmp_path / "metrics/benchmark.json").read_text())["mlp_128"]
    for name in ("thumbnet", "pytorch_memory"):
        figures = variants[name]["to_accuracy"]
        assert (figures["level"], figures["epochs"], figures["reached"]) == (0.97, 30, 1)
        assert figures["accuracies"][0][-1] >= 0.97
        assert figures["seconds"]["median"] < 60


@pytest.mark.parametrize(
    ("options", "complete"),
    [
        ([], True),
        (["--rounds", "7"], True),
        (["--parts", "accuracy", "speed"], True),
        (["--networks", *sorted(NETWORKS), "--variants", *sorted(VARIANTS)], True),
        (["--parts", "speed"], False),
        (["--parts", "accuracy"], False),
        (["--rounds", "4"], False),
        (["--seconds", "1"], False),
        (["--epochs", "1"], False),
        (["--networks", *list(NETWORKS)[1:]], False),
        (["--variants", *list(VARIANTS)[1:]], False),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else str(value),
)
def test_only_a_whole_benchmark_takes_the_place_of_the_figures_in_git(
    options: list[str], complete: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def folder(*options: str, real: bool = True) -> Path:
        monkeypatch.setattr(sys, "argv", ["bench", *options])
        statistics = Statistics(np.zeros(1), np.ones(1))
        network = next(iter(NETWORKS.values()))
        images = [Prepared("images", tmp_path, (4, 4, 1), statistics, are_real) for are_real in (True, real)]
        tasks = [Task(network, PARAMS.models["bn"], 1, prepared) for prepared in images]
        return output_folder(read_options(), tasks, tmp_path)

    assert folder(*options) == (ROOT if complete else tmp_path)
    assert folder(*options, real=False) == tmp_path, "no accuracy is measured on random images"
    assert folder(*options, "--output", "elsewhere") == Path("elsewhere")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mnist", "nowhere"], "nowhere holds MNIST neither as its official files"),
        (["--mnist", "docs"], "docs holds MNIST neither as its official files"),
    ],
)
def test_a_local_copy_that_cannot_be_used_is_told(tmp_path: Path, options: list[str], message: str):
    told = bench(tmp_path, "--networks", "mlp_128", "--variants", "thumbnet", *options)
    assert told.returncode == 1
    assert told.stderr.startswith(f"error: {message}")
    assert "Traceback" not in told.stderr


def test_the_stage_check_leaves_the_figures_alone(tmp_path: Path):
    """It clears metrics/ of networks that are no members."""
    shutil.copy(ROOT / "params.yaml", tmp_path)
    for folder in ("data/local", "metrics/train"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("metrics/benchmark.json", "metrics/train/former.json"):
        (tmp_path / file).write_text("{}")
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    subprocess.run([sys.executable, ROOT / "stages/check.py"], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / "metrics/benchmark.json").exists()
    assert not (tmp_path / "metrics/train/former.json").exists()
