"""Files and folders that appear whole or not at all: written aside, in the same folder, and renamed.

What stands in them is the concern of the modules that call this one.
"""

import csv
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml


@contextmanager
def fresh_folder(destination: Path) -> Iterator[Path]:
    """An empty folder beside `destination`, which replaces it if all goes well, and vanishes otherwise."""
    aside = destination.with_name(f".{destination.name}.partial")
    shutil.rmtree(aside, ignore_errors=True)  # left by a run that was killed
    aside.mkdir(parents=True)
    try:
        yield aside
        if destination.exists():
            shutil.rmtree(destination)
        aside.replace(destination)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def fresh_file(destination: Path) -> Iterator[Path]:
    """A path beside `destination` to write to; the file replaces `destination` if all goes well."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    aside = destination.with_name(f".{destination.name}.partial")
    try:
        yield aside
        aside.replace(destination)
    finally:
        aside.unlink(missing_ok=True)


def keep_only(folder: Path, names: set[str]) -> None:
    """Removes from `folder` all files and folders but those of these names (without their endings).

    Args:
        folder: may be missing.
        names: what stays.
    """
    for entry in folder.iterdir() if folder.exists() else ():
        if entry.stem not in names:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # which of them, is seen at run time
    """PyYAML lets the last of equal keys win without a word; YAML, and DVC, allow none."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        known = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if (key.tag, key.value) in known:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is here twice", key.start_mark)
                known.add((key.tag, key.value))
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def read_yaml(text: str) -> Any:
    """Plain values from YAML, by libyaml where PyYAML brings it: params.yaml is read at every start, and takes a tenth.

    Raises:
        yaml.YAMLError: the text is no YAML, or has a key twice in one place.
    """
    return yaml.load(text, Loader=_Loader)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a small JSON file, readable by people too."""
    with fresh_file(path) as aside:
        aside.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str | int | float | None]]) -> None:
    """Writes a CSV file: UTF-8, a header, lines that end in a bare newline on every system.

    Args:
        path: the file; its folder is made.
        columns: the header.
        rows: as many values each as there are columns; None leaves its place empty.
    """
    with fresh_file(path) as aside, aside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
