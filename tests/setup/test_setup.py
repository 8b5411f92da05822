"""The set-up itself: what is pinned, what is called, what stays quiet, and DVC with and without git."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from configparser import ConfigParser
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK_LINES = [
    line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.lstrip().startswith("#")
]
PINS = [Requirement(line) for line in LOCK_LINES]
ARM = {"platform_machine": "aarch64", "sys_platform": "linux", "platform_system": "Linux"}


def wanted_requirements() -> list[Requirement]:
    """What pyproject.toml asks for, the test extra included."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [Requirement(text) for text in project["dependencies"] + project["optional-dependencies"]["test"]]


def pins_of(name: str) -> list[Requirement]:
    return [pin for pin in PINS if canonicalize_name(pin.name) == canonicalize_name(name)]


def version_of(pin: Requirement) -> str:
    return next(iter(pin.specifier)).version


def test_lock_pins_every_package_to_one_version() -> None:
    assert len(PINS) > 100
    for pin in PINS:
        assert [specifier.operator for specifier in pin.specifier] == ["=="], str(pin)
        assert pin.url is None, str(pin)


def test_lock_names_no_index_and_no_machine() -> None:
    text = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"https?://|file:|--(extra-)?index|--find-links|/home/|/tmp/", text)


@pytest.mark.parametrize("wanted", wanted_requirements(), ids=lambda wanted: wanted.name)
def test_lock_satisfies_pyproject(wanted: Requirement) -> None:
    pins = pins_of(wanted.name)
    assert pins, f"{wanted.name} is not in requirements.lock; run: make lock"
    for pin in pins:
        assert wanted.specifier.contains(version_of(pin)), f"{pin} against {wanted}; run: make lock"


def test_lock_serves_arm_as_it_serves_x86() -> None:
    """Each package that Linux on x86-64 gets, 64-bit Arm gets too, in the same version."""
    x86 = ARM | {"platform_machine": "x86_64"}
    for pin in PINS:
        if pin.marker:
            assert pin.marker.evaluate(dict(x86)) == pin.marker.evaluate(dict(ARM)), str(pin)


def test_this_environment_is_the_locked_one() -> None:
    installed = {canonicalize_name(found.metadata["Name"]): found.version for found in metadata.distributions()}
    locked = [pin for pin in PINS if pin.marker is None or pin.marker.evaluate()]
    other = {pin.name: installed.get(canonicalize_name(pin.name)) for pin in locked
             if installed.get(canonicalize_name(pin.name)) != version_of(pin)}  # fmt: skip
    assert not other, "not as in requirements.lock; to mend: rm -r .venv, then make test"


def test_ci_calls_what_a_developer_calls() -> None:
    script = ROOT / ".ci/run"
    assert os.access(script, os.X_OK)
    assert script.read_text().splitlines()[-1] == "exec make test"
    workflow = (ROOT / ".github/workflows/ci.yml").read_text()
    assert "target: [test, repro]" in workflow
    assert "run: make ${{ matrix.target }}" in workflow


def test_dvc_sends_no_reports() -> None:
    config = ConfigParser()
    config.read(ROOT / ".dvc/config")
    assert config["core"]["analytics"] == "false"
    assert config["core"]["check_update"] == "false"


@pytest.mark.slow
def test_mlflow_sends_no_reports() -> None:
    """Any Python of .venv starts with the switch, without the project's own code having run."""
    told = ("CI", "GITHUB_ACTIONS", "PYTEST_CURRENT_TEST", "DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY")
    environment = {key: value for key, value in os.environ.items() if key not in told}
    question = "from mlflow.telemetry.utils import is_telemetry_disabled as off; print(off())"
    answer = subprocess.run(
        [sys.executable, "-c", question], env=environment, capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == "True"


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """A copy of the project as an archive holds it, as far as DVC's switch is concerned."""
    project = tmp_path / "outer" / "thumbnet"
    shutil.copytree(ROOT / "tools", project / "tools")
    (project / ".dvc").mkdir()
    shutil.copy(ROOT / ".dvc/config", project / ".dvc")
    (project / "dvc.yaml").write_text("stages: {}\n")
    return project


def match_git(project: Path) -> str:
    """Runs the script and returns `.dvc/config.local` as it then is."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    subprocess.run([project / "tools/match_git.sh"], env=os.environ | {"PATH": path}, check=True)
    local = project / ".dvc/config.local"
    return local.read_text() if local.exists() else ""


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def test_dvc_works_without_git_and_with_git_again(unpacked: Path) -> None:
    local = unpacked / ".dvc/config.local"
    local.write_text("[cache]\n    type = copy\n")
    assert "no_scm = true" in match_git(unpacked)

    git(unpacked, "init")
    git(unpacked, "add", "dvc.yaml")
    mended = match_git(unpacked)
    assert "no_scm" not in mended
    assert "type = copy" in mended, "the user's own settings stay"


def test_archive_within_another_repository_is_not_taken_for_part_of_it(unpacked: Path) -> None:
    git(unpacked.parent, "init")
    assert "no_scm = true" in match_git(unpacked)


def test_git_checkout_is_left_alone(unpacked: Path) -> None:
    git(unpacked, "init")
    git(unpacked, "add", "dvc.yaml")
    assert match_git(unpacked) == ""


def test_environment_of_the_benchmark_is_made_anew_when_that_below_it_changes(tmp_path: Path) -> None:
    """What lay below it, such as a package of the tests' alone, may be gone."""
    for name in ("tools/make_bench_venv.sh", "requirements.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks/requirements.txt").write_text("# none\n")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / ".venv"], check=True)
    (packages,) = (tmp_path / ".venv/lib").glob("python*/site-packages")
    (packages / "pip").symlink_to(Path(sysconfig.get_path("purelib")) / "pip")

    made = []
    for extra in ("test", "test", "run"):
        (tmp_path / ".venv/installed").write_text(f"1-2 {extra}\n")
        run = [tmp_path / "tools/make_bench_venv.sh"]
        made.append(subprocess.run(run, check=True, capture_output=True, text=True).stdout.startswith("Making"))
    assert made == [True, False, True]
