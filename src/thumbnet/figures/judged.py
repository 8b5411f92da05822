"""The files that a network and an ensemble have in common: figures by class, confusion, mistakes, calibration."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from thumbnet import paths
from thumbnet.figures.calibration import draw_calibration
from thumbnet.figures.confusion import draw_confusion
from thumbnet.figures.style import save_figure
from thumbnet.judging.calibration import AFTER, BEFORE, apply_temperature, sort_into_bins, write_calibration
from thumbnet.judging.metrics import judge_classes, write_confused, write_confusion, write_per_class
from thumbnet.judging.predictions import Predictions


def draw_judged(
    name: str,
    title: str,
    predictions: Mapping[str, Predictions],
    classes: Sequence[str],
    judged: Mapping[str, Any],
    confidence: float,
) -> list[Path]:
    """Writes tables of all splits, and a picture of each.

    They are `<name>.csv` in `plots/per_class`, `plots/confusion`, `plots/confused` and `plots/calibration`, and
    `<name>/<split>.png` in `plots/confusion` and `plots/calibration`.

    Args:
        name: of a member, or `ensemble`.
        title: of the pictures, e.g. "bn"; the split comes after it.
        predictions: by name of split.
        classes: the classes' names, in the order of their labels.
        judged: by split what `judge_overall` and `judge_scaled` say of it, and `temperature`.
        confidence: level of the intervals.

    Returns:
        The files.
    """
    folders = (paths.PER_CLASS, paths.CONFUSION, paths.CONFUSED, paths.CALIBRATION)
    files = per_class, confusion, confused, calibration = [folder / f"{name}.csv" for folder in folders]
    temperature = judged["temperature"]
    bins = {
        split: {
            BEFORE: sort_into_bins(each.probabilities, each.labels),
            AFTER: sort_into_bins(apply_temperature(each.probabilities, temperature), each.labels),
        }
        for split, each in predictions.items()
    }
    write_per_class(
        per_class, {split: judge_classes(each.predicted, each.labels, classes) for split, each in predictions.items()}
    )
    write_confusion(confusion, predictions, classes)
    write_confused(confused, predictions, classes)
    write_calibration(calibration, bins)
    for split, each in predictions.items():
        figures, heading = judged[split], f"{title}, {split}"
        pictures = {
            confusion: draw_confusion(
                each.labels, each.predicted, classes, figures, confidence, f"{heading}: confusion"
            ),
            calibration: draw_calibration(bins[split], figures, temperature, confidence, heading),
        }
        for table, figure in pictures.items():
            files.append(table.with_suffix("") / f"{split}.png")
            save_figure(figure, files[-1])
    return files
