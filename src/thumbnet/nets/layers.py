"""The parts of a layer: its normalisation, its activation, the sum with its input; and the classifier of raw pixels.

`thumbnet.nets.builder` puts them together.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.nets.notation import Shape
from thumbnet.params import Activation, NormKind


class Residual(nn.Sequential):
    """Layers one after the other, then their input added to their output (`+`): He et al. 2016, arXiv:1512.03385."""

    def forward(self, inputs: Tensor) -> Tensor:  # (n, channels[, height, width]), before and after
        outputs: Tensor = super().forward(inputs)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return outputs + inputs


class StridedPointwise(nn.Conv2d):
    """A 1×1 convolution with a stride: one without a stride, of the pixels that it looks at. It comes to the same.

    In the backward pass of the strided one, with few input channels that are the last axis in memory, oneDNN writes
    beyond its own: https://github.com/uxlfoundation/oneDNN/issues/6035. The process dies of it, at once or later.
    """

    def forward(self, inputs: Tensor) -> Tensor:  # (n, channels, height, width)
        down, right = self.stride
        return functional.conv2d(inputs[..., ::down, ::right], self.weight, self.bias)


class Maxout(nn.Module):
    """The larger value of each pair of channels, i and i + channels / 2: Goodfellow et al. 2013, arXiv:1302.4389."""

    def forward(self, inputs: Tensor) -> Tensor:  # (n, 2·channels[, height, width]) -> (n, channels[, height, width])
        first, second = inputs.chunk(2, dim=1)
        return torch.maximum(first, second)


class Classifier(nn.Module):
    """A network with the scaling of its images: raw pixels in, logits out, so that no caller can forget to normalise.

    Args:
        network: maps normalised images (n, channels, height, width), float, to logits (n, classes).
        mean, std: statistics of the training split in units of pixel values (0–255), of shape (channels,) or
            (height, width, channels).
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", mean.to(torch.float32))
        self.register_buffer("std", std.to(torch.float32))

    def forward(self, images: Tensor) -> Tensor:  # (n, height, width, channels), uint8 -> (n, classes)
        logits: Tensor = self.network(self.scale(images))
        return logits

    def scale(self, images: Tensor) -> Tensor:  # (…, height, width, channels), uint8 -> (…, channels, height, width)
        """What the network sees of the images: scaled by the statistics."""
        scaled = images.to(torch.float32, copy=True).sub_(self.mean).div_(self.std)
        # Images lie channel-last in memory, so this view is PyTorch's channels_last format without a copy.
        return scaled.movedim(-1, -3)


def make_norm(kind: NormKind, shape: Shape, groups: int) -> nn.Module:
    """A normalisation, with a factor and a summand per channel that are trained.

    Args:
        kind: which means and variances are taken. `batch`: of each channel, over the batch and all places (Ioffe and
            Szegedy 2015, arXiv:1502.03167), and in evaluation their running averages; the others of one image each:
            `group`: of a group of channels and all places (Wu and He 2018, arXiv:1803.08494); `layer`: of all channels
            and places (Ba, Kiros and Hinton 2016, arXiv:1607.06450), which is `group` with one group; `instance`: of
            each channel (Ulyanov, Vedaldi and Lempitsky 2016, arXiv:1607.08022).
        shape: of what is normalised.
        groups: for `group` alone; divides the channels.

    Raises:
        ValueError: `none` is no normalisation.
    """
    match kind:
        case "batch":
            return nn.BatchNorm1d(shape.channels) if shape.is_flat else nn.BatchNorm2d(shape.channels)
        case "group":
            return nn.GroupNorm(groups, shape.channels)
        case "layer":
            return nn.GroupNorm(1, shape.channels)
        case "instance":
            return nn.InstanceNorm2d(shape.channels, affine=True)
        case "none":
            raise ValueError("norm: none has no module")


def make_activation(kind: Activation, channels: int) -> nn.Module:
    """An activation function; in place where its gradient needs no more than its output.

    Args:
        kind: which.

            - `relu`: max(0, x) (Nair and Hinton 2010).
            - `leaky_relu`: x, and below zero 0.01·x (Maas, Hannun and Ng 2013).
            - `prelu`: x, and below zero a·x, a trained for each channel from 0.25 (He et al. 2015, arXiv:1502.01852).
            - `elu`: x, and below zero exp(x) − 1 (Clevert, Unterthiner and Hochreiter 2016, arXiv:1511.07289).
            - `selu`: 1.0507·x, and below zero 1.7581·(exp(x) − 1) (Klambauer et al. 2017, arXiv:1706.02515).
            - `gelu`: x·Φ(x), Φ being the normal distribution function (Hendrycks and Gimpel 2016, arXiv:1606.08415).
            - `silu`: x / (1 + exp(−x)) (Elfwing, Uchibe and Doya 2018, arXiv:1702.03118).
            - `tanh`: recommended by LeCun, Bottou, Orr and Müller 1998.
            - `maxout`: see `Maxout`.
        channels: of its output; `maxout` gets twice as many.
    """
    match kind:
        case "relu":
            return nn.ReLU(inplace=True)
        case "leaky_relu":
            return nn.LeakyReLU(0.01, inplace=True)
        case "prelu":
            return nn.PReLU(channels, init=0.25)
        case "elu":
            return nn.ELU(inplace=True)
        case "selu":
            return nn.SELU(inplace=True)
        case "gelu":
            return nn.GELU()
        case "silu":
            return nn.SiLU()
        case "tanh":
            return nn.Tanh()
        case "maxout":
            return Maxout()
