"""The optimizer, the L2 penalty and the average of the weights, made from parameters."""

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.swa_utils import AveragedModel

from thumbnet.params import OptimizerParams
from thumbnet.training.muon import Muon

Tensors = tuple[Tensor, ...] | list[Tensor]


def find_kernels(module: nn.Module) -> list[nn.Parameter]:
    """The trained tensors of two or more dimensions: no biases, normalisation parameters or slopes of PReLU."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad and parameter.ndim > 1]


def make_optimizer(module: nn.Module, params: OptimizerParams) -> Optimizer:
    """The optimizer of all trained values; weight decay acts on kernels alone.

    Args:
        module: its last kernel is taken for the classifier's.
        params: `sgd`, with Nesterov's momentum as Sutskever et al. 2013 have it; `rmsprop` (Tieleman and Hinton 2012);
            `adam` (Kingma and Ba 2015, arXiv:1412.6980); `adamw` (Loshchilov and Hutter 2019, arXiv:1711.05101);
            `muon`, see `thumbnet.training.muon`. What is not in `params` is as PyTorch has it.
    """
    kernels = find_kernels(module)
    vectors = [parameter for parameter in module.parameters() if parameter.requires_grad and parameter.ndim <= 1]
    groups = [
        {"params": kernels, "weight_decay": params.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    match params.name:
        case "sgd":
            return SGD(groups, lr=params.lr, momentum=params.momentum, nesterov=params.nesterov, foreach=True)
        case "rmsprop":
            return RMSprop(groups, lr=params.lr, momentum=params.momentum, foreach=True)
        case "adam":
            return Adam(groups, lr=params.lr, foreach=True)
        case "adamw":
            return AdamW(groups, lr=params.lr, foreach=True)
        case "muon":
            hidden = [kernel for kernel in kernels[:-1] if kernel.ndim in (2, 4)]
            others = [kernel for kernel in kernels[:-1] if kernel.ndim not in (2, 4)]  # such as a transformer's tokens
            if not hidden:  # nothing is left for Muon
                return AdamW(groups, lr=params.lr, foreach=True)
            used = (params.lr, params.weight_decay, params.momentum, params.nesterov)
            return Muon(hidden, [*others, *kernels[-1:]], vectors, *used)


class Penalty:
    """The L2 penalty λ/2·Σw² on the kernels of a network (Krogh and Hertz 1992).

    It is part of the loss that is minimised. Its gradient is known, so that none is computed backwards.

    Args:
        kernels: what is penalised.
        strength: λ.
    """

    def __init__(self, kernels: list[nn.Parameter], strength: float) -> None:
        self._kernels: list[Tensor] = list(kernels)
        self._strength = strength

    @torch.no_grad()
    def value(self) -> Tensor:
        """λ/2·Σw², of shape ()."""
        norms = torch.stack(torch._foreach_norm(self._kernels))  # (kernels,)
        return self._strength / 2 * norms.square().sum()

    @torch.no_grad()
    def add_gradients(self) -> None:
        """Adds λ·w to the gradients; a kernel that had no part in the loss gets its first."""
        gradients = []
        for kernel in self._kernels:
            if kernel.grad is None:
                kernel.grad = torch.zeros_like(kernel)
            gradients.append(kernel.grad)
        torch._foreach_add_(gradients, self._kernels, alpha=self._strength)


def make_average(module: nn.Module, decay: float) -> AveragedModel:
    """A copy whose weights follow the module's as an exponential moving average (Polyak and Juditsky 1992).

    Batch statistics are averaged in the same way, so that they belong to the averaged weights.

    Args:
        module: what is trained.
        decay: the share of the old average that a step keeps; the average spans about 1 / (1 - decay) steps. Step t
            keeps (1 + t) / (10 + t) at most: a short training is not held back by its initial weights.
    """

    @torch.no_grad()
    def follow(averaged: Tensors, current: Tensors, steps: Tensor | int) -> None:
        if averaged[0].is_floating_point():
            keep = torch.as_tensor((1 + steps) / (10 + steps)).clamp(max=decay)  # a tensor: nothing waits for it
            change = torch._foreach_sub(current, averaged)  # so that what never changes stays exactly as it is
            torch._foreach_mul_(change, 1 - keep)
            torch._foreach_add_(averaged, change)
        else:  # counters of batch normalisation
            torch._foreach_copy_(averaged, current)

    return AveragedModel(module, multi_avg_fn=follow, use_buffers=True)
