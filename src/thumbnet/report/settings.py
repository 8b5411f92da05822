"""The parameters of a run as YAML, line by line, each with what it was in the commit where it was changed since."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from thumbnet.params import Params

_MISSING = object()


@dataclass(frozen=True)
class Line:
    """One line of YAML.

    Attributes:
        text: with its indentation.
        before: the value in the commit, as YAML; None where it is the same, `""` where there was none.
    """

    text: str
    before: str | None = None


def settings(params: Params) -> dict[str, Any]:
    """All parameters as plain values; of `models` those of the members."""
    values = params.model_dump(mode="json")
    values["models"] = {member: values["models"][member] for member in params.members}
    return values


def as_lines(values: Mapping[str, Any], committed: Mapping[str, Any] | None) -> list[Line]:
    """YAML that can be copied into a `params.yaml`.

    Args:
        values: what `settings` returns.
        committed: the whole `params.yaml` of the commit; None where it is not known, so that nothing is marked.
    """
    return list(_lines(values, _MISSING if committed is None else committed, 0, committed is not None))


def _lines(values: Mapping[str, Any], committed: Any, depth: int, marked: bool) -> Iterator[Line]:
    for key, value in values.items():
        before = committed.get(key, _MISSING) if isinstance(committed, Mapping) else _MISSING
        name = f"{'  ' * depth}{_inline(key)}:"
        if isinstance(value, Mapping) and value:
            yield Line(name)
            yield from _lines(value, before, depth + 1, marked)
            continue
        # A default that the file left out is no change, and 0 and 0.0 are the same.
        changed = marked and before is not _MISSING and before != value
        yield Line(f"{name} {_inline(value)}", _inline(before) if changed else None)


def _inline(value: Any) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")
