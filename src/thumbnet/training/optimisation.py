"""The optimizer, its learning-rate schedule and the average of its weights, made from parameters."""

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR
from torch.optim.swa_utils import AveragedModel

from thumbnet.params import OptimizerParams, ScheduleParams
from thumbnet.training.muon import Muon

Tensors = tuple[Tensor, ...] | list[Tensor]


def make_optimizer(module: nn.Module, params: OptimizerParams) -> Optimizer:
    """The optimizer of all trained values; weight decay acts on kernels alone.

    Kernels are the tensors of two or more dimensions: biases and normalisation parameters are not pulled to zero.

    Args:
        module: its last kernel is taken for the classifier's.
        params: `sgd`; `adam` (Kingma and Ba 2015); `muon`, see `thumbnet.training.muon`.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    kernels = [parameter for parameter in trained if parameter.ndim > 1]
    vectors = [parameter for parameter in trained if parameter.ndim <= 1]
    if params.name == "muon" and len(kernels) > 1:
        used = (params.lr, params.weight_decay, params.momentum, params.nesterov)
        return Muon(kernels[:-1], kernels[-1:], vectors, *used)
    groups = [
        {"params": kernels, "weight_decay": params.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    if params.name == "sgd":
        return SGD(groups, lr=params.lr, momentum=params.momentum, nesterov=params.nesterov, foreach=True)
    if params.name == "muon":  # without hidden layers nothing is left for it
        return AdamW(groups, lr=params.lr, foreach=True)
    # The L2 penalty, as Adam's weight_decay is, not the decoupled decay of AdamW.
    return Adam(groups, lr=params.lr, foreach=True)


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
