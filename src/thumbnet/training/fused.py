"""Normalisation, activation and the sum with a layer's input as one step, and max pooling, for bf16 on CPUs.

Beside its convolutions a network passes over its maps again and again, bound by memory. PyTorch makes four passes
forwards and five backwards for batch normalisation, SiLU and a sum; here they are two and two. Weights, running
statistics and results are PyTorch's within bf16's rounding, and closer to fp32's, as what lies between is not rounded.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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
    """A faster way to call a classifier in training mode and under autocast; its weights stay where they are.

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
    return functools.partial(_call, model, [faster(module) for module in model.network.children()])


def can_fuse(model: nn.Module, precision: torch.dtype) -> bool:
    """Whether `fuse` gains something; kernels are compiled, or loaded from their cache."""
    if not isinstance(model, Classifier) or type(model.network) is not nn.Sequential:
        return False
    if precision != torch.bfloat16 or model.mean.device.type != "cpu":
        return False
    layers = [faster(module) for module in model.network]
    needed = {kernel for layer in layers if isinstance(layer, _Block | _Pool) for kernel in layer.needs}
    return bool(needed) and can_have(needed)


def _call(classifier: Classifier, layers: list[Callable[[Tensor], Tensor]], images: Tensor) -> Tensor:
    values = classifier.scale(images)
    for layer in layers:
        values = layer(values)
    return values


def faster(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """What does the same as a token's module in training, or the module itself."""
    if isinstance(module, nn.MaxPool2d) and (module.kernel_size, module.stride, module.padding) == (2, 2, 0):
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
    """

    def __init__(self, children: list[nn.Module], residual: bool) -> None:
        place, norm = next((place, child) for place, child in enumerate(children) if isinstance(child, _Norm))
        self._before, self._norm, self._after = children[:place], norm, children[place + 1 :]
        self._residual = residual
        self._name = "none"
        self._activation: nn.Module = nn.Identity()
        if self._after and type(self._after[0]) in _NAMES:
            self._name, self._activation = _NAMES[type(self._after[0])], self._after.pop(0)
        self.needs = {"statistics", f"apply.{self._name}", f"sums.{self._name}", "combine"}

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
    images, channels, height, width = values.shape
    alone = height * width == 1 and (isinstance(norm, nn.InstanceNorm2d) or images == 1)
    return values.numel() > 0 and channels <= get_kernels().most_channels and not alone


@dataclass(frozen=True)
class _Cut:
    """How the values of a map (images, channels, height, width) are cut for the kernels, and normalised.

    Attributes:
        parts, places: parts × places × channels values, as they lie in memory.
        groups: of channels; tensors of coefficients are (parts or 1, groups, channels / groups).
        axis: of these that shares a mean: 0 where all images do, 2 where the channels of a group do, in each image.
        name: of the activation.
    """

    parts: int
    places: int
    groups: int
    axis: int
    name: str

    def run(self, kernel: str, x: Tensor, *tensors: Tensor | None) -> None:
        channels = x.shape[1]
        step = 0 if self.axis == 0 else channels
        get_kernels().run(kernel, self.parts, self.places, channels, step, x, *tensors)

    def sums(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Room for two sums of each part and channel."""
        first, second = torch.empty(2, self.parts, self.groups, x.shape[1] // self.groups)
        return first, second


def _cut(x: Tensor, norm: _Norm, name: str) -> _Cut:
    images, channels, height, width = x.shape
    if isinstance(norm, nn.BatchNorm2d):
        parts = get_kernels().divide(images * height * width, channels)
        return _Cut(parts, images * height * width // parts, channels, 0, name)
    groups = norm.num_groups if isinstance(norm, nn.GroupNorm) else channels
    return _Cut(images, height * width, groups, 2, name)


def _normalise(x: Tensor, norm: _Norm, name: str, added: Tensor | None) -> Tensor:
    """The activation of the normalised values, and something added; running statistics are updated."""
    x = x.contiguous(memory_format=torch.channels_last)
    cut = _cut(x, norm, name)
    with torch.no_grad():
        means, squares = cut.sums(x)
        cut.run("statistics", x, means, squares)
        mean = means.mean(cut.axis, keepdim=True)
        variance = (squares / cut.places).add_((means - mean).square_()).mean(cut.axis, keepdim=True)
        if isinstance(norm, nn.BatchNorm2d):
            _follow(norm, mean.flatten(), variance.flatten(), x.numel() // x.shape[1])
        rate = variance.add_(norm.eps).rsqrt_()
    y: Tensor = _NormAct.apply(x, norm.weight, norm.bias, added, mean, rate, cut)
    return y


def _follow(norm: nn.BatchNorm2d, mean: Tensor, variance: Tensor, count: int) -> None:
    """Updates running statistics as PyTorch does, with the unbiased variance."""
    if norm.running_mean is None or norm.running_var is None:
        return
    batches = norm.get_buffer("num_batches_tracked").add_(1)
    share = 1 / int(batches) if norm.momentum is None else norm.momentum
    norm.running_mean.lerp_(mean, share)
    norm.running_var.lerp_(variance * (count / (count - 1)), share)


class _NormAct(Function):
    """act(weight · (x - mean) · rate + bias) + added, the mean and the rate being those of x."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, added: Tensor | None, mean: Tensor, rate: Tensor, cut: _Cut
    ) -> Tensor:
        scale = rate * weight.view(1, cut.groups, -1)
        shift = bias.view(1, cut.groups, -1) - mean * scale
        y = torch.empty_like(x)
        more = added if added is None else added.contiguous(memory_format=torch.channels_last)
        cut.run(f"apply.{cut.name}", x, scale, shift, more, y)
        ctx.save_for_backward(x, weight, mean, rate, scale, shift)
        ctx.cut, ctx.adds = cut, added is not None
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, rate, scale, shift = ctx.saved_tensors
        cut: _Cut = ctx.cut
        dy = dy.contiguous(memory_format=torch.channels_last)
        dz = torch.empty_like(x)
        first, second = cut.sums(x)  # Σdz and Σdz·(x - mean)
        cut.run(f"sums.{cut.name}", x, dy, scale, shift, mean.expand_as(scale).contiguous(), dz, first, second)
        second *= rate
        # dx = rate · (weight·dz - its mean - normalised x · the mean of weight·dz·normalised x)
        weight, count = weight.view(1, cut.groups, -1), x.numel() // rate.numel()
        by = (weight * second).sum(cut.axis, keepdim=True).mul_(rate.square().div_(-count))
        plus = (weight * first).sum(cut.axis, keepdim=True).mul_(rate / -count).sub_(by * mean)
        by, plus = by.expand_as(scale).contiguous(), plus.expand_as(scale).contiguous()
        cut.run("combine", x, dz, scale, by, plus)
        return dz, second.sum(0).view(-1), first.sum(0).view(-1), dy if ctx.adds else None, None, None, None


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
        y = torch.empty((images, channels, height // 2, width // 2), dtype=x.dtype, memory_format=torch.channels_last)
        which = torch.empty_like(y, dtype=torch.uint8)
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
