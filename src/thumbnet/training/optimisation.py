"""The optimizer, the L2 penalty, clipping and the average of the weights, made from parameters.

All of them serve one network, and k networks that are trained as one (`thumbnet.nets.stacked`), whose tensors have k as
their first axis: what is a matrix there has three dimensions, and norms are those of each network.
"""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from thumbnet.nets.stacked import Stacked
from thumbnet.params import OptimizerParams
from thumbnet.training.copies import Copies, CopyingAdam, CopyingSGD
from thumbnet.training.eager import EagerAdam, EagerAdamW, EagerRMSprop, EagerSGD
from thumbnet.training.muon import Muon, can_fuse


def find_kernels(module: nn.Module) -> list[nn.Parameter]:
    """The trained tensors of two or more dimensions: no biases, normalisation parameters or slopes of PReLU."""
    return [parameter for parameter in _trained(module) if _dimensions(parameter, module) > 1]


def make_optimizer(module: nn.Module, params: OptimizerParams, copies: Copies | None = None) -> Optimizer:
    """The optimizer of all trained values; weight decay acts on kernels alone.

    Args:
        module: its last kernel is taken for the classifier's.
        params: `sgd`, with Nesterov's momentum as Sutskever et al. 2013 have it; `rmsprop` (Tieleman and Hinton 2012);
            `adam` (Kingma and Ba 2015, arXiv:1412.6980); `adamw` (Loshchilov and Hutter 2019, arXiv:1711.05101);
            `muon`, see `thumbnet.training.muon`. What is not in `params` is as PyTorch has it.
        copies: of weights, that have the gradients; for `sgd`, `adam` and `adamw`.
    """
    kernels = find_kernels(module)
    vectors = [parameter for parameter in _trained(module) if _dimensions(parameter, module) <= 1]
    groups = [
        {"params": kernels, "weight_decay": params.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    fused = can_fuse(next(module.parameters()).device)
    match params.name:
        case "adam" | "adamw" if copies:
            return CopyingAdam(groups, copies, lr=params.lr, decoupled_weight_decay=params.name == "adamw")
        case "sgd" if copies:
            return CopyingSGD(groups, copies, lr=params.lr, momentum=params.momentum, nesterov=params.nesterov)
        case "sgd":
            return EagerSGD(
                groups, lr=params.lr, momentum=params.momentum, nesterov=params.nesterov, fused=fused, foreach=not fused
            )
        case "rmsprop":
            return EagerRMSprop(groups, lr=params.lr, momentum=params.momentum, foreach=True)
        case "adam":
            return EagerAdam(groups, lr=params.lr, fused=fused, foreach=not fused)
        case "adamw":
            return EagerAdamW(groups, lr=params.lr, fused=fused, foreach=not fused)
        case "muon":
            hidden = [kernel for kernel in kernels[:-1] if _dimensions(kernel, module) in (2, 4)]
            # Such as a transformer's tokens.
            others = [kernel for kernel in kernels[:-1] if _dimensions(kernel, module) not in (2, 4)]
            if not hidden:  # nothing is left for Muon
                return EagerAdamW(groups, lr=params.lr, fused=fused, foreach=not fused)
            used = (params.lr, params.weight_decay, params.momentum, params.nesterov)
            return Muon(hidden, [*others, *kernels[-1:]], vectors, *used, stacked=isinstance(module, Stacked))


class Penalty:
    """The L2 penalty λ/2·Σw² on the kernels of a network (Krogh and Hertz 1992).

    It is part of the loss that is minimised. Its gradient is known, so that none is computed backwards.

    Args:
        module: whose kernels are penalised.
        strength: λ.
    """

    def __init__(self, module: nn.Module, strength: float) -> None:
        self._kernels: list[Tensor] = list(find_kernels(module))
        self._stacked = isinstance(module, Stacked)
        self._strength = strength

    @torch.no_grad()
    def value(self) -> Tensor:
        """λ/2·Σw² of each network, (networks,)."""
        return self._strength / 2 * _squared_norms(self._kernels, self._stacked)

    @torch.no_grad()
    def add_gradients(self) -> None:
        """Adds λ·w to the gradients; a kernel that had no part in the loss gets its first."""
        gradients = []
        for kernel in self._kernels:
            if kernel.grad is None:
                kernel.grad = torch.zeros_like(kernel)
            gradients.append(kernel.grad)
        torch._foreach_add_(gradients, self._kernels, alpha=self._strength)


@torch.no_grad()
def clip_gradients(module: nn.Module, longest: float) -> None:
    """Scales the gradients of each network down to a norm, all together (Pascanu, Mikolov and Bengio 2013).

    Args:
        module: whose gradients have been computed.
        longest: shorter ones stay as they are.
    """
    if not isinstance(module, Stacked):
        nn.utils.clip_grad_norm_(module.parameters(), longest)
        return
    gradients = [parameter.grad for parameter in module.parameters() if parameter.grad is not None]
    norms = _squared_norms(gradients, stacked=True).sqrt()  # (networks,)
    shares = (longest / (norms + 1e-6)).clamp(max=1)  # as clip_grad_norm_ has it
    for gradient in gradients:
        gradient.mul_(shares.view(-1, *[1] * (gradient.ndim - 1)))


class Average:
    """A copy whose weights follow a module's as an exponential moving average (Polyak and Juditsky 1992).

    Batch statistics are averaged in the same way, so that they belong to the averaged weights. It is
    `torch.optim.swa_utils.AveragedModel` with a third of its calls, which in small networks cost more than the sums.

    Args:
        module: what is trained.
        decay: the share of the old average that a step keeps; the average spans about 1 / (1 - decay) steps. Step t
            keeps (1 + t) / (10 + t) at most: a short training is not held back by its initial weights.

    Attributes:
        module: the copy.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False)
        self._decay = decay
        self._steps = 0
        self._followers, self._followed = _split(_state(self.module)), _split(_state(module))

    @torch.no_grad()
    def follow(self) -> None:
        """To be called after each step of the optimizer; the first makes an exact copy."""
        keep = min(self._decay, (1 + self._steps) / (10 + self._steps)) if self._steps else 0.0
        self._steps += 1
        (ours, our_counters), (theirs, their_counters) = self._followers, self._followed
        torch._foreach_lerp_(ours, theirs, 1 - keep)
        if our_counters:  # of batch normalisation
            torch._foreach_copy_(our_counters, their_counters)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"module": self.module.state_dict(), "steps": self._steps}

    def load(self, state: dict[str, Any]) -> None:
        """Takes what `state` gave."""
        self.module.load_state_dict(state["module"])
        self._steps = state["steps"]


def _trained(module: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def _dimensions(parameter: Tensor, module: nn.Module) -> int:
    """Of the tensor of one network."""
    return parameter.ndim - isinstance(module, Stacked)


def _squared_norms(tensors: list[Tensor], stacked: bool) -> Tensor:
    """The sum of all squares, of each network; (networks,)."""
    if stacked:
        return torch.stack([tensor.flatten(1).square().sum(1) for tensor in tensors]).sum(0)
    return torch.stack(torch._foreach_norm(tensors)).square().sum()[None]


def _state(module: nn.Module) -> list[Tensor]:
    return [*(parameter.detach() for parameter in module.parameters()), *module.buffers()]


def _split(tensors: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Those of real numbers, and those of whole ones."""
    real, whole = ([tensor for tensor in tensors if tensor.is_floating_point() == is_real] for is_real in (True, False))
    return real, whole
