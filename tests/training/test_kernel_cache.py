"""What numba has compiled outlives the folder that it was compiled in, and an installation compiles what is needed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from numba.core import config

from thumbnet.training.kernel_cache import CheckoutCacheLocator, kept_with_the_checkout

ROOT = Path(__file__).parents[2]
SOURCE = "src/thumbnet/training/kernels.py"


def make_source(root: Path, is_checkout: bool = True) -> Path:
    source = root / SOURCE
    source.parent.mkdir(parents=True)
    source.touch()
    if is_checkout:
        (root / "dvc.yaml").touch()
    return source


@pytest.mark.parametrize(
    ("copy", "is_checkout", "has_source", "keeper"),
    [
        ("", True, True, ""),  # the checkout itself
        (".dvc/tmp/exps/tmp1", True, True, ""),
        (".dvc/tmp/exps/standalone/tmp1", True, True, ""),
        (".dvc/tmp/exps/tmp1", True, False, ".dvc/tmp/exps/tmp1"),  # of a checkout without such a file
        ("site-packages", False, True, "site-packages"),
    ],
)
def test_a_temporary_copy_shares_the_checkouts_cache(
    tmp_path: Path, copy: str, is_checkout: bool, has_source: bool, keeper: str
) -> None:
    (tmp_path / "dvc.yaml").touch()
    if copy and has_source:
        make_source(tmp_path)
    source = make_source(tmp_path / copy, is_checkout)
    locator = CheckoutCacheLocator.from_function(make_source, str(source))
    assert Path(locator.get_cache_path()) == (tmp_path / keeper / SOURCE).parent / "__pycache__"


@pytest.mark.parametrize("chosen", ["", "UserWideCacheLocator"])
def test_other_functions_and_the_users_choice_are_left_alone(monkeypatch: pytest.MonkeyPatch, chosen: str) -> None:
    monkeypatch.setattr(config, "CACHE_LOCATOR_CLASSES", chosen)
    with kept_with_the_checkout():
        within = vars(config)["CACHE_LOCATOR_CLASSES"]
    assert (within == chosen) is bool(chosen)
    assert vars(config)["CACHE_LOCATOR_CLASSES"] == chosen


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch's loops run on GNU's OpenMP on Linux")
@pytest.mark.parametrize(
    ("change", "compiled"),
    [
        ({"precision": "bf16"}, {"scale", "normalise", "differentiate"}),
        ({"precision": "fp32"}, set()),
        ({"precision": "bf17"}, set()),  # a mistake is the pipeline's to tell
    ],
)
def test_the_installation_compiles_what_the_members_need(
    tmp_path: Path, change: dict[str, str], compiled: set[str]
) -> None:
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    params["models"]["small"] = {"layers": "C4 G", "norm": "batch", "activation": "relu"}
    params |= {"members": ["small", "resnet18_imagenet"], "train": params["train"] | change}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run([sys.executable, ROOT / "tools/compile_kernels.py"], cwd=tmp_path, env=environment, check=True)
    found = {path.name.removeprefix("kernels.").split("-")[0].split(".")[-1] for path in tmp_path.rglob("*.nbi")}
    assert {name.removeprefix("_") for name in found} == compiled
