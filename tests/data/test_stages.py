"""The stages that make data, run as DVC runs them, on the digits."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[2]


def run(stage: str, folder: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, str(ROOT / f"stages/{stage}.py")]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def digits(tmp_path: Path) -> Path:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["dataset"]["name"] = "digits"
    params["split"] = {"kind": "holdout", "validation": 300}
    params["normalisation"]["kind"] = "pixel"
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    return tmp_path


def test_from_download_to_statistics(digits):
    assert run("download", digits).returncode == 0

    params = (digits / "params.yaml").read_text()
    (digits / "params.yaml").write_text(params.replace("validation: 300", "validation: 3000"))
    mistake = run("split", digits)
    assert mistake.returncode == 1
    assert mistake.stderr == (
        "error: split.validation = 3,000 leaves nothing of 1,442 training images; give a smaller number\n"
    )

    (digits / "params.yaml").write_text(params)
    for stage in ("split", "normalise"):
        result = run(stage, digits)
        assert result.returncode == 0, result.stderr
    train = np.load(digits / "data/splits/train_images.npy", mmap_mode="r")
    assert (train.shape, train.dtype) == ((1142, 8, 8, 1), np.uint8)
    with np.load(digits / "data/normalisation.npz") as statistics:
        np.testing.assert_allclose(statistics["mean"], train.mean(0), rtol=1e-13)
        assert statistics["std"].min() > 0
    assert json.loads((digits / "metrics/normalisation.json").read_text())["images"] == 1142


def test_previews_show_what_is_there_and_nothing_from_before(digits):
    assert run("download", digits).returncode == 0
    pictures = digits / "plots/preview"
    for noise, expected in ((0.3, {"classes", "augmentation", "corruption"}), (0, {"classes", "augmentation"})):
        params = yaml.safe_load((digits / "params.yaml").read_text())
        params["corruption"]["label_noise"] = noise
        (digits / "params.yaml").write_text(yaml.safe_dump(params))
        for stage in ("split", "preview"):
            result = run(stage, digits)
            assert result.returncode == 0, result.stderr
        assert {path.stem for path in pictures.iterdir()} == expected
    for path in pictures.iterdir():
        with Image.open(path) as picture:
            assert picture.width > 500
