"""Fused layers against PyTorch's own, in bf16: as close to fp32 as those are, and with the same state."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from thumbnet.data.normalisation import Statistics
from thumbnet.nets.layers import Classifier, Residual, make_activation, make_norm
from thumbnet.nets.notation import Shape
from thumbnet.params import Activation, ModelParams, NormKind
from thumbnet.training.batches import Images
from thumbnet.training.checkpoints import make_classifier
from thumbnet.training.engine import Recipe, fit
from thumbnet.training.fused import can_fuse, faster, faster_all, fuse
from thumbnet.training.prediction import predict

BF16 = torch.bfloat16
SHAPES = [(128, 16, 8, 8), (1, 5, 7, 3), (3, 12, 9, 9), (7, 50, 4, 4), (2, 1, 6, 6), (33, 64, 1, 1), (2, 600, 2, 3)]
FLAGSHIP = "C16 C16+ c16 P C12 S12+ G"


def make_network(line: str = FLAGSHIP, norm: NormKind = "batch", activation: Activation = "silu") -> Classifier:
    model = ModelParams(layers=line, norm=norm, activation=activation)
    return make_classifier(model, (12, 12, 3), 10, Statistics(np.full(3, 120.0), np.full(3, 60.0)), 0).train()


pytestmark = pytest.mark.skipif(
    not can_fuse(make_network(), BF16), reason="PyTorch's loops do not run on GNU's OpenMP here"
)


def draw(*shape: int, seed: int = 0) -> Tensor:
    values = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(BF16)
    return values.to(memory_format=torch.channels_last)


def make_block(
    kind: NormKind, channels: int, activation: Activation = "silu", block: type[nn.Sequential] = nn.Sequential
) -> nn.Sequential:
    """A normalisation of random factors and summands, and an activation."""
    norm = make_norm(kind, Shape(channels, 2, 2), 2 if channels % 2 == 0 else 1)
    generator = torch.Generator().manual_seed(2)
    for parameter in norm.parameters():
        parameter.data.uniform_(-0.5, 1.5, generator=generator)
    return block(norm, make_activation(activation, channels))


def gradient(leaf: Tensor) -> Tensor:
    assert leaf.grad is not None
    return leaf.grad


def take_step(call: Callable[[Tensor], Tensor], module: nn.Module, x: Tensor, dy: Tensor) -> dict[str, Tensor]:
    """The output, all gradients and the running statistics of one step."""
    x = x.detach().requires_grad_()
    with torch.autocast("cpu", BF16, enabled=x.dtype == BF16):
        y = call(x)
    assert y.dtype == x.dtype
    y.backward(dy.to(y.dtype))
    leaves = {"dx": x, **dict(module.named_parameters())}
    return {"y": y.detach(), **{name: gradient(leaf) for name, leaf in leaves.items()}, **dict(module.named_buffers())}


def check(
    module: nn.Module, x: Tensor, dy: Tensor, fuse_: Callable[[Any], Callable[[Tensor], Tensor]] = faster
) -> None:
    """One step of the fused module is as near to fp32 as one of the plain module, up to a rounding to bf16."""
    plain, precise, ours = (copy.deepcopy(module).train() for _ in range(3))
    stand_in = fuse_(ours)
    assert stand_in is not ours
    got, usual = take_step(stand_in, ours, x, dy), take_step(plain, plain, x, dy)
    # In channels-last, PyTorch's instance normalisation of one image has wrong gradients.
    exact = take_step(precise, precise, x.float().contiguous(), dy.float().contiguous())
    for name, true in exact.items():
        scale = true.double().norm() + 1e-2 * true.numel() ** 0.5
        error, usual_error = ((each[name].double() - true.double()).norm() / scale for each in (got, usual))
        assert error <= max(1.2 * usual_error, 0.004), name


@pytest.mark.parametrize("kind", ["batch", "group", "layer", "instance"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_step_comes_to_the_same_for_every_shape(kind: NormKind, shape: tuple[int, ...]) -> None:
    if kind == "instance" and shape[2:] == (1, 1):
        pytest.skip("one value has no variance")
    check(make_block(kind, shape[1]), draw(*shape) * 2 + 1, draw(*shape, seed=1))


@pytest.mark.parametrize("block", [nn.Sequential, Residual])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "tanh"])
def test_a_step_comes_to_the_same_for_every_activation(activation: Activation, block: type[nn.Sequential]) -> None:
    check(make_block("batch", 12, activation, block), draw(16, 12, 6, 6) * 2, draw(16, 12, 6, 6, seed=1))


@pytest.mark.parametrize("factor", [1e-3, 1024.0])
def test_gradients_may_be_scaled(factor: float) -> None:
    block = faster(make_block("batch", 16).train())
    x, dy = draw(8, 16, 4, 4).requires_grad_(), draw(8, 16, 4, 4, seed=1)
    (once,) = torch.autograd.grad(block(x), x, dy)
    (scaled,) = torch.autograd.grad(block(x), x, (dy * factor))
    torch.testing.assert_close(scaled.float() / factor, once.float(), rtol=0.02, atol=0.01)


@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_variances_are_those_of_fp64_far_from_zero_too(offset: float) -> None:
    norm = nn.BatchNorm2d(16)
    x = draw(32, 16, 8, 8) + offset
    faster(norm)(x)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    expected = 0.9 + 0.1 * x.double().var((0, 2, 3))
    torch.testing.assert_close(norm.running_var.double(), expected, rtol=1e-5, atol=0)
    torch.testing.assert_close(norm.running_mean.double(), 0.1 * x.double().mean((0, 2, 3)), rtol=1e-5, atol=1e-7)
    assert norm.num_batches_tracked == 1


def test_maps_may_lie_channel_by_channel() -> None:
    x, dy = draw(8, 12, 4, 4), draw(8, 12, 4, 4, seed=1)
    results = []
    for format_ in (torch.channels_last, torch.contiguous_format):
        block = make_block("batch", 12, block=Residual).train()
        x, dy = x.contiguous(memory_format=format_), dy.contiguous(memory_format=format_)
        results.append(take_step(faster(block), block, x, dy))
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


@pytest.mark.parametrize("shape", [(3, 16, 8, 8), (1, 5, 2, 6), (2, 33, 4, 4), (2, 4, 5, 7)], ids=str)
def test_pooling_is_pytorchs_to_the_last_bit_with_ties_and_nans(shape: tuple[int, ...]) -> None:
    x = (draw(*shape) * 2).round() / 2
    x[0, 0, 0, 1] = torch.nan
    module = nn.MaxPool2d(2, 2)
    results = []
    for call in (module, faster(module)):
        leaf = x.clone().requires_grad_()
        y = call(leaf)
        y.backward(draw(*y.shape, seed=1))
        results.append((y.detach(), leaf.grad))
    for usual, ours in zip(*results, strict=True):
        torch.testing.assert_close(ours, usual, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("line", ["C3+ C8 G", "N C8 G"])
def test_images_that_go_elsewhere_than_to_a_convolution_stay_in_fp32(line: str) -> None:
    seen: list[Tensor] = []
    network = make_network(line)
    first = next(module for module in network.modules() if isinstance(module, nn.Conv2d))
    first.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    images = torch.randint(0, 256, (5, 12, 12, 3), dtype=torch.uint8)
    with torch.autocast("cpu", BF16):
        fuse(network, BF16)(images)
    assert seen[0].dtype == torch.float32


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4, affine=False), nn.GroupNorm(2, 4, dtype=BF16)], ids=str)
def test_norms_that_the_kernels_do_not_know_are_left_to_pytorch(norm: nn.Module) -> None:
    x = draw(3, 4, 2, 2)
    with torch.autocast("cpu", BF16):
        assert torch.equal(faster(norm)(x), norm(x))


@pytest.mark.parametrize("shape", [(3,), (12, 12, 3)], ids=str)
def test_images_are_scaled_to_the_same_bits(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (5, 12, 12, 3), dtype=torch.uint8, generator=generator)
    mean, std = torch.rand(shape, generator=generator) * 200, torch.rand(shape, generator=generator) * 90 + 0.1
    seen: list[Tensor] = []
    network = make_network("C8 G")
    classifier = Classifier(network.network, mean, std).train()
    convolution = next(module for module in classifier.modules() if isinstance(module, nn.Conv2d))
    convolution.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.autocast("cpu", BF16):
        fuse(classifier, BF16)(images)
    assert seen[0].dtype == BF16
    assert seen[0].is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(seen[0], classifier.scale(images).to(BF16))


def make_pair(channels: int, outputs: int, bias: bool = True) -> nn.Sequential:
    """A 1×1 convolution and max pooling."""
    conv = nn.Conv2d(channels, outputs, 1, bias=bias)
    generator = torch.Generator().manual_seed(3)
    for parameter in conv.parameters():
        parameter.data.uniform_(-1, 1, generator=generator)
    return nn.Sequential(conv, nn.MaxPool2d(2, 2))


def fuse_pair(pair: nn.Sequential) -> Callable[[Tensor], Tensor]:
    (layer,) = faster_all(list(pair))
    return layer


PAIRS = [
    (32, 16, 16, 8, 8),
    (8, 32, 12, 16, 16),
    (1, 5, 7, 4, 6),
    (3, 33, 12, 2, 10),
    (2, 1, 1, 2, 2),
    (5, 16, 64, 6, 2),
    (2, 48, 20, 4, 6),
]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("images", "channels", "outputs", "height", "width"), PAIRS)
def test_a_convolution_and_pooling_come_to_the_same(
    images: int, channels: int, outputs: int, height: int, width: int, bias: bool
) -> None:
    x, dy = draw(images, channels, height, width), draw(images, outputs, height // 2, width // 2, seed=1)
    check(make_pair(channels, outputs, bias), x, dy, fuse_pair)
    check(make_pair(channels, outputs, bias), x.contiguous(), dy.contiguous(), fuse_pair)


def test_of_equal_products_the_first_has_the_gradient_and_nans_pass() -> None:
    pair = make_pair(20, 5)
    x = torch.ones(2, 20, 4, 6, dtype=BF16)
    told = take_step(fuse_pair(pair), pair, x, torch.ones(2, 5, 2, 3))
    expected = torch.zeros(2, 20, 4, 6)
    expected[..., ::2, ::2] = pair.get_parameter("0.weight").detach().to(BF16).float().sum(0)
    torch.testing.assert_close(told["dx"].float(), expected, rtol=0.01, atol=1e-3)
    x[0, 3, 2, 3] = torch.nan
    told = take_step(fuse_pair(pair), pair, x, torch.ones(2, 5, 2, 3))
    assert told["y"].isnan().nonzero().tolist() == [[0, output, 1, 1] for output in range(5)]
    assert told["dx"][0, :, 2, 3].ne(0).all()
    assert told["dx"][0, :, 2, 2].eq(0).all()


def test_a_convolution_and_pooling_have_the_same_bytes_on_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = []
    for threads in (1, 3):
        monkeypatch.setattr("thumbnet.training.launching.torch.get_num_threads", lambda threads=threads: threads)
        pair = make_pair(12, 20)
        results.append(take_step(fuse_pair(pair), pair, draw(32, 12, 16, 16), draw(32, 20, 8, 8, seed=1)))
    assert all(torch.equal(results[0][name], results[1][name]) for name in results[0])


def test_pixels_need_no_gradient_and_are_rounded_as_autocast_rounds_them() -> None:
    x, dy = draw(4, 3, 8, 8), draw(4, 6, 4, 4, seed=1)
    pair = make_pair(3, 6)
    expected = take_step(fuse_pair(pair), pair, x, dy)
    pair.zero_grad()
    with torch.autocast("cpu", BF16):
        y = fuse_pair(pair)(x.float() * (1 + 2**-12))
    y.backward(dy)
    assert torch.equal(y, expected["y"])
    assert all(torch.equal(gradient(leaf), expected[name]) for name, leaf in pair.named_parameters())


@pytest.mark.parametrize(
    ("x", "cast"), [(draw(2, 6, 5, 4), True), (draw(2, 6, 4, 7), True), (draw(2, 6, 4, 4).float(), False)]
)
def test_odd_maps_and_fp32_are_left_to_pytorchs_convolution_and_pooling(x: Tensor, cast: bool) -> None:
    pair = make_pair(6, 9)
    with torch.autocast("cpu", BF16, enabled=cast):
        assert torch.equal(fuse_pair(pair)(x), pair(x))


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(8, 8, 3, padding=1),
        nn.Conv2d(8, 8, 1, stride=2),
        nn.Conv2d(8, 8, 1, padding=1),
        nn.Conv2d(8, 8, 1, groups=2),
        nn.Conv2d(8, 65, 1),
        nn.Conv2d(64, 32, 1),
        nn.Sequential(nn.Conv2d(8, 8, 1), nn.ReLU()),
        Residual(nn.Conv2d(8, 8, 1)),
    ],
    ids=str,
)
def test_other_convolutions_are_not_joined_with_pooling(conv: nn.Module) -> None:
    layers = faster_all([conv, nn.MaxPool2d(2, 2)])
    assert len(layers) == 2
    assert layers[0] is conv
    assert len(faster_all([nn.Conv2d(8, 8, 1), nn.MaxPool2d(3, 2)])) == 2
    assert len(faster_all([nn.Sequential(nn.Conv2d(8, 8, 1)), nn.MaxPool2d(2, 2), nn.Flatten()])) == 2


@pytest.mark.parametrize("norm", ["batch", "group"])
@pytest.mark.parametrize("line", [FLAGSHIP, "C8 N P S8/2 F L8", "C8 D.3 c8+ P3 A G"])
def test_a_network_comes_to_the_same(line: str, norm: NormKind) -> None:
    images = torch.randint(0, 256, (16, 12, 12, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    plain = make_network(line, norm)
    ours = copy.deepcopy(plain)
    told = []
    for network, call in ((plain, plain), (ours, fuse(ours, BF16))):
        torch.manual_seed(0)
        with torch.autocast("cpu", BF16):
            logits = call(images)
        logits.float().square().sum().backward()
        gradients = torch.cat([gradient(parameter).flatten() for parameter in network.parameters()])
        told.append({"logits": logits.float(), "gradients": gradients, **dict(network.named_buffers())})
    for name, usual in told[0].items():
        difference = (told[1][name].double() - usual.double()).norm() / (usual.double().norm() + 1e-6)
        assert difference < 0.05, name
    assert list(plain.state_dict()) == list(ours.state_dict())


@pytest.mark.parametrize("norm", ["batch", "group", "layer", "instance"])
@pytest.mark.parametrize("line", [FLAGSHIP, "C8 D.3 c8+ P3 A G"])
def test_a_network_is_judged_as_closely_to_fp32(line: str, norm: NormKind) -> None:
    images = torch.randint(0, 256, (16, 12, 12, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    network = make_network(line, norm)
    network(images)  # the running averages leave 0 and 1
    state = copy.deepcopy(network.state_dict())
    exact = predict(network, images)
    usual, got = (predict(network, images, BF16, call=call) for call in (network, fuse(network, BF16)))
    assert not torch.equal(got, usual)  # it was another way
    assert (got - exact).norm() <= max(1.2 * (usual - exact).norm(), 0.004 * exact.norm())
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())


def test_in_evaluation_with_gradients_pytorchs_layers_do_the_work() -> None:
    block = make_block("batch", 12).eval()
    x = draw(8, 12, 4, 4).requires_grad_()
    usual, got = (torch.autograd.grad(call(x).sum(), x)[0] for call in (block, faster(block)))
    assert torch.equal(got, usual)


@pytest.mark.parametrize("norm", ["batch", "group", "layer"])
def test_a_training_has_the_same_bytes_each_time_and_on_any_number_of_the_kernels_threads(
    make_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch, norm: NormKind
) -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (64, 12, 12, 3), dtype=torch.uint8, generator=generator)
    split = Images(images, torch.randint(0, 10, (64,), generator=generator))
    weights = []
    for threads in (1, 1, 3):
        monkeypatch.setattr("thumbnet.training.launching.torch.get_num_threads", lambda threads=threads: threads)
        network = make_network(norm=norm)
        recipe = make_recipe(train={"epochs": 2, "ema": 0.0}, augment={"flip": "random", "crop": 2})
        fit(network, split, split, recipe, BF16)
        weights.append(network.state_dict())
    for again in weights[1:]:
        assert all(torch.equal(tensor, weights[0][name]) for name, tensor in again.items())


@pytest.mark.parametrize(("line", "precision"), [(FLAGSHIP, torch.float32), ("F L8", BF16)], ids=str)
def test_fp32_and_networks_without_what_can_be_fused_are_left_alone(line: str, precision: torch.dtype) -> None:
    network = make_network(line)
    assert fuse(network, precision) is network


def test_without_kernels_pytorchs_layers_train(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> Any:
        raise OSError("no GNU OpenMP")

    monkeypatch.setattr("thumbnet.training.launching.get_kernels", fail)
    network = make_network()
    assert fuse(network, BF16) is network
