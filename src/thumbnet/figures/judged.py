"""The files that a network and an ensemble have in common: confusion matrix, commonest mistakes, calibration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thumbnet import paths
from thumbnet.figures.calibration import draw_calibration
from thumbnet.figures.confusion import draw_confusion
from thumbnet.figures.style import save_figure
from thumbnet.judging.calibration import AFTER, BEFORE, apply_temperature, sort_into_bins, write_calibration
from thumbnet.judging.metrics import write_confused, write_confusion
from thumbnet.judging.predictions import Predictions


def draw_judged(
    name: str,
    title: str,
    predictions: Predictions,
    classes: Sequence[str],
    judged: Mapping[str, Any],
    temperature: float,
    confidence: float,
) -> list[Path]:
    """Writes `plots/confusion/<name>`, `plots/confused/<name>` and `plots/calibration/<name>`, tables and pictures.

    Args:
        name: of a member, or `ensemble`.
        title: of the pictures, e.g. "bn, test".
        predictions: of one split.
        classes: the classes' names, in the order of their labels.
        judged: what `judge_overall` and `judge_scaled` say of these predictions.
        temperature: what the logits are divided by.
        confidence: level of the intervals.

    Returns:
        The files.
    """
    confusion, confused, calibration = (folder / f"{name}.csv" for folder in
                                        (paths.CONFUSION, paths.CONFUSED, paths.CALIBRATION))  # fmt: skip
    write_confusion(confusion, predictions, classes)
    write_confused(confused, predictions, classes)
    scaled = apply_temperature(predictions.probabilities, temperature)
    bins = {BEFORE: sort_into_bins(predictions.probabilities, predictions.labels),
            AFTER: sort_into_bins(scaled, predictions.labels)}  # fmt: skip
    write_calibration(calibration, bins)
    pictures = {
        confusion: draw_confusion(predictions.labels, predictions.predicted, classes, judged, confidence, title),
        calibration: draw_calibration(bins, judged, temperature, confidence, title),
    }
    for table, figure in pictures.items():
        save_figure(figure, table.with_suffix(".png"))
    return [confusion, confused, calibration, *(table.with_suffix(".png") for table in pictures)]
