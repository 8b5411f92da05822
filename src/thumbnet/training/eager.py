"""Optimizers of PyTorch without its compiler.

Their methods load `torch._dynamo` as they are first called, to tell `torch.compile` where a graph breaks. That takes
one to three seconds and 150 MB, and no optimizer is compiled here: `train.compile` is of the network alone.
"""

import inspect
from typing import TypeVar

import torch
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

Kind = TypeVar("Kind", bound=type[Optimizer])

_METHODS = ("add_param_group", "load_state_dict", "state_dict", "step", "zero_grad")


def eager(kind: Kind) -> Kind:
    """Decorates a class: methods that it inherits are those below PyTorch's decorators, `step` without gradients."""
    for name in _METHODS:
        if name not in vars(kind):
            method = inspect.unwrap(getattr(kind, name))
            setattr(kind, name, torch.no_grad()(method) if name == "step" else method)
    return kind


@eager
class EagerSGD(SGD):
    """`torch.optim.SGD`."""


@eager
class EagerRMSprop(RMSprop):
    """`torch.optim.RMSprop`."""


@eager
class EagerAdam(Adam):
    """`torch.optim.Adam`."""


@eager
class EagerAdamW(AdamW):
    """`torch.optim.AdamW`."""
