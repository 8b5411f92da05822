"""The cache is exact: which stages a change runs again, and which it cannot, by DVC's own account.

A change of a parameter or of a file runs the stages that read it (`dvc status`); what follows are the stages that read
what those write, if it differs. `check` runs after every change; what it writes is always the same.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import networkx  # type: ignore[import-untyped]
import pytest
import yaml
from dvc.repo import Repo  # type: ignore[import-untyped]

if TYPE_CHECKING:  # pytest puts no folder of tests on the path of modules
    from tests.pipeline.conftest import Checkout

#: The report shows all parameters, and of `models` what the networks came to: it is told of apart, in `with_report`,
#: and so is `log`, which follows it.
ALL = {"download", "split", "preview", "normalise", "train@bn", "train@ln", "evaluate@bn", "evaluate@ln", "gallery@bn",
       "gallery@ln", "explain@bn", "explain@ln", "shared", "ensemble", "curves", "summary"}  # fmt: skip
DATA = {"download", "split", "preview", "normalise"}
TRAIN, EVALUATE, GALLERY, EXPLAIN = (
    {f"{stage}@bn", f"{stage}@ln"} for stage in ("train", "evaluate", "gallery", "explain")
)
TOGETHER = {"shared", "ensemble", "curves", "summary", "log"}
OF_LN = {"train@ln", "evaluate@ln", "gallery@ln", "explain@ln"}

PARAMETERS: list[tuple[str, Any, set[str], set[str]]] = [
    # parameter, another value, the stages that read it, those that cannot run again
    ("seed", 2, {"split", "preview"} | TRAIN, {"download"}),
    ("dataset.name", "mnist", {"download", "split"}, set()),
    ("dataset.path", "stages", {"download"}, set()),
    ("dataset.image_size", 16, {"download"}, set()),
    ("split.kind", "test_halves", {"split"}, {"download"}),
    ("split.validation", 200, {"split"}, {"download"}),
    ("corruption.label_noise", 0.2, {"split"}, {"download"}),
    ("corruption.pixel_noise", 0.1, {"split"}, {"download"}),
    ("normalisation.kind", "unit", {"normalise"}, {"download", "split", "preview"}),
    ("members", ["ln", "bn"], TOGETHER, ALL - TOGETHER),
    ("members", ["bn"], TOGETHER, ALL - TOGETHER - OF_LN),
    ("members", ["bn", "ln", "unused"], {"train@unused", "evaluate@unused", "gallery@unused", "explain@unused"}
     | TOGETHER, ALL - TOGETHER),
    ("models.bn.layers", "F", {"train@bn"}, DATA | OF_LN),
    ("models.bn.norm", "group", {"train@bn"}, DATA | OF_LN),
    ("models.unused.layers", "F L4", set(), ALL),
    ("train.epochs", 3, TRAIN, DATA),
    ("train.batch_size", 16, TRAIN, DATA),
    ("train.device", "auto", TRAIN | EVALUATE, DATA),
    ("train.precision", "auto", TRAIN, DATA),
    ("train.threads", 2, TRAIN | EVALUATE, DATA),
    ("train.ema", 0, TRAIN, DATA),
    ("train.keep", "validation_loss", TRAIN | {"curves"}, DATA),
    ("optimizer.name", "adam", TRAIN, DATA),
    ("train.seeds", 2, TRAIN, DATA),
    ("train.compile", True, TRAIN, DATA),
    ("train.deterministic", False, TRAIN | EVALUATE, DATA),
    ("optimizer.lr", 0.01, TRAIN, DATA),
    ("optimizer.weight_decay", 0, TRAIN, DATA),
    ("optimizer.momentum", 0.5, TRAIN, DATA),
    ("optimizer.nesterov", False, TRAIN, DATA),
    ("schedule.name", "constant", TRAIN, DATA),
    ("schedule.warmup", 0.5, TRAIN, DATA),
    ("schedule.decay", 1, TRAIN, DATA),
    ("schedule.every", 2, TRAIN, DATA),
    ("schedule.factor", 0.5, TRAIN, DATA),
    ("regularisation.l2", 0.001, TRAIN, DATA),
    ("regularisation.label_smoothing", 0.1, TRAIN, DATA),
    ("regularisation.clip_norm", 1, TRAIN, DATA),
    ("early_stopping.monitor", "validation_loss", TRAIN, DATA),
    ("early_stopping.mode", "min", TRAIN, DATA),
    ("early_stopping.patience", 3, TRAIN, DATA),
    ("early_stopping.min_delta", 0.1, TRAIN, DATA),
    ("augment.flip", "alternating", TRAIN | {"preview"}, DATA - {"preview"}),
    ("augment.rotation", 15, TRAIN | {"preview"}, DATA - {"preview"}),
    ("augment.shift", 0.1, TRAIN | {"preview"}, DATA - {"preview"}),
    ("augment.crop", 0, TRAIN | {"preview"}, DATA - {"preview"}),
    ("augment.border", "reflect", TRAIN | {"preview"}, DATA - {"preview"}),
    ("augment.cutout", 4, TRAIN | {"preview"}, DATA - {"preview"}),
    ("augment.pixel_noise", 0.1, TRAIN | {"preview"}, DATA - {"preview"}),
    ("evaluate.splits", ["validation", "test"], EVALUATE, DATA | TRAIN | {"curves", "summary"}),
    ("evaluate.train_images", 100, EVALUATE, DATA | TRAIN | {"curves", "summary"}),
    ("evaluate.shift", 2, EVALUATE, DATA | TRAIN | {"curves", "summary"}),
    ("evaluate.border", "reflect", EVALUATE, DATA | TRAIN | {"curves", "summary"}),
    ("evaluate.flip", True, EVALUATE, DATA | TRAIN | {"curves", "summary"}),
    ("evaluate.confidence", 0.9, EVALUATE | {"ensemble"}, DATA | TRAIN | {"curves", "summary"}),
    ("ensemble.method", "greedy", {"ensemble"}, ALL - {"ensemble"}),
    ("ensemble.seeds", "all", {"ensemble"}, ALL - {"ensemble"}),
    ("gallery.validation", [2, 2], GALLERY, ALL - GALLERY),
    ("gallery.test", [2, 2], GALLERY, ALL - GALLERY),
    ("gallery.samples", [2, 2], GALLERY, ALL - GALLERY),
    ("gallery.extremes", [2, 2], GALLERY, ALL - GALLERY),
    ("gallery.shared", [2, 2], {"shared"}, ALL - {"shared"}),
    ("gallery.order", "loss", GALLERY | EXPLAIN | {"shared"}, ALL - GALLERY - EXPLAIN - {"shared"}),
    ("gallery.bars", [3], GALLERY, ALL - GALLERY),
    ("gallery.explain", [2, 1], EXPLAIN, ALL - EXPLAIN),
    ("report.title", "Digits", set(), ALL),
    ("report.images", 100, set(), ALL),
]  # fmt: skip

FILES: list[tuple[str, set[str], set[str]]] = [
    ("stages/train.py", TRAIN, DATA),
    ("src/thumbnet/nets/layers.py", TRAIN | EVALUATE | EXPLAIN, DATA),
    ("src/thumbnet/nets/notation.py", TRAIN | EVALUATE | EXPLAIN | {"summary"}, DATA),
    ("src/thumbnet/nets/gradcam.py", EXPLAIN, ALL - EXPLAIN),
    ("src/thumbnet/nets/summary.py", {"summary"}, ALL - {"summary"}),
    ("src/thumbnet/nets/accounting.py", {"summary"}, ALL - {"summary"}),
    ("src/thumbnet/figures/networks.py", {"summary"}, ALL - {"summary"}),
    ("src/thumbnet/training/augmentation.py", TRAIN | EVALUATE | {"preview"}, DATA - {"preview"}),
    ("src/thumbnet/data/split.py", {"split"}, {"download"}),
    ("src/thumbnet/data/corruption.py", {"split", "preview"}, {"download"}),
    ("src/thumbnet/judging/ensembling.py", {"ensemble"}, ALL - {"ensemble"}),
    ("src/thumbnet/judging/calibration.py", EVALUATE | {"ensemble"}, DATA | TRAIN | {"curves", "summary"}),
    ("src/thumbnet/figures/diversity.py", {"ensemble"}, ALL - {"ensemble"}),
    ("src/thumbnet/training/optimisation.py", TRAIN, DATA),
    ("src/thumbnet/figures/galleries.py", GALLERY | EXPLAIN | {"shared"}, ALL - GALLERY - EXPLAIN - {"shared"}),
    ("src/thumbnet/figures/bars.py", GALLERY, ALL - GALLERY),
    ("src/thumbnet/figures/shared.py", {"shared"}, ALL - {"shared"}),
    ("src/thumbnet/figures/explanations.py", EXPLAIN, ALL - EXPLAIN),
    ("src/thumbnet/figures/previews.py", {"preview"}, ALL - {"preview"}),
    ("src/thumbnet/figures/curves.py", {"curves"}, ALL - {"curves"}),
    ("src/thumbnet/figures/confusion.py", EVALUATE | {"ensemble"}, DATA | TRAIN | {"curves", "summary"}),
    ("src/thumbnet/tracking/runs.py", set(), ALL),
    ("src/thumbnet/params.py", set(), ALL),
    ("data/local/README.md", {"download"}, set()),
    ("README.md", set(), ALL),
    ("metrics/studies/norms.csv", set(), ALL),
    ("metrics/benchmark.json", set(), ALL),
    ("src/thumbnet/report/page.py", set(), ALL),
    ("src/thumbnet/report/templates/report.css", set(), ALL),
    ("stages/log.py", {"log"}, ALL | {"report"}),
]
#: Those of them that the report is made with.
OF_REPORT = {
    "src/thumbnet/data/corruption.py",
    "src/thumbnet/figures/curves.py",
    "src/thumbnet/report/page.py",
    "src/thumbnet/report/templates/report.css",
}


pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:_NoneStep.value will soon raise:DeprecationWarning"),  # within DVC
]


@pytest.fixture(scope="module")
def probe(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the finished checkout, for changes that are undone again."""
    root = tmp_path_factory.mktemp("reruns") / "checkout"
    shutil.copytree(finished.root, root, symlinks=True)
    return root


@pytest.fixture
def root(probe: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The copy, as the current folder."""
    monkeypatch.chdir(probe)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(probe / ".dvc/tmp/site"))
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    return probe


def reruns(root: Path) -> tuple[set[str], set[str]]:
    """The stages that would run, and those that neither run nor follow from one that does."""
    with Repo(str(root)) as repo, repo.lock:
        graph = repo.index.graph  # an edge leads from a stage to one whose outputs it reads
        first = {stage for stage in graph if stage.addressing != "check" and stage.status()}
        following = {later for stage in first for later in networkx.ancestors(graph, stage)}
        never = {stage.addressing for stage in set(graph) - first - following}
    return {stage.addressing for stage in first}, never - {"check"}


def with_report(first: set[str], never: set[str], reads: bool) -> tuple[set[str], set[str]]:
    """The same with the report among the stages, which reads all that they write, and `log` after it.

    Args:
        first: the other stages that would run.
        never: those that cannot.
        reads: whether the report reads what was changed itself.
    """
    return (first | {"report"} if reads else first), (never if first or reads else never | {"report", "log"})


def test_nothing_runs_where_nothing_changed(root: Path) -> None:
    assert reruns(root) == with_report(set(), ALL, reads=False)


@pytest.mark.parametrize(("key", "value", "first", "never"), PARAMETERS, ids=[key for key, *_ in PARAMETERS])
def test_a_parameter_runs_the_stages_that_read_it(
    key: str, value: Any, first: set[str], never: set[str], root: Path
) -> None:
    path = root / "params.yaml"
    before = path.read_text()
    params = yaml.safe_load(before)
    *sections, name = key.split(".")
    section = params
    for part in sections:
        section = section[part]
    assert section[name] != value
    section[name] = value
    path.write_text(yaml.safe_dump(params, sort_keys=False))
    try:
        assert reruns(root) == with_report(first, never, reads=sections[:1] != ["models"])
    finally:
        path.write_text(before)


def test_the_table_holds_every_parameter(root: Path) -> None:
    """A new parameter is in the table, or this fails; of `models`, which the user fills, one entry stands for all."""

    def keys(values: dict[str, Any], prefix: str = "") -> set[str]:
        return {
            key
            for name, value in values.items()
            for key in (keys(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}"})
        }

    params = yaml.safe_load((root / "params.yaml").read_text())
    params["models"] = {"bn": params["models"]["bn"]}
    assert {key for key, *_ in PARAMETERS if not key.startswith("models.unused")} == keys(params)


@pytest.mark.parametrize(("name", "first", "never"), FILES, ids=[name for name, *_ in FILES])
def test_a_file_runs_the_stages_whose_results_come_from_it(
    name: str, first: set[str], never: set[str], root: Path
) -> None:
    path = root / name
    before = path.read_bytes() if path.exists() else None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((before or b"") + b"\n# Changed.\n")
    try:
        assert reruns(root) == with_report(first, never, reads=name in OF_REPORT)
    finally:
        path.write_bytes(before) if before is not None else path.unlink()
