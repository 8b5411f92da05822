"""The data that a training read, in MLflow's terms: the column Dataset of the table of runs."""

import json

from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.exceptions import MlflowException

from thumbnet import paths
from thumbnet.data.arrays import load_info
from thumbnet.errors import UserError
from thumbnet.tracking.store import Experiment


def log_dataset(experiment: Experiment, run_id: str, name: str, data_hash: str) -> None:
    """Adds the data set to a run, known by the hash of its splits: runs on the same images show the same digest.

    Args:
        experiment: that the run is in.
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
    used = [DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])]
    # MLflow looks for the data set, and adds one that it does not find: of two trainings on new data one would fail.
    with experiment.one_at_a_time():
        try:
            experiment.client.log_inputs(run_id, used)
        except MlflowException:  # on a server another client has added it meanwhile: now it is found
            experiment.client.log_inputs(run_id, used)
