"""Runs in MLflow: each training, what later stages find out about it, the ensemble, and the models among them.

A run is known by its result, a hash of the trained network: the same result is the same run, whoever trained it and
however often. Only this package knows MLflow (beside `thumbnet.serving`, which MLflow itself runs); figures and tables
come from its callers as finished files. Stages import what stands here.
"""

import os

# MLflow reads these as it is imported: no usage reports, and no chatter on the screen of a training.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_UV_AUTO_DETECT", "false")

from thumbnet.tracking.additions import find_run, log_ensemble, log_evaluation, log_files
from thumbnet.tracking.fetching import fetch_classifier
from thumbnet.tracking.identity import hash_data, result_id
from thumbnet.tracking.registry import registered_name
from thumbnet.tracking.runs import TrainingRun
from thumbnet.tracking.store import tracking_uri

__all__ = [
    "TrainingRun",
    "fetch_classifier",
    "find_run",
    "hash_data",
    "log_ensemble",
    "log_evaluation",
    "log_files",
    "registered_name",
    "result_id",
    "tracking_uri",
]
