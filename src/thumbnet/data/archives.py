"""Reading archives that came from elsewhere: zip, tar and gzip, member by member, in memory.

Nothing is ever extracted to disk, so no member can be written outside a folder; an archive that tries (an absolute
path, `..`, a link) is refused all the same. What the members mean is left to others.
"""

import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import IO

ZIP_ENDINGS = (".zip",)
TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")

#: What broken or encrypted archives make the standard library raise.
_UNREADABLE = (
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    lzma.LZMAError,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)


class ArchiveError(Exception):
    """An archive that cannot be read, or should not be."""


@dataclass(frozen=True)
class Member:
    """An entry of an archive or a folder; `path` is relative, with `/` between its parts."""

    path: str
    is_folder: bool
    size: int


def is_archive(path: Path) -> bool:
    """Whether the name of a file says that it is an archive that this module reads."""
    return path.name.lower().endswith(ZIP_ENDINGS + TAR_ENDINGS)


def list_members(path: Path) -> list[Member]:
    """Every entry of an archive, in its own order.

    Raises:
        ArchiveError: it cannot be read, or an entry leads outside or is a link.
    """
    with _reading(path):
        if _is_zip(path):
            with zipfile.ZipFile(path) as archive:
                return [_zip_member(entry) for entry in archive.infolist()]
        with tarfile.open(path) as tar:
            return [_tar_member(entry) for entry in tar]


def read_members(path: Path, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """The paths, as `list_members` gives them, and contents of the wanted files of an archive, in its own order.

    Raises:
        ArchiveError: as `list_members`.
    """
    with _reading(path):
        if _is_zip(path):
            with zipfile.ZipFile(path) as archive:
                for zip_entry in archive.infolist():
                    member = _zip_member(zip_entry)
                    if member.path in wanted and not member.is_folder:
                        yield member.path, archive.read(zip_entry)
        else:
            with tarfile.open(path) as tar:
                yield from _read_tar(tar, wanted)


def read_tar_stream(stream: IO[bytes], wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """The paths and contents of the wanted files of an uncompressed tar archive that arrives through a pipe.

    Raises:
        ArchiveError: as `list_members`.
    """
    with _reading("the stream"), tarfile.open(fileobj=stream, mode="r|") as tar:
        yield from _read_tar(tar, wanted)


def gunzip(content: bytes, limit: int) -> bytes:
    """Decompresses gzip.

    Raises:
        ArchiveError: no gzip, broken off, or more than `limit` bytes inside.
    """
    with _reading("the file"), gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
        unpacked = file.read(limit + 1)
    if len(unpacked) > limit:
        raise ArchiveError(f"unpacks to more than {limit:,} bytes")
    return unpacked


def _is_zip(path: Path) -> bool:
    return path.name.lower().endswith(ZIP_ENDINGS)


@contextmanager
def _reading(name: Path | str) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise ArchiveError(f"{name} cannot be unpacked: {error}") from None


def _read_tar(tar: tarfile.TarFile, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    for entry in tar:
        member = _tar_member(entry)
        content = tar.extractfile(entry) if member.path in wanted and not member.is_folder else None
        if content is not None:
            yield member.path, content.read()


def _zip_member(entry: zipfile.ZipInfo) -> Member:
    if stat.S_ISLNK(entry.external_attr >> 16):
        raise ArchiveError(f"{entry.filename} in the archive is a link; pack the file itself")
    return Member(_safe_path(entry.filename), entry.is_dir(), entry.file_size)


def _tar_member(entry: tarfile.TarInfo) -> Member:
    if entry.issym() or entry.islnk():
        raise ArchiveError(
            f"{entry.name} in the archive is a link; pack the file itself (tar --dereference --hard-dereference)"
        )
    if not (entry.isfile() or entry.isdir()):
        raise ArchiveError(f"{entry.name} in the archive is neither a file nor a folder")
    return Member(_safe_path(entry.name), entry.isdir(), entry.size)


def _safe_path(name: str) -> str:
    """The path without `.` parts and a closing slash, or an error where it leads out of the archive."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if name.startswith(("/", "\\")) or PureWindowsPath(name).drive or ".." in parts:
        raise ArchiveError(f"{name} in the archive leads outside it")
    return "/".join(parts)
