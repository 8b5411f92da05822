"""Logarithms of probabilities, which are logits up to a constant per image."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def log_probabilities(probabilities: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Natural logarithms, of the same shape; -87.3 of what float32 cannot tell from 0, never minus infinity."""
    logarithms: NDArray[np.float64] = np.log(probabilities.astype(np.float64).clip(min=np.finfo(np.float32).tiny))
    return logarithms
