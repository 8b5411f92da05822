"""A params.yaml as it could be, with changes, read and checked as `stages/check.py` does it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from thumbnet.checking import check_all
from thumbnet.params import Params, load_params

DEFAULT = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())

#: A model as it could be: tests must not change with the default networks.
BN = {"layers": "C8 C8+ G", "norm": "batch"}


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Params]:
    """What `stages/check.py` does with the text of a params.yaml, in a folder as the project's root is."""
    monkeypatch.chdir(tmp_path)
    Path("data/local").mkdir(parents=True)

    def check_text(text: str) -> Params:
        Path("params.yaml").write_text(text)
        params = load_params()
        check_all(params)
        return params

    return check_text


@pytest.fixture
def edited() -> Callable[..., str]:
    """The default params.yaml with values at dotted keys, `__` for the dot; `...` removes a key."""

    def edit(**changes: Any) -> str:
        values = yaml.safe_load(yaml.safe_dump(DEFAULT | {"members": ["bn"], "models": {"bn": BN}}))
        for path, value in changes.items():
            *sections, key = path.split("__")
            section = values
            for name in sections:
                section = section[name]
            if value is ...:
                del section[key]
            else:
                section[key] = value
        return str(yaml.safe_dump(values, sort_keys=False))

    return edit
