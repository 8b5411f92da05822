"""Saved views of MLflow's table of runs and of its charts: `Views` above the table lists them.

MLflow keeps them as tags of the experiment, `mlflow.sharedViewState.<id>`. Its own table opens with neither metrics nor
parameters; these open with what a user looks for. Whatever is not said here is MLflow's default.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from mlflow import MlflowClient

from thumbnet.tracking.entries import milliseconds

_TAG = "mlflow.sharedViewState."
LEADERBOARD, CURVES = "thumbnet-leaderboard", "thumbnet-curves"

_ACCURACIES = ("best/validation_accuracy", "test/accuracy")
_FIGURES = (*_ACCURACIES, "test/loss", "model/parameters")
_PARAMS = ("model.layers", "optimizer.name", "optimizer.lr", "train.epochs")
_LINES = ("validation/accuracy", "validation/loss", "train/accuracy", "train/loss")
#: Charts of a sweep for as many of its parameters at most.
_SCATTERS = 5
_TRAININGS = "tags.`thumbnet.stage` = 'train'"


def describe_experiment(client: MlflowClient, experiment_id: str) -> None:
    """Gives a new experiment its views, and a description that links them."""
    # Without this MLflow asks at the first visit what kind of experiment it is.
    client.set_experiment_tag(experiment_id, "mlflow.experimentKind", "custom_model_development")
    leaderboard = {"searchFilter": "tags.`thumbnet.stage` != 'sweep'", **_ranked(), **_columns(_FIGURES, _PARAMS)}
    _save(client, experiment_id, LEADERBOARD, "Leaderboard", leaderboard)
    cards = [
        *map(_line, _LINES),
        _scatter("metrics", _ACCURACIES[0], _ACCURACIES[1]),
        _card("BAR", metricKey="test/loss"),
    ]
    curves = {"searchFilter": _TRAININGS, **_columns(_FIGURES, _PARAMS), **_charts({"Overview": cards})}
    _save(client, experiment_id, CURVES, "Learning curves", curves)
    note = (
        f"[Leaderboard]({view_link(experiment_id, LEADERBOARD, charts=False)}): all networks, the best on validation "
        f"first. [Learning curves]({view_link(experiment_id, CURVES)}). Others are under Views, one for each sweep."
    )
    client.set_experiment_tag(experiment_id, "mlflow.note.content", note)


def save_sweep_view(
    client: MlflowClient,
    experiment_id: str,
    parent: str,
    name: str,
    params: Mapping[str, bool],
    everywhere: Sequence[str],
) -> None:
    """Saves the view of a sweep's trainings: what differs between them, as columns and as charts.

    Args:
        client: of the store.
        experiment_id: where the sweep is.
        parent: the sweep's parent run, which becomes the view's id.
        name: the sweep's.
        params: the parameters that differ, and whether all values are numbers.
        everywhere: those of them that every run has: parallel coordinates leave out a run that an axis has no value of.
    """
    # The last axis gives the lines their colours.
    parallel = _card(
        "PARALLEL", selectedParams=[*everywhere], selectedMetrics=[*reversed(_ACCURACIES)], showAllRuns=True
    )
    scatters = [
        _scatter("params", name, _ACCURACIES[0]) for name in [name for name in params if params[name]][:_SCATTERS]
    ]
    difference = _card(
        "DIFFERENCE",
        compareGroups=["Parameters", "Model metrics"],
        chartName="Runs difference view",
        showChangeFromBaseline=False,
        showDifferencesOnly=True,
        baselineColumnUuid="",
    )
    lines = [_line("validation/loss"), _line("train/loss"), _line("validation/accuracy")]
    sections = {"What differs": [parallel, difference], "Charts": [*scatters, *lines]}
    state = {
        "searchFilter": f"tags.`mlflow.parentRunId` = '{parent}' and {_TRAININGS}",
        **_ranked(),
        **_columns(_FIGURES, [*params], params_first=True),
        **_charts(sections if params else {"Charts": lines}),
        "runsHiddenMode": "SHOW_ALL",
    }
    _save(client, experiment_id, parent, name, state)


def view_link(experiment_id: str, view: str, charts: bool = True) -> str:
    """The address of a view within MLflow's pages."""
    mode = "&compareRunsMode=CHART" if charts else ""
    return f"#/experiments/{experiment_id}/runs?workflowType=machine_learning&viewStateShareKey={view}{mode}"


def _save(client: MlflowClient, experiment_id: str, view: str, name: str, state: dict[str, Any]) -> None:
    content = {"name": name, "createdAt": milliseconds(), "state": json.dumps(state)}
    client.set_experiment_tag(experiment_id, _TAG + view, json.dumps(content))


def _ranked() -> dict[str, Any]:
    return {"orderByKey": f"metrics.`{_ACCURACIES[0]}`", "orderByAsc": False}


def _columns(metrics: Sequence[str], params: Sequence[str], params_first: bool = False) -> dict[str, Any]:
    groups = [[f"metrics.`{name}`" for name in metrics], [f"params.`{name}`" for name in params]]
    first, second = reversed(groups) if params_first else groups
    shown = [*first, "attributes.`Models`", *second]
    # Without widths the names of metrics are cut off; widths need an order, whose first column holds the boxes to tick.
    order = ["0", "attributes.`Run Name`", *shown, "runDateAndNestInfo", "duration"]
    return {"selectedColumns": shown, "columnOrder": order, "columnWidths": {name: _width(name) for name in shown}}


def _width(column: str) -> int:
    """Pixels that show the name in full."""
    return 200 if "Models" in column else max(100, 60 + 7 * len(column.partition("`")[2]))


def _charts(cards: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, Any]:
    """Cards by section, three in a row; two share the width of the page."""
    sections, numbered = [], []
    for name, within in cards.items():
        frame = {"uuid": f"thumbnet-{name}", "name": name, "display": True, "isReordered": False, "deleted": False}
        sections.append(frame | {"isGenerated": False, "columns": min(3, len(within)), "cardHeight": 360})
        numbered += [
            card | {"uuid": f"thumbnet-{name}-{number}", "metricSectionId": frame["uuid"]}
            for number, card in enumerate(within)
        ]
    # Charts of all other metrics come below; otherwise the sections would be sorted by name.
    return {"compareRunSections": sections, "compareRunCharts": numbered, "isAccordionReordered": True}


def _line(metric: str) -> dict[str, Any]:
    return _card(
        "LINE",
        metricKey=metric,
        selectedMetricKeys=[metric],
        lineSmoothness=0,
        xAxisKey="step",
        xAxisScaleType="linear",
        scaleType="log" if metric.endswith("loss") else "linear",
        selectedXAxisMetricKey="",
        yAxisKey="metric",
        yAxisExpressions=[],
        range={},
        ignoreOutliers=False,
        useGlobalXaxisKey=True,
        useGlobalLineSmoothing=True,
    )


def _scatter(group: str, horizontal: str, vertical: str) -> dict[str, Any]:
    """A dot for each run; what is across is a metric or a parameter, what is upward a metric."""
    across = {"key": horizontal, "type": {"metrics": "METRIC", "params": "PARAM"}[group]}
    return _card("SCATTER", xaxis=across, yaxis={"key": vertical, "type": "METRIC"})


def _card(kind: str, **settings: Any) -> dict[str, Any]:
    return {"type": kind, "deleted": False, "isGenerated": False, "runsCountToCompare": 20} | settings
