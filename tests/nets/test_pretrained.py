"""Networks of torchvision's: built for our images and classes, from scratch and from weights in a file."""

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from thumbnet.data.normalisation import Statistics
from thumbnet.errors import UserError
from thumbnet.nets.builder import build_network, count_parameters
from thumbnet.nets.notation import Shape
from thumbnet.nets.pretrained import build_skeleton, check_torchvision
from thumbnet.params import TorchvisionParams
from thumbnet.training.checkpoints import Card, load_classifier, make_classifier, save_classifiers
from thumbnet.training.prediction import predict

GREY, COLOUR = Shape(1, 28, 28), Shape(3, 32, 32)
SMALL = "squeezenet1_1"  # 1.2 million weights; its classifier is a convolution
STATISTICS = Statistics(*torch.tensor([[120.0], [60.0]]).double().numpy())


def build(name: str = SMALL, pretrained: str = "none", image: Shape = COLOUR, classes: int = 10) -> nn.Module:
    torch.manual_seed(0)
    return build_network(TorchvisionParams(torchvision=name, pretrained=pretrained), image, classes).eval()


@pytest.fixture
def weights(tmp_path: Path) -> tuple[Path, dict[str, Tensor]]:
    """A file with a state dict of the small network for seven classes, and what is in it."""
    torch.manual_seed(7)
    state = build_network(TorchvisionParams(torchvision=SMALL), COLOUR, 7).state_dict()
    save_file(state, tmp_path / "weights.safetensors")
    torch.save(state, tmp_path / "weights.pth")
    return tmp_path / "weights.pth", state


@pytest.fixture
def no_web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine that reaches nothing, with PyTorch's cache in a folder of its own, which is returned."""
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch/hub/checkpoints"


@pytest.mark.parametrize(
    ("name", "image"), [("resnet18", GREY), (SMALL, COLOUR), ("mobilenet_v3_small", COLOUR), ("regnet_y_400mf", GREY)]
)
def test_a_network_gives_logits_and_the_seed_decides_its_weights(name: str, image: Shape) -> None:
    network = build(name, image=image, classes=4)
    images = torch.randn(2, image.channels, image.height or 0, image.width or 0)
    assert network(images).shape == (2, 4)
    assert torch.equal(network(images), build(name, image=image, classes=4)(images))
    assert count_parameters(network) == count_parameters(build_skeleton(name, classes=4))


def test_networks_with_classifiers_at_their_sides_leave_them_out() -> None:
    with torch.device("meta"):
        network = build("googlenet").train()
        assert network(torch.empty(2, 3, 32, 32)).shape == (2, 10)


def test_grey_images_are_repeated_to_three_channels() -> None:
    images = torch.randn(2, 1, 28, 28)
    expected = build(image=Shape(3, 28, 28))(images.repeat(1, 3, 1, 1))
    assert torch.equal(build(image=GREY)(images), expected)


@pytest.mark.parametrize(
    ("name", "image", "told"),
    [
        ("resnet8", COLOUR, ["'resnet8'", "no classifier of this name", "did you mean resnet18"]),
        ("deeplabv3_resnet50", COLOUR, ["no classifier of this name"]),
        ("qqq", COLOUR, ["no classifier of this name; it has alexnet"]),
        ("alexnet", GREY, ["does not take images of 28×28", "smallest are 63×63", "dataset.image_size"]),
        ("vit_b_16", COLOUR, ["does not take images of 32×32", "allowed are 224×224"]),
        ("resnet18", Shape(4, 32, 32), ["3 channels, or of 1", "32×32×4"]),
    ],
)
def test_what_cannot_work_is_refused_with_what_can(name: str, image: Shape, told: list[str]) -> None:
    params = TorchvisionParams(torchvision=name)
    with pytest.raises(UserError, match=r"^models\.m: torchvision = ") as refused:
        check_torchvision("m", params, image)
    for part in told:
        assert part in str(refused.value)
    with pytest.raises(UserError, match="torchvision = "):
        build_network(params, image, 10)


def test_batches_of_one_are_refused_where_batch_normalisation_needs_two() -> None:
    with pytest.raises(UserError, match=r"^models\.m: train\.batch_size = 1: .*resnet18 needs at least 2"):
        check_torchvision("m", TorchvisionParams(torchvision="resnet18"), GREY, batch_size=1)
    check_torchvision("m", TorchvisionParams(torchvision="resnet18"), Shape(3, 64, 64), batch_size=1)
    check_torchvision("m", TorchvisionParams(torchvision=SMALL), GREY, batch_size=1)


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_pretrained_weights_replace_all_but_a_classifier_of_another_size(
    ending: str, weights: tuple[Path, dict[str, Tensor]]
) -> None:
    path, state = weights
    params = TorchvisionParams(torchvision=SMALL, pretrained=str(path.with_suffix(ending)))
    check_torchvision("m", params, GREY)
    scratch, network = build().state_dict(), build(pretrained=params.pretrained).state_dict()
    for name, value in network.items():
        assert torch.equal(value, scratch[name] if name.startswith("classifier.1.") else state[name]), name
    same = build(pretrained=params.pretrained, classes=7).state_dict()
    assert all(torch.equal(value, state[name]) for name, value in same.items())


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"features.0.bias": None, "features.0.weight": None}, ["lacks features.0.weight, features.0.bias"]),
        ({"extra.weight": torch.ones(1)}, ["has besides extra.weight"]),
        ({"features.0.bias": torch.ones(5)}, ["has in other shapes features.0.bias 5 for 64"]),
        ({f"extra.{i}": torch.ones(1) for i in range(9)}, ["extra.0, extra.1, extra.2 and 6 more"]),
        ({"epoch": 3}, ["something else than a state dict", "torch.save(network.state_dict(), PATH)"]),
        (
            nn.Linear(2, 2),
            ["cannot be read as a state dict", "other objects than tensors, a whole network perhaps; save"],
        ),
        (b"nonsense", ["cannot be read as a state dict", "torch.save did not write it; save"]),
        (b"", ["cannot be read as a state dict", "it is empty"]),
        (b"hello\n", ["cannot be read as a state dict", "torch.save did not write it; save"]),
        ({3: torch.ones(1)}, ["something else than a state dict"]),
        (None, ["there is no such file"]),
    ],
    ids=[
        "missing",
        "unexpected",
        "shape",
        "many",
        "a number",
        "a module",
        "bytes",
        "empty",
        "text",
        "a key",
        "no file",
    ],
)
def test_weights_that_do_not_fit_are_told(
    change: object, told: list[str], weights: tuple[Path, dict[str, Tensor]]
) -> None:
    path, state = weights
    if isinstance(change, dict):
        torch.save({name: value for name, value in (state | change).items() if value is not None}, path)
    elif isinstance(change, nn.Module):
        torch.save(change, path)
    else:
        path.write_bytes(change) if isinstance(change, bytes) else path.unlink()
    with pytest.raises(UserError, match=re.escape(f"models.m: pretrained = {str(path)!r}")) as refused:
        check_torchvision("m", TorchvisionParams(torchvision=SMALL, pretrained=str(path)), COLOUR)
    for part in told:
        assert part in str(refused.value)


def test_a_file_that_was_pinned_by_its_hash_may_not_change(weights: tuple[Path, dict[str, Tensor]]) -> None:
    path, _ = weights
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    params = TorchvisionParams(torchvision=SMALL, pretrained=f"{path}#{digest}")
    check_torchvision("m", params, COLOUR)
    torch.save(build(classes=7).state_dict(), path)
    with pytest.raises(UserError, match="the file has changed; its sha256 begins with"):
        check_torchvision("m", params, COLOUR)


def test_files_of_old_networks_fit(tmp_path: Path) -> None:
    """Torchvision's own of DenseNets have names of old, and those of GoogLeNet its classifiers at the sides."""
    for name, pattern, old in (("densenet121", r"\.(norm|conv)([12])\.", r".\1.\2."), ("googlenet", "$", "")):
        shapes = {key: value.shape for key, value in build_skeleton(name, 1000).state_dict().items()}
        state = {re.sub(pattern, old, key): torch.zeros(()).expand(shape) for key, shape in shapes.items()}
        state |= {"aux1.fc.bias": torch.zeros(3)} if name == "googlenet" else {}
        torch.save(state, tmp_path / f"{name}.pth")
        params = TorchvisionParams(torchvision=name, pretrained=str(tmp_path / f"{name}.pth"))
        check_torchvision("m", params, COLOUR)


def test_without_the_web_pretrained_weights_are_missed_in_words(no_web: Path) -> None:
    params = TorchvisionParams(torchvision=SMALL, pretrained="imagenet")
    check_torchvision("m", params, COLOUR)
    assert not no_web.exists(), "the check downloads nothing"
    with pytest.raises(UserError, match=r"^pretrained: imagenet: the weights of squeezenet1_1 cannot be had") as told:
        build(pretrained="imagenet")
    (place,) = re.findall(r"elsewhere to (\S+),", str(told.value))
    assert Path(place).parent == no_web
    Path(place).write_bytes(b"nonsense")
    with pytest.raises(UserError, match=r"cannot be had"):
        build(pretrained="imagenet")


@pytest.mark.parametrize("name", [SMALL, "googlenet", "inception_v3", "densenet121"])
def test_the_weights_in_the_cache_are_those_for_imagenet(name: str, no_web: Path) -> None:
    from torchvision import models

    weights = models.get_model_weights(name).DEFAULT
    shapes = {key: value.shape for key, value in whole(name).items()}
    no_web.mkdir(parents=True)
    torch.save(
        {key: torch.full((), 0.5).expand(shape) for key, shape in shapes.items()},
        no_web / weights.url.rpartition("/")[2],
    )
    network = build(name, "imagenet", Shape(3, 75, 75))
    head = {key for key, value in build_skeleton(name, 10).state_dict().items() if value.shape != shapes[key]}
    assert len(head) == 2
    for key, value in network.state_dict().items():
        if "num_batches" not in key:
            assert bool((value == 0.5).all()) == (key not in head), key


def whole(name: str) -> dict[str, Tensor]:
    """The network as torchvision makes it, with its classifiers at the sides."""
    from torchvision import models

    with torch.device("meta"):
        sides = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
        network: nn.Module = models.get_model(name, weights=None, **sides)
    return network.state_dict()


def test_a_trained_network_needs_its_first_weights_no_more(
    tmp_path: Path, weights: tuple[Path, dict[str, Tensor]], no_web: Path
) -> None:
    path, _ = weights
    params = TorchvisionParams(torchvision=SMALL, pretrained=str(path))
    classifier = make_classifier(params, (28, 28, 1), 3, STATISTICS, seed=1)
    images = torch.randint(256, (4, 28, 28, 1), dtype=torch.uint8)
    expected = predict(classifier, images)
    card = Card("m", params.used(), ["a", "b", "c"], (28, 28, 1), count_parameters(classifier), {}, {}, {})
    save_classifiers(tmp_path / "m", [classifier], [card])
    path.unlink()
    assert torch.equal(predict(load_classifier(tmp_path / "m"), images), expected)


def test_networks_of_our_own_do_without_torchvision() -> None:
    """It takes seconds to load."""
    code = """
        import sys
        from thumbnet.nets.builder import build_network
        from thumbnet.nets.notation import Shape
        from thumbnet.params import ModelParams
        from thumbnet.training import checkpoints, engine
        build_network(ModelParams(layers="C4 G"), Shape(1, 8, 8), 3)
        print({name for name in sys.modules if name.startswith("torchvision")})
        """
    done = subprocess.run([sys.executable, "-c", "\n".join(map(str.strip, code.splitlines()))], capture_output=True,
                          text=True, check=True)  # fmt: skip
    assert done.stdout == "set()\n"
