"""The boundaries between modules: what each stage depends on, who may import what, and what is loaded when."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "src"
STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]

#: Results do not depend on these: they carry values, paths, messages and records to and fro. To mend one of them must
#: not train anything again, so that no stage has them among its dependencies, nor what they import.
CARRIERS = {
    "thumbnet.errors",
    "thumbnet.files",
    "thumbnet.interrupts",
    "thumbnet.params",
    "thumbnet.paths",
    "thumbnet.progress",
    "thumbnet.recording",
    "thumbnet.serving",
    "thumbnet.stage",
    *(
        f"thumbnet.tracking.{room}"
        for room in (
            "additions",
            "datasets",
            "entries",
            "fetching",
            "identity",
            "models",
            "moving",
            "origin",
            "registry",
            "runs",
            "store",
            "sweeps",
            "views",
        )
    ),
}
#: How the official bytes come does not matter either, as they are verified; what these import to verify them does.
FETCHING = {"thumbnet.data.debian", "thumbnet.data.fetch", "thumbnet.data.sources"}
#: What `check` finds out is what `params` says.
RESULTS = {"check": {"thumbnet.params"}}


def test_the_carriers_are_modules() -> None:
    assert {name for name in CARRIERS | FETCHING if find(name) is None} == set()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_modules_that_its_results_come_from(stage: str) -> None:
    carriers = CARRIERS - RESULTS.get(stage, set())
    script = ROOT / "stages" / f"{stage}.py"
    used = reached_from(script, carriers) - {find(name) for name in FETCHING}

    definition = STAGES[stage]
    assert definition["cmd"].split()[:2] == ["python", f"stages/{stage}.py"]
    assert f"stages/{stage}.py" in definition["deps"]
    declared = {dep: set(python_files(ROOT / dep)) for dep in definition["deps"] if dep.startswith("src/")}
    missing = used.difference(*declared.values())
    assert not missing, f"add to its deps in dvc.yaml: {', '.join(sorted(short(path) for path in missing))}"
    needless = [dep for dep, modules in declared.items() if not modules & used]
    assert not needless, f"take from its deps in dvc.yaml: {', '.join(needless)}"


@pytest.mark.parametrize("package", ["data", "judging", "figures"])
def test_data_judging_and_figures_do_without_torch(package: str) -> None:
    for path in python_files(SOURCES / "thumbnet" / package):
        assert not {"torch", "torchvision"} & top_level_imports(path), path


def test_only_tracking_and_serving_know_mlflow() -> None:
    knowing = {short(path) for path in python_files(SOURCES) if "mlflow" in top_level_imports(path)}
    rooms = {path for path in knowing if path.startswith("src/thumbnet/tracking/")}
    assert knowing - rooms == {"src/thumbnet/serving.py"}
    assert rooms


def test_every_room_of_tracking_is_a_carrier() -> None:
    """Stages import them by way of the package, whose `__init__.py` is not followed."""
    rooms = {f"thumbnet.tracking.{path.stem}" for path in python_files(SOURCES / "thumbnet/tracking")}
    assert rooms == {name for name in CARRIERS if name.startswith("thumbnet.tracking")}


def test_stages_and_the_library_know_nothing_of_dvc() -> None:
    """Every stage is a script like any other; DVC decides when it runs."""
    for path in [*python_files(SOURCES), *python_files(ROOT / "stages")]:
        assert "dvc" not in top_level_imports(path), path


@pytest.mark.parametrize(
    ("module", "light"),
    [
        ("thumbnet.params", {"torch", "mlflow", "numpy", "pandas", "sklearn", "matplotlib"}),
        ("thumbnet.cli", {"torch", "mlflow", "numpy", "pandas", "sklearn", "matplotlib"}),
        ("thumbnet.tracking", {"torch"}),
    ],
)
def test_what_is_heavy_is_loaded_where_it_is_needed(module: str, light: set[str]) -> None:
    """tests/pipeline/test_loading.py has the stages."""
    command = [sys.executable, "-c", f"import {module}, sys; print(*sys.modules)"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert light & set(told.stdout.split()) == set()


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def python_files(path: Path) -> list[Path]:
    """A file itself, or the modules in a folder; an `__init__.py` holds no code of its own, except the top one's."""
    return [path] if path.is_file() else [file for file in sorted(path.rglob("*.py")) if file.name != "__init__.py"]


def find(module: str) -> Path | None:
    """The file of a module of thumbnet; None for a package, or where the name is no module."""
    path = SOURCES.joinpath(*module.split(".")).with_suffix(".py")
    return path if path.exists() else None


def reached_from(script: Path, carriers: set[str]) -> set[Path]:
    """The modules that a script imports, and those that they import in turn; carriers are where the search ends."""
    reached: set[Path] = set()
    pending = [script]
    while pending:
        for module in imports(pending.pop()):
            path = find(module)
            if path and module not in carriers and path not in reached:
                reached.add(path)
                pending.append(path)
    return reached


def top_level_imports(path: Path) -> set[str]:
    return {module.partition(".")[0] for module in imports(path)}


@cache
def imports(path: Path) -> frozenset[str]:
    """All that a file imports, wherever in it: modules, and names from them, which could be modules too."""
    found = set()
    for node in without_type_checking(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute here"
            found |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def without_type_checking(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes but those below `if TYPE_CHECKING`, which never run."""
    yield tree
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for other in child.orelse:
                yield from without_type_checking(other)
        else:
            yield from without_type_checking(child)
