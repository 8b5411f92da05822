"""The layers of a network that is not written in the network language, found by watching it run.

It runs on PyTorch's meta device, where tensors have shapes and no values: in little time, without memory.
"""

from collections import Counter
from collections.abc import Container
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from thumbnet.nets.accounting import Layer
from thumbnet.nets.notation import Shape
from thumbnet.nets.pretrained import COLOURS, build_skeleton, check_images
from thumbnet.params import TorchvisionParams


def trace_layers(params: TorchvisionParams, image: Shape, classes: int) -> tuple[Layer, ...]:
    """The modules of a network of torchvision's that have no parts of their own, in the order in which they run.

    What a module with parts holds or multiplies itself, such as the positions of a transformer, is a layer of its own,
    after them.

    Args:
        params: its name; weights are not read.
        image: the shape of one image.
        classes: the number of logits.

    Raises:
        UserError: there is no such network, or it does not take such images.
    """
    check_images(params.torchvision, image)
    network = build_skeleton(params.torchvision, classes).eval()
    ran: dict[str, Tensor] = {}  # outputs, in order; of what runs several times, such as an activation, the last
    handles = [module.register_forward_hook(_recorder(ran, name)) for name, module in network.named_modules()]
    sides = (image.height or 1, image.width or 1)
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, COLOURS, *sides, device="meta"))
    for handle in handles:
        handle.remove()

    # PyTorch counts two operations for each multiply-add, and those of the parts of a module for the module, too.
    flops = {str(name).partition(".")[2]: sum(kinds.values()) for name, kinds in counter.get_flop_counts().items()}
    own = Counter({name: flops.get(name, 0) for name in ran})
    parents = {name: _parent(name, ran) for name in ran if name}
    for name, parent in parents.items():
        own[parent] -= flops.get(name, 0)
    held: dict[str, list[torch.Size]] = {name: [] for name in ran}
    for name, parameter in network.named_parameters():
        held[_parent(name, ran)].append(parameter.shape)
    layers = []
    for name, output in ran.items():
        if held[name] or own[name] or name not in parents.values():
            label, what = name or params.torchvision, type(network.get_submodule(name)).__name__
            layers.append(Layer(label, what, tuple(output.shape[1:]), _terms(held[name]), own[name] // 2))
    return tuple(layers)


def _parent(name: str, ran: Container[str]) -> str:
    """The innermost module that ran of those around a module or parameter; the network as a whole has no name."""
    while name := name.rpartition(".")[0]:
        if name in ran:
            return name
    return ""


def _recorder(ran: dict[str, Tensor], name: str) -> Any:
    def record(module: nn.Module, inputs: Any, output: Any) -> None:
        ran.pop(name, None)
        ran[name] = output[0] if isinstance(output, tuple) else output  # attention returns its weights, too

    return record


def _terms(shapes: list[torch.Size]) -> tuple[tuple[int, ...], ...]:
    """Trained values as products: kernels as height·width·inputs·outputs; equal vectors together, as in `2·64`."""
    terms = [(*shape[2:], shape[1], shape[0]) if len(shape) in (2, 4) else tuple(shape) for shape in shapes]
    vectors = Counter(term for term in terms if len(term) == 1)
    together = [term if count == 1 else (count, *term) for term, count in vectors.items()]
    return (*(term for term in terms if len(term) != 1), *together)
