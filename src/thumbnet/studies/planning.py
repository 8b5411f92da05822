"""From a study to its runs: what each changes in params.yaml, what it is called, and how to know it again."""

import copy
import hashlib
import itertools
import json
import math
import re
import shlex
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml

from thumbnet import paths
from thumbnet.checking import check_all
from thumbnet.errors import UserError, did_you_mean
from thumbnet.files import read_yaml
from thumbnet.params import Params, check_params, load_params
from thumbnet.studies.study import SEED, Overrides, Study, label

#: What does not change a result, or only says where the same images lie: it is no part of a run's key.
_ASIDE = ("train.threads", "train.device", "dataset.path")
_ASIDE_SECTIONS = ("gallery", "report", "models")
#: What a run has that its study says nothing of: params.yaml, which anyone edits for their own runs, must not decide
#: what stands in a study's table. Other keys are set by every study that uses them.
UNSAID: Overrides = {
    "corruption.label_noise": 0,
    "corruption.pixel_noise": 0,
    "train.keep": "validation_accuracy",
    "train.seeds": 1,
    "regularisation.l2": 0,
    "regularisation.label_smoothing": 0,
    "regularisation.clip_norm": 0,
    "early_stopping.monitor": "none",
    "early_stopping.mode": "auto",
    "early_stopping.min_delta": 0,
    "augment.flip": "none",
    "augment.rotation": 0,
    "augment.shift": 0,
    "augment.crop": 0,
    "augment.border": "black",
    "augment.cutout": 0,
    "augment.pixel_noise": 0,
    "evaluate.flip": False,
    "evaluate.shift": 0,
    "evaluate.confidence": 0.95,
    "evaluate.train_images": 5000,
    "ensemble.seeds": "first",
}
#: Logs, and git's files, have an experiment's name and an ending; file systems allow 255 bytes for both.
_LONGEST = 200


Place: TypeAlias = tuple[tuple[tuple[str, str], ...], int]


@dataclass(frozen=True)
class Run:
    """One experiment of a study.

    Attributes:
        name: of DVC's experiment.
        condition: the value of each axis.
        seed: its own, or the first of `train.seeds`.
        extra: overrides of the command line, as they are recorded.
        overrides: all that are said, by dotted key.
        unsaid: those of `UNSAID` that are not, where params.yaml has something else.
        params: what params.yaml is with them.
        ensemble: whether the ensemble is judged, too.
        key: as `run_key` makes it.
    """

    name: str
    condition: dict[str, str]
    seed: int
    extra: str
    overrides: Overrides
    unsaid: Overrides
    params: Params
    ensemble: bool
    key: str

    @property
    def place(self) -> Place:
        """Its condition and its seed: which of the study's runs it is, whatever the command line added."""
        return tuple(self.condition.items()), self.seed

    @property
    def targets(self) -> list[str]:
        """The stages that DVC is asked for; it runs what they need, and no galleries."""
        return ["ensemble"] if self.ensemble else [f"evaluate@{member}" for member in self.params.members]

    def arguments(self, present: Mapping[str, Any]) -> list[str]:
        """Its overrides for `dvc exp run -S`, in Hydra's grammar.

        Args:
            present: params.yaml as it is; keys that it lacks need a `+`.
        """
        return [
            f"{'+' if _at(present, key) is None else ''}{key}={hydra(value)}"
            for key, value in (self.unsaid | self.overrides).items()
        ]


def unsaid_values(values: Mapping[str, Any], said: Collection[str] = ()) -> Overrides:
    """Of `UNSAID` what nobody said and a params.yaml has otherwise."""
    return {key: value for key, value in UNSAID.items() if key not in said and _at(values, key) not in (None, value)}


def run_key(values: Mapping[str, Any], overrides: Overrides, ensemble: bool) -> str:
    """A hash of what a study says of a run, and of its networks as params.yaml writes them.

    It is not of all of params.yaml: a parameter that is new there, and neutral, must not make every study look undone.

    Args:
        values: params.yaml with the overrides.
        overrides: by dotted key.
        ensemble: whether the ensemble is judged, too.
    """
    told = {key: value for key, value in overrides.items() if _matters(key, ensemble)}
    networks = {member: values["models"][member] for member in values["members"]}
    text = json.dumps([told, networks, ensemble], sort_keys=True, default=str)
    return _hash(text)[:12]


def _matters(key: str, ensemble: bool) -> bool:
    section = key.partition(".")[0]
    return key not in _ASIDE and section not in _ASIDE_SECTIONS and (ensemble or section != "ensemble")


def plan_runs(
    name: str,
    study: Study,
    extra: Overrides | None = None,
    seeds: list[int] | None = None,
    with_images: bool = False,
) -> list[Run]:
    """All runs of a study: every condition with the first seed, then with the second, and so on.

    Args:
        name: of the study.
        study: what its file holds.
        extra: overrides that go beyond its file, and have the last word.
        seeds: in place of the study's own.
        with_images: whether images of the user's own must be there; pages do without.

    Raises:
        UserError: an override names no parameter, or its value does not fit; `extra` sets what the grid does; two
            conditions are the same run.
    """
    values = present_values()
    if SEED in (extra or {}):
        raise UserError(f"-S {SEED}: a study runs each of its seeds; write --seed {label((extra or {})[SEED])}")
    extra = {key: _resolved(key, value) for key, value in _leaves(extra or {})}
    _leave_the_grid(extra, study, name)
    kept = {
        key: value for key, value in sorted(extra.items()) if key.startswith("models.") or _matters(key, study.ensemble)
    }
    recorded = join_overrides(kept)
    runs = []
    for seed in dict.fromkeys(seeds or study.seeds):
        for condition, chosen in _conditions(study):
            where = f"{paths.STUDIES / name}.yaml, {_told(condition)}"
            said = _expanded({**study.base, **chosen, SEED: seed, **extra}, values, where)
            unsaid = unsaid_values(values, said)
            params = check_params(changed(values, unsaid | said), where)
            said = _with_numbers(said, params)
            whole = changed(values, unsaid | said)
            if with_images or params.dataset.name != "image_folder" or Path(params.dataset.path).exists():
                _check(params, where)
            runs.append(
                Run(
                    name=_name(name, condition, seed, recorded),
                    condition=condition,
                    seed=params.seed,
                    extra=recorded,
                    overrides=said,
                    unsaid=unsaid,
                    params=params,
                    ensemble=study.ensemble,
                    key=run_key(whole, said, study.ensemble),
                )
            )
    twice = [run.name for index, run in enumerate(runs) if run.name in {other.name for other in runs[:index]}]
    if twice:
        raise UserError(f"{paths.STUDIES / name}.yaml: two runs would be called {twice[0]}; rename values of the grid")
    _refuse_equal_runs(runs, name)
    return runs


def select_runs(runs: list[Run], study: Study, only: list[str]) -> list[Run]:
    """Those of the runs whose condition has one of the values asked for, on every axis that is named.

    Args:
        runs: of the study.
        study: what its file holds.
        only: `AXIS=VALUE` each; several of one axis are alternatives.

    Raises:
        UserError: a text has no `=`, or names an axis or a value that the grid lacks, or nothing is left.
    """
    wanted: dict[str, set[str]] = {}
    for text in only:
        axis, equals, value = text.partition("=")
        if not equals:
            raise UserError(f"--only {text}: write AXIS=VALUE; the grid has {', '.join(study.grid)}")
        try:
            study.check_values(f"--only {text}", axis, [value])
        except ValueError as error:
            raise UserError(str(error)) from None
        wanted.setdefault(axis, set()).add(value)
    chosen = [run for run in runs if all(run.condition[axis] in values for axis, values in wanted.items())]
    if not chosen:
        told = f"--only {' --only '.join(only)}: " if only else ""
        raise UserError(f"{told}the study skips all such conditions")
    return chosen


def present_values() -> dict[str, Any]:
    """params.yaml as it is, once it has been checked."""
    load_params()
    values: dict[str, Any] = read_yaml(paths.PARAMS.read_text(encoding="utf-8"))
    return values


def read_overrides(texts: list[str]) -> Overrides:
    """Overrides of the command line: `optimizer.lr=0.1` and so on, values being YAML.

    Raises:
        UserError: one has no `=`, or its value is no YAML.
    """
    overrides = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UserError(f"-S {text}: write KEY=VALUE, such as -S train.epochs=2")
        try:
            overrides[key] = read_yaml(value)
        except yaml.YAMLError:
            raise UserError(f"-S {text}: {value!r} cannot be read as a value") from None
    return overrides


def join_overrides(overrides: Overrides) -> str:
    """Overrides as one text, for the column `extra`; `split_overrides` takes it apart again."""
    return shlex.join(f"{key}={_as_yaml(value)}" for key, value in overrides.items())


def split_overrides(extra: str) -> list[str]:
    """The parts of a text of `join_overrides`, as `read_overrides` reads them."""
    return shlex.split(extra)


def _as_yaml(value: Any) -> str:
    """A value as YAML reads it again, without quotes where none are needed."""
    short = label(value)
    try:
        if read_yaml(short) == value:
            return short
    except yaml.YAMLError:
        pass
    dumped: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=math.inf)
    return dumped.removesuffix("...\n").strip()


def changed(values: Mapping[str, Any], overrides: Overrides) -> dict[str, Any]:
    """params.yaml with other values; names that it lacks are added, for `check_params` to judge."""
    result: dict[str, Any] = copy.deepcopy(dict(values))
    for key, value in overrides.items():
        *sections, last = key.split(".")
        section = result
        for part in sections:
            inner = section.get(part)
            section[part] = inner = inner if isinstance(inner, dict) else {}
            section = inner
        section[last] = value
    return result


def hydra(value: object) -> str:
    """A value in the grammar of Hydra's overrides, where commas, blanks and colons have a meaning."""
    if isinstance(value, list):
        return f"[{','.join(hydra(part) for part in value)}]"
    if not isinstance(value, str):
        return label(value) if isinstance(value, bool) else repr(value)
    plain = re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", value)
    if plain and value.lower() not in ("true", "false", "null", "nan", "inf"):
        return value
    # A backslash stands for itself but before a quotation mark.
    escaped = re.sub(r'(\\*)("|\Z)', lambda found: 2 * found[1] + ('\\"' if found[2] else ""), value)
    return f'"{escaped}"'


def _conditions(study: Study) -> Iterator[tuple[dict[str, str], Overrides]]:
    """Every combination that is not skipped, with the overrides that make it."""
    for values in itertools.product(*study.grid.values()):
        condition = {axis: label(value) for axis, value in zip(study.grid, values, strict=True)}
        if any(_matches(condition, skipped) for skipped in study.skip):
            continue
        overrides: Overrides = {}
        for (axis, whole), value in zip(study.grid.items(), values, strict=True):
            overrides |= whole[str(value)] if isinstance(whole, dict) else {axis: value}
        yield condition, overrides


def _leave_the_grid(extra: Overrides, study: Study, name: str) -> None:
    """Refuses overrides of the command line after which the names of conditions would no longer be true."""
    for axis, values in study.grid.items():
        for own in [key for chosen in values.values() for key in chosen] if isinstance(values, dict) else [axis]:
            for key in extra:
                parts = zip(key.split("."), own.split("."), strict=False)  # one may be a section of the other
                if all(part == other or "*" in (part, other) for part, other in parts):
                    raise UserError(
                        f"-S {key}: grid.{axis} of {paths.STUDIES / name}.yaml sets it, and its conditions are called "
                        f"after that; choose some of them with --only, or write others into the file"
                    )


def _refuse_equal_runs(runs: list[Run], name: str) -> None:
    """The table has room for one of them, and would tell it under either name."""
    known: dict[str, Run] = {}
    for run in runs:
        other = known.setdefault(run.key, run)
        if other is not run:
            raise UserError(
                f"{paths.STUDIES / name}.yaml: two conditions are the same run: {_told(other.condition)}; and "
                f"{_told(run.condition)}. Let them differ in what a result depends on, which train.threads, "
                f"train.device, dataset.path, gallery, report and, without ensemble: true, ensemble are not"
            )


def _matches(condition: Mapping[str, str], skipped: Mapping[str, Any]) -> bool:
    for axis, values in skipped.items():
        if condition[axis] not in [label(value) for value in (values if isinstance(values, list) else [values])]:
            return False
    return True


def _expanded(overrides: Overrides, values: Mapping[str, Any], where: str) -> Overrides:
    """With a key for each member in place of `models.*`, and for each value of a section; the members come first."""
    members = overrides.get("members", values["members"])
    if not isinstance(members, list):
        raise UserError(f"{where}: members = {members!r} is no list, such as [bn]")
    result: Overrides = {}
    for key, value in _leaves(overrides):
        top, _, rest = key.partition(".")
        if top not in Params.model_fields:
            hint = did_you_mean(top, Params.model_fields)
            raise UserError(f"{where}: {key} is no parameter{hint}; params.yaml has {', '.join(Params.model_fields)}")
        if rest.startswith("*."):
            result |= {f"{top}.{member}.{rest[2:]}": value for member in members}
        else:
            result[key] = value
    return result


def _leaves(overrides: Mapping[str, Any], section: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted keys and their values in place of nested ones, for which Hydra has another grammar."""
    for key, value in overrides.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{section}{key}.")
        else:
            yield f"{section}{key}", value


def _with_numbers(overrides: Overrides, params: Params) -> Overrides:
    """With numbers as params.yaml's reader takes them: YAML 1.1 reads 1e-3 as text, and DVC would write it as such."""
    read = params.model_dump()
    numbers = {key: _at(read, key) for key, value in overrides.items() if isinstance(value, str)}
    return overrides | {key: number for key, number in numbers.items() if isinstance(number, float)}


def _check(params: Params, where: str) -> None:
    try:
        check_all(params)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def _resolved(key: str, value: Any) -> Any:
    """Runs are made in copies of the checkout: what lies beside it needs its full path there."""
    if key == "dataset.path" and isinstance(value, str) and Path(value).exists():
        return str(Path(value).resolve())
    return value


def _name(study: str, condition: Mapping[str, str], seed: int, extra: str) -> str:
    """Of the experiment; what the command line adds is told by a hash, and so is the end of a name that is too long."""
    parts = ["study", study, *condition.values(), *([_hash(extra)[:4]] if extra else [])]
    # Two dots have a meaning in git's names.
    whole = "-".join(re.sub(r"[^A-Za-z0-9_.]+|\.{2,}", "_", part).strip("._") for part in parts)
    return (whole if len(whole) <= _LONGEST else f"{whole[:_LONGEST]}-{_hash(whole)[:8]}") + f"-s{seed}"


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _told(condition: Mapping[str, str]) -> str:
    return ", ".join(f"{axis} {value}" for axis, value in condition.items())


def _at(values: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key; None where there is none."""
    section: Any = values
    for part in key.split("."):
        section = section.get(part) if isinstance(section, dict) else None
    return section
