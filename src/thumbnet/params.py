"""The typed `params.yaml`: every parameter, its type, its range and its default, checked before anything runs.

DVC tracks the values that a stage names in `dvc.yaml`; this module gives them types, refuses what cannot work, and
says so in the user's terms: the key, the value, what is allowed, and the nearest known name. It knows nothing of
files other than `params.yaml` itself, and imports neither torch nor MLflow.
"""

import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from thumbnet.errors import UserError
from thumbnet.paths import ENSEMBLE, PARAMS

DatasetName = Literal["cifar10", "mnist", "fashion_mnist", "digits", "image_folder"]
SplitKind = Literal["holdout", "fraction", "test_halves"]
NormalisationKind = Literal["none", "unit", "channel", "pixel"]
NormKind = Literal["batch", "group", "layer", "none"]
OptimizerName = Literal["sgd", "adam", "muon"]
ScheduleName = Literal["constant", "one_cycle"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16"]
SplitName = Literal["train", "validation", "test"]

MemberName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]


def _number_from_text(value: object) -> object:
    """YAML 1.1 reads `5e-4` as text for want of a dot; everyone who writes it means a number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


Number = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_number_from_text)]


class Section(BaseModel):
    """A group of parameters: unknown keys and values of another type are errors, and nothing changes after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class DatasetParams(Section):
    """Which images: read by `download`."""

    name: DatasetName
    #: A local copy that is tried before any download; for `image_folder` the folder or archive itself.
    path: str
    #: `image_folder` only: height and width that every image is resized to, in pixels.
    image_size: int = Field(ge=4, le=1024)


class SplitParams(Section):
    """How the images are divided: read by `split`."""

    #: `holdout`: the last `validation` images of train; `fraction`: that share of train, stratified by class;
    #: `test_halves`: the first `validation` images of test, the rest of test being the test set.
    kind: SplitKind
    #: A number of images (`holdout`, `test_halves`) or a share between 0 and 1 (`fraction`).
    validation: Number = Field(gt=0)

    @model_validator(mode="after")
    def _size_fits_kind(self) -> "SplitParams":
        if self.kind == "fraction" and not self.validation < 1:
            raise ValueError(
                f"split.validation = {self.validation:g} is no share between 0 and 1, as kind fraction needs"
            )
        if self.kind != "fraction" and self.validation != int(self.validation):
            raise ValueError(
                f"split.validation = {self.validation:g} is no whole number of images, as kind {self.kind} needs"
            )
        return self


class NormalisationParams(Section):
    """How pixels are scaled, with statistics of the training split only: read by `normalise`."""

    #: `none`: 0–255 as they are; `unit`: to [0, 1]; `channel`, `pixel`: zero mean and unit variance of each.
    kind: NormalisationKind


class ModelParams(Section):
    """One network, written in a line (see docs/notation.md): read by `train`."""

    layers: str
    #: The normalisation of every C and L.
    norm: NormKind = "none"
    #: `group` only: the number of groups that channels are divided into.
    groups: int = Field(default=2, ge=1)

    def used(self) -> dict[str, Any]:
        """What this network really reads: `groups` belongs to group normalisation alone."""
        return self.model_dump(exclude=set() if self.norm == "group" else {"groups"})


class TrainParams(Section):
    """The training loop: read by `train`."""

    epochs: int = Field(ge=1, le=10_000)
    batch_size: int = Field(ge=1)
    device: Device
    #: `auto`: bf16 where the hardware multiplies it faster than fp32, else fp32.
    precision: Precision
    #: Decay of the exponential moving average of the weights, which is what is validated and kept; 0 for none.
    ema: Number = Field(ge=0, lt=1)


class OptimizerParams(Section):
    """The optimizer: read by `train`."""

    #: `muon`: the kernels of hidden layers by Muon, all else by AdamW.
    name: OptimizerName
    lr: Number = Field(gt=0)
    #: λ of λ/2·Σw² on kernels; biases and normalisation parameters are left out. `muon` decouples it from the gradient.
    weight_decay: Number = Field(ge=0)
    #: `sgd` and `muon` only.
    momentum: Number = Field(ge=0, lt=1)
    #: `sgd` and `muon` only.
    nesterov: bool

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "OptimizerParams":
        if self.name != "adam" and self.nesterov and self.momentum == 0:
            raise ValueError(
                "optimizer.nesterov = true needs optimizer.momentum > 0; set nesterov to false or raise momentum"
            )
        return self

    def used(self) -> dict[str, Any]:
        """What this optimizer really reads."""
        return self.model_dump(exclude={"momentum", "nesterov"} if self.name == "adam" else set())


class ScheduleParams(Section):
    """The learning rate over time: read by `train`."""

    name: ScheduleName
    #: `one_cycle` only: the share of all steps in which the rate rises to `optimizer.lr`.
    warmup: Number = Field(gt=0, lt=1)

    def used(self) -> dict[str, Any]:
        """What this schedule really reads."""
        return self.model_dump(exclude=set() if self.name == "one_cycle" else {"warmup"})


class AugmentParams(Section):
    """Random changes of the training images, drawn anew for each image and epoch: read by `train`."""

    #: Mirror left and right with probability 1/2.
    flip: bool
    #: Shift by up to this many pixels each way, the border filled with black; 0 for none.
    crop: int = Field(ge=0, le=64)


class EvaluateParams(Section):
    """What is judged: read by `evaluate`."""

    splits: list[SplitName] = Field(min_length=1)
    #: Confidence level of the Wilson interval beside each accuracy.
    confidence: Number = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def _splits_that_later_stages_need(self) -> "EvaluateParams":
        missing = [name for name in ("validation", "test") if name not in self.splits]
        if missing:
            raise ValueError(
                f"evaluate.splits lacks {' and '.join(missing)}: galleries and the ensemble need validation and test"
            )
        return self


class GalleryParams(Section):
    """The galleries of mistakes: read by `gallery`."""

    #: Rows and columns of the gallery of validation mistakes.
    validation: list[int] = Field(min_length=2, max_length=2)
    #: Rows and columns of the gallery of test mistakes.
    test: list[int] = Field(min_length=2, max_length=2)

    @model_validator(mode="after")
    def _sizes_in_range(self) -> "GalleryParams":
        for key in ("validation", "test"):
            if not all(1 <= side <= 20 for side in getattr(self, key)):
                raise ValueError(f"gallery.{key} = {getattr(self, key)}: rows and columns go from 1 to 20")
        return self


class Params(Section):
    """The whole of `params.yaml`."""

    seed: int = Field(ge=0, lt=2**31)
    dataset: DatasetParams
    split: SplitParams
    normalisation: NormalisationParams
    members: list[MemberName] = Field(min_length=1)
    models: dict[MemberName, ModelParams]
    train: TrainParams
    optimizer: OptimizerParams
    schedule: ScheduleParams
    augment: AugmentParams
    evaluate: EvaluateParams
    gallery: GalleryParams

    @model_validator(mode="after")
    def _members_are_models(self) -> "Params":
        for member in self.members:
            if member not in self.models:
                raise ValueError(f"members names {member!r}, which is not in models{_nearest(member, self.models)}; "
                                 f"models has {', '.join(self.models)}")  # fmt: skip
        if ENSEMBLE in self.members:
            raise ValueError(f"members names {ENSEMBLE!r}, which is what their ensemble is called; rename it in models")
        twice = sorted({member for member in self.members if self.members.count(member) > 1})
        if twice:
            raise ValueError(f"members names {', '.join(twice)} more than once")
        return self

    def training_of(self, member: str) -> dict[str, Any]:
        """All that the training of one member reads, by section, without what it does not use."""
        return {
            "seed": self.seed,
            "model": self.models[member].used(),
            "train": self.train.model_dump(),
            "optimizer": self.optimizer.used(),
            "schedule": self.schedule.used(),
            "augment": self.augment.model_dump(),
        }


def load_params(path: Path = PARAMS) -> Params:
    """Reads and checks `params.yaml`.

    Raises:
        UserError: the file is missing or no YAML, or a key or value in it is not allowed; the message lists each.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} is missing; run this in the root of the project, or: git checkout {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as text in UTF-8: {error}") from None
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no YAML: {error}") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} holds {type(values).__name__}, not keys and values")
    return check_params(values, str(path))


def check_params(values: Mapping[str, Any], source: str = "params") -> Params:
    """Checks parameters that are already read.

    Raises:
        UserError: as `load_params`.
    """
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        lines = sorted({_explain(dict(item)) for item in error.errors(include_url=False)})
        raise UserError(f"{source} cannot be used:\n" + "\n".join(f"  - {line}" for line in lines)) from None


def _nearest(name: str, known: Iterator[str] | Mapping[str, Any] | list[str]) -> str:
    names = {candidate.lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.lower(), list(names), n=1, cutoff=0.5)
    return f" (did you mean {names[close[0]]!r}?)" if close else ""


def _explain(error: dict[str, Any]) -> str:
    """One line of plain language for one pydantic error."""
    location = [str(part) for part in error["loc"] if part != "[key]"]
    key, given, context = ".".join(location), error["input"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            known = list(_section_at(location[:-1]).model_fields)
            where = ".".join(location[:-1]) or "the top level"
            return f"{key}: unknown key{_nearest(location[-1], known)}; {where} has {', '.join(known)}"
        case "missing":
            return f"{key}: missing"
        case "literal_error":
            allowed = context["expected"]
            names = [part.strip("' ") for part in allowed.replace(" or ", ", ").split(",")]
            return f"{key} = {given!r}: allowed are {', '.join(names)}{_nearest(str(given), names)}"
        case "value_error":
            return str(context["error"])
        case "string_pattern_mismatch":
            return f"{key} = {given!r}: a name starts with a letter and has letters, digits, - and _ only"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"{key} = {given!r}: must be a section with keys of its own"
        case _:
            message = error["msg"].removeprefix("Input should be ").replace("Input should have", "must have")
            return (
                f"{key} = {given!r}: must be {message}"
                if not message.startswith(("must", "List"))
                else f"{key} = {given!r}: {message}"
            )


def _section_at(location: list[str]) -> type[Section]:
    """The section class that a path of keys leads to."""
    section: type[Section] = Params
    for part in location:
        if part not in section.model_fields:
            continue  # the name of an entry in `models`
        for candidate in _classes_in(section.model_fields[part].annotation):
            section = candidate
    return section


def _classes_in(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, Section):
        yield annotation
    if get_origin(annotation) in (dict, Union, UnionType, Annotated):
        for part in get_args(annotation):
            yield from _classes_in(part)
