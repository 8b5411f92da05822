"""The optimizer and its learning-rate schedule, made from parameters."""

from torch import nn
from torch.optim import SGD, Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from thumbnet.params import OptimizerParams, ScheduleParams


def make_optimizer(module: nn.Module, params: OptimizerParams) -> Optimizer:
    """The optimizer of all trained values; weight decay acts on kernels alone.

    Kernels are the tensors of two or more dimensions: biases and normalisation parameters are not pulled to zero.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": params.weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    if params.name == "sgd":
        return SGD(groups, lr=params.lr, momentum=params.momentum, nesterov=params.nesterov, foreach=True)
    # The L2 penalty, as Adam's weight_decay is, not the decoupled decay of AdamW.
    return Adam(groups, lr=params.lr, foreach=True)


def make_schedule(optimizer: Optimizer, params: ScheduleParams, steps: int, lr: float) -> LRScheduler:
    """The learning rate as a function of the step; to be stepped after every batch.

    Args:
        optimizer: whose rate it sets.
        params: `one_cycle` rises to `lr` and falls towards zero along cosines (Smith and Topin 2018).
        steps: all batches of the training.
        lr: `optimizer.lr`; the highest rate of `one_cycle`.
    """
    if params.name == "one_cycle":
        # One step more than there are batches, since the schedule is also stepped after the last one.
        return OneCycleLR(optimizer, max_lr=lr, total_steps=steps + 1, pct_start=params.warmup, cycle_momentum=False)
    return LambdaLR(optimizer, lambda step: 1.0)
