"""Normalisation, activation and the sum with a layer's input as one step, and max pooling, for bf16 on CPUs.

Images are scaled straight to bf16, and a 1×1 convolution that max pooling follows is one step with it.

Beside its convolutions a network passes over its maps again and again, bound by memory. PyTorch makes four passes
forwards and five backwards for batch normalisation, SiLU and a sum; here they are two and two. Weights, running
statistics and results are PyTorch's within bf16's rounding, and closer to fp32's, as what lies between is not rounded.
"""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeGuard

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from thumbnet.nets.layers import Classifier, Residual
from thumbnet.training.launching import can_have, get_kernels

_Norm = nn.BatchNorm2d | nn.GroupNorm | nn.InstanceNorm2d

#: The activations that the kernels know, and their names there.
_NAMES: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.LeakyReLU: "leaky_relu",
    nn.ELU: "elu",
    nn.SELU: "selu",
    nn.SiLU: "silu",
    nn.Tanh: "tanh",
}


def fuse(model: nn.Module, precision: torch.dtype) -> Callable[[Tensor], Tensor]:
    """A faster way to call a classifier under autocast, in training and in evaluation; its weights stay where they are.

    Args:
        model: a classifier.
        precision: of products and convolutions, as for `fit`.

    Returns:
        The model itself where there is nothing to gain: in fp32, on other devices, for networks of torchvision or
        without maps, and where the kernels cannot be had (without numba, or without GNU's OpenMP).
    """
    if not can_fuse(model, precision):
        return model
    assert isinstance(model, Classifier)
    return functools.partial(_call, model, faster_all(model.network.children()))


def can_fuse(model: nn.Module, precision: torch.dtype) -> bool:
    """Whether `fuse` gains something; kernels are compiled, or loaded from their cache."""
    if not isinstance(model, Classifier) or type(model.network) is not nn.Sequential:
        return False
    if precision != torch.bfloat16 or model.mean.device.type != "cpu":
        return False
    layers = faster_all(model.network.children())
    needed = {kernel for layer in layers if isinstance(layer, _Block | _Pool | _ConvPool) for kernel in layer.needs}
    return bool(needed) and can_have(needed | {"scale"})


def _call(classifier: Classifier, layers: list[Callable[[Tensor], Tensor]], images: Tensor) -> Tensor:
    values = _scale(classifier, images) if _takes_bf16(layers[0]) else classifier.scale(images)
    for layer in layers:
        values = layer(values)
    return values


def _takes_bf16(layer: Callable[[Tensor], Tensor]) -> bool:
    """Whether a first layer's input goes to a convolution, and nowhere else: autocast rounds it to bf16 there."""
    if isinstance(layer, _Block):
        return isinstance(layer.first, nn.Conv2d)
    if type(layer) is nn.Sequential:
        return isinstance(layer[0], nn.Conv2d)
    return isinstance(layer, nn.Conv2d | _ConvPool)


def _scale(classifier: Classifier, images: Tensor) -> Tensor:
    """What `Classifier.scale` gives, as autocast hands it to a convolution: in bf16."""
    if images.dtype != torch.uint8 or not images.is_contiguous() or classifier.mean.dtype != torch.float32:
        return classifier.scale(images)
    mean, std = classifier.mean.contiguous(), classifier.std.contiguous()
    scaled = torch.empty(images.shape, dtype=torch.bfloat16)
    get_kernels().run("scale", len(images), images.numel() // len(images), 1, mean.numel(), images, mean, std, scaled)
    return scaled.movedim(-1, -3)


def faster_all(modules: Iterable[nn.Module]) -> list[Callable[[Tensor], Tensor]]:
    """What does the same as modules one after the other; two of them may become one."""
    layers: list[Callable[[Tensor], Tensor]] = []
    rest = list(modules)
    while rest:
        pair = _find_conv_pool(rest)
        layers.append(pair or faster(rest[0]))
        rest = rest[2 if pair else 1 :]
    return layers


def faster(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """What does the same as a token's module, or the module itself."""
    if _halves_maps(module):
        return _Pool(module)
    if isinstance(module, _Norm):
        return _Block([module], residual=False)
    if type(module) in (nn.Sequential, Residual) and any(isinstance(child, _Norm) for child in module.children()):
        return _Block(list(module.children()), residual=isinstance(module, Residual))
    return module


class _Block:
    """Layers one after the other; one of them is a normalisation.

    Args:
        children: what stands before it and after it are modules as ever, but for an activation right behind it.
        residual: whether the block's input is added to its output.

    Attributes:
        needs: the kernels that it calls.
        first: the module that its input goes to; None where it is also added to the output.
    """

    def __init__(self, children: list[nn.Module], residual: bool) -> None:
        place, norm = next((place, child) for place, child in enumerate(children) if isinstance(child, _Norm))
        self._before, self._norm, self._after = children[:place], norm, children[place + 1 :]
        self._residual = residual
        self.first = None if residual else children[0]
        self._name = "none"
        self._activation: nn.Module = nn.Identity()
        if self._after and type(self._after[0]) in _NAMES:
            self._name, self._activation = _NAMES[type(self._after[0])], self._after.pop(0)
        self.needs = {f"normalise.{self._name}", f"differentiate.{self._name}"}

    def __call__(self, inputs: Tensor) -> Tensor:
        values = inputs
        for module in self._before:
            values = module(values)
        added = inputs if self._residual and not self._after else None
        if _is_served(values, self._norm) and (added is None or added.dtype == values.dtype):
            values = _normalise(values, self._norm, self._name, added)
        else:
            values = self._activation(self._norm(values))
            values = values if added is None else values + added
        for module in self._after:
            values = module(values)
        return values + inputs if self._residual and self._after else values


def _is_served(values: Tensor, norm: _Norm) -> bool:
    """Whether the kernels can normalise these values; PyTorch refuses what has no variance, in its own words."""
    if values.ndim != 4 or values.dtype != torch.bfloat16:
        return False
    if any(state is None or state.dtype != torch.float32 for state in (norm.weight, norm.bias)):
        return False
    if _has_settled(norm) and torch.is_grad_enabled():
        return False
    images, channels, height, width = values.shape
    alone = height * width == 1 and (isinstance(norm, nn.InstanceNorm2d) or images == 1)
    return values.numel() > 0 and channels <= get_kernels().most_channels and not alone


def _has_settled(norm: _Norm) -> TypeGuard[nn.BatchNorm2d]:
    """Whether it takes its running averages, as in evaluation, and not those of the batch."""
    return isinstance(norm, nn.BatchNorm2d) and not norm.training and norm.running_mean is not None


@dataclass(frozen=True)
class _Cut:
    """How the values of a map (images, channels, height, width) are cut for the kernels, and normalised.

    Attributes:
        parts, places, channels: parts × places × channels values, as they lie in memory.
        groups: of channels that share means and variances, in each image, which is a part then; 0 where all parts do,
            each channel for itself.
        name: of the activation.
    """

    parts: int
    places: int
    channels: int
    groups: int
    name: str

    def run(self, kernel: str, *tensors: Tensor | None) -> None:
        """Runs a kernel whose threads wait for each other."""
        kernels, step = get_kernels(), self.channels if self.groups else 0
        sizes = (self.parts, self.places, self.channels, step)
        kernels.run(f"{kernel}.{self.name}", *sizes, *tensors, kernels.barrier)

    def sums(self) -> Tensor:
        """Room for two sums of each part and channel."""
        return torch.empty(2, self.parts, self.channels)

    def coefficients(self, count: int) -> Tensor:
        """Room for so many coefficients of all that share them, and of each channel."""
        return torch.empty(count, self.parts if self.groups else 1, self.channels)


def _cut(x: Tensor, norm: _Norm, name: str) -> _Cut:
    groups = 0
    if not isinstance(norm, nn.BatchNorm2d):
        groups = norm.num_groups if isinstance(norm, nn.GroupNorm) else x.shape[1]
    return _cut_shape(x.shape, groups, name)


@functools.lru_cache(maxsize=256)  # a network has few different ones
def _cut_shape(shape: tuple[int, ...], groups: int, name: str) -> _Cut:
    images, channels, height, width = shape
    if groups:
        return _Cut(images, height * width, channels, groups, name)
    parts = get_kernels().divide(images * height * width, channels)
    return _Cut(parts, images * height * width // parts, channels, 0, name)


@functools.lru_cache(maxsize=256)  # a network has few different ones
def _numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)


def _normalise(x: Tensor, norm: _Norm, name: str, added: Tensor | None) -> Tensor:
    """The activation of the normalised values, and something added; running statistics are updated in training."""
    x = x.contiguous(memory_format=torch.channels_last)
    cut = _cut(x, norm, name)
    if _has_settled(norm):
        return _normalise_settled(x, norm, added, cut)
    share, unbiased = 0.0, 1.0
    running: tuple[Tensor | None, Tensor | None] = None, None
    if isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None:
        batches, count = norm.get_buffer("num_batches_tracked").add_(1), cut.parts * cut.places
        share = 1 / int(batches) if norm.momentum is None else norm.momentum
        running, unbiased = (norm.running_mean, norm.running_var), count / (count - 1)
    numbers = _numbers(cut.places, norm.eps, share, unbiased, cut.groups)
    y: Tensor = _NormAct.apply(x, norm.weight, norm.bias, added, numbers, running, cut)
    return y


def _normalise_settled(x: Tensor, norm: nn.BatchNorm2d, added: Tensor | None, cut: _Cut) -> Tensor:
    """The same by the running averages; without gradients."""
    mean, variance = norm.get_buffer("running_mean"), norm.get_buffer("running_var")
    rate = torch.rsqrt(variance + norm.eps)
    scale = rate * norm.weight
    table = torch.stack([mean, rate, scale, norm.bias - mean * scale])  # (4, channels), as `_NormAct` has it
    y, more = torch.empty_like(x), added if added is None else added.contiguous(memory_format=torch.channels_last)
    cut.run("normalise", x, None, None, None, None, table, None, None, more, y)
    return y


class _NormAct(Function):
    """act(x · scale + shift) + added; scale and shift follow from x."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        added: Tensor | None,
        numbers: Tensor,
        running: tuple[Tensor | None, Tensor | None],
        cut: _Cut,
    ) -> Tensor:
        y, sums, table = torch.empty_like(x), cut.sums(), cut.coefficients(4)
        more = added if added is None else added.contiguous(memory_format=torch.channels_last)
        cut.run("normalise", x, sums, weight, bias, numbers, table, *running, more, y)
        ctx.save_for_backward(x, weight, table)
        ctx.cut, ctx.adds = cut, added is not None
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, table = ctx.saved_tensors
        cut: _Cut = ctx.cut
        dy = dy.contiguous(memory_format=torch.channels_last)
        dx, sums, coefficients = torch.empty_like(x), cut.sums(), cut.coefficients(2)
        of_weight, of_bias = both = torch.empty(2, cut.channels)
        sharing = cut.places * (cut.channels // cut.groups if cut.groups else cut.parts)
        numbers = _numbers(sharing, cut.groups)
        cut.run("differentiate", x, dy, table, dx, sums, weight, numbers, coefficients, both)
        return dx, of_weight, of_bias, dy if ctx.adds else None, None, None, None


def _halves_maps(module: nn.Module) -> TypeGuard[nn.MaxPool2d]:
    """Whether it is max pooling of 2×2 places, which has kernels."""
    return isinstance(module, nn.MaxPool2d) and (module.kernel_size, module.stride, module.padding) == (2, 2, 0)


def _make_pooled(x: Tensor, channels: int) -> tuple[Tensor, Tensor]:
    """Room for the largest value of each 2×2 places of a map, in so many channels, and for which of them it was."""
    images, _, height, width = x.shape
    y = torch.empty((images, channels, height // 2, width // 2), dtype=x.dtype, memory_format=torch.channels_last)
    return y, torch.empty_like(y, dtype=torch.uint8)


class _Pool:
    """Max pooling of 2×2 places.

    Attributes:
        needs: the kernels that it calls.
    """

    needs = frozenset({"pool", "unpool"})

    def __init__(self, module: nn.MaxPool2d) -> None:
        self._module = module

    def __call__(self, values: Tensor) -> Tensor:
        height, width = values.shape[2:]
        if values.dtype != torch.bfloat16 or height % 2 or width % 2:
            return self._module(values)  # type: ignore[no-any-return]
        pooled: Tensor = _MaxPool.apply(values)
        return pooled


class _MaxPool(Function):
    """One byte a window remembers where its largest value was; PyTorch takes eight."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        images, channels, height, width = ctx.shape = x.shape
        y, which = _make_pooled(x, channels)
        x = x.contiguous(memory_format=torch.channels_last)
        get_kernels().run("pool", images, height * width, channels, height // 2, x, y, which)
        ctx.save_for_backward(which)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> Tensor:
        (which,) = ctx.saved_tensors
        images, channels, height, width = ctx.shape
        dx = torch.empty(ctx.shape, dtype=dy.dtype, memory_format=torch.channels_last)
        dy = dy.contiguous(memory_format=torch.channels_last)
        get_kernels().run("unpool", images, height * width, channels, height // 2, dy, which, dx)
        return dx


#: Channels, and products of a place, up to which `_ConvPool` is faster than its two modules, on one thread of an EPYC
#: with AVX-512 (family 26): it multiplies in fp32, and they do in bf16.
_MOST_CONVOLVED = 64
_MOST_PRODUCTS = 1024


class _ConvPool:
    """A 1×1 convolution and max pooling of 2×2 places: what is not the largest is neither rounded nor written.

    Only one place of four has a gradient: backwards there is a quarter of the products.

    Args:
        conv, pool: the modules; others do this step where the kernels cannot.

    Attributes:
        needs: the kernels that it calls.
    """

    needs = frozenset({"conv_pool", "conv_unpool"})

    def __init__(self, conv: nn.Conv2d, pool: nn.MaxPool2d) -> None:
        self._conv, self._pool = conv, pool

    def __call__(self, values: Tensor) -> Tensor:
        height, width = values.shape[-2:]
        is_bf16 = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
        if not is_bf16 or values.ndim != 4 or not values.numel() or height % 2 or width % 2:
            return self._pool(self._conv(values))  # type: ignore[no-any-return]
        pooled: Tensor = _ConvMaxPool.apply(values.to(torch.bfloat16), self._conv.weight, self._conv.bias)
        return pooled


def _find_conv_pool(modules: list[nn.Module]) -> _ConvPool | None:
    """The first two of some modules as one step, if they are what it takes."""
    if len(modules) < 2:
        return None
    conv, pool = modules[:2]
    if type(conv) is nn.Sequential and len(conv) == 1:
        conv = conv[0]
    if type(conv) is not nn.Conv2d or not _halves_maps(pool):
        return None
    is_plain = (conv.kernel_size, conv.stride, conv.padding, conv.groups) == ((1, 1), (1, 1), (0, 0), 1)
    most, products = max(conv.in_channels, conv.out_channels), conv.in_channels * conv.out_channels
    is_small = most <= _MOST_CONVOLVED and products <= _MOST_PRODUCTS
    return _ConvPool(conv, pool) if is_plain and is_small and conv.weight.dtype == torch.float32 else None


class _ConvMaxPool(Function):
    """The largest of each 2×2 of x · weight + bias, with weights rounded to bf16; as `_MaxPool`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        images, channels, height, width = x.shape
        y, which = _make_pooled(x, len(weight))
        x, weight = x.contiguous(memory_format=torch.channels_last), weight.contiguous()
        lines = images * height // 2
        parts = get_kernels().divide(lines, 2 * width * channels)
        sizes = (parts, lines // parts, channels, len(weight))
        get_kernels().run("conv_pool", *sizes, x, weight, bias, y, which, width // 2)
        ctx.save_for_backward(x, weight, which)
        ctx.sizes, ctx.has_bias = sizes, bias is not None
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, which = ctx.saved_tensors
        parts, _, channels, outputs = ctx.sizes
        dy = dy.contiguous(memory_format=torch.channels_last)
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        dweights = torch.empty(parts, outputs, get_kernels().fill_up(channels))
        dbiases = torch.empty(parts, outputs)
        get_kernels().run("conv_unpool", *ctx.sizes, x, dy, which, weight, x.shape[3] // 2, dx, dweights, dbiases)
        dweight = dweights.sum(0)[:, :channels].reshape(weight.shape)
        return dx, dweight, dbiases.sum(0) if ctx.has_bias else None
