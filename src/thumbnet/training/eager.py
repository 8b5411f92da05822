"""Optimizers of PyTorch without its compiler, and with fewer calls.

Their methods load `torch._dynamo` as they are first called, to tell `torch.compile` where a graph breaks. That takes
one to three seconds and 150 MB, and no optimizer is compiled here: `train.compile` is of the network alone.

Small networks feel each call: in a step, whose maps have driven all else from the processor's caches, it takes several
times as long as in a loop of its own.
"""

import inspect
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

Kind = TypeVar("Kind", bound=type[Optimizer])

_METHODS = ("add_param_group", "load_state_dict", "state_dict", "step")


def eager(kind: Kind) -> Kind:
    """Decorates a class: methods that it inherits are those below PyTorch's decorators, `step` without gradients."""
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in _METHODS}
    methods |= {"step": torch.no_grad()(methods["step"]), "zero_grad": _zero_grad}
    for name, method in methods.items():
        if name not in vars(kind):
            setattr(kind, name, method)
    kind.step.hooked = True  # type: ignore[attr-defined]  # PyTorch adds hooks and a profiler to one that is not
    return kind


def _zero_grad(optimizer: Optimizer, set_to_none: bool = True) -> None:
    """As PyTorch's, without its record for a profiler."""
    assert set_to_none  # nobody keeps gradients
    for group in optimizer.param_groups:
        for weight in group["params"]:
            weight.grad = None


@eager
class EagerSGD(SGD):
    """`torch.optim.SGD`; its fused step is found without asking each tensor what it is. It serves no GradScaler."""

    _plain_step = torch.no_grad()(inspect.unwrap(SGD.step))

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure is needed here
        """One step; the first, and those of weights without gradients, are PyTorch's own."""
        assert closure is None
        steps: list[tuple[dict[str, Any], list[Tensor], list[Tensor]]] = []
        for group in self.param_groups:
            gradients = [weight.grad for weight in group["params"]]
            momenta = []
            if group["momentum"]:
                momenta = [self.state.get(weight, {}).get("momentum_buffer") for weight in group["params"]]
            if not group["fused"] or any(tensor is None for tensor in [*gradients, *momenta]):
                self._plain_step(closure)
                return
            if gradients:
                steps.append((group, gradients, momenta))
        for group, gradients, momenta in steps:
            torch._fused_sgd_(
                group["params"],
                gradients,
                momenta,
                lr=group["lr"],
                momentum=group["momentum"],
                weight_decay=group["weight_decay"],
                dampening=group["dampening"],
                nesterov=group["nesterov"],
                maximize=group["maximize"],
                is_first_step=False,
            )


@eager
class EagerRMSprop(RMSprop):
    """`torch.optim.RMSprop`."""


@eager
class EagerAdam(Adam):
    """`torch.optim.Adam`."""


@eager
class EagerAdamW(AdamW):
    """`torch.optim.AdamW`."""
