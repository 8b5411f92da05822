"""The typed `params.yaml`: every parameter, its type, its range and its default, checked before anything runs.

DVC tracks the values that a stage names in `dvc.yaml`; this module gives them types, refuses what cannot work, and
says so in the user's terms: the key, the value, what is allowed, and the nearest known name. It knows nothing of
files other than `params.yaml` itself, and imports neither torch nor MLflow.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from thumbnet.errors import UserError, did_you_mean
from thumbnet.files import read_yaml
from thumbnet.paths import ENSEMBLE, PARAMS

DatasetName = Literal["cifar10", "mnist", "fashion_mnist", "digits", "image_folder"]
SplitKind = Literal["holdout", "fraction", "test_halves", "train_test"]
NormalisationKind = Literal["none", "unit", "channel", "pixel"]
NormKind = Literal["batch", "group", "layer", "instance", "none"]
Order = Literal["norm_act", "act_norm"]
Activation = Literal["relu", "leaky_relu", "prelu", "elu", "selu", "gelu", "silu", "tanh", "maxout"]
Initialiser = Literal[
    "zero",
    "normal",
    "uniform",
    "lecun_normal",
    "lecun_uniform",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
]
OptimizerName = Literal["sgd", "rmsprop", "adam", "adamw", "muon"]
ScheduleName = Literal["constant", "inverse_time", "step", "one_cycle", "cosine", "linear"]
FlipKind = Literal["none", "random", "alternating"]
Border = Literal["black", "reflect"]
Monitor = Literal["none", "validation_loss", "validation_accuracy"]
EnsembleMethod = Literal["soft_vote", "logit_mean", "majority", "weighted", "greedy"]
EnsembleSeeds = Literal["first", "all"]
Kept = Literal["validation_loss", "validation_accuracy"]
Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "fp32", "bf16"]
SplitName = Literal["train", "validation", "test"]
GalleryOrder = Literal["confidence", "loss", "random"]

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

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class DatasetParams(Section):
    """Which images: read by `download`."""

    name: DatasetName
    """`digits` is scikit-learn's small set, which needs no download; `image_folder` is your own."""
    path: str
    """A local copy that is tried before any download; for `image_folder` the folder or archive itself."""
    image_size: int = Field(ge=4, le=1024)
    """`image_folder` only: height and width that every image is resized to, in pixels."""


class SplitParams(Section):
    """How the images are divided: read by `split`."""

    kind: SplitKind
    """`holdout`: the last `validation` images of train; `fraction`: that share of train, stratified by class;
    `test_halves`: the first `validation` images of test, the rest of test being the test set; `train_test`: all of
    train trains, and validation *is* the test set, which is then no independent judge (to repeat a published
    protocol)."""
    validation: Number = Field(gt=0)
    """A number of images (`holdout`, `test_halves`) or a share between 0 and 1 (`fraction`); not used by
    `train_test`."""

    @model_validator(mode="after")
    def _size_fits_kind(self) -> "SplitParams":
        if self.kind == "fraction" and not self.validation < 1:
            raise ValueError(
                f"split.validation = {self.validation:g} is no share between 0 and 1, as kind fraction needs"
            )
        if self.kind in ("holdout", "test_halves") and self.validation != int(self.validation):
            raise ValueError(
                f"split.validation = {self.validation:g} is no whole number of images, as kind {self.kind} needs"
            )
        return self


class CorruptionParams(Section):
    """Noise that is put on the training split once, to see what it does: read by `split`."""

    label_noise: Number = Field(ge=0, le=1)
    """The share of training labels that are replaced by a class drawn uniformly from all classes, the true one
    included."""
    pixel_noise: Number = Field(ge=0, le=100)
    """The variance of Gaussian noise of mean 0 added to the training images, on a scale where pixels go from 0 to 1;
    the result is rounded and clipped, as images are stored in 8 bits."""


class NormalisationParams(Section):
    """How pixels are scaled, with statistics of the training split only: read by `normalise`."""

    kind: NormalisationKind
    """`none`: 0–255 as they are; `unit`: to [0, 1]; `channel`, `pixel`: zero mean and unit variance of each."""


class ModelParams(Section):
    """One network, written in a line (see notation.md): read by `train`."""

    layers: str
    """The line, such as `C16 C16+ c16 P C32 G`."""
    norm: NormKind = "none"
    """The normalisation of every C, S and L, or, in a line with an N of its own, of the N alone."""
    groups: int = Field(default=2, ge=1)
    """`norm: group` only: the number of groups that channels are divided into."""
    order: Order = "norm_act"
    """Whether normalisation comes before the activation or after it."""
    activation: Activation = "relu"
    """After every C, S and L. With `maxout` a layer of n outputs computes 2·n values and keeps the larger of each
    pair."""
    init: Initialiser = "he_normal"
    """The distribution of the initial kernels; biases start at zero."""

    def used(self) -> dict[str, Any]:
        """What this network really reads: `groups` belongs to group normalisation alone, `order` to any."""
        unused = {"group": set(), "none": {"groups", "order"}}.get(self.norm, {"groups"})
        return self.model_dump(exclude=unused)


class TorchvisionParams(Section):
    """One network of torchvision's, with a classifier for the data set's classes: read by `train`."""

    torchvision: str = Field(pattern=r"^[a-z0-9_]+$")
    """Its name there, such as `resnet18`."""
    pretrained: str = Field(default="none", min_length=1)
    """The initial weights: `none` (random), `imagenet` (torchvision's best, downloaded once) or the path of a file
    with a state dict (`.safetensors`, or `.pth` as torch.save writes it), and perhaps `#` and the beginning of the
    file's sha256 after it."""

    def used(self) -> dict[str, Any]:
        """What this network really reads."""
        return self.model_dump()


def _kind_of_network(value: object) -> str:
    named = isinstance(value, TorchvisionParams) or (isinstance(value, Mapping) and "torchvision" in value)
    return "torchvision" if named else "layers"


#: An entry of `models`: which of the two it is, the presence of the key `torchvision` tells.
NetworkParams: TypeAlias = Annotated[
    Annotated[ModelParams, Tag("layers")] | Annotated[TorchvisionParams, Tag("torchvision")],
    Discriminator(_kind_of_network),
]


def network_params(values: Mapping[str, Any]) -> NetworkParams:
    """An entry of `models` made of its keys and values, as a model card has them.

    Raises:
        ValidationError: they are of neither kind.
    """
    network: NetworkParams = TypeAdapter(NetworkParams).validate_python(values)
    return network


#: The classes of entries of `models`, by their tags.
_NETWORKS: dict[str, type[Section]] = {"layers": ModelParams, "torchvision": TorchvisionParams}


class TrainParams(Section):
    """The training loop: read by `train`."""

    epochs: int = Field(ge=1, le=10_000)
    """Passes over the training images. Each is in whole batches, in an order drawn anew: up to `batch_size` − 1 images
    are left over, others each time."""
    batch_size: int = Field(ge=1)
    """Images per step of the optimizer; the whole split where it has fewer."""
    device: Device
    """`auto`: CUDA where there is one, else MPS, else the CPU. Read by `evaluate`, too."""
    precision: Precision
    """`auto`: bf16 where the hardware multiplies it faster than fp32, else fp32."""
    threads: int = Field(ge=0, le=1024)
    """On the CPU: threads of one training; 0 for one per core. Several trainings at a time want cores / trainings.
    Read by `evaluate`, too."""
    ema: Number = Field(ge=0, lt=1)
    """Decay of the exponential moving average of the weights, which is what is validated and kept; 0 for none."""
    keep: Kept
    """The weights of the epoch that is best by this are kept. Read by `curves`, too, which marks it."""
    seeds: int = Field(ge=1, le=1000)
    """Networks that are trained, from the seeds `seed`, `seed` + 1 and so on, for medians and quartiles of their
    figures. The first of them is the one that is shown; the others may join it in the ensemble (`ensemble.seeds`)."""
    compile: bool
    """Let torch.compile make the network's kernels, in half a minute or more; needs a C++ compiler. On CPUs it gained
    nothing; on GPUs it has not been measured."""
    deterministic: bool
    """On CUDA: deterministic algorithms where PyTorch has them, and a warning where it has none and bytes may differ;
    false lets cuDNN choose the fastest. CPUs always give the same bytes. Read by `evaluate`, too."""


class OptimizerParams(Section):
    """The optimizer: read by `train`."""

    name: OptimizerName
    """As in torch.optim; `muon`: the kernels of hidden layers by Muon, all else by AdamW."""
    lr: Number = Field(gt=0, le=1e6)
    """The learning rate; schedules change it from there."""
    weight_decay: Number = Field(ge=0, le=1e6)
    """λ, on kernels only (not on biases and normalisation parameters). `sgd`, `rmsprop`, `adam`: λ·w is added to the
    gradient; `adamw`, `muon`: decoupled, w shrinks by lr·λ·w in each step."""
    momentum: Number = Field(ge=0, lt=1)
    """`sgd`, `rmsprop` and `muon` only."""
    nesterov: bool
    """`sgd` and `muon` only; needs `momentum` > 0."""

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> "OptimizerParams":
        if self.name in ("sgd", "muon") and self.nesterov and self.momentum == 0:
            raise ValueError(
                "optimizer.nesterov = true needs optimizer.momentum > 0; set nesterov to false or raise momentum"
            )
        return self

    def used(self) -> dict[str, Any]:
        """What this optimizer really reads."""
        unused: dict[OptimizerName, set[str]] = {
            "rmsprop": {"nesterov"},
            "adam": {"momentum", "nesterov"},
            "adamw": {"momentum", "nesterov"},
        }
        return self.model_dump(exclude=unused.get(self.name, set()))


class ScheduleParams(Section):
    """The learning rate over time: read by `train`."""

    name: ScheduleName
    """`constant`; `inverse_time`: lr / (1 + decay·(epoch − 1)); `step`: times `factor` after every `every` epochs;
    `one_cycle`: a rise and a fall to zero along cosines; `cosine`: a linear rise, a fall to zero along a cosine;
    `linear`: a linear rise, a linear fall to zero. The last three change the rate with every step, the others with
    every epoch (counted from 1)."""
    warmup: Number = Field(ge=0, lt=1)
    """`one_cycle`, `cosine` and `linear` only: the share of all steps in which the rate rises to `optimizer.lr`."""
    decay: Number = Field(ge=0)
    """`inverse_time` only: k of lr / (1 + k·(epoch − 1))."""
    every: int = Field(ge=1)
    """`step` only: epochs between two drops."""
    factor: Number = Field(gt=0, le=1)
    """`step` only: what the rate is multiplied by at each drop."""

    def used(self) -> dict[str, Any]:
        """What this schedule really reads."""
        read: dict[ScheduleName, set[str]] = {
            "constant": set(),
            "inverse_time": {"decay"},
            "step": {"every", "factor"},
        }
        return self.model_dump(include={"name"} | read.get(self.name, {"warmup"}))


class RegularisationParams(Section):
    """What keeps weights and outputs small: read by `train`."""

    l2: Number = Field(ge=0, le=1e6)
    """λ of the penalty λ/2·Σw² on kernels, part of the loss that is minimised, and logged apart from the
    cross-entropy."""
    label_smoothing: Number = Field(ge=0, lt=1)
    """The share of each target that is spread evenly over all classes; in training only."""
    clip_norm: Number = Field(ge=0)
    """Gradients longer than this, all together, are scaled down to it; 0 for no clipping."""


class EarlyStoppingParams(Section):
    """When training ends before its last epoch: read by `train`."""

    monitor: Monitor
    """What must go on improving; `none` for no early stopping."""
    mode: Literal["auto", "min", "max"]
    """Whether less or more is better; `auto`: less loss, more accuracy."""
    patience: int = Field(ge=1)
    """Training ends after so many epochs in a row without an improvement."""
    min_delta: Number = Field(ge=0)
    """A change of no more than this is no improvement."""

    @model_validator(mode="after")
    def _better_is_an_improvement(self) -> "EarlyStoppingParams":
        worse: dict[Monitor, str] = {"validation_loss": "max", "validation_accuracy": "min"}
        if self.mode == worse.get(self.monitor):
            raise ValueError(
                f"early_stopping.mode = {self.mode} with monitor {self.monitor} would stop the training where it gets "
                "better; set mode to auto"
            )
        return self

    def used(self) -> dict[str, Any]:
        """What is really read."""
        return self.model_dump(include={"monitor"} if self.monitor == "none" else None)


class AugmentParams(Section):
    """Random changes of the training images, drawn anew for each image and epoch: read by `train`, and by
    `preview`, which shows them."""

    flip: FlipKind
    """Mirror left and right: `random`, with probability 1/2; `alternating`, every image in every second epoch, half of
    them in the first."""
    rotation: Number = Field(ge=0, le=180)
    """Turn by up to this many degrees either way."""
    shift: Number = Field(ge=0, lt=1)
    """Shift by up to this share of height and width either way, to fractions of pixels."""
    crop: int = Field(ge=0, le=64)
    """Shift by up to this many whole pixels either way, fewer than the image's side has; 0 for none."""
    border: Border
    """What rotations, shifts and crops bring in from outside: black, or the image reflected at its edges."""
    cutout: int = Field(ge=0)
    """The side in pixels of a square that is blackened, its centre anywhere in the image; shorter than the image's; 0
    for none."""
    pixel_noise: Number = Field(ge=0, le=100)
    """The variance of Gaussian noise of mean 0, on a scale where pixels go from 0 to 1, drawn anew for each batch."""

    def used(self) -> dict[str, Any]:
        """What is really read: no border where nothing comes in from outside."""
        moves = self.rotation or self.shift or self.crop
        return self.model_dump(exclude=None if moves else {"border"})


class EvaluateParams(Section):
    """What is judged: read by `evaluate`."""

    splits: list[SplitName]
    """Validation and test, and train where wanted."""
    train_images: int = Field(ge=0)
    """Of train, judge so many images at most, evenly spaced: all of them take a good part of an epoch's time; 0 for
    all."""
    flip: bool
    """Judge each image together with its mirror image: the mean of the logits of both (test-time augmentation)."""
    shift: int = Field(ge=0, le=64)
    """Judge each image together with four copies, shifted by so many pixels up, down, left and right, and with `flip`
    their mirror images too; 0 for none."""
    border: Border
    """What such shifts bring in from outside: black, or the image reflected at its edges."""
    confidence: Number = Field(gt=0, lt=1)
    """Confidence level of the Wilson interval beside each accuracy. Read by `ensemble`, too."""

    @model_validator(mode="after")
    def _splits_that_later_stages_need(self) -> "EvaluateParams":
        missing = [name for name in ("validation", "test") if name not in self.splits]
        if len(set(self.splits)) < len(self.splits):
            raise ValueError(f"evaluate.splits = [{', '.join(self.splits)}] names a split twice")
        if missing:
            raise ValueError(
                f"evaluate.splits lacks {' and '.join(missing)}: galleries and the ensemble need validation and test"
            )
        return self


class EnsembleParams(Section):
    """How the members are combined: read by `ensemble`."""

    method: EnsembleMethod
    """`soft_vote`: the mean of the probabilities; `logit_mean`: the softmax of the mean of the logits; `majority`: a
    vote each; `weighted`: the mean by weights of least loss on validation; `greedy`: the mean of a selection, some of
    them more than once, of highest accuracy on validation. All are computed and compared; this one is kept."""
    seeds: EnsembleSeeds
    """With `train.seeds` above 1: the `first` network of each member, or those of `all` seeds."""


class GalleryParams(Section):
    """Images with what networks make of them: read by `gallery`, `explain` and `shared`. Rows and columns go from 1 to
    20."""

    validation: list[int] = Field(min_length=2, max_length=2)
    """Rows and columns of the gallery of validation mistakes."""
    test: list[int] = Field(min_length=2, max_length=2)
    """Rows and columns of the gallery of test mistakes."""
    samples: list[int] = Field(min_length=2, max_length=2)
    """Rows and columns of the gallery of test images drawn at random."""
    extremes: list[int] = Field(min_length=2, max_length=2)
    """Rows and columns of the galleries of the most and of the least confident test predictions, right or wrong."""
    shared: list[int] = Field(min_length=2, max_length=2)
    """Rows and columns of the gallery of test images that all members get wrong."""
    order: GalleryOrder
    """Which mistakes come first: `confidence`, those with the highest probability of the class that was predicted;
    `loss`, those with the lowest probability of the true class; `random`, a draw that is the same for all networks."""
    bars: list[int] = Field(max_length=40)
    """Test images, counted from 0, that are shown beside bars of their class probabilities; none: mistakes and the
    least confident right predictions."""
    explain: list[int] = Field(min_length=2, max_length=2)
    """Numbers of mistakes and of right predictions on test that Grad-CAM explains, from 1 to 50 each."""

    @model_validator(mode="after")
    def _sizes_in_range(self) -> "GalleryParams":
        for key in ("validation", "test", "samples", "extremes", "shared"):
            if not all(1 <= side <= 20 for side in getattr(self, key)):
                raise ValueError(f"gallery.{key} = {getattr(self, key)}: rows and columns go from 1 to 20")
        if not all(1 <= count <= 50 for count in self.explain):
            raise ValueError(f"gallery.explain = {self.explain}: numbers of images go from 1 to 50")
        if min(self.bars, default=0) < 0:
            raise ValueError(f"gallery.bars = {self.bars}: images are counted from 0")
        return self


class ReportParams(Section):
    """The page that sums everything up: read by `report`."""

    title: str = Field(max_length=200)
    """Its title; empty for the data set's name."""
    images: int = Field(ge=1, le=1000)
    """Test images that the page shows with every network's answer."""


class Params(Section):
    """The whole of `params.yaml`."""

    seed: int = Field(ge=0, lt=2**31)
    """Of every draw: the split, noise, initial weights, the order of images, augmentation, dropout."""
    dataset: DatasetParams
    split: SplitParams
    corruption: CorruptionParams
    normalisation: NormalisationParams
    members: list[MemberName] = Field(min_length=1)
    """The entries of `models` that are trained, each once; their ensemble comes after them. Names start with a letter
    and have letters, digits, - and _; `ensemble` is taken."""
    models: dict[MemberName, NetworkParams]
    train: TrainParams
    optimizer: OptimizerParams
    schedule: ScheduleParams
    regularisation: RegularisationParams
    early_stopping: EarlyStoppingParams
    augment: AugmentParams
    evaluate: EvaluateParams
    ensemble: EnsembleParams
    gallery: GalleryParams
    report: ReportParams

    @model_validator(mode="after")
    def _members_are_models(self) -> "Params":
        for member in self.members:
            if member not in self.models:
                hint = did_you_mean(member, self.models)
                raise ValueError(f"members names {member!r}, which is not in models{hint}; "
                                 f"models has {', '.join(self.models)}")  # fmt: skip
        if ENSEMBLE in self.members:
            raise ValueError(f"members names {ENSEMBLE!r}, which is what their ensemble is called; rename it in models")
        twice = sorted({member for member in self.members if self.members.count(member) > 1})
        if twice:
            raise ValueError(f"members names {', '.join(twice)} more than once")
        return self

    @property
    def voters(self) -> int:
        """How many networks the ensemble is made of: with one there is none to speak of."""
        return len(self.members) * (self.train.seeds if self.ensemble.seeds == "all" else 1)

    def training_of(self, member: str) -> dict[str, Any]:
        """All that the training of one member reads, by section, without what it does not use."""
        return {
            "seed": self.seed,
            "model": self.models[member].used(),
            "train": self.train.model_dump(),
            "optimizer": self.optimizer.used(),
            "schedule": self.schedule.used(),
            "regularisation": self.regularisation.model_dump(),
            "early_stopping": self.early_stopping.used(),
            "augment": self.augment.used(),
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
        values = read_yaml(text)
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


def _explain(error: dict[str, Any]) -> str:
    """One line of plain language for one pydantic error."""
    location, section = _locate([str(part) for part in error["loc"] if part != "[key]"])
    key, given, context = ".".join(location), error["input"], error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            known = list(section.model_fields)
            where = ".".join(location[:-1]) or "the top level"
            near = [*known, "torchvision"] if section is ModelParams else known  # what would have made it the other
            return f"{key}: unknown key{did_you_mean(location[-1], near)}; {where} has {', '.join(known)}"
        case "missing":
            return f"{key}: missing"
        case "literal_error":
            allowed = context["expected"]
            names = [part.strip("' ") for part in allowed.replace(" or ", ", ").split(",")]
            return f"{key} = {given!r}: allowed are {', '.join(names)}{did_you_mean(str(given), names)}"
        case "value_error":
            return str(context["error"])
        case "string_pattern_mismatch" if section is TorchvisionParams:
            return f"{key} = {given!r}: names there have small letters, digits and _ only, such as resnet18"
        case "string_too_short":  # the least is one character everywhere
            return f"{key} is empty"
        case "string_too_long":
            return f"{key} has {len(given)} characters; allowed are {context['max_length']} at most"
        case "too_short" | "too_long" as wrong:
            most = "at most" if wrong == "too_long" else "at least"
            limit = context[f"{'max' if wrong == 'too_long' else 'min'}_length"]
            entries = "entry" if limit == 1 else "entries"
            return f"{key} = {given!r}: must have {most} {limit} {entries}, and has {context['actual_length']}"
        case "string_pattern_mismatch":
            return f"{key} = {given!r}: a name starts with a letter and has letters, digits, - and _ only"
        case "dict_type" | "model_type" | "model_attributes_type":
            return f"{key} = {given!r}: must be a section with keys of its own"
        case _:
            message = error["msg"].removeprefix("Input should be ").replace("Input should have", "must have")
            return f"{key} = {given!r}: {message if message.startswith('must') else f'must be {message}'}"


def _locate(location: list[str]) -> tuple[list[str], type[Section]]:
    """The keys as they are in the file, and the section that holds the last of them.

    Args:
        location: as pydantic has it: for an entry of `models` its tag comes after its name.
    """
    match location:
        case ["models", name, tag, *keys]:
            return ["models", name, *keys], _NETWORKS[tag]
        case [part, _]:
            return location, next(sections_in(Params.model_fields[part].annotation), Params)
        case _:
            return location, Params


def sections_in(annotation: Any) -> Iterator[type[Section]]:
    """The section classes in the type of a field: one, several for the kinds of networks, none for a plain value."""
    if isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, Section):
        yield annotation
    if get_origin(annotation) in (dict, Union, UnionType, Annotated):
        for part in get_args(annotation):
            yield from sections_in(part)
