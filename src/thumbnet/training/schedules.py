"""The learning rate over time: formulas of the epoch or of the step, as schedulers of PyTorch."""

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, StepLR

from thumbnet.params import ScheduleParams


def make_schedule(optimizer: Optimizer, params: ScheduleParams, epochs: int, batches: int) -> LRScheduler:
    """The learning rate as a function of the step; to be stepped after every batch.

    `constant`, `inverse_time` and `step` hold the rate within an epoch. `one_cycle` (Smith and Topin 2018,
    arXiv:1708.07120), `cosine` (Loshchilov and Hutter 2017, arXiv:1608.03983, one fall without restarts) and `linear`
    change it with every step and would reach zero in the step after the last.

    Args:
        optimizer: whose rate it sets; the rate that it has now is the highest.
        params: which schedule; docs/training.md has the formulas.
        epochs: of the whole training.
        batches: of one epoch.
    """
    steps = epochs * batches
    match params.name:
        case "constant":
            return LambdaLR(optimizer, lambda step: 1.0)
        case "inverse_time":
            return LambdaLR(optimizer, lambda step: 1 / (1 + params.decay * (step // batches)))
        case "step":
            return StepLR(optimizer, params.every * batches, params.factor)
        case "one_cycle":
            return _one_cycle(optimizer, params.warmup, steps)
        case "cosine":
            return LambdaLR(optimizer, _warmed_up(lambda share: (1 + math.cos(math.pi * share)) / 2, params, steps))
        case "linear":
            return LambdaLR(optimizer, _warmed_up(lambda share: 1 - share, params, steps))


def _warmed_up(fall: Callable[[float], float], params: ScheduleParams, steps: int) -> Callable[[int], float]:
    """A linear rise to 1, then `fall` of the share of the remaining steps that is past."""
    rise = min(round(params.warmup * steps), steps - 1)  # whole steps; the one after them has the full rate
    return lambda step: (step + 1) / (rise + 1) if step < rise else fall((step - rise) / (steps - rise))


def _one_cycle(optimizer: Optimizer, warmup: float, steps: int) -> LRScheduler:
    # One step more than there are batches, since the schedule is also stepped after the last one. PyTorch's formula
    # divides by zero where the rise is of one step; without any it serves.
    total = steps + 1
    rise = max(warmup, 1.5 / total) if warmup else 0.0
    return OneCycleLR(optimizer, optimizer.param_groups[0]["lr"], total, pct_start=rise, cycle_momentum=False)
