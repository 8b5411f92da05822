"""What a run of the pipeline came to, on one screen: a row per network, the ensemble, and where to look next."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from thumbnet import paths
from thumbnet.errors import UserError
from thumbnet.params import Params

_SWEEPS_NEED_GIT = "need git:  git init && git add -A && git commit -m start && make repro"


def print_results(params: Params, console: Console | None = None) -> None:
    """Prints accuracies with their intervals, the ensemble's gain, and the next commands.

    Args:
        params: the members to show.
        console: where to; default: the screen.

    Raises:
        UserError: the pipeline has not run to its end for these members on this data set.
    """
    console = console or Console(highlight=False)
    ensemble = _read(paths.ENSEMBLE_METRICS)
    if "confidence" not in ensemble:
        raise UserError(f"{paths.ENSEMBLE_METRICS} was written by an earlier version of thumbnet; run: dvc repro")
    _check_run("members are", ensemble["members"], params.members)
    _check_run("dataset.name is", [ensemble["data"]], [params.dataset.name])
    table = Table(box=SIMPLE_HEAD, padding=0)
    for column in ("network", "parameters", "best epoch", "validation, %", "test, %"):
        table.add_column(column, justify="left" if column == "network" else "right")
    seeds = False
    for member in params.members:
        train, judged = _read(paths.TRAIN_METRICS / f"{member}.json"), _read(paths.EVALUATE_METRICS / f"{member}.json")
        epochs = f"{train['best_epoch']} of {train['epochs']}"
        table.add_row(
            member, f"{train['parameters']:,}", epochs, _accuracy(judged["validation"]), _accuracy(judged["test"])
        )
        if "seeds" in judged["test"]:
            count = judged["test"]["seeds"]["count"]
            table.add_row(f"  {count} seeds*", "", "", _quartiles(judged["validation"]), _quartiles(judged["test"]))
            seeds = True
    several = ensemble["networks"] > 1
    if several:
        table.add_section()
        table.add_row(paths.ENSEMBLE, "", "", _accuracy(ensemble["validation"]), _accuracy(ensemble["test"]))
    console.print(f"Accuracy on {ensemble['data']}, with {100 * ensemble['confidence']:g} % intervals")
    console.print(table)
    if seeds:
        console.print("* the median of all seeds, and the quartiles around it; the row above is of the first seed\n",
                      soft_wrap=True)  # fmt: skip
    if several:
        gain, p = ensemble["gain_test_points"], ensemble["mcnemar_p"]
        console.print(f"The ensemble against {ensemble['best_network']}, the best network on validation: {gain:+.2f} "
                      f"points on test (McNemar's p = {p:.2g}).\n", soft_wrap=True)  # fmt: skip
    for what, where in _next_steps():
        console.print(f"{what:<10}{where}", soft_wrap=True)


def _check_run(subject: str, ran: Sequence[str], now: Sequence[str]) -> None:
    if ran != now:
        raise UserError(
            f"{paths.ENSEMBLE_METRICS} is of {', '.join(ran)}, and {subject} now {', '.join(now)}; run: dvc repro"
        )


def _next_steps() -> list[tuple[str, str]]:
    steps = [
        ("report", f"thumbnet show       ({paths.REPORT}: everything on one page)"),
        ("runs", "make mlflow       (mlflow ui --backend-store-uri sqlite:///mlflow.db)"),
        ("shell", ". .venv/bin/activate       before commands of dvc and mlflow"),
        ("plots", "dvc plots show    metrics: dvc metrics show    pipeline: dvc dag --md"),
    ]
    if _has_git(Path.cwd()):
        return [*steps, ("sweeps", "dvc exp run -S optimizer.lr=0.03")]
    return [*steps, ("sweeps", _SWEEPS_NEED_GIT)]


def _has_git(folder: Path) -> bool:
    """Whether DVC works with git here; `tools/match_git.sh` keeps this switch."""
    local = folder / ".dvc" / "config.local"
    return not (local.exists() and "no_scm = true" in local.read_text(encoding="utf-8"))


def _accuracy(judged: dict[str, Any]) -> str:
    accuracy, low, high = (100 * judged[key] for key in ("accuracy", "low", "high"))
    return f"{accuracy:.2f} ({low:.2f}–{high:.2f})"


def _quartiles(judged: dict[str, Any]) -> str:
    low, middle, high = (100 * judged["seeds"]["accuracy"][key] for key in ("p25", "median", "p75"))
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing; make it with: dvc repro") from None
    return content
