"""The data that a training read, in MLflow's terms: the column Dataset of the table of runs."""

import json

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag

from thumbnet import paths
from thumbnet.data.arrays import load_info
from thumbnet.errors import UserError


def log_dataset(client: MlflowClient, run_id: str, name: str, data_hash: str) -> None:
    """Adds the data set to a run, known by the hash of its splits: runs on the same images show the same digest.

    Args:
        client: of the store.
        run_id: of the training.
        name: of the data set.
        data_hash: from `hash_data`.
    """
    try:
        info = load_info(paths.SPLITS)
        profile = {"image_shape": info.image_shape, "classes": len(info.classes), **info.counts}
    except UserError:  # the run is made anew from a trained network, without the images
        profile = {}
    source = {"uri": f"dvc.yaml:split {paths.SPLITS.as_posix()}"}
    dataset = Dataset(name, data_hash[:8], "code", json.dumps(source), profile=json.dumps(profile))
    client.log_inputs(run_id, [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])])
