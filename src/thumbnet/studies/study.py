"""What a file in `studies/` may hold, and how it is read."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml
from pydantic import Field, ValidationError, model_validator

from thumbnet import paths
from thumbnet.errors import UserError, did_you_mean
from thumbnet.files import read_yaml
from thumbnet.params import Number, Section

Source = Literal["S0", "S1", "S2", "S3", "S4"]
#: What is told of a run: of train (`evaluate.train_images` of it), validation and test with the weights that were kept,
#: and of validation after the last epoch.
Measure = Literal["train", "validation", "last_validation", "test"]
PlotKind = Literal["dots", "lines", "curves", "parameters"]

Scalar: TypeAlias = str | int | float | bool
#: Values by dotted key of params.yaml; `models.*.init` is that of every member.
Overrides: TypeAlias = dict[str, Any]
#: Values of the parameter that the axis is called after, or names that stand for several overrides each.
Axis: TypeAlias = list[Scalar] | dict[str, Overrides]

SEED = "seed"
SPLITS = ("train", "validation", "test")
QUARTILES = ("p25", "median", "p75")
#: What the table of a study's runs has after a column for each axis.
COLUMNS = (
    SEED, "seeds", "member", "parameters", "epochs", "best_epoch",
    *(f"{split}_{what}" for split in SPLITS for what in ("accuracy", "low", "high", "loss", *QUARTILES)),
    "last_validation_accuracy", "last_validation_p25", "last_validation_p75", "last_validation_loss", "seconds",
    "experiment", "own_images", "extra", "key", "code",
)  # fmt: skip


class Plot(Section):
    """What the picture shows."""

    kind: PlotKind
    """`dots`: a row for each value of `x`; `lines`: over an `x` of numbers; `curves`: accuracy and loss by epoch;
    `parameters`: accuracy over the number of parameters."""
    x: str = ""
    """An axis of the grid; for `curves` and `parameters` not needed. Other kinds name every axis of several values."""
    colour: str = ""
    """A second axis of the grid; for `curves` and `parameters` the one whose values have a colour each."""
    panel: str = ""
    """A third axis of the grid: a panel for each of its values."""
    y: list[Measure] = Field(default=["validation", "test"], min_length=1, max_length=2)
    """What is drawn. Without `colour` both have a colour of their own, else the first is drawn."""
    log: bool = False
    """`lines`: a logarithmic x."""


class Published(Section):
    """A figure that a source gives."""

    source: Source
    what: str
    """What it is of, in the source's terms."""
    when: dict[str, Scalar] = Field(default={})
    """The condition that it belongs to: values by axis."""
    split: Measure
    value: Number = Field(ge=0, le=100)
    """In percent; of `measure: loss` in nats."""
    measure: Literal["accuracy", "loss"] = "accuracy"
    parameters: int = Field(default=0, ge=0)
    """Of the source's network, for plots over parameters."""
    repeated: bool = False
    """The figure belongs to another study, too, which has it in the table of all figures."""
    note: str = ""


class Study(Section):
    """A file of `studies/`."""

    title: str = Field(min_length=1)
    question: str = Field(min_length=1)
    recipe: str = ""
    """Where the settings come from, and in what they depart from the source."""
    base: Overrides = Field(default={})
    grid: dict[str, Axis] = Field(min_length=1)
    skip: list[dict[str, Scalar | list[Scalar]]] = Field(default=[])
    """Conditions that are left out: values, or lists of them, by axis."""
    seeds: list[int] = Field(default=[1], min_length=1)
    ensemble: bool = False
    """Whether the ensemble of each condition's members is judged, too."""
    plot: Plot
    published: list[Published] = Field(default=[])
    answer: str = ""
    """Two lines, written when the runs are done."""

    @model_validator(mode="after")
    def _is_consistent(self) -> "Study":
        for axis, values in self.grid.items():
            if axis in COLUMNS:
                raise ValueError(
                    f"grid.{axis}: the table of runs has a column {axis!r} already; give the axis another name"
                )
            for name in (axis, *map(label, values)):
                if "\n" in name or "\r" in name:
                    raise ValueError(f"grid.{axis}: {name!r} is more than one line; conditions stand in tables")
            if not values:
                raise ValueError(f"grid.{axis} is empty; give a list of values, or names with overrides")
        for axis in (self.plot.x, self.plot.colour, self.plot.panel):
            if axis:
                self._check_axis("plot", axis)
        if self.plot.kind in ("dots", "lines") and not self.plot.x:
            raise ValueError(f"plot.x is missing: kind {self.plot.kind} needs an axis; the grid has {self._axes()}")
        if self.plot.kind == "lines":
            self._check_places_on_a_line()
        if self.plot.kind in ("dots", "lines"):
            self._check_all_axes_are_named()
        given = [
            self.base,
            *(chosen for axis in self.grid.values() if isinstance(axis, dict) for chosen in axis.values()),
        ]
        if any(SEED in overrides for overrides in given):
            raise ValueError(f"{SEED} is no override of a study; write seeds: [1, 2, 3]")
        for number, skipped in enumerate(self.skip):
            for axis, left_out in skipped.items():
                self.check_values(f"skip[{number}]", axis, left_out if isinstance(left_out, list) else [left_out])
        for number, figure in enumerate(self.published):
            for axis, value in figure.when.items():
                self.check_values(f"published[{number}].when", axis, [value])
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds = {self.seeds}: one of them stands there twice")
        return self

    def _check_all_axes_are_named(self) -> None:
        """What differs in nothing that the picture shows would lie in one place of it."""
        named = (self.plot.x, self.plot.colour, self.plot.panel)
        hidden = [axis for axis, values in self.grid.items() if len(values) > 1 and axis not in named]
        if hidden:
            raise ValueError(
                f"plot names no {hidden[0]!r}, of which the grid has several values; make it x, colour or panel, "
                "or take curves"
            )

    def _check_places_on_a_line(self) -> None:
        for value in self.grid[self.plot.x]:
            try:
                place = float(label(value))
            except ValueError:
                place = math.nan
            if not math.isfinite(place):
                told = label(value) if isinstance(value, bool) else repr(value)
                raise ValueError(f"plot.kind = lines: {self.plot.x} has {told}, which is no number; take dots")
            if self.plot.log and place <= 0:
                raise ValueError(f"plot.log: {self.plot.x} has {label(value)}; a logarithmic axis needs values above 0")

    def _axes(self) -> str:
        return ", ".join(self.grid)

    def _check_axis(self, where: str, axis: str) -> None:
        if axis not in self.grid:
            hint = did_you_mean(axis, self.grid)
            raise ValueError(f"{where} names {axis!r}, which is no axis of the grid{hint}; it has {self._axes()}")

    def check_values(self, where: str, axis: str, values: Sequence[Scalar]) -> None:
        """Checks that an axis is there and has some values.

        Args:
            where: what names them, for the message.
            axis: by name.
            values: as the grid has them, or as their labels.

        Raises:
            ValueError: the axis or a value is not there.
        """
        self._check_axis(where, axis)
        known = [label(value) for value in self.grid[axis]]
        for value in values:
            if label(value) not in known:
                raise ValueError(f"{where}: {axis} is never {label(value)!r}; grid.{axis} has {', '.join(known)}")


def label(value: object) -> str:
    """A value of an axis as tables, names and conditions have it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def study_names(folder: Path = paths.STUDIES) -> list[str]:
    """The studies there are, in the order of their names."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load_study(name: str, folder: Path = paths.STUDIES) -> Study:
    """Reads and checks `studies/<name>.yaml`.

    Raises:
        UserError: there is no such file, or something in it is not allowed; the message lists each.
    """
    path = folder / f"{name}.yaml"
    if name.lower() == "readme":
        raise UserError(f"{path}: a study of that name would have the index of all studies for its page; rename it")
    if not path.is_file():
        hint = did_you_mean(name, study_names(folder))
        raise UserError(f"there is no study {name!r}{hint}: {path} is missing; thumbnet study --list tells all")
    try:
        values = read_yaml(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read as YAML: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} holds {type(values).__name__}, not keys and values")
    try:
        return Study.model_validate(values)
    except ValidationError as error:
        lines = sorted({line for item in error.errors(include_url=False) for line in _explain(dict(item))})
        raise UserError(f"{path} cannot be used:\n" + "\n".join(f"  - {line}" for line in lines)) from None


def _explain(error: dict[str, Any]) -> Iterator[str]:
    """Plain language for one pydantic error."""
    location = [str(part) for part in error["loc"]]
    key = ".".join(location)
    match error["type"]:
        case _ if location[:1] == ["grid"] and len(location) > 2:  # there is one for each type that an axis may be of
            yield (
                f"grid.{location[1]}: give a list of values, such as [0.1, 1], or names with overrides, such as "
                "{small: {members: [mlp_50]}}; YAML takes names such as 10, on and yes for no text: put them in quotes"
            )
        case _ if location[-1:] == ["[key]"]:
            yield f"{'.'.join(location[:-1])} is no text, as a name must be; put it in quotes"
        case "extra_forbidden":
            known = list(_section(location[:-1]).model_fields)
            yield f"{key} is not known{did_you_mean(location[-1], known)}; allowed are {', '.join(known)}"
        case "missing":
            yield f"{key} is missing"
        case "value_error":
            yield str(error["ctx"]["error"])
        case "literal_error":
            yield f"{key} = {error['input']!r}: allowed are {error['ctx']['expected']}"
        case _:
            yield f"{key} = {error['input']!r}: {error['msg']}"


def _section(location: list[str]) -> type[Section]:
    inner: dict[str, type[Section]] = {"plot": Plot, "published": Published}
    return inner.get(location[0], Study) if location else Study
