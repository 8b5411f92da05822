"""From what a source delivers to the verified bytes of a data set's official files.

A file counts only if its unpacked bytes have the digest that the catalogue gives: gzip wrappers differ from source to
source, and the files of MNIST and Fashion-MNIST, which have the same names, may lie in one folder.
"""

import hashlib
import os
from collections.abc import Collection, Iterator
from pathlib import Path

from thumbnet.data.archives import ArchiveError, gunzip, is_archive, list_members, read_members
from thumbnet.data.catalogue import Dataset, OfficialFile

#: No official file unpacks to more.
_LARGEST = 64 * 2**20
_FOLDERS_DOWN = 2


class WrongContentsError(Exception):
    """Files that are not those of the data set, or not all of them; the message says which and how it shows."""


def find_official(place: Path, dataset: Dataset) -> dict[str, bytes]:
    """The official files of a data set at a place that the user names.

    Args:
        place: a folder that has the files, compressed or not, or the official archive, in it or up to two folders
            further down; or an archive (zip or tar) of such files.
        dataset: an entry of the catalogue that has `files`.

    Returns:
        The unpacked contents of each of `dataset.files`, by name.

    Raises:
        WrongContentsError: not all of them are there.
    """
    if not place.exists():
        raise WrongContentsError("no such file or folder")
    found: dict[str, bytes] = {}
    problems: list[str] = []
    for path in _candidates(place, dataset):
        missing = _missing(dataset, found)
        if not missing:
            break
        try:
            for name, content in _unpacked(path, path.name, {file.name for file in missing}):
                problem = _problem(_file(dataset, name), content)
                if problem:
                    problems.append(f"{path}: {problem}")
                else:
                    found[name] = content
        except (ArchiveError, OSError) as error:
            problems.append(f"{path}: {error}")
    missing = _missing(dataset, found)
    if missing:
        raise WrongContentsError("; ".join(problems) or f"lacks {', '.join(file.name for file in missing)}")
    return found


def unpack_parcel(path: Path, parcel: str, dataset: Dataset) -> dict[str, bytes]:
    """The official files in one parcel.

    Args:
        path: where the parcel was put.
        parcel: what it is called at its source: one of `dataset.parcels`.
        dataset: an entry of the catalogue.

    Raises:
        WrongContentsError: it cannot be unpacked, lacks a file or has a file with other contents.
    """
    files = {file.name: file for file in dataset.files if file.parcel == parcel}
    try:
        contents = dict(_unpacked(path, parcel, files))
    except (ArchiveError, OSError) as error:
        raise WrongContentsError(f"{parcel}: {error}") from None
    for name, file in files.items():
        problem = _problem(file, contents[name]) if name in contents else f"has no {name}"
        if problem:
            raise WrongContentsError(f"{parcel}: {problem}")
    return contents


def _file(dataset: Dataset, name: str) -> OfficialFile:
    return next(file for file in dataset.files if file.name == name)


def _missing(dataset: Dataset, found: Collection[str]) -> list[OfficialFile]:
    return [file for file in dataset.files if file.name not in found]


def _problem(file: OfficialFile, content: bytes) -> str | None:
    """What shows that these are not the bytes of the official file; None where they are."""
    digest = hashlib.new(file.algorithm, content, usedforsecurity=False).hexdigest()
    if digest == file.digest:
        return None
    return f"other contents than the official {file.name}: {file.algorithm} {digest[:12]}…, not {file.digest[:12]}…"


def _candidates(place: Path, dataset: Dataset) -> Iterator[Path]:
    """Files that may be, or hold, official ones, by their names."""
    if not place.is_dir():
        yield place
        return
    names = {file.name for file in dataset.files}
    for folder, below, files in os.walk(place, followlinks=True):
        if len(Path(folder).relative_to(place).parts) == _FOLDERS_DOWN:
            below.clear()
        below.sort()
        for name in sorted(files):
            if _official_name(name) in names or name in dataset.parcels:
                yield Path(folder, name)


def _official_name(name: str) -> str:
    """What a file is officially called: without `.gz`, and without the dot that some tools put for the last dash."""
    return name.removesuffix(".gz").replace(".idx", "-idx")


def _unpacked(path: Path, name: str, wanted: Collection[str]) -> Iterator[tuple[str, bytes]]:
    """The official names and unpacked contents of the wanted files that a file is, or holds.

    `name` stands for the name of `path` where that is a temporary one.
    """
    if is_archive(Path(name)):
        members = {
            member.path: _official_name(member.path.rpartition("/")[2])
            for member in list_members(path)
            if not member.is_folder and member.size <= _LARGEST
        }
        members = {inside: official for inside, official in members.items() if official in wanted}
        for inside, content in read_members(path, members):
            yield members[inside], gunzip(content, _LARGEST) if inside.endswith(".gz") else content
    elif _official_name(name) in wanted:
        content = path.read_bytes()
        yield _official_name(name), gunzip(content, _LARGEST) if name.endswith(".gz") else content
