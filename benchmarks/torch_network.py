"""The network of a job as a module of PyTorch's, for the peers that use PyTorch."""

from torch import nn

from benchmarks.measuring import Job
from thumbnet.nets.builder import build_network
from thumbnet.nets.notation import Shape
from thumbnet.params import network_params


def build(job: Job) -> nn.Module:
    """From normalised images (n, channels, height, width), float32, to logits (n, classes); plain layers of `nn`."""
    height, width, channels = job.image_shape
    return build_network(network_params(job.model), Shape(channels, height, width), job.classes)


def count(network: nn.Module) -> int:
    """The number of trained values."""
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
