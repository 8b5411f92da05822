"""The optimizer, its learning-rate schedule and the average of its weights, made from parameters."""

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR
from torch.optim.swa_utils import AveragedModel

from thumbnet.params import OptimizerParams, ScheduleParams

Tensors = tuple[Tensor, ...] | list[Tensor]


def make_optimizer(module: nn.Module, params: OptimizerParams) -> Optimizer:
    """The optimizer of all trained values; weight decay acts on kernels alone.

    Kernels are the tensors of two or more dimensions: biases and normalisation parameters are not pulled to zero.

    Args:
        module: its last kernel is taken for the classifier's.
        params: `sgd`; `adam` (Kingma and Ba 2015); `muon`, see `Muon`.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    kernels = [parameter for parameter in trained if parameter.ndim > 1]
    vectors = [parameter for parameter in trained if parameter.ndim <= 1]
    if params.name == "muon":
        return Muon(kernels[:-1], kernels[-1:], vectors, params)
    groups = [
        {"params": kernels, "weight_decay": params.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    if params.name == "sgd":
        return SGD(groups, lr=params.lr, momentum=params.momentum, nesterov=params.nesterov, foreach=True)
    # The L2 penalty, as Adam's weight_decay is, not the decoupled decay of AdamW.
    return Adam(groups, lr=params.lr, foreach=True)


class Muon(Optimizer):
    """Muon for the kernels of hidden layers, AdamW for the classifier's kernel, biases and normalisation.

    Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) replaces the momentum of a matrix by the
    nearest orthogonal one. A convolution's kernel counts as a matrix of one row per filter. Its steps are scaled to the
    size of AdamW's (Liu et al. 2025, arXiv:2502.16982), so that one learning rate serves both.

    Args:
        hidden: kernels of two dimensions (dense layers) or four (convolutions), in either memory format.
        classifier: kernels.
        vectors: tensors of fewer than two dimensions.
        params: `lr`, `weight_decay`, `momentum` and `nesterov` are read.
    """

    def __init__(
        self,
        hidden: list[nn.Parameter],
        classifier: list[nn.Parameter],
        vectors: list[nn.Parameter],
        params: OptimizerParams,
    ) -> None:
        super().__init__([*hidden, *classifier, *vectors], {})
        self._kernels = [*hidden]
        # The same memory as the kernels have, so that a step of Muon's changes those.
        self._matrices = [nn.Parameter(_as_matrix(kernel.detach(), kernel)) for kernel in hidden]
        decay = params.weight_decay
        rest = [{"params": classifier, "weight_decay": decay}, {"params": vectors, "weight_decay": 0.0}]
        self._parts: list[Optimizer] = [AdamW(rest, lr=params.lr, foreach=True)]
        if hidden:
            self._parts.append(
                torch.optim.Muon(
                    self._matrices, params.lr, decay, params.momentum, params.nesterov, adjust_lr_fn="match_rms_adamw"
                )
            )
        # The very groups of the parts: what a schedule sets here holds there.
        self.param_groups = [group for part in self._parts for group in part.param_groups]

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets all gradients."""
        for part in self._parts:
            part.zero_grad(set_to_none)
        for kernel in self._kernels:
            kernel.grad = None

    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of both."""
        for matrix, kernel in zip(self._matrices, self._kernels, strict=True):
            matrix.grad = None if kernel.grad is None else _as_matrix(kernel.grad, kernel)
        for part in self._parts:
            part.step()


def _as_matrix(values: Tensor, kernel: Tensor) -> Tensor:
    """Values of a kernel's shape as (filters, rest), in the order in which the kernel lies in memory.

    Which order that is does not matter to Muon: permuting the columns of a matrix permutes those of its step.
    """
    if values.ndim == 4 and not kernel.is_contiguous():  # channels_last
        values = values.permute(0, 2, 3, 1)
    return values.flatten(1)


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


def make_schedule(optimizer: Optimizer, params: ScheduleParams, steps: int, lr: float) -> LRScheduler:
    """The learning rate as a function of the step; to be stepped after every batch.

    Args:
        optimizer: whose rate it sets.
        params: `one_cycle` rises to `lr` and falls towards zero along cosines (Smith and Topin 2018).
        steps: all batches of the training.
        lr: `optimizer.lr`; the highest rate of `one_cycle`.
    """
    if params.name == "one_cycle":
        # One step more than there are batches, since the schedule is also stepped after the last one. PyTorch's formula
        # divides by zero where the rise is of one step.
        total = steps + 1
        rise = max(params.warmup, 1.5 / total)
        return OneCycleLR(optimizer, max_lr=lr, total_steps=total, pct_start=rise, cycle_momentum=False)
    return LambdaLR(optimizer, lambda step: 1.0)
