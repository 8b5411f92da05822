"""What the picture of a study is given: which findings go where."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from thumbnet.figures import studies as figures
from thumbnet.figures import style
from thumbnet.studies.findings import MEASURES, Finding, has_several_networks, of_published
from thumbnet.studies.rows import Row
from thumbnet.studies.study import Measure, Published, Study, label


def draw_study(study: Study, group: Sequence[Finding], curves: Sequence[Row], path: Path, told: str = "") -> bool:
    """Writes the picture that the study asks for.

    Args:
        study: what its file holds.
        group: the conditions that have runs.
        curves: the learning curves of all runs.
        path: the PNG file.
        told: the settings that are not the study's own, for its lower edge.

    Returns:
        Whether the runs have what the picture shows; else there is none.
    """
    plot = study.plot
    said = f"accuracy on {MEASURES[plot.y[0]]}" if plot.colour or len(plot.y) == 1 else "accuracy"
    figure: Figure | None = None
    match plot.kind:
        case "dots":
            if points := _points(study, group):
                figure = figures.draw_dots(study.title, points, _panels(study, points), said)
        case "lines":
            if points := _points(study, group):
                figure = figures.draw_lines(study.title, points, _panels(study, points), said, plot.x, plot.log)
        case "parameters":
            if ours := _by_parameters(study, group):
                figure = figures.draw_parameters(study.title, [*ours, *_published(study)], plot.y[0])
        case _:
            if drawn := _curves(study, group, curves):
                figure = figures.draw_curves(study.title, drawn)
    if figure is None:
        path.unlink(missing_ok=True)
        return False
    if told:
        style.write_note(figure, f"With {told}".replace("`", ""))
    style.save_figure(figure, path)
    return True


def _panels(study: Study, points: Sequence[figures.Point]) -> list[str]:
    """In the order of the study, those that have been run."""
    panels = [label(value) for value in study.grid[study.plot.panel]] if study.plot.panel else [""]
    return [panel for panel in panels if any(point.panel == panel for point in points)]


def _points(study: Study, group: Sequence[Finding]) -> list[figures.Point]:
    """A point for each finding; without an axis for colours one for each of both measures.

    Of several networks in one condition each has a row of its own, or a line.
    """
    plot = study.plot
    several = has_several_networks(group)
    measures: list[Measure] = plot.y[:1] if plot.colour else plot.y
    points = []
    for finding in group:
        for measure in measures:
            spread = finding.accuracy(measure)
            if spread is None:
                continue
            place = finding.condition[plot.x]
            series = _series(plot.colour, finding) if plot.colour else MEASURES[measure]
            if several and plot.kind == "lines":
                series = f"{series}, {finding.network}"
            elif several:
                place = finding.network if len(study.grid[plot.x]) == 1 else f"{place}, {finding.network}"
            published = [_share(figure) for figure in study.published if _beside(figure, study, finding, measure)]
            points.append(
                figures.Point(
                    panel=finding.condition.get(plot.panel, ""),
                    place=place,
                    series=series,
                    value=spread.middle,
                    low=spread.low,
                    high=spread.high,
                    published=tuple(published),
                )
            )
    return points


def _series(axis: str, finding: Finding) -> str:
    """The name of a colour: a number alone would not say what it is of."""
    value = finding.condition[axis]
    return f"{axis.rpartition('.')[2]} {value}" if value[:1].isdigit() and "." in axis else value


def _name(finding: Finding, several: bool) -> str:
    """Of a condition, and of the network where a condition has several."""
    return ", ".join([*(_series(axis, finding) for axis in finding.condition), *([finding.network] if several else [])])


def _beside(figure: Published, study: Study, finding: Finding, measure: Measure) -> bool:
    same = figure.split == measure and figure.measure == "accuracy"
    return same and bool(of_published(figure, study, [finding]))


def _share(figure: Published) -> float:
    return figure.value / 100


def _by_parameters(study: Study, group: Sequence[Finding]) -> list[figures.Sized]:
    measure = study.plot.y[0]
    sized = []
    for finding in group:
        spread = finding.accuracy(measure)
        if spread:
            name = _name(finding, has_several_networks(group))
            sized.append(figures.Sized(name, finding.parameters, spread.middle, spread.low, spread.high))
    return sized


def _published(study: Study) -> list[figures.Sized]:
    return [
        figures.Sized(
            name=f"{figure.source}: {figure.what}",
            parameters=figure.parameters,
            value=_share(figure),
            source=figure.source,
            measure=MEASURES[figure.split],
        )
        for figure in study.published
        if figure.parameters and figure.measure == "accuracy"
    ]


def _curves(study: Study, group: Sequence[Finding], curves: Sequence[Row]) -> list[figures.Curve]:
    """Of each condition the median over its runs, epoch by epoch."""
    drawn = []
    for finding in group:
        keys = {row["key"] for row in finding.rows}
        rows = [row for row in curves if row["key"] in keys and row["member"] == finding.network]
        epochs = sorted({int(row["epoch"]) for row in rows})
        columns = {}
        for column in ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy"):
            by_epoch = [[float(row[column]) for row in rows if int(row["epoch"]) == epoch] for epoch in epochs]
            columns[column] = [float(np.median(values)) for values in by_epoch]
        if epochs:
            name = _name(finding, has_several_networks(group))
            drawn.append(figures.Curve(name, epochs, **columns))
    return drawn
