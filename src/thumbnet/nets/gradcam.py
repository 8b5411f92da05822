"""Where in an image a convolutional network finds what speaks for a class: Grad-CAM, as captum computes it.

Selvaraju et al. 2017, arXiv:1610.02391. Pictures are drawn by `thumbnet.figures.explanations`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from captum.attr import LayerGradCam
from numpy.typing import NDArray
from torch import Tensor, nn

from thumbnet.nets.layers import Classifier

#: A feature map of fewer rows or columns cannot tell one place from another.
FEWEST_PLACES = 4


def explain(
    classifier: Classifier, images: NDArray[np.uint8], targets: NDArray[np.int64]
) -> NDArray[np.float32] | None:
    """Heat maps of images for classes: how much each place speaks for the class.

    Grad-CAM of the logits, over the last feature map of a convolution that has at least `FEWEST_PLACES` rows and
    columns. In the networks of torchvision that halve small images five times, that is not the last one of all, which
    has a single place.

    Args:
        classifier: a trained one, on the CPU, in evaluation mode.
        images: (n, height, width, channels).
        targets: labels of the classes, (n, m): for each image m of them.

    Returns:
        (n, m, rows, columns), 0 or more, of the size of the feature map; None for a network without such a map.
    """
    scaled = classifier.scale(torch.from_numpy(images))  # (n, channels, height, width)
    layer = find_feature_map(classifier.network, scaled)
    if layer is None:
        return None
    cam = LayerGradCam(classifier.network, layer)
    heat = [
        cam.attribute(scaled, target=torch.from_numpy(wanted), relu_attributions=True).squeeze(1)
        for wanted in targets.T  # (n,)
    ]
    return torch.stack(heat, dim=1).detach().numpy()


def find_feature_map(network: nn.Module, images: Tensor) -> nn.Module | None:
    """The module that puts out the last convolutional feature map, with its normalisation, activation and sum.

    Of all modules with a convolution inside that put out maps of the images' proportions, at least `FEWEST_PLACES` high
    and wide, it is the one that finishes last. What lies within a block of branches is left out: the rest of the
    network would see the image past it.

    Args:
        network: from images (n, channels, height, width) to logits.
        images: one or more of them.
    """
    sizes: dict[nn.Module, tuple[int, ...]] = {}  # of outputs, in the order in which modules finish

    def note(module: nn.Module, _inputs: Any, output: Any) -> None:
        sizes[module] = tuple(output.shape) if isinstance(output, Tensor) else ()

    handles = [module.register_forward_hook(note) for module in network.modules()]
    try:
        with torch.inference_mode():
            network(images[:1])
    finally:
        for handle in handles:
            handle.remove()
    found = {
        part for part in _chain(network, sizes) if _has_convolution(part) and _is_fine(sizes.get(part, ()), images)
    }
    return next((module for module in reversed(sizes) if module in found), None)


def _chain(module: nn.Module, sizes: Mapping[nn.Module, tuple[int, ...]]) -> Iterator[nn.Module]:
    """The modules that an image passes one after the other: parts of sequences, and of what ends in no map itself."""
    for part in module.children():
        yield part
        if type(part).forward is nn.Sequential.forward or len(sizes.get(part, ())) != 4:
            yield from _chain(part, sizes)


def _has_convolution(module: nn.Module) -> bool:
    return any(isinstance(part, nn.Conv2d) for part in module.modules())


def _is_fine(size: tuple[int, ...], images: Tensor) -> bool:
    """Whether an output is a map of the images with enough places; some transformers have their channels last."""
    if len(size) != 4:
        return False
    (height, width), (high, wide) = images.shape[-2:], size[-2:]
    is_alike = abs(high * width - wide * height) <= height + width  # proportions, but for rounding
    return is_alike and min(high, wide) >= FEWEST_PLACES
