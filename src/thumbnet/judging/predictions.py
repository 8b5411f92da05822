"""The predictions of one network (or ensemble), and the file that carries them from stage to stage.

Whoever predicts (`evaluate`) saves, whoever judges or draws (`gallery`, `ensemble`) loads. Metrics are left to
`thumbnet.judging.metrics`, averages over networks to `thumbnet.judging.ensembling`.
"""

import functools
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thumbnet.errors import UserError
from thumbnet.files import fresh_file


@dataclass(frozen=True)
class Predictions:
    """What a network says about the images of one split, beside the truth.

    Attributes:
        probabilities: float32, (n, classes); each row sums to 1.
        labels: int64, (n,); the true classes.
        other_seeds: float32, (seeds - 1, n, classes); what the networks of further seeds say; None where there are none
            or nobody asks.
    """

    probabilities: NDArray[np.float32]  # (n, classes)
    labels: NDArray[np.int64]  # (n,)
    other_seeds: NDArray[np.float32] | None = None  # (seeds - 1, n, classes)

    def __post_init__(self) -> None:
        if self.probabilities.ndim != 2 or self.labels.shape != self.probabilities.shape[:1]:
            raise ValueError(
                f"probabilities {self.probabilities.shape} and labels {self.labels.shape} are not (n, classes) and (n,)"
            )
        if self.other_seeds is not None and self.other_seeds.shape[1:] != self.probabilities.shape:
            raise ValueError(
                f"other_seeds {self.other_seeds.shape} do not go with probabilities {self.probabilities.shape}"
            )

    @functools.cached_property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each image, the first one on a tie; (n,)."""
        return np.asarray(self.probabilities.argmax(axis=1), dtype=np.int64)

    @property
    def accuracy(self) -> float:
        """The share of the images that are right."""
        return float((self.predicted == self.labels).mean())

    def by_seed(self) -> list["Predictions"]:
        """What each seed's network says, the first seed in front."""
        others = [] if self.other_seeds is None else list(self.other_seeds)
        return [Predictions(probabilities, self.labels) for probabilities in (self.probabilities, *others)]


def save_predictions(path: Path, predictions: Mapping[str, Predictions]) -> None:
    """Writes predictions to a .npz file; the same predictions give the same bytes.

    Args:
        path: for a member `paths.PREDICTIONS / f"{member}.npz"`.
        predictions: by name of split, in the order to store them in.
    """
    arrays: dict[str, NDArray[np.generic]] = {}
    for split, judged in predictions.items():
        arrays[f"{split}_probabilities"] = judged.probabilities.astype(np.float32, copy=False)
        arrays[f"{split}_labels"] = judged.labels.astype(np.int64, copy=False)
        if judged.other_seeds is not None:
            arrays[f"{split}_other_seeds"] = judged.other_seeds.astype(np.float32, copy=False)
    with fresh_file(path) as aside, aside.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)  # numpy dates every entry of the zip 1980: no clock in the bytes


def load_predictions(path: Path) -> dict[str, Predictions]:
    """Reads what `save_predictions` wrote.

    Returns:
        The predictions by name of split, in the order in which they were stored.

    Raises:
        UserError: the file is missing or holds something else.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            splits = [name.removesuffix("_labels") for name in arrays.files if name.endswith("_labels")]
            return {
                split: Predictions(
                    arrays[f"{split}_probabilities"],
                    arrays[f"{split}_labels"],
                    arrays.get(f"{split}_other_seeds"),
                )
                for split in splits
            }
    except FileNotFoundError:
        raise UserError(f"{path} is missing; make it with: dvc repro evaluate@{path.stem}") from None
    except (EOFError, KeyError, OSError, ValueError, zipfile.BadZipFile):
        remedy = f"make it again with: dvc repro -f -s evaluate@{path.stem}"
        raise UserError(f"{path} is no file of predictions; {remedy}") from None
