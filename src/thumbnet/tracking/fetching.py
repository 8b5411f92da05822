"""Trained networks out of MLflow's store, for `thumbnet predict`."""

import contextlib
from pathlib import Path

from mlflow.artifacts import download_artifacts
from mlflow.exceptions import MlflowException

from thumbnet.errors import UserError
from thumbnet.tracking.store import brief_requests, tracking_uri

#: The network's folder in a model that `thumbnet` has logged.
CLASSIFIER = "artifacts/classifier"


def fetch_classifier(address: str) -> Path:
    """The folder of a trained network, as training writes it.

    Args:
        address: `models:/NAME@ALIAS`, `models:/NAME/VERSION` or `runs:/ID/model`.

    Raises:
        UserError: there is none, or it is no network of this project's.
    """
    try:
        with brief_requests():
            model = Path(download_artifacts(artifact_uri=address, tracking_uri=tracking_uri()))
    except (MlflowException, OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise UserError(f"--model {address}: {reason}; the store is {tracking_uri()}") from None
    folder = model / CLASSIFIER
    if not folder.is_dir():
        found = ""
        with contextlib.suppress(OSError):
            found = f"; it holds {', '.join(sorted(path.name for path in model.iterdir()))}"
        raise UserError(f"--model {address}: holds no network of thumbnet's{found}")
    return folder
