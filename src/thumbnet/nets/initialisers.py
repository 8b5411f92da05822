"""The distributions that kernels are drawn from before training; biases begin at zero.

The fan-in of a kernel is the number of inputs that one output sees, its fan-out the number of outputs that one input
reaches (at stride 1, away from the border). For a dense layer these are its inputs and outputs; for a k×k convolution
they are k²·(channels before it) and k²·(its filters); for a depthwise convolution k² and k², since each channel is
convolved alone.
"""

import math

from torch import nn

from thumbnet.params import Initialiser

#: Standard deviation of `normal`, and bound of `uniform`.
SMALL = 0.05


def initialise(network: nn.Module, kind: Initialiser) -> None:
    """Draws every kernel of a network from PyTorch's global generator, the classifier's too, and sets biases to zero.

    Args:
        network: its convolutions and dense layers are initialised; normalisations and slopes keep what they have.
        kind: see `draw_kernel`.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            draw_kernel(module, kind)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def draw_kernel(layer: nn.Conv2d | nn.Linear, kind: Initialiser) -> None:
    """Draws the kernel of one layer anew.

    The names are those of Keras, and so are 0.05 and the formulas. Where Keras cuts a normal distribution off at two
    standard deviations and widens it to the same variance, this one has its tails.

    Args:
        layer: its kernel is changed.
        kind: normal distributions have mean 0; uniform ones lie between ±bound, and their variance is bound² / 3.

            - `zero`: 0, which teaches nothing through hidden layers: a layer's gradient is a multiple of zeros.
            - `normal`, `uniform`: standard deviation 0.05; bound 0.05.
            - `lecun_normal`, `lecun_uniform`: variance 1 / fan-in; bound √(3 / fan-in) (LeCun, Bottou, Orr and Müller
              1998, Efficient BackProp). What SELU was made for (Klambauer et al. 2017).
            - `glorot_normal`, `glorot_uniform`: variance 2 / (fan-in + fan-out); bound √(6 / (fan-in + fan-out))
              (Glorot and Bengio 2010).
            - `he_normal`, `he_uniform`: variance 2 / fan-in; bound √(6 / fan-in) (He et al. 2015, arXiv:1502.01852).
    """
    kernel = layer.weight
    match kind:
        case "zero":
            nn.init.zeros_(kernel)
        case "normal":
            nn.init.normal_(kernel, std=SMALL)
        case "uniform":
            nn.init.uniform_(kernel, -SMALL, SMALL)
        case "lecun_normal":
            nn.init.kaiming_normal_(kernel, nonlinearity="linear")
        case "lecun_uniform":
            nn.init.kaiming_uniform_(kernel, nonlinearity="linear")
        case "glorot_normal":
            nn.init.normal_(kernel, std=math.sqrt(2 / sum(_fans(layer))))
        case "glorot_uniform":
            bound = math.sqrt(6 / sum(_fans(layer)))
            nn.init.uniform_(kernel, -bound, bound)
        case "he_normal":
            nn.init.kaiming_normal_(kernel, nonlinearity="relu")
        case "he_uniform":
            nn.init.kaiming_uniform_(kernel, nonlinearity="relu")


def _fans(layer: nn.Conv2d | nn.Linear) -> tuple[int, int]:
    """Fan-in and fan-out; PyTorch's own fan-out of a depthwise convolution is that of a full one."""
    window = layer.weight[0, 0].numel()  # places of the kernel; 1 for a dense layer
    groups = layer.groups if isinstance(layer, nn.Conv2d) else 1
    return window * layer.weight.shape[1], window * layer.weight.shape[0] // groups
