"""What the rows of a study say: medians and quartiles of each condition, and published figures beside them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from thumbnet.errors import UserError
from thumbnet.judging.metrics import wilson_interval
from thumbnet.studies.planning import Place, plan_runs, read_overrides, split_overrides
from thumbnet.studies.rows import ENSEMBLE, Row
from thumbnet.studies.study import SEED, Measure, Published, Scalar, Study, label

MEASURES: dict[Measure, str] = {
    "train": "train",
    "validation": "validation",
    "last_validation": "validation, last epoch",
    "test": "test",
}

#: Told by the name of the images in its place.
_OWN_IMAGES = "dataset.name=image_folder"


@dataclass(frozen=True)
class Spread:
    """A figure over several seeds: median and quartiles; with one seed the interval in their place."""

    middle: float
    low: float
    high: float


@dataclass(frozen=True)
class Finding:
    """All runs of one condition.

    Attributes:
        condition: the value of each axis.
        network: what was trained, or `ensemble`.
        rows: one for each run.
    """

    condition: dict[str, str]
    network: str
    rows: tuple[Row, ...]

    @property
    def seeds(self) -> int:
        """The number of trainings."""
        return sum(int(row["seeds"] or 1) for row in self.rows)

    @property
    def parameters(self) -> int:
        """Of the network."""
        return int(self.rows[0]["parameters"] or 0)

    def accuracy(self, measure: Measure) -> Spread | None:
        """Accuracies from 0 to 1; None where they were not measured."""
        if len(self.rows) > 1:
            return _spread([row.get(f"{measure}_median") or row[f"{measure}_accuracy"] for row in self.rows])
        row = self.rows[0]
        if measure == "last_validation":
            return _after_the_last_epoch(row)
        of_seeds = [row[f"{measure}_{what}"] for what in ("median", "p25", "p75")]
        alone = [row[f"{measure}_{what}"] for what in ("accuracy", "low", "high")]
        chosen = of_seeds if of_seeds[0] else alone
        return Spread(*map(float, chosen)) if all(chosen) else None

    def loss(self, measure: Measure) -> Spread | None:
        """The same for the loss, in nats; of one run its ends are the loss itself."""
        return _spread([row["last_validation_loss" if measure == "last_validation" else f"{measure}_loss"]
                        for row in self.rows])  # fmt: skip

    def middle(self, column: str) -> float | None:
        """The median of a column of numbers."""
        values = [float(row[column]) for row in self.rows if row[column]]
        return median(values) if values else None

    def matches(self, when: Mapping[str, Scalar]) -> bool:
        """Whether a published figure is of this condition."""
        return all(self.condition[axis] == label(value) for axis, value in when.items())


def _after_the_last_epoch(row: Row) -> Spread | None:
    """Accuracy on validation after the last epoch; with one seed its Wilson interval.

    The number of images is worked out from the interval of the best epoch, which is on the same ones. With t = z²/n its
    half-width h and its accuracy p obey h²·(1 + t)² = t·p·(1 - p) + t²/4.
    """
    told = [row[f"last_validation_{what}"] for what in ("accuracy", "p25", "p75")]
    if all(told):
        return Spread(*map(float, told))
    if told[0] and int(row["seeds"] or 1) > 1:  # the median alone is known
        return Spread(*[float(told[0])] * 3)
    best = [row[f"validation_{what}"] for what in ("accuracy", "low", "high")]
    if not (told[0] and all(best)):
        return None
    p, low, high = map(float, best)
    h, variance = (high - low) / 2, p * (1 - p)
    a, b = 1 / 4 - h * h, variance - 2 * h * h  # a·t² + b·t = h²
    t = (math.sqrt(b * b + 4 * a * h * h) - b) / (2 * a)
    p = float(told[0])
    centre, half = (p + t / 2) / (1 + t), math.sqrt(t * p * (1 - p) + t * t / 4) / (1 + t)
    return Spread(p, centre - half, centre + half)


def is_of_as_many(row: Row, images: int, confidence: float) -> bool:
    """Whether the accuracy on train is of so many images, which its interval tells; of no more where it is not.

    Args:
        row: of a run.
        images: how many.
        confidence: the level of the interval.
    """
    if not all(row[f"train_{what}"] for what in ("accuracy", "low", "high")):
        return True
    low, high = wilson_interval(round(float(row["train_accuracy"]) * images), images, confidence)
    return math.isclose(float(row["train_high"]) - float(row["train_low"]), high - low, rel_tol=0.01)


def _spread(texts: Sequence[str]) -> Spread | None:
    values = [float(text) for text in texts if text]
    if not values:
        return None
    low, middle, high = np.percentile(values, [25, 50, 75])
    return Spread(float(middle), float(low), float(high))


def current_keys(name: str, study: Study, rows: Sequence[Row]) -> dict[str, dict[str, str]]:
    """The keys of the study as its file is now, and the condition of each; for all that the rows have beyond it.

    Args:
        name: of the study.
        study: what its file holds.
        rows: what came of its runs.
    """
    keys: dict[str, dict[str, str]] = {}
    seeds = sorted({*study.seeds, *(int(row[SEED]) for row in rows)})
    for extra in sorted({"", *(row["extra"] for row in rows)}):
        try:
            runs = plan_runs(name, study, read_overrides(split_overrides(extra)), seeds)
        except UserError:
            if not extra:
                raise
            continue  # what the command line added no longer goes with the study
        keys |= {run.key: run.condition for run in runs}
    return keys


def findings(name: str, study: Study, rows: Sequence[Row]) -> dict[str, list[Finding]]:
    """The conditions that have runs, in the order of the grid, by what the command line added to them.

    Rows of settings that the study no longer has are left out.
    """
    keys = current_keys(name, study, rows)
    order = list(dict.fromkeys(tuple(condition.items()) for condition in keys.values()))
    grouped: dict[str, dict[tuple[int, str], list[Row]]] = {}
    for row in rows:
        if row["key"] in keys:
            place = order.index(tuple(keys[row["key"]].items()))
            grouped.setdefault(row["extra"], {}).setdefault((place, row["member"]), []).append(row)
    return {
        extra: [
            Finding(dict(order[place]), network, tuple(group))
            for (place, network), group in sorted(groups.items(), key=lambda item: (item[0][0], item[0][1] == ENSEMBLE))
        ]
        for extra, groups in sorted(grouped.items())
    }


def has_several_networks(found: Sequence[Finding]) -> bool:
    """Whether one condition has several, so that its name alone does not tell them apart."""
    return len({tuple(finding.condition.items()) for finding in found}) < len(found)


def belongs_to_conditions(figure: Published, study: Study) -> bool:
    """Whether a published figure belongs to conditions of ours: it names them, or there is one alone."""
    return bool(figure.when) or all(len(values) == 1 for values in study.grid.values())


def of_published(figure: Published, study: Study, found: Sequence[Finding]) -> list[Finding]:
    """What a published figure stands beside: its conditions, and of an ensemble's networks the ensemble alone."""
    if not belongs_to_conditions(figure, study):
        return []
    return [
        finding
        for finding in found
        if finding.matches(figure.when) and (not study.ensemble or finding.network == ENSEMBLE)
    ]


def ours(figure: Published, finding: Finding) -> Spread | None:
    """What stands beside a published figure: percent, or nats."""
    if figure.measure == "loss":
        return finding.loss(figure.split)
    spread = finding.accuracy(figure.split)
    return Spread(100 * spread.middle, 100 * spread.low, 100 * spread.high) if spread else None


def own_images(found: Sequence[Finding]) -> list[str]:
    """The names of the folders or archives whose images were used in place of the data set's."""
    return sorted({row.get("own_images", "") for finding in found for row in finding.rows} - {""})


def as_declared(groups: Mapping[str, Sequence[Finding]]) -> list[Finding]:
    """Those of a study's own settings: what the command line added is the images alone, or nothing."""
    return [
        finding for extra, group in groups.items() if set(split_overrides(extra)) <= {_OWN_IMAGES} for finding in group
    ]


def places(found: Iterable[Finding]) -> set[Place]:
    """Which of the study's runs they are of."""
    return {(tuple(finding.condition.items()), int(row[SEED])) for finding in found for row in finding.rows}


def settings(study: Study, extra: str, found: Sequence[Finding]) -> str:
    """What the command line added to a study, for people: which images, and other values in Markdown's code."""
    return ", ".join([*(f"images of {name}" for name in own_images(found)), *other_values(study, extra, found)])


def other_values(study: Study, extra: str, found: Sequence[Finding]) -> list[str]:
    """What the command line added to a study besides images that have a name, in Markdown's code."""
    named = bool(own_images(found))
    return [_in_place_of(part, study) for part in split_overrides(extra) if not (named and part == _OWN_IMAGES)]


def _in_place_of(part: str, study: Study) -> str:
    key = part.partition("=")[0]
    return f"`{part}`" + (f" in place of {label(study.base[key])}" if key in study.base else "")
