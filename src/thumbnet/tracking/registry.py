"""The registered model of each data set: a version per trained network, and the alias of the best one."""

import json
from collections.abc import Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from thumbnet.tracking.identity import hash_data, hash_json
from thumbnet.tracking.store import Experiment, mere_warnings

#: The alias of the version with the highest validation accuracy.
CHAMPION = "champion"


def registered_name(dataset: str) -> str:
    """What the registered model of a data set is called: `models:/thumbnet-mnist@champion` is the best one on MNIST."""
    return f"thumbnet-{dataset}"


def register(experiment: Experiment, run_id: str, result: str, card: Mapping[str, Any]) -> None:
    """Makes the network of a run a version of its data set's registered model, unless it is one, and crowns the best.

    Two processes may do so at once: on a SQLite file they take turns; on a server each looks again after it has
    written, and the one that looks last sees both. A store that cannot do this is told as a warning: the run is
    complete without it.

    Args:
        experiment: where the run is.
        run_id: of a finished training, with its model.
        result: the network's `result_id`.
        card: the network's.
    """
    warning = f"{card['member']} is no version of a registered model in MLflow"
    with mere_warnings(warning), experiment.one_at_a_time():
        _register(experiment.client, registered_name(card["data"]["name"]), run_id, result, card)


def _register(client: MlflowClient, name: str, run_id: str, result: str, card: Mapping[str, Any]) -> None:
    versions = _versions(client, name)
    if not any(version.run_id == run_id for version in versions):
        if not versions:
            _make_registered_model(client, name, card["data"]["name"])
        _make_version(client, name, run_id, result, card)
        versions = _versions(client, name)
        for surplus in sorted((each for each in versions if each.run_id == run_id), key=_number)[1:]:
            client.delete_model_version(name, surplus.version)
            versions.remove(surplus)
    _crown(client, name, versions, _tags(result, card)["classes"])


def _versions(client: MlflowClient, name: str) -> list[ModelVersion]:
    found = client.search_model_versions(f"name = '{name}'", max_results=1000)
    versions = list(found)
    while found.token:
        found = client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=found.token)
        versions += found
    return versions


def _make_registered_model(client: MlflowClient, name: str, dataset: str) -> None:
    try:
        client.create_registered_model(
            name,
            description=f"Every network that was trained on {dataset}. `{CHAMPION}` is the one with the highest "
            f"validation accuracy.\n\nServe it: `mlflow models serve -m models:/{name}@{CHAMPION} --env-manager local`",
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _make_version(client: MlflowClient, name: str, run_id: str, result: str, card: Mapping[str, Any]) -> None:
    run = client.get_run(run_id)
    model_id = run.outputs.model_outputs[0].model_id if run.outputs else None
    if model_id is None:
        raise MlflowException(f"the run {run_id} has no model")
    best = card["best"]
    made = client.create_model_version(
        name,
        # The address itself: MLflow would look `models:/<model id>` up in its global store, which may be another one.
        source=client.get_logged_model(model_id).artifact_location,
        run_id=run_id,
        tags=_tags(result, card),
        description=f"{run.info.run_name}: {best['validation_accuracy']:.2%} on validation, {card['parameters']:,} "
        f"parameters, epoch {best['epoch']:g}",
        await_creation_for=0,
        model_id=model_id,
    )
    # By this the table of runs shows the version; a server adds it by itself.
    label = json.dumps([{"name": name, "version": int(made.version)}])
    client.set_logged_model_tags(model_id, {"mlflow.modelVersions": label})


def _tags(result: str, card: Mapping[str, Any]) -> dict[str, str]:
    return {
        "member": card["member"],
        "validation_accuracy": f"{card['best']['validation_accuracy']:.6f}",
        "validation_loss": f"{card['best']['validation_loss']:.6f}",
        "parameters": str(card["parameters"]),
        "data": hash_data(card["data"])[:12],
        "classes": hash_json({"classes": card["classes"]})[:12],
        "result": result[:12],
    }


def _crown(client: MlflowClient, name: str, versions: list[ModelVersion], classes: str) -> None:
    """Gives the alias to the best version with these classes: folders of images of one's own may hold any.

    Of equal accuracies the lower loss decides, and of equal losses the result, so that the order of trainings does not.
    """
    best = min((version for version in versions if version.tags.get("classes") == classes), key=_rank)
    holder = client.get_registered_model(name).aliases.get(CHAMPION)
    if str(holder) == str(best.version):
        return
    client.set_registered_model_alias(name, CHAMPION, best.version)
    latest = _versions(client, name)
    if len(latest) > len(versions):  # another process has come in between
        _crown(client, name, latest, classes)


def _rank(version: ModelVersion) -> tuple[float, float, str]:
    tags = version.tags
    return -float(tags["validation_accuracy"]), float(tags["validation_loss"]), tags["result"]


def _number(version: ModelVersion) -> int:
    return int(version.version)
