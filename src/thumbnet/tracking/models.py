"""A trained network in MLflow's own format, with all that serving it needs."""

import json
import shutil
import tempfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model, ModelSignature
from mlflow.types.schema import ColSpec, Schema, TensorSpec

from thumbnet import paths, serving
from thumbnet.tracking.store import Experiment

#: What `thumbnet.serving` needs where it is not installed with this project; MLflow adds itself.
SERVING_PACKAGES = ("numpy", "pandas", "pydantic", "pyyaml", "safetensors", "torch")

MODEL = "model"


def log_model(experiment: Experiment, run_id: str, model_dir: Path, card: Mapping[str, Any]) -> None:
    """Adds the network to its run, as `runs:/<run id>/model`.

    `mlflow.pyfunc.log_model` would do the same within a global current run, and try the example on the model each
    time; tests do that here.
    """
    client = experiment.client
    logged = client.create_logged_model(experiment.experiment_id, MODEL, run_id, model_type="image classifier")
    example = np.load(paths.SPLITS / "validation_images.npy", mmap_mode="r")[:1]  # (1, height, width, channels)
    with tempfile.TemporaryDirectory() as temporary:
        folder, classifier = Path(temporary) / MODEL, Path(temporary) / "classifier"
        classifier.mkdir()
        for file in (path for path in model_dir.iterdir() if path.is_file()):  # without further seeds
            shutil.copy(file, classifier)
        mlflow.pyfunc.save_model(
            folder,
            python_model=serving.__file__,
            artifacts={"classifier": str(classifier)},
            code_paths=[str(Path(serving.__file__).parent)],
            signature=_signature(card),
            input_example=np.array(example),
            pip_requirements=[f"{name}=={version(name).partition('+')[0]}" for name in _serving_packages(card)],
            mlflow_model=Model(artifact_path=logged.artifact_location, run_id=run_id, model_id=logged.model_id),
        )
        client.log_model_artifacts(logged.model_id, str(folder))
    client.finalize_logged_model(logged.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=int(card["best"]["epoch"]))])


def read_card(model_dir: Path) -> dict[str, Any]:
    """The card as plain values: the module that gives it types would bring torch along."""
    card: dict[str, Any] = json.loads((model_dir / "model.json").read_text(encoding="utf-8"))
    return card


def _signature(card: Mapping[str, Any]) -> ModelSignature:
    columns: list[ColSpec | TensorSpec] = [ColSpec("string", "class"), ColSpec("double", "probability")]
    columns += [ColSpec("double", name) for name in serving.column_names(card["classes"])]
    return ModelSignature(
        inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, *card["input_shape"]))]), outputs=Schema(columns)
    )


def _serving_packages(card: Mapping[str, Any]) -> tuple[str, ...]:
    return (*SERVING_PACKAGES, *(["torchvision"] if "torchvision" in card["model"] else []))
