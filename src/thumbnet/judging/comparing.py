"""Networks in pairs, on the same images: how often they differ, how alike their mistakes are, which one is better.

Two accuracies on the same images are no independent samples: what counts is the images on which just one of the two
is right (McNemar's test). An ensemble is set beside its networks in the same way.
"""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thumbnet.judging.calibration import fit_temperature
from thumbnet.judging.ensembling import SPLITS, Ensemble, Networks, best_network
from thumbnet.judging.metrics import judge_overall, judge_scaled
from thumbnet.judging.predictions import Predictions
from thumbnet.params import EnsembleMethod
from thumbnet.paths import ENSEMBLE

DECIMALS = 6
#: From so many images on which just one network is right, the chi-squared approximation is as good as the exact test.
ENOUGH = 25
EXACT, APPROXIMATE = "exact binomial", "chi-squared"


def mcnemar(only_first: int, only_second: int) -> tuple[float, str]:
    """McNemar's test: how likely so unequal a pair of counts is where both networks are equally good.

    Exact (two-sided binomial) below 25 such images, else chi-squared of one degree of freedom with Edwards's
    continuity correction: the figures of `mcnemar` in statsmodels, and, of equal counts, p = 1 as in R.

    Args:
        only_first: images that only the first network gets right.
        only_second: images that only the second one gets right.

    Returns:
        The p-value, and the name of the test.

    Sources: Q. McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12 (1947), 153-157; A. L. Edwards, "Note on the correction for continuity in testing
    the significance of the difference between correlated proportions", Psychometrika 13 (1948), 185-187; for
    classifiers T. G. Dietterich, "Approximate statistical tests for comparing supervised classification learning
    algorithms", Neural Computation 10 (1998), 1895-1923.
    """
    from scipy.special import bdtr, chdtrc  # scipy.stats, which has these too, takes half a second to load

    either = only_first + only_second
    if either < ENOUGH:
        return min(1.0, 2 * float(bdtr(min(only_first, only_second), either, 0.5))), EXACT
    statistic = max(0, abs(only_first - only_second) - 1) ** 2 / either
    return float(chdtrc(1, statistic)), APPROXIMATE


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values corrected for their number: of many pairs, some differ by chance.

    Args:
        p_values: in any order.

    Returns:
        The corrected ones, in the same order.

    Source: S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6
    (1979), 65-70.
    """
    count, corrected, largest = len(p_values), [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(count), key=lambda place: p_values[place])):
        largest = max(largest, min(1.0, (count - rank) * p_values[place]))
        corrected[place] = largest
    return corrected


def compare_pairs(predicted: Mapping[str, NDArray[np.int64]], labels: NDArray[np.int64]) -> list[dict[str, Any]]:
    """All pairs of networks on the same images, ready for JSON.

    Args:
        predicted: the predicted classes, (n,), by name of network.
        labels: (n,).

    Returns:
        Of each pair `first`, `second` (names), `disagreement` (share of images on which they predict different
        classes), `error_correlation` (Pearson's, between being wrong and being wrong; 0 where one of them has no
        mistake or nothing else), `only_first`, `only_second` (images that only this one gets right), `p` (of McNemar's
        test), `p_holm` (corrected for the number of pairs) and `test` (which of the two it is).
    """
    wrong = {name: guesses != labels for name, guesses in predicted.items()}  # (n,) each
    compared: list[dict[str, Any]] = [
        {
            "first": first,
            "second": second,
            "disagreement": round(float((predicted[first] != predicted[second]).mean()), DECIMALS),
            "error_correlation": round(_correlation(wrong[first], wrong[second]), DECIMALS),
            "only_first": int((wrong[second] & ~wrong[first]).sum()),
            "only_second": int((wrong[first] & ~wrong[second]).sum()),
        }
        for first, second in combinations(predicted, 2)
    ]
    tests = [mcnemar(pair["only_first"], pair["only_second"]) for pair in compared]
    corrected = holm([p for p, _ in tests])
    return [
        pair | {"p": _significant(p), "p_holm": _significant(p_holm), "test": test}
        for pair, (p, test), p_holm in zip(compared, tests, corrected, strict=True)
    ]


def _correlation(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Of two indicators (the phi coefficient)."""
    a, b, both = first.mean(), second.mean(), (first & second).mean()
    spread = a * (1 - a) * b * (1 - b)
    return float((both - a * b) / np.sqrt(spread)) if spread > 0 else 0.0


def _significant(p: float) -> float:
    """Four significant digits: a p-value may be tiny and still tell something."""
    return float(f"{p:.4g}")


def compare(
    networks: Networks, ensembles: Sequence[Ensemble], method: EnsembleMethod, confidence: float
) -> dict[str, Any]:
    """The chosen ensemble beside the other methods and the best single network, ready for JSON.

    Args:
        networks: what `thumbnet.judging.ensembling.list_networks` returns.
        ensembles: of all methods, each made of these networks.
        method: the chosen one.
        confidence: level of the intervals, e.g. 0.95.

    Returns:
        Of the chosen ensemble `method`, `networks` (how many), by name of split what `judge_overall` and
        `judge_scaled` return, and `temperature`. `best_member`, `best_network` (their names), `gain_validation_points`
        and `gain_test_points` (ensemble minus best network, in percentage points), `mcnemar_p` (of the two, on test).
        `disagreement` and `error_correlation` (means over pairs of networks on test; None with one network).
        `singles` (each network's accuracy, interval and loss on each split), `methods` (the same of each method;
        `weights` where there are any), and `pairs` (what `compare_pairs` returns, on test: the ensemble and the best
        network, then all networks).

    Raises:
        UserError: a split has no images.
    """
    chosen = next(ensemble for ensemble in ensembles if ensemble.method == method)
    validation, test = chosen.predictions["validation"], chosen.predictions["test"]
    temperature = fit_temperature(validation.probabilities, validation.labels)
    judged = {
        split: judge_overall(predictions.probabilities, predictions.labels, confidence)
        | judge_scaled(predictions, temperature)
        for split, predictions in chosen.predictions.items()
    }
    best = best_network(networks)
    gains = {split: 100 * (chosen.predictions[split].accuracy - networks[best][split].accuracy) for split in SPLITS}
    predicted = {name: splits["test"].predicted for name, splits in networks.items()}
    against = compare_pairs({ENSEMBLE: test.predicted, best: predicted[best]}, test.labels)
    pairs = compare_pairs(predicted, test.labels)
    corrected = holm([pair["p"] for pair in (*against, *pairs)])
    return {
        "method": method,
        "networks": len(networks),
        **judged,
        "temperature": temperature,
        "best_member": best.partition("/")[0],
        "best_network": best,
        "gain_validation_points": round(gains["validation"], 4),
        "gain_test_points": round(gains["test"], 4),
        "mcnemar_p": against[0]["p"],
        "disagreement": _mean([pair["disagreement"] for pair in pairs]),
        "error_correlation": _mean([pair["error_correlation"] for pair in pairs]),
        "singles": [{"network": name} | _judge(splits, confidence) for name, splits in networks.items()],
        "methods": [
            {"method": ensemble.method}
            | _judge(ensemble.predictions, confidence)
            | ({"weights": ensemble.weights} if ensemble.weights else {})
            for ensemble in ensembles
        ],
        "pairs": [pair | {"p_holm": _significant(p)} for pair, p in zip((*against, *pairs), corrected, strict=True)],
    }


def _judge(splits: Mapping[str, Predictions], confidence: float) -> dict[str, dict[str, float]]:
    """Accuracy, its interval and loss on each split, as `judge_overall` has them."""
    judged = {split: judge_overall(each.probabilities, each.labels, confidence) for split, each in splits.items()}
    return {split: {name: figures[name] for name in ("accuracy", "low", "high", "loss")}
            for split, figures in judged.items()}  # fmt: skip


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), DECIMALS) if values else None
