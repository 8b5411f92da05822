"""What is compared is the same network, and a peer is not helped or hindered by what thumbnet has set for itself."""

import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.networks import NETWORKS, OURS, VARIANTS, Network
from thumbnet.nets.notation import Shape
from thumbnet.nets.summary import summarise
from thumbnet.params import ModelParams, load_params

ROOT = Path(__file__).parents[2]
MODELS = load_params(ROOT / "params.yaml").models
SHAPES = {"cifar10": Shape(3, 32, 32), "mnist": Shape(1, 28, 28)}


def pins(path: Path) -> list[Requirement]:
    lines = path.read_text().splitlines()
    return [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]


@pytest.mark.parametrize(("name", "parameters"), [("n10", 890_410), ("mlp_128", 101_770)])
def test_networks_are_those_of_the_sources(name: str, parameters: int):
    network = NETWORKS[name]
    assert summarise(name, MODELS[network.member], SHAPES[network.data], 10).parameters == parameters


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_keras_writes_each_network_for_the_line_in_params(network: Network):
    """Keras itself is not here. Its module looks its networks up by line and norm, and fails on others."""
    model = MODELS[network.member]
    assert isinstance(model, ModelParams)
    written = (ROOT / "benchmarks/variants/keras.py").read_text()
    assert f'("{model.layers}", "{model.norm}")' in written


@pytest.mark.parametrize("variant", [variant for variant in VARIANTS if VARIANTS[variant].environment == ".venv"])
def test_only_thumbnet_itself_loads_torch_with_its_own_setting_of_threads(variant: str):
    """OpenMP reads GOMP_SPINCOUNT as torch loads; thumbnet sets it as it is imported."""
    watch = (
        "import os, sys\n"
        "class Finder:\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'torch': print(os.environ.get('GOMP_SPINCOUNT'), flush=True); os._exit(0)\n"
        "sys.meta_path.insert(0, Finder)\n"
        f"import benchmarks.variants.{VARIANTS[variant].module}\n"
    )
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT / "src")}
    told = subprocess.run(
        [sys.executable, "-c", watch], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == ["20000" if variant == OURS else "None"]


def test_the_peers_are_pinned_and_share_torch_with_thumbnet():
    peers, locked = pins(ROOT / "benchmarks/requirements.txt"), pins(ROOT / "requirements.lock")
    for pin in peers:
        assert [specifier.operator for specifier in pin.specifier] == ["=="], str(pin)
        assert pin.url is None
    wanted = {canonicalize_name(pin.name): pin.specifier for pin in peers}
    assert {"tensorflow-cpu", "keras", "lightning"} <= wanted.keys()
    ours = {canonicalize_name(pin.name): pin.specifier for pin in locked}
    assert "torch" not in wanted
    both = wanted.keys() & ours.keys()  # extras bring them to some .venv, and not to others
    assert {name: wanted[name] for name in both} == {name: ours[name] for name in both}
