"""Early stopping: when a training has gone on for too long without getting better."""

from collections.abc import Sequence
from typing import Literal

from thumbnet.params import EarlyStoppingParams


def should_stop(values: Sequence[float], params: EarlyStoppingParams) -> bool:
    """Whether the last `patience` epochs all failed to improve on the best value before them.

    An improvement is a change for the better by more than `min_delta` against the best value so far, as in Keras; the
    first epoch counts as one.

    Args:
        values: of what is monitored, one for each epoch so far.
        params: `monitor` says what the values are, unless it is `none`.
    """
    sign = 1 if _mode(params) == "max" else -1
    best, idle = float("-inf"), 0
    for value in values:
        if sign * value > best + params.min_delta:
            best, idle = sign * value, 0
        else:
            idle += 1
    return idle >= params.patience


def _mode(params: EarlyStoppingParams) -> Literal["min", "max"]:
    if params.mode == "auto":
        return "min" if params.monitor == "validation_loss" else "max"
    return params.mode
