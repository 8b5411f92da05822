"""The layers that PyTorch does not have as one module: a weight layer with its norm and activation, and the classifier.

`thumbnet.nets.builder` puts them together.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.params import NormKind


class Block(nn.Module):
    """A weight layer, then its normalisation and ReLU, then the layer's input added (`+`).

    Args:
        weight: a convolution or dense layer.
        norm: its normalisation, or None.
        activated: whether ReLU follows.
        residual: whether the input is added to the output.
    """

    def __init__(self, weight: nn.Module, norm: nn.Module | None, activated: bool, residual: bool) -> None:
        super().__init__()
        self.weight = weight
        self.norm = norm
        self.activated = activated
        self.residual = residual

    def forward(self, inputs: Tensor) -> Tensor:  # (n, channels[, height, width])
        outputs: Tensor = self.weight(inputs)
        if self.norm is not None:
            outputs = self.norm(outputs)
        if self.activated:
            outputs = functional.relu(outputs, inplace=True)
        return outputs + inputs if self.residual else outputs


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
        scaled = (images.to(torch.float32) - self.mean) / self.std
        # Images lie channel-last in memory, so this view is PyTorch's channels_last format without a copy.
        logits: Tensor = self.network(scaled.permute(0, 3, 1, 2))
        return logits


def make_norm(kind: NormKind, channels: int, groups: int, flat: bool) -> nn.Module | None:
    """The normalisation of `channels` channels.

    Batch normalisation: Ioffe and Szegedy 2015; group: Wu and He 2018; layer: Ba, Kiros and Hinton 2016, over all
    channels and places of one image, which is group normalisation with one group, as in the source assignment.

    Args:
        kind: which.
        channels: of the layer before it.
        groups: for `group` alone; divides `channels`.
        flat: whether the layer's output is a vector, not a map.
    """
    match kind:
        case "batch":
            return nn.BatchNorm1d(channels) if flat else nn.BatchNorm2d(channels)
        case "group":
            return nn.GroupNorm(groups, channels)
        case "layer":
            return nn.GroupNorm(1, channels)
        case "none":
            return None
