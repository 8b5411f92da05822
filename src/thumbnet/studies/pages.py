"""The pages of studies, in Markdown, made from their tables: one for each, the index, and the table of all figures."""

import itertools
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from thumbnet import paths
from thumbnet.errors import UserError
from thumbnet.files import fresh_file
from thumbnet.params import EvaluateParams
from thumbnet.studies.estimating import duration
from thumbnet.studies.findings import (
    MEASURES,
    Finding,
    Spread,
    as_declared,
    belongs_to_conditions,
    findings,
    has_several_networks,
    is_of_as_many,
    of_published,
    other_values,
    ours,
    own_images,
    places,
    settings,
)
from thumbnet.studies.pictures import draw_study
from thumbnet.studies.planning import plan_runs, read_overrides, split_overrides
from thumbnet.studies.rows import ENSEMBLE, Row, curves_path, read_rows, rows_path
from thumbnet.studies.study import SEED, Measure, Published, Study, load_study, study_names

NOT_RUN = "not run yet"
_FOOTNOTES = "†‡§¶"
#: What stands in docs/results.md between these is made here.
MARKS = ("<!-- published figures: made by `thumbnet study --pages` -->", "<!-- end of published figures -->")


def write_page(name: str) -> None:
    """Writes docs/studies/<name>.md and its picture from the study's tables."""
    study, rows = load_study(name), read_rows(rows_path(name))
    groups = findings(name, study, rows)
    curves = read_rows(curves_path(name))
    if study.plot.kind == "curves" and groups and not curves:
        raise UserError(
            f"{curves_path(name)}, with the learning curves that the study plots, is missing; bring it back with: git "
            f"checkout {curves_path(name)}. Runs from before plot.kind was curves have none: without "
            f"{rows_path(name)} they are taken in anew, by: thumbnet study {name}"
        )
    page = [f"# {study.title}", study.question.strip()]
    if study.answer:
        page.append(f"**{study.answer.strip()}**")
    if not groups:
        page += [f"{NOT_RUN.capitalize()}: `thumbnet study {name}`.", *_published_only(study.published)]
    # Of sections that there may be no more.
    for old in paths.STUDY_PAGES.glob("*.png"):
        if re.fullmatch(rf"{re.escape(name)}-[0-9]+", old.stem) and old.stem not in study_names():
            old.unlink()
    for (extra, group), picture in zip(groups.items(), _pictures(name), strict=False):
        told = settings(study, extra, group)
        if told:
            page.append(f"With {told}:" if len(groups) == 1 else f"## With {told}")
        drawn = draw_study(study, group, curves, picture, told)
        page += [f"![{study.title}]({quote(picture.name)})" if drawn else _no_picture(study)]
        page += [_table(study, group), _notes(name, study, extra, group)]
    if groups:  # those of no condition, which no table has
        page += _published_only([figure for figure in study.published if not belongs_to_conditions(figure, study)])
    if study.recipe:
        page += ["## Recipe", study.recipe.strip()]
        if study.published or re.search(r"\bS[0-4]\b", study.recipe + study.answer):
            page += _link("What S0 to S4 are", "Sources")
    page += ["## Runs", _command(name, study, rows, groups)]
    _write(paths.STUDY_PAGES / f"{name}.md", page)


def _pictures(name: str) -> Iterator[Path]:
    """Those of a page's sections: NAME.png, NAME-2.png and so on, but for names that are other studies'."""
    others = study_names()
    yield paths.STUDY_PAGES / f"{name}.png"
    for number in itertools.count(2):
        if f"{name}-{number}" not in others:
            yield paths.STUDY_PAGES / f"{name}-{number}.png"


@dataclass(frozen=True)
class Known:
    """A study that can be read and planned, the rows of its table, and what they say."""

    name: str
    study: Study
    rows: list[Row]
    groups: dict[str, list[Finding]]


def known_studies(pass_over: Callable[[str, UserError], None]) -> list[Known]:
    """All studies but those with a mistake, which must not keep the pages of others from being made.

    Args:
        pass_over: called with the name of each that cannot be read or planned, and with what is wrong.
    """
    known = []
    for name in study_names():
        try:
            study, rows = load_study(name), read_rows(rows_path(name))
            known.append(Known(name, study, rows, findings(name, study, rows)))
        except UserError as error:
            pass_over(name, error)
    return known


def write_index(studies: Sequence[Known]) -> None:
    """Writes docs/studies/README.md: all studies, their questions and answers."""
    lines = ["| study | question | answer |", "|---|---|---|"]
    for known in studies:
        name, study = known.name, known.study
        done = len({row["experiment"] for row in known.rows})
        answer = _line(study.answer) or (f"{done} {'run' if done == 1 else 'runs'}, no answer yet" if done else NOT_RUN)
        lines.append(f"| {_page_of(name)} | {_line(study.question)} | {answer} |")
    _write(paths.STUDY_PAGES / "README.md", [
        "# Studies",
        "Every experiment of the five sources and some of our own, declared in `studies/` and run by "
        "[`thumbnet study`](../studies.md). Made by `thumbnet study --pages` from `metrics/studies/`.",
        "\n".join(lines),
        *filter(None, [_about()]),
    ])  # fmt: skip


def _about() -> str:
    """What the index says below its table; pages refer to its headings Images and Sources."""
    path = paths.STUDIES / "about.md"
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def _link(text: str, heading: str) -> list[str]:
    """To a heading of `studies/about.md`; none where that has no such heading."""
    return [f"[{text}](README.md#{heading.lower()})"] if f"## {heading}\n" in _about() else []


def write_results(studies: Sequence[Known]) -> None:
    """Renews the table of all published figures in docs/results.md.

    Raises:
        UserError: the file is missing, or has lost the marks between which the table stands.
    """
    if not paths.RESULTS_PAGE.is_file():
        page = paths.RESULTS_PAGE
        raise UserError(f"{page}, where published figures stand, is missing; bring it back with: git checkout {page}")
    text = paths.RESULTS_PAGE.read_text(encoding="utf-8")
    before, begin, rest = text.partition(MARKS[0])
    _, end, after = rest.partition(MARKS[1])
    if not (begin and end):
        raise UserError(f"{paths.RESULTS_PAGE} lacks the lines {MARKS[0]} and {MARKS[1]}; put them where it goes")
    with fresh_file(paths.RESULTS_PAGE) as aside:
        aside.write_text(f"{before}{begin}\n{published_table(studies)}\n{end}{after}", encoding="utf-8")


def published_table(studies: Sequence[Known]) -> str:
    """Every published figure beside ours, in the order of the sources.

    What has been run with a study's own settings is not told again with fewer epochs: that stands on the study's page.
    """
    lines = [
        "| source | study | published figure | of | published | ours | seeds | difference |",
        "|---|---|---|---|---:|---:|---:|---:|",
    ]
    marks: dict[str, str] = {}  # of images that are not the data set's own
    entries = []
    for known in studies:
        figures = [figure for figure in known.study.published if not figure.repeated]
        entries += [(figure, known.name, known.study, known.groups) for figure in figures]
    for figure, name, study, groups in sorted(entries, key=lambda entry: (entry[0].source, entry[1])):
        found = {extra: beside for extra, group in groups.items() if (beside := _beside(figure, group, study))}
        cells = [_our_cells(figure, study, extra, found[extra], marks) for extra in _nearest(found)]
        nothing = "–" if groups and not belongs_to_conditions(figure, study) else NOT_RUN
        ours_, seeds, differences = map("<br>".join, zip(*cells, strict=True)) if cells else (nothing, "", "")
        lines.append(_row([figure.source, _page_of(name, "studies/"), _told(figure), _measured(figure),
                           _given(figure), ours_, seeds, differences]))  # fmt: skip
    return "\n".join([*lines, *(f"\n{mark} images of {name}" for name, mark in marks.items())])


def _our_cells(figure: Published, study: Study, extra: str, found: Sequence[tuple[Finding, Spread]],
               marks: dict[str, str]) -> tuple[str, str, str]:  # fmt: skip
    """What stands beside a published figure: our figure, how many of the study's trainings it is of, the difference.

    To take one of several would be a choice; the study's page has the figure beside each of them.

    Args:
        figure: the published one.
        study: that has it.
        extra: what the command line added.
        found: ours, each with its figure.
        marks: of images, by their names; those that are new are added.
    """
    if len(found) > 1:
        return f"{len(found)} on the study's page", "", "–"
    ((finding, spread),) = found
    images = [marks.setdefault(name, _FOOTNOTES[len(marks) % len(_FOOTNOTES)]) for name in own_images([finding])]
    declared = len(study.seeds) * int(str(study.base.get("train.seeds", 1)))
    seeds = f"{finding.seeds}" if finding.seeds == declared else f"{finding.seeds} of {declared}"
    told = [" ".join([_ours(figure, spread), *images]), *other_values(study, extra, [finding])]
    return ", ".join(told), seeds, _difference(figure, spread)


def _nearest(extras: Iterable[str]) -> list[str]:
    """Those of the command line's additions to a study that do not add to another one of them."""
    added = {extra: set(split_overrides(extra)) for extra in extras}
    return [extra for extra, parts in added.items() if not any(other < parts for other in added.values())]


def _beside(figure: Published, group: Sequence[Finding], study: Study) -> list[tuple[Finding, Spread]]:
    """Ours of the same conditions, where they have the same measure."""
    found = [(finding, ours(figure, finding)) for finding in of_published(figure, study, group)]
    return [(finding, spread) for finding, spread in found if spread]


def _no_picture(study: Study) -> str:
    measures = " or ".join(MEASURES[measure] for measure in study.plot.y)
    lacking = "learning curves" if study.plot.kind == "curves" else f"an accuracy on {measures}"
    return f"No picture: none of these runs has {lacking}."


def _published_only(published: Sequence[Published]) -> list[str]:
    if not published:
        return []
    lines = ["| published figure | of | value |", "|---|---|---:|"]
    lines += [f"| {figure.source}: {_told(figure)} | {_measured(figure)} | {_given(figure)} |" for figure in published]
    return ["\n".join(lines)]


def _table(study: Study, group: Sequence[Finding]) -> str:
    measures: list[Measure] = ["train", "validation", "test"]
    beside = _shown(study, group)
    if any(figure.split == "last_validation" for figure in beside):
        measures.insert(2, "last_validation")
    axes = list(study.grid)
    network = ["network"] if study.ensemble or has_several_networks(group) else []
    header = [*(_literal(axis.rpartition(".")[2]) for axis in axes), *network, "seeds", "parameters", "best epoch",
              *(MEASURES[measure] for measure in measures)]  # fmt: skip
    if beside:
        header += ["published", "difference"]
    left = len(axes) + len(network)
    lines = [_row(header), _row(["---"] * left + ["---:"] * (len(header) - left))]
    best = max((spread.middle for finding in group if (spread := finding.accuracy("validation"))), default=0.0)
    for finding in group:
        spreads = {measure: finding.accuracy(measure) for measure in measures}
        valid = spreads["validation"]
        bold = valid is not None and valid.middle == best
        cells = [*map(_literal, finding.condition.values()), *([finding.network] if network else [])]
        cells += [str(finding.seeds), f"{finding.parameters:,}", _best_epoch(finding)]
        cells += [_percent(spreads[measure], bold and measure == "validation") for measure in measures]
        if beside:
            own = [figure for figure in beside if of_published(figure, study, [finding])]
            cells.append("<br>".join(f"{_given(figure)} {_measured(figure)}" for figure in own))
            cells.append("<br>".join(_difference(figure, ours(figure, finding)) for figure in own))
        lines.append(_row(cells))
    return "\n".join(lines)


def _shown(study: Study, group: Sequence[Finding]) -> list[Published]:
    """The published figures that a table has beside ours."""
    return [figure for figure in study.published if of_published(figure, study, group)]


def _notes(name: str, study: Study, extra: str, group: Sequence[Finding]) -> str:
    notes = ["Accuracies in percent, with the weights of the best epoch on validation; in bold the best of validation."]
    judged = _how_judged(name, study, extra, group)
    shares = dict.fromkeys(_share(finding, params) for finding, params in judged)
    notes.append(f"*train*: {' or '.join(shares)}, judged as those of validation are.")
    level = " or ".join(f"{100 * level:g}" for level in sorted({params.confidence for _, params in judged}))
    if study.plot.kind == "curves":
        notes.append("The picture's curves of train are means over each epoch's batches, while the weights change.")
    if any(finding.seeds > 1 for finding in group):
        notes.append("Of several seeds the median, and the quartiles in brackets.")
        if any(len(finding.rows) > 1 and int(row["seeds"] or 1) > 1 for finding in group for row in finding.rows):
            notes.append("Of several runs with several seeds each they are those of the runs' medians.")
        for measure in ("validation", "test"):
            widths = [(float(row[f"{measure}_high"]) - float(row[f"{measure}_low"])) / 2 for finding in group
                      for row in finding.rows if row[f"{measure}_low"]]  # fmt: skip
            if widths:
                notes.append(f"A single accuracy on {measure} is good to {_plus_minus(widths)} points ({level} %).")
    if any(int(row["seeds"] or 1) > 1 for finding in group for row in finding.rows):
        notes.append("The best epoch is that of the first seed.")
    if any(finding.seeds == 1 for finding in group):
        notes.append(f"Of one seed the accuracy, and its {level} % interval in brackets.")
    for images in own_images(group):
        if f"images of {images}*" in _about():
            notes += _link(f"What the images of {images} are", "Images")
    beside = _shown(study, group)
    told = [figure for figure in study.published if figure.note and (not figure.when or figure in beside)]
    notes += [f"{figure.source}, {_told(figure)}" for figure in told]
    return "  \n".join(notes)


def _how_judged(name: str, study: Study, extra: str, group: Sequence[Finding]) -> list[tuple[Finding, EvaluateParams]]:
    """Each condition with the parameters that it was judged by."""
    runs = plan_runs(name, study, read_overrides(split_overrides(extra)), study.seeds[:1])
    return [(finding, run.params.evaluate) for finding in group for run in runs if run.condition == finding.condition]


def _share(finding: Finding, params: EvaluateParams) -> str:
    """Of train, what was judged: of fewer images than the parameter asks for there are no more."""
    images = params.train_images
    if images and all(is_of_as_many(row, images, params.confidence) for row in finding.rows):
        return f"{images:,} of the training images"
    return "all training images"


def _plus_minus(widths: Sequence[float]) -> str:
    """The least and the greatest half-width, in points."""
    least, most = f"{100 * min(widths):.1f}", f"{100 * max(widths):.1f}"
    return f"±{most}" if least == most else f"±{least} to ±{most}"


def _command(name: str, study: Study, rows: Sequence[Row], groups: Mapping[str, Sequence[Finding]]) -> str:
    found = [finding for group in groups.values() for finding in group]
    commands = [_how_to_run(name, study, extra, group) for extra, group in groups.items()]
    run_by = " and ".join(commands) or f"`thumbnet study {name}`"
    seeds = f"seed{'s' if len(study.seeds) > 1 else ''} {', '.join(map(str, study.seeds))}"
    told = [f"{run_by}, declared in [`studies/{name}.yaml`](../../{quote(f'studies/{name}.yaml')}) with {seeds}."]
    seconds = sum(float(row["seconds"]) for row in rows if row["seconds"])
    if rows:
        timed = all(row["seconds"] for row in rows if row["member"] != ENSEMBLE)
        table = rows_path(name)
        told.append(f"Every run is a row of [`{table}`](../../{quote(str(table))}): its experiment in DVC, its "
                    "time where the machine did nothing else, and the code that made it.")  # fmt: skip
        if seconds:
            told.append(f"{'Together they' if timed else 'Those whose time is known'} took {duration(seconds)}.")
        planned = {run.place for run in plan_runs(name, study)}
        done, any_how = places(as_declared(groups)) & planned, places(found) & planned
        if planned - done:
            others = f", and {len(any_how - done)} with other settings" if any_how - done else ""
            has = "has" if len(done) == 1 else "have"
            told.append(f"Of {len(planned)} runs that it declares {len(done)} {has} been run so far{others}.")
    shown = sum(len(finding.rows) for finding in found)
    if shown < len(rows):
        told.append(f"{len(rows) - shown} rows there are of settings that the study no longer has.")
    return " ".join(told)


def _how_to_run(name: str, study: Study, extra: str, group: Sequence[Finding]) -> str:
    """The command that makes these rows, in Markdown's code."""
    seeds = sorted({int(row[SEED]) for finding in group for row in finding.rows})
    parts = ["thumbnet study", name, *(f"--seed {seed}" for seed in seeds if seeds != sorted(study.seeds))]
    parts += [f"-S {shlex.quote(part)}" for part in split_overrides(extra)]
    parts += [f"-S dataset.path=…/{images}" for images in own_images(group)]
    return f"`{' '.join(parts)}`"


def _percent(spread: Spread | None, bold: bool = False) -> str:
    if spread is None:
        return "–"
    middle = f"{100 * spread.middle:.2f}"
    interval = f" ({100 * spread.low:.2f}–{100 * spread.high:.2f})" if spread.low < spread.high else ""
    return (f"**{middle}**" if bold else middle) + interval


def _best_epoch(finding: Finding) -> str:
    best, epochs = finding.middle("best_epoch"), finding.middle("epochs")
    return f"{best:g} of {epochs:g}" if best and epochs else "–"


def _given(figure: Published) -> str:
    return f"{figure.value:.10g}"


def _told(figure: Published) -> str:
    return _line(f"{figure.what}; {figure.note}" if figure.note else figure.what)


def _measured(figure: Published) -> str:
    return MEASURES[figure.split] if figure.measure == "accuracy" else f"loss, {MEASURES[figure.split]}"


def _ours(figure: Published, spread: Spread) -> str:
    digits = 2 if figure.measure == "accuracy" else 4
    told = f"{spread.middle:.{digits}f}"
    if spread.low < spread.high:
        told += f" ({spread.low:.{digits}f}–{spread.high:.{digits}f})"
    return told


def _difference(figure: Published, spread: Spread | None) -> str:
    if spread is None:
        return "–"
    return f"{spread.middle - figure.value:+.{2 if figure.measure == 'accuracy' else 4}f}"


def _literal(name: str) -> str:
    """A name as Markdown shows it, in which some signs have a meaning."""
    return re.sub(r"([\\`*<>\[\]|&])", r"\\\1", name)


def _page_of(name: str, folder: str = "") -> str:
    """A link to the page of a study, whose name may have blanks and brackets."""
    return f"[{_literal(name)}]({folder}{quote(name)}.md)"


def _row(cells: Iterable[str]) -> str:
    """Of a table. A bar in a cell, such as in a condition's name, would end it."""
    escaped = (re.sub(r"(?<!\\)\|", r"\|", cell) for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _write(path: Path, parts: Sequence[str]) -> None:
    with fresh_file(path) as aside:
        aside.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
