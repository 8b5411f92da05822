"""What a trained network is known by: a hash of it. The same result is the same run, whoever trained it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thumbnet.errors import UserError


def result_id(model_dir: Path) -> str:
    """The identity of a trained network: sha256 over its card and weights, in hex.

    Raises:
        UserError: the folder is missing.
    """
    if not model_dir.is_dir():
        raise UserError(f"{model_dir} is missing; train it with: dvc repro train@{model_dir.name}")
    digest = hashlib.sha256()
    for file in sorted(path for path in model_dir.rglob("*") if path.is_file()):
        digest.update(f"{file.relative_to(model_dir).as_posix()}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def hash_data(data: Mapping[str, Any]) -> str:
    """One hash for what the card tells of the data: the data set's name and the sha256 of each split."""
    return hash_json(data)


def hash_json(values: Mapping[str, Any]) -> str:
    """sha256 of plain values, whatever the order of their keys."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
