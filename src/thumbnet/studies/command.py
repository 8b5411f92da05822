"""The command `thumbnet study`: the plan, the runs, and the pages."""

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import typer
from filelock import FileLock, Timeout

from thumbnet import paths
from thumbnet.errors import UserError
from thumbnet.studies.estimating import RESTORED, duration, estimate
from thumbnet.studies.experiments import (
    LOGS,
    Experiment,
    Outcome,
    Runner,
    code_version,
    commits_of_checkout,
    find_experiments,
)
from thumbnet.studies.findings import as_declared, findings, own_images, places
from thumbnet.studies.pages import known_studies, write_index, write_page, write_results
from thumbnet.studies.planning import Run, plan_runs, present_values, select_runs, unsaid_values
from thumbnet.studies.rows import Row, curves_path, is_result_of, read_rows, rows_of, rows_path, write_rows
from thumbnet.studies.study import Overrides, Study, label, load_study, study_names

#: Runs of the plan that are listed by name before the study starts; --dry-run lists all.
_LISTED = 10


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for.

    Attributes:
        extra: overrides beyond the study's file.
        seeds: in place of the study's; empty for its own.
        only: conditions to run, `AXIS=VALUE` each; empty for all.
        jobs: runs at a time.
        renew: whether what other code has made is made again.
        dry: whether only the plan is shown.
    """

    extra: Overrides
    seeds: list[int]
    only: list[str]
    jobs: int
    renew: bool
    dry: bool


@dataclass
class Plan:
    """What there is to do of a study.

    Attributes:
        to_run: no result of these is known.
        to_collect: these have run, and only their rows are missing.
        seconds: that each of `to_run` will take, as far as one can tell.
        restored: names of those of `to_run` that another study has had, so that DVC's cache may have them.
    """

    to_run: list[Run]
    to_collect: list[tuple[Run, Experiment]]
    seconds: dict[str, float]
    restored: set[str]


class Ledger:
    """The rows of a study, on disk after every run."""

    def __init__(self, name: str, study: Study) -> None:
        self._name, self._study = name, study
        self._labels = {axis: [label(value) for value in values] for axis, values in study.grid.items()}
        self.rows = read_rows(rows_path(name))
        self._curves = read_rows(curves_path(name))

    def add(self, run: Run, experiment: Experiment, seconds: float) -> list[Row]:
        """Writes what came of a run in place of what was known of it."""
        rows, curves = rows_of(run, experiment, seconds)
        self.rows = [*(row for row in self.rows if row["key"] != run.key), *rows]
        if self._study.plot.kind == "curves":
            self._curves = [*(row for row in self._curves if row["key"] != run.key), *curves]
        self._write()
        return rows

    def lacks(self, checkout: Path) -> tuple[list[Row], list[Row]]:
        """The rows, and of curves, that another checkout's tables have of runs that are not in this one's.

        Raises:
            UserError: a table there is none of this study's.
        """
        known = {row["key"] for row in self.rows}
        rows, curves = (
            [row for row in read_rows(checkout / path(self._name)) if row["key"] not in known]
            for path in (rows_path, curves_path)
        )
        for axis in self._study.grid:
            if any(axis not in row for row in rows):
                raise UserError(f"{checkout / rows_path(self._name)} lacks the column {axis!r}: it is of another study")
        return rows, curves

    def take(self, rows: list[Row], curves: list[Row]) -> None:
        """Writes rows of another checkout to those of this one, without their times."""
        self.rows = [*self.rows, *(row | {"seconds": ""} for row in rows)]
        self._curves = [*self._curves, *curves]
        self._write()

    def _write(self) -> None:
        self.rows.sort(key=self._place)
        self._curves.sort(key=self._place)
        write_rows(self._name, list(self._study.grid), self.rows, self._curves)

    def _place(self, row: Row) -> tuple[str, list[int], int, str, int]:
        """In the order of the grid, whatever order the runs had."""
        condition = [known.index(row.get(axis, "")) if row.get(axis) in known else len(known)
                     for axis, known in self._labels.items()]  # fmt: skip
        return row.get("extra", ""), condition, int(row["seed"]), row["key"], int(row.get("epoch", 0))


def run_studies(names: Sequence[str], wishes: Wishes) -> bool:
    """Shows the plan of each study, runs what is missing, and renews its page.

    Mistakes in any of them are told before the first one runs.

    Returns:
        Whether all of their runs are done, or they were only to be shown.

    Raises:
        UserError: a study or an override cannot be used, or another process runs studies in this checkout.
        KeyboardInterrupt: the user has interrupted, or killed it; what was finished is kept.
    """
    studies = {name: load_study(name) for name in names}
    planned = {
        name: select_runs(
            plan_runs(name, studies[name], wishes.extra, wishes.seeds, with_images=True), studies[name], wishes.only
        )
        for name in studies
    }
    commits_of_checkout()
    for key, value in unsaid_values(present_values()).items():
        typer.echo(f"{key} of params.yaml is left out: a study that does not set it has {label(value)}")
    with contextlib.nullcontext() if wishes.dry else alone_in_checkout(), _kill_as_interrupt():
        return all([_run_study(name, studies[name], runs, wishes) for name, runs in planned.items()])


@contextlib.contextmanager
def alone_in_checkout() -> Iterator[None]:
    """Within it no other process runs studies in this checkout: each would write its own rows over the other's.

    Raises:
        UserError: another one does.
    """
    lock = LOGS / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=0):
            yield
    except Timeout:
        raise UserError(
            "another thumbnet study runs in this checkout; wait for it, or take a clone of your own"
        ) from None


@contextlib.contextmanager
def _kill_as_interrupt() -> Iterator[None]:
    """Within it `kill`, a shutdown and a terminal that is closed interrupt, as Ctrl-C does: DVC would run on alone.

    What the caller has had ignored, such as by `nohup`, stays ignored.
    """
    names = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    ours = [number for number in numbers if signal.getsignal(number) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _run_study(name: str, study: Study, runs: list[Run], wishes: Wishes) -> bool:
    """Shows the plan of one study, runs what is missing of `runs`, and renews its page; returns as `run_studies`."""
    ledger = Ledger(name, study)
    code = code_version()
    experiments = find_experiments()
    plan = _plan(name, runs, ledger.rows, experiments, code if wishes.renew else None)
    _show(name, study, runs, plan, ledger.rows, code, wishes)
    if wishes.dry:
        return True
    for run, experiment in plan.to_collect:
        ledger.add(run, experiment, 0.0)
    failed: list[tuple[Run, Outcome]] = []
    try:
        if plan.to_run:
            failed = _run_all(name, plan, ledger, wishes.jobs)
    finally:
        renewed = _renew_or_say_why_not(name)
    for run, outcome in failed:
        said = f"\n        all that it said: {outcome.log}" if outcome.log.is_file() else ""
        typer.echo(f"failed: {run.name}: {outcome.error}{said}", err=True)
    if renewed:
        typer.echo(f"{name}: {paths.STUDY_PAGES / name}.md, {rows_path(name)}")
    return renewed and not failed


def _renew_or_say_why_not(name: str) -> bool:
    """Renews pages after a study's runs, whose failures or interrupt must be told, whatever becomes of the pages."""
    try:
        renew_pages([name])
    except (UserError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        return False
    return True


def renew_pages(names: Sequence[str]) -> None:
    """Makes the pages of some studies anew from their tables, and what sums all of them up."""
    for name in names:
        write_page(name)
    studies = known_studies(_pass_over)
    write_index(studies)
    write_results(studies)


def _pass_over(name: str, error: UserError) -> None:
    typer.echo(f"warning: study {name} is passed over: {' '.join(str(error).split())}", err=True)


def take_runs(names: Sequence[str], checkout: Path) -> None:
    """Takes runs from the tables of another checkout, such as a clone that has had a share of them, and renews pages.

    Their times are left out: they are of another machine, or of one that did other things besides.

    Args:
        names: of studies.
        checkout: its root.

    Raises:
        UserError: it has no tables, or one of them cannot be used; or another process runs studies here.
    """
    if not (checkout / paths.STUDY_METRICS).is_dir():
        raise UserError(
            f"--take-from {checkout}: {checkout / paths.STUDY_METRICS} is missing; name the root of a checkout"
        )
    with alone_in_checkout():
        ledgers = {name: Ledger(name, load_study(name)) for name in names}
        found = {name: ledger.lacks(checkout) for name, ledger in ledgers.items()}
        found = {name: tables for name, tables in found.items() if tables[0]}
        for name, (rows, curves) in found.items():
            ledgers[name].take(rows, curves)
            typer.echo(f"{name}: runs taken in: {len({row['key'] for row in rows})}; {paths.STUDY_PAGES / name}.md")
        renew_pages(list(found))
    if not found:
        typer.echo(f"nothing to take: {checkout} has no runs that are missing here")


def list_studies(extra: Overrides) -> None:
    """Prints all studies: name, runs that are done of those that there are, title; of those with a mistake a warning.

    Args:
        extra: overrides beyond the studies' files.
    """
    for name in study_names():
        try:
            typer.echo(_line_of(name, extra))
        except UserError as error:
            _pass_over(name, error)


def _line_of(name: str, extra: Overrides) -> str:
    study = load_study(name)
    runs = plan_runs(name, study, extra)
    rows = read_rows(rows_path(name))
    keys = {row["key"] for row in rows}
    found = [] if extra else as_declared(findings(name, study, rows))
    done = places(found)
    count = sum(run.key in keys or run.place in done for run in runs)
    elsewhere = [finding for finding in found if own_images([finding])]
    told = f" ({len(places(elsewhere))} on images of {', '.join(own_images(elsewhere))})" if elsewhere else ""
    return f"{name:<20} {f'{count}/{len(runs)}':>8}  {study.title}{told}"


def _plan(name: str, runs: Sequence[Run], rows: Sequence[Row], experiments: dict[str, Experiment],
          code: str | None) -> Plan:  # fmt: skip
    """Parts the runs into those that are done, those to collect and those to run.

    Args:
        name: of the study.
        runs: all of them.
        rows: what is known.
        experiments: what DVC keeps.
        code: that results must be of; None for any.
    """
    done = {row["key"] for row in rows if code is None or row["code"] == code}
    elsewhere: set[str] = set()
    for other in study_names():
        with contextlib.suppress(UserError):  # told as the pages are made
            elsewhere |= {row["key"] for row in read_rows(rows_path(other)) if other != name}
    plan = Plan([], [], {}, set())
    for run in runs:
        if run.key in done:
            continue
        experiment = experiments.get(run.name)
        if experiment and is_result_of(experiment, run) and code in (None, experiment.code()):
            plan.to_collect.append((run, experiment))
            continue
        plan.to_run.append(run)
        if run.key in elsewhere:
            plan.restored.add(run.name)
        plan.seconds[run.name] = RESTORED if run.key in elsewhere else estimate(run, rows)
    return plan


def _show(name: str, study: Study, runs: Sequence[Run], plan: Plan, rows: Sequence[Row], code: str,
          wishes: Wishes) -> None:  # fmt: skip
    typer.echo(f"{name}: {study.title}")
    done = len(runs) - len(plan.to_run) - len(plan.to_collect)
    told = [f"{len(runs)} runs", f"{done} done", f"{len(plan.to_run)} to run"]
    if plan.to_collect:
        told.insert(2, f"{len(plan.to_collect)} finished and to be taken in")
    if plan.to_run:
        told.append(f"about {duration(sum(plan.seconds.values()) / wishes.jobs)}, {wishes.jobs} at a time")
    typer.echo("  " + ", ".join(told))
    keys = {run.key for run in runs}
    older = {row["key"] for row in rows if row["key"] in keys and row["code"] != code}
    if older and not wishes.renew:
        typer.echo(f"  {len(older)} of those done are of other code; --renew runs them again")
    listed = plan.to_run if wishes.dry else plan.to_run[:_LISTED]
    for run in listed:
        how = "in DVC's cache, from another study" if run.name in plan.restored else duration(plan.seconds[run.name])
        typer.echo(f"    {run.name}  {how}")
    if len(listed) < len(plan.to_run):
        typer.echo(f"    and {len(plan.to_run) - len(listed)} more (--dry-run shows all)")


def _run_all(name: str, plan: Plan, ledger: Ledger, jobs: int) -> list[tuple[Run, Outcome]]:
    """Runs what there is to run, and returns what failed."""
    threads = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else 0
    runner = Runner(name, present_values(), threads)
    failed: list[tuple[Run, Outcome]] = []
    finished, left = 0, sum(plan.seconds.values())
    pool = ThreadPoolExecutor(jobs)
    try:
        pending: dict[Future[Outcome], Run] = {pool.submit(runner.run, run): run for run in plan.to_run}
        while pending:
            ended, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in ended:
                run = pending.pop(future)
                try:
                    outcome = future.result()
                    seconds = outcome.seconds if outcome.whole else 0.0
                    rows = [] if outcome.error else ledger.add(run, find_experiments()[run.name], seconds)
                except (OSError, UserError) as error:  # of this run, and no reason to end others
                    outcome = Outcome(0.0, str(error), runner.log(run))
                finished += 1
                left -= plan.seconds[run.name]
                place = f"[{finished}/{len(plan.to_run)}] {run.name}"
                if not outcome.error:
                    rest = f"; about {duration(left / jobs)} left" if pending else ""
                    typer.echo(f"{place}: {_result(rows, outcome)}{rest}")
                else:
                    failed.append((run, outcome))
                    typer.echo(f"{place}: failed: {outcome.error}", err=True)
    except KeyboardInterrupt:
        typer.echo(f"\nStopping; {finished} of {len(plan.to_run)} runs are kept. To go on: the same command", err=True)
        runner.stop()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return failed


def _result(rows: Sequence[Row], outcome: Outcome) -> str:
    last = rows[-1]
    told = [f"{split} {100 * float(last[f'{split}_accuracy']):.2f} %" for split in ("validation", "test")]
    took = duration(outcome.seconds) + ("" if outcome.whole else " for what was left of it")
    return ", ".join([*told, took if outcome.seconds else "from DVC's cache"])
