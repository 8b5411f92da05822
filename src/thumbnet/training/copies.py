"""SGD and Adam on the weights of large dense layers and on bf16 copies of them, in one pass, for CPUs.

Under autocast every step copies the fp32 weights to bf16 for its products, and the bf16 gradients to fp32 for the
optimizer. In dense layers of millions of weights these passes over memory take longer than the products. Here products
take a copy that lasts, its gradient stays as it is, and one loop updates weights and copy: mixed precision as
Micikevicius et al. 2018 (arXiv:1710.03740) have it, with as much precision as autocast has.
"""

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from thumbnet.nets.stacked import Stacked
from thumbnet.params import OptimizerParams, RegularisationParams
from thumbnet.training.eager import EagerAdam, EagerSGD
from thumbnet.training.launching import can_have, get_kernels

#: Dense weights from which it pays: numba takes half a second of a training's start.
LEAST_WEIGHTS = 1_000_000

#: By the optimizer's name in the parameters.
_KERNELS = {"sgd": "descend", "adam": "adapt", "adamw": "adapt"}

#: Values that a thread updates before it asks for more.
_PART = 2**16


def make_copies(
    module: nn.Module, precision: torch.dtype, optimizer: OptimizerParams, regularisation: RegularisationParams
) -> "Copies | None":
    """Copies for a training, or None where nothing is gained, or gradients have to be seen in fp32.

    Args:
        module: what is trained.
        precision: of products, as for `thumbnet.training.engine.fit`.
        optimizer, regularisation: of the training.
    """
    dense = [] if isinstance(module, Stacked) else _dense(module)
    if precision != torch.bfloat16 or sum(layer.weight.numel() for layer in dense) < LEAST_WEIGHTS:
        return None
    if any(layer.weight.device.type != "cpu" or not layer.weight.is_contiguous() for layer in dense):
        return None
    kernel = _KERNELS.get(optimizer.name)
    if kernel is None or regularisation.l2 or regularisation.clip_norm or not can_have({kernel}):
        return None
    return Copies(module)


def _dense(module: nn.Module) -> list[nn.Linear]:
    return [child for child in module.modules() if type(child) is nn.Linear and child.weight.requires_grad]


class Copies:
    """bf16 copies of a network's dense weights.

    Args:
        module: its weights are in fp32, on the CPU.

    Attributes:
        of: the copy of each weight; it collects gradients in its place.
    """

    def __init__(self, module: nn.Module) -> None:
        self._layers = _dense(module)
        self.of = {layer.weight: layer.weight.detach().to(torch.bfloat16).requires_grad_() for layer in self._layers}

    @contextlib.contextmanager
    def used(self) -> Iterator[None]:
        """Within it the layers multiply by the copies; their parameters and state are those in fp32 all the while."""
        for layer in self._layers:
            copy = self.of[layer.weight]
            with torch.no_grad():
                copy.copy_(layer.weight)
            layer.__dict__["weight"] = copy  # found before the module's parameters
        try:
            yield
        finally:
            for layer in self._layers:
                del layer.__dict__["weight"]


class _Copying(Optimizer, ABC):
    """What the optimizers of copies have in common; weights without a copy are left to PyTorch's own step."""

    _copies: Copies

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # no closure is needed here
        for group in self.param_groups:
            for weight in group["params"]:
                copy = self._copies.of.get(weight)
                if copy is not None and copy.grad is not None:
                    self._update(weight, copy, copy.grad.contiguous(), group)
        super().step(closure)  # weights with a copy have no gradient of their own

    def zero_grad(self, set_to_none: bool = True) -> None:
        for copy in self._copies.of.values():
            copy.grad = None
        super().zero_grad(set_to_none)

    @abstractmethod
    def _update(self, weight: Tensor, copy: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Updates a weight and its copy, in one pass."""

    def _sums(self, weight: Tensor, name: str) -> Tensor:
        """What the optimizer keeps of a weight's gradients; zeros at first."""
        state = self.state[weight]
        if name not in state:
            state[name] = torch.zeros_like(weight)
        sums: Tensor = state[name]
        return sums

    def _run(self, kernel: str, weight: Tensor, *tensors: Tensor | None, numbers: list[float]) -> None:
        count = weight.numel()
        get_kernels().run(kernel, -(-count // _PART), _PART, 1, count, weight, *tensors, torch.tensor(numbers))


class CopyingSGD(_Copying, EagerSGD):
    """`torch.optim.SGD` that reads the gradients of copies, and writes to them as well; within rounding it is the same.

    Args:
        groups: of parameters, with or without a copy, each with its `weight_decay`.
        copies: of some of them.
        options: as PyTorch has them.
    """

    def __init__(self, groups: list[dict[str, Any]], copies: Copies, **options: Any) -> None:
        super().__init__(groups, fused=True, **options)
        self._copies = copies

    def _update(self, weight: Tensor, copy: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        momentum = self._sums(weight, "momentum_buffer") if group["momentum"] else None
        numbers = [group[name] for name in ("lr", "momentum", "weight_decay", "nesterov")]
        self._run("descend", weight, gradient, copy, momentum, numbers=numbers)


class CopyingAdam(_Copying, EagerAdam):
    """`torch.optim.Adam`, and AdamW with `decoupled_weight_decay`, in the same way."""

    def __init__(self, groups: list[dict[str, Any]], copies: Copies, **options: Any) -> None:
        super().__init__(groups, fused=True, **options)
        self._copies = copies

    def _update(self, weight: Tensor, copy: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        mean, square = (self._sums(weight, name) for name in ("exp_avg", "exp_avg_sq"))
        # PyTorch makes a tensor of it when it loads a state, whose powers would have the precision of fp32.
        steps = self.state[weight]["step"] = int(self.state[weight].get("step", 0)) + 1
        lr, decay, (beta1, beta2) = group["lr"], group["weight_decay"], group["betas"]
        penalty, left = (0.0, 1 - lr * decay) if group["decoupled_weight_decay"] else (decay, 1.0)
        betas = [beta1, 1 - beta1, beta2, 1 - beta2]
        numbers = [lr / (1 - beta1**steps), *betas, math.sqrt(1 - beta2**steps), group["eps"], penalty, left]
        self._run("adapt", weight, gradient, copy, mean, square, numbers=numbers)
