"""The way through apt, with the real tools and an apt repository in a folder: no network, no root."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from thumbnet.data import debian
from thumbnet.data.catalogue import DebianPackage
from thumbnet.data.debian import package_folder
from thumbnet.data.fetch import FetchError

PACKAGE = DebianPackage("dataset-tiny", "/usr/share/datasets/tiny")

pytestmark = pytest.mark.skipif(
    not (shutil.which("apt-get") and shutil.which("dpkg-deb")), reason="needs apt-get and dpkg-deb: Debian or Ubuntu"
)


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system whose only apt source is a folder with the package, and whose package lists are empty."""
    tree, repository = tmp_path / "tree", tmp_path / "repository"
    (tree / "DEBIAN").mkdir(parents=True)
    control = "Package: dataset-tiny\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: tiny\n"
    (tree / "DEBIAN/control").write_text(control)
    (tree / "usr/share/datasets/tiny").mkdir(parents=True)
    for name in ("wanted.gz", "unwanted.gz"):
        (tree / "usr/share/datasets/tiny" / name).write_bytes(name.encode())
    repository.mkdir()
    deb = repository / "dataset-tiny_1_all.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, deb], check=True, capture_output=True)
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    entry = f"{control}Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"
    (repository / "Packages").write_text(entry)

    for folder in ("etc", "state/lists/partial", "cache/archives/partial"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "status").touch()
    (tmp_path / "etc/sources.list").write_text(f"deb [trusted=yes] file:{repository} ./\n")
    (tmp_path / "apt.conf").write_text(
        f'Dir::Etc "{tmp_path}/etc"; Dir::Etc::sourceparts "-"; Dir::Etc::parts "-";\n'
        f'Dir::State "{tmp_path}/state"; Dir::State::lists "{tmp_path}/state/lists";\n'
        f'Dir::State::status "{tmp_path}/status"; Dir::Cache "{tmp_path}/cache";\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return tmp_path


def read(package: DebianPackage) -> dict[str, bytes]:
    with package_folder(package, ["wanted.gz"], lambda done, total: None) as folder:
        return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("lists", ["empty", "filled"])
def test_the_wanted_files_arrive_and_the_system_stays_as_it_was(system, lists):
    if lists == "filled":
        subprocess.run(["apt-get", "update"], check=True, capture_output=True)
    before = sorted(path.relative_to(system) for path in system.rglob("*"))
    assert read(PACKAGE) == {"wanted.gz": b"wanted.gz"}
    after = sorted(path.relative_to(system) for path in system.rglob("*") if path.suffix != ".bin")  # apt's own cache
    assert [path for path in before if path.suffix != ".bin"] == after


def test_an_unknown_package_is_a_failed_source(system):
    with pytest.raises(FetchError, match="in none of the system's apt sources"):
        read(DebianPackage("no-such-package", "/nowhere"))


def test_a_damaged_package_is_a_failed_source(system):
    deb = next((system / "repository").glob("*.deb"))
    deb.write_bytes(deb.read_bytes()[:-1] + b"?")
    with pytest.raises(FetchError, match="apt-get: "):
        read(PACKAGE)


def test_apt_is_ended_when_nothing_arrives(system, monkeypatch):
    monkeypatch.setattr(debian, "_STALL", 0.5)
    # An address that belongs to no one (RFC 5737); apt itself would wait for minutes.
    (system / "etc/sources.list").write_text("deb [trusted=yes] http://192.0.2.1/debian ./\n")
    with pytest.raises(FetchError, match=r"nothing arrived|in none of the system's apt sources"):
        read(PACKAGE)


def test_elsewhere_than_on_debian_it_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchError, match="neither Debian nor Ubuntu"):
        read(PACKAGE)
