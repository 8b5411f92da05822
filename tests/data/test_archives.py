"""Archives from elsewhere: what they hold is read, and what tries to get out of them is refused."""

import gzip
import io
import stat
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from thumbnet.data.archives import ArchiveError, gunzip, is_archive, list_members, read_members

FILES = {"train/a/1.png": b"one", "./train/b/2.png": b"two"}


def pack(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    else:
        mode: Any = {".tar": "w", ".gz": "w:gz", ".tgz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}[path.suffix]
        with tarfile.open(path, mode) as tar:
            for name, content in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return path


def pack_link(path: Path, kind: str) -> Path:
    if path.suffix == ".zip":
        entry = zipfile.ZipInfo("train/a/link.png")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(entry, "/etc/passwd")
    else:
        tar_entry = tarfile.TarInfo("train/a/link.png")
        tar_entry.type, tar_entry.linkname = {"sym": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE}[kind], "/etc/passwd"
        with tarfile.open(path, "w") as tar:
            tar.addfile(tar_entry)
    return path


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"])
def test_members_are_listed_and_read(tmp_path, ending):
    path = pack(tmp_path / f"images{ending}", FILES)
    assert is_archive(path)
    assert [member.path for member in list_members(path)] == ["train/a/1.png", "train/b/2.png"]
    assert dict(read_members(path, {"train/b/2.png"})) == {"train/b/2.png": b"two"}


@pytest.mark.parametrize("ending", [".zip", ".tar"])
@pytest.mark.parametrize("name", ["../escaped", "train/../../escaped", "/escaped", "C:\\escaped", "..\\escaped"])
def test_paths_that_lead_outside_are_refused(tmp_path, ending, name):
    path = pack(tmp_path / f"images{ending}", {**FILES, name: b"!"})
    for attempt in (list_members, lambda path: list(read_members(path, {name}))):
        with pytest.raises(ArchiveError, match="leads outside"):
            attempt(path)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(("ending", "kind"), [(".zip", "sym"), (".tar", "sym"), (".tar", "hard")])
def test_links_are_refused(tmp_path, ending, kind):
    with pytest.raises(ArchiveError, match="is a link"):
        list_members(pack_link(tmp_path / f"images{ending}", kind))


@pytest.mark.parametrize("ending", [".zip", ".tar", ".tar.gz", ".tar.xz"])
@pytest.mark.parametrize("content", [b"", b"<html>no archive</html>"], ids=["empty", "html"])
def test_what_is_no_archive_is_an_archive_error(tmp_path, ending, content):
    path = tmp_path / f"images{ending}"
    path.write_bytes(content)
    with pytest.raises(ArchiveError, match=path.name):
        list_members(path)


@pytest.mark.parametrize("ending", [".zip", ".tar.gz", ".tar.xz"])
def test_a_truncated_archive_is_an_archive_error(tmp_path, ending):
    path = pack(tmp_path / f"images{ending}", {"a": bytes(range(256)) * 100})
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(ArchiveError, match=path.name):
        list(read_members(path, {"a"}))


def test_gunzip_returns_what_was_packed():
    assert gunzip(gzip.compress(b"abc"), limit=3) == b"abc"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>", "cannot be unpacked"),
        (gzip.compress(b"abc" * 100)[:-9], "cannot be unpacked"),
        (gzip.compress(bytes(10_000)), "more than 1,000 bytes"),
    ],
    ids=["html", "truncated", "bomb"],
)
def test_gunzip_refuses(content, reason):
    with pytest.raises(ArchiveError, match=reason):
        gunzip(content, limit=1000)
