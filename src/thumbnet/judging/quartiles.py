"""Figures over several seeds: quartiles say what a training may come to, one lucky run does not."""

from collections.abc import Sequence

import numpy as np

#: Of everything that goes to JSON.
DECIMALS = 6
PERCENTILES = {"p25": 25, "median": 50, "p75": 75}


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """The 25th, 50th and 75th percentile, linearly interpolated between the two values around each.

    Args:
        values: one or more, in any order.

    Returns:
        `p25`, `median` and `p75`.
    """
    places = np.percentile(np.asarray(values, dtype=np.float64), list(PERCENTILES.values()))
    return {name: round(float(place), DECIMALS) for name, place in zip(PERCENTILES, places, strict=True)}
