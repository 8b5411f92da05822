"""The trained classifier as MLflow serves it: raw images in, classes and their probabilities out.

MLflow runs this file itself ("models from code") when it loads or serves a logged model, with the package beside it,
so thumbnet need not be installed there. Logging the model is left to `thumbnet.tracking`; torch is imported only when
a model is loaded, because logging one needs no network.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from numpy.typing import NDArray

#: Images in one forward pass, so that memory stays bounded whatever a request holds.
BATCH = 256


class ServedClassifier(PythonModel):
    """A member of `models`, with its best-validation weights, on the CPU."""

    def load_context(self, context: PythonModelContext) -> None:
        """Reads the classifier from the model's artifact `classifier`, a folder as training writes it."""
        from thumbnet.training.checkpoints import load_card, load_classifier

        folder = Path(context.artifacts["classifier"])
        self.card = load_card(folder)
        self.classifier = load_classifier(folder, device="cpu")

    def predict(
        self, context: PythonModelContext, model_input: np.ndarray, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """The predicted class of each image.

        Args:
            context: MLflow's; not read.
            model_input: raw images (n, height, width, channels), uint8; MLflow holds requests to that by the model's
                signature before they come here.
            params: MLflow's; none are known.

        Returns:
            A table of one row per image: `class`, its `probability`, and the probability of every class in a column
            of the class's name (see `column_names`).

        Raises:
            MlflowException: an image seems to be scaled to 0-1; served over HTTP, that is status 400.
        """
        _refuse_scaled(model_input)
        probabilities = self._probabilities(model_input)
        classes = self.card.classes
        table = pd.DataFrame(probabilities, columns=column_names(classes))
        table.insert(0, "class", [classes[index] for index in probabilities.argmax(axis=1)])
        table.insert(1, "probability", probabilities.max(axis=1))
        return table

    def _probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(n, height, width, channels) to (n, classes)."""
        import torch

        rows = [np.empty((0, len(self.card.classes)))]
        with torch.inference_mode():
            for start in range(0, len(images), BATCH):
                logits = self.classifier(torch.from_numpy(images[start : start + BATCH]))  # (batch, classes)
                rows.append(logits.double().softmax(dim=1).numpy())
        return np.concatenate(rows)


def column_names(classes: list[str]) -> list[str]:
    """The column of each class: its name, followed by `_` where `class` and `probability` have taken it."""
    return [f"{name}_" if name in ("class", "probability") else name for name in classes]


def _refuse_scaled(images: NDArray[np.uint8]) -> None:
    """Raises for images that were scaled to 0-1.

    MLflow casts the numbers of a JSON request to whole ones, so that such an image arrives as 0s and a few 1s, and
    would get an answer that looks like any other. No photograph has a brightest pixel of 1 of 255.
    """
    brightest = images.max(axis=(1, 2, 3), initial=0)  # (n,)
    if (brightest == 1).any():
        raise MlflowException.invalid_parameter_value(
            "an image holds no pixel value above 1; allowed are raw pixels, whole numbers 0-255, not scaled to 0-1"
        )


set_model(ServedClassifier())
