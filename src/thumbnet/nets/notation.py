"""The network language: a line such as `C16 C16+ c16 P C32 G` is parsed here, and its shapes are worked out.

Parsing and shapes are plain Python, without torch, so that a line of `params.yaml` is refused before anything runs.
What a token becomes as a PyTorch module is the concern of `thumbnet.nets.builder`.
"""

import difflib
import re
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Literal

from thumbnet.errors import UserError
from thumbnet.params import ModelParams

Kind = Literal["C", "c", "S", "P", "A", "G", "F", "L", "D", "N"]

#: Every kind of token: what it means, the number it takes ("" for none), and the suffixes that it can carry.
KINDS: dict[str, tuple[str, str, str]] = {
    "C": ("3×3 convolution", "filters", "kv/+"),
    "c": ("1×1 convolution", "filters", "/+"),
    "S": ("depthwise-separable 3×3 convolution", "filters", "kv/+"),
    "P": ("max pool", "window", "/"),
    "A": ("average pool", "window", "/"),
    "G": ("global average pool", "", ""),
    "F": ("flatten", "", ""),
    "L": ("dense layer", "units", "+"),
    "D": ("dropout", "probability", ""),
    "N": ("normalisation", "", ""),
}  # fmt: skip

#: Every suffix, in the order in which they are printed: what it means, and whether it takes a number.
SUFFIXES: dict[str, tuple[str, bool]] = {
    "k": ("kernel, such as k5", True),
    "v": ("valid padding, which is none", False),
    "/": ("stride, such as /2", True),
    "+": ("adds the layer's input to its output", False),
}

#: Of filters, units, windows, kernels and strides; what is larger is a slip of the keyboard.
LARGEST = 1_000_000

_NUMBER = r"[0-9]*(?:\.[0-9]*)?"  # one way to read any text: no line takes long
_SUFFIX = rf"[kv/+]{_NUMBER}"
_TOKEN = re.compile(rf"(?P<kind>[A-Za-z])(?P<number>{_NUMBER})(?P<suffixes>({_SUFFIX})*)")


@dataclass(frozen=True)
class Shape:
    """The shape of one image's values between two layers: a map, or a flat vector when `height` is None."""

    channels: int
    height: int | None = None
    width: int | None = None

    @property
    def is_flat(self) -> bool:
        return self.height is None

    @property
    def size(self) -> int:
        """The number of values."""
        return self.channels * (self.height or 1) * (self.width or 1)

    def __str__(self) -> str:
        return str(self.channels) if self.is_flat else f"{self.height}×{self.width}×{self.channels}"


@dataclass(frozen=True)
class Token:
    """One layer of a line. Of what is written although it is the default nothing is kept: `C16k3/1` is `C16`.

    Attributes:
        kind: the letter.
        number: filters, units, window or probability; None where the kind takes none.
        kernel: height and width of the kernel (`k5`); None for the kind's own.
        stride: of the window (`/2`); None for the kind's own, which is 1 for convolutions and the window for pools.
        valid: whether a convolution goes without padding (`v`).
        residual: whether the layer's input is added to its output (`+`).
        written: how its line spells it, if it comes from one; it makes no difference between tokens.
    """

    kind: Kind
    number: float | None = None
    kernel: int | None = None
    stride: int | None = None
    valid: bool = False
    residual: bool = False
    written: str = field(default="", compare=False, repr=False)

    def __str__(self) -> str:
        """As a line has it, with its suffixes in the order of `SUFFIXES`."""
        number = "" if self.number is None or (self.is_pool and self.number == 2) else _in_digits(self.number)
        kernel = f"k{self.kernel}" if self.kernel else ""
        stride = f"/{self.stride}" if self.stride else ""
        return f"{self.kind}{number}{kernel}{'v' if self.valid else ''}{stride}{'+' if self.residual else ''}"

    @property
    def as_written(self) -> str:
        """For errors: users look for their own spelling, of which `str` keeps only the meaning."""
        return self.written or str(self)

    @property
    def count(self) -> int:
        """The number as filters, units or window."""
        if self.number is None:
            raise TypeError(f"{self.kind} has no number")
        return int(self.number)

    @property
    def is_convolution(self) -> bool:
        return self.kind in ("C", "c", "S")

    @property
    def is_pool(self) -> bool:
        """Whether it is a pool with a window; `G` pools the whole map."""
        return self.kind in ("P", "A")

    @property
    def is_activated(self) -> bool:
        """An activation follows every C, S and L; c has none, being a transition, as in the sources."""
        return self.kind in ("C", "S", "L")

    @property
    def window(self) -> int:
        """Height and width of what one output sees, in places of the map before it; 1 for layers without a window.

        Of `G`, which sees the whole map, a token alone cannot tell.
        """
        if self.is_pool:
            return self.count
        return self.kernel or (3 if self.kind in ("C", "S") else 1)

    @property
    def effective_stride(self) -> int:
        """The stride, given or not: without one, that of a pool is its window, and that of all else is 1."""
        return self.stride or (self.window if self.is_pool else 1)


@dataclass(frozen=True)
class Step:
    """A token with what its line makes of it.

    Attributes:
        token: the layer.
        position: its place in the line, from 1.
        before, after: the shapes that it maps between.
        normalised: whether the network's normalisation stands here: with every C, S and L, or, in a line with an N, at
            the Ns alone.
        meets_norm: whether an N comes directly after it.
    """

    token: Token
    position: int
    before: Shape
    after: Shape
    normalised: bool
    meets_norm: bool


def parse(line: str) -> tuple[Token, ...]:
    """Reads a line of the network language.

    Args:
        line: tokens parted by white space, e.g. `"C16 C16+ c16 P C32 G"`.

    Raises:
        UserError: a token is not of the language; the message names it and what is allowed.
    """
    return tuple(_parse_token(text, position) for position, text in enumerate(line.split(), start=1))


def plan(tokens: tuple[Token, ...], image: Shape) -> list[Step]:
    """Works out the shape before and after each layer, and where normalisations stand.

    Args:
        tokens: as `parse` returns them.
        image: the shape of one image.

    Raises:
        UserError: the shapes do not fit; the message names the token, its place and the shapes.
    """
    steps: list[Step] = []
    shape = image
    alone = any(token.kind == "N" for token in tokens)
    for position, token in enumerate(tokens, start=1):
        before = shape
        shape = _shape_after(token, before, position)
        if token.residual and shape != before:
            raise _error(
                token, position, f"adds {before} to {shape}; + needs the same shape before and after the layer"
            )
        normalised = token.kind == "N" if alone else token.is_activated
        meets_norm = position < len(tokens) and tokens[position].kind == "N"
        steps.append(Step(token, position, before, shape, normalised, meets_norm))
    if not shape.is_flat:
        end = f"after {tokens[-1].as_written}" if tokens else "of the images themselves"
        raise UserError(f"the classifier needs a flat input, and the shape {end} is {shape}; end the line with G or F")
    return steps


def check_network(member: str, params: ModelParams, image: Shape) -> None:
    """Checks that a member's line parses, fits the images, and suits its normalisation.

    Raises:
        UserError: it does not; the message names the member and the token.
    """
    try:
        check_norms(plan(parse(params.layers), image), params)
    except UserError as error:
        raise UserError(f"models.{member}.layers = {params.layers!r}, on images of {image}: {error}") from None


def check_norms(steps: list[Step], params: ModelParams) -> None:
    """Checks that the normalisations of a line can do something with what they get.

    Raises:
        UserError: an N has no normalisation; a layer's channels cannot be divided into groups; a mean is that of a
            single value, so that nothing but zeros would come out; or G takes the means of channels that instance
            normalisation has just made equal for all images.
    """
    equal: Step | None = None  # the normalisation since which each channel has the same mean in all images
    for step in steps:
        _check_norm(step, params)
        if step.token.kind == "G" and equal:
            message = (
                "each channel has the same mean in all images after this normalisation, and means are what G takes; "
                "put an activation between them, or F in place of G"
            )
            raise _error(equal.token, equal.position, message)
        if _equals_means(step, params):
            equal = step if equal or not step.token.residual else None  # what is added may have other means
        elif not _keeps_means_equal(step):
            equal = None


def _check_norm(step: Step, params: ModelParams) -> None:
    shape = normalised_shape(step, params)
    if shape is None:
        if step.token.kind == "N":
            message = "norm: none says nothing of which normalisation N is; allowed are batch, group, layer, instance"
            raise _error(step.token, step.position, message)
        return
    groups = _groups(shape, params)
    if groups is None:
        return
    if shape.channels % groups:
        raise _error(step.token, step.position, f"{shape.channels} channels cannot be divided into groups = {groups}")
    if shape.size == groups:
        message = f"{params.norm} normalisation of {shape} would take each mean of a single value, and leave only zeros"
        raise _error(step.token, step.position, message)


def _groups(shape: Shape, params: ModelParams) -> int | None:
    """How many means are taken of each image; None for batch normalisation, whose means are of more than one."""
    return {"group": params.groups, "layer": 1, "instance": shape.channels}.get(params.norm)


def _equals_means(step: Step, params: ModelParams) -> bool:
    """Whether a step ends with a normalisation of each channel of each image, but for an input that is added."""
    shape = normalised_shape(step, params)
    last = step.token.kind == "N" or params.order == "act_norm"
    return shape is not None and last and not shape.is_flat and _groups(shape, params) == shape.channels


def _keeps_means_equal(step: Step) -> bool:
    """Whether means that are equal in all images stay so: of sums of channels, and where each place counts once."""
    token, height, width = step.token, step.before.height or 0, step.before.width or 0
    if token.kind == "A":
        return token.effective_stride == token.window and height % token.window == width % token.window == 0
    return token.kind == "D" or (token.kind == "c" and token.effective_stride == 1)


def normalised_shape(step: Step, params: ModelParams) -> Shape | None:
    """The shape of what is normalised in a step; None where nothing is."""
    if params.norm == "none" or not step.normalised:
        return None
    if params.order == "norm_act" and step.token.kind != "N":
        return replace(step.after, channels=computed_channels(step, params))
    return step.after


def computed_channels(step: Step, params: ModelParams) -> int:
    """What the weights of a C, c, S or L compute: its filters or units, and twice as many ahead of a maxout."""
    doubled = params.activation == "maxout" and step.token.is_activated
    return step.token.count * (2 if doubled else 1)


def has_bias(step: Step, params: ModelParams) -> bool:
    """Whether a C, c, S or L carries a bias: unless a normalisation comes directly after it, with a summand of its own.

    With order `norm_act` that is so in every normalised layer, and in a c with an N after it. With `act_norm`, and
    ahead of the Ns of a line, the activation is between a C, S or L and its normalisation: the bias stays.
    """
    if step.token.is_activated:
        return not (params.order == "norm_act" and normalised_shape(step, params))
    return not step.meets_norm


def _parse_token(text: str, position: int) -> Token:
    where = f'token {position} ("{text}")'
    match = _TOKEN.fullmatch(text)
    if match is None or match["kind"] not in KINDS:
        close = difflib.get_close_matches(text[:1].swapcase(), list(KINDS), n=1)
        hint = f" (did you mean {close[0] + text[1:]!r}?)" if close and match else ""
        known = ", ".join(f"{kind} ({meaning})" for kind, (meaning, _, _) in KINDS.items())
        after = ", ".join(f"{letter} ({meaning})" for letter, (meaning, _) in SUFFIXES.items())
        raise UserError(f"{where} is no layer{hint}; known are {known}, and after them {after}")
    kind, number = match["kind"], match["number"]
    suffixes = _read_suffixes(kind, match["suffixes"], where)
    token = Token(
        kind,  # type: ignore[arg-type]  # it is in KINDS
        _read_number(kind, number, where),
        kernel=suffixes.get("k"),
        stride=suffixes.get("/"),
        valid="v" in suffixes,
        residual="+" in suffixes,
        written=text,
    )
    if token.is_convolution and token.window % 2 == 0 and not token.valid:
        raise UserError(f"{where}: padding cannot keep the size for an even kernel; make it odd, or add v for none")
    return _without_defaults(token)


def _without_defaults(token: Token) -> Token:
    """The same layer, with None where what is given is the kind's own."""
    kernel = None if token.window == replace(token, kernel=None).window else token.kernel
    stride = None if token.effective_stride == replace(token, stride=None).effective_stride else token.stride
    return replace(token, kernel=kernel, stride=stride)


def _read_suffixes(kind: str, text: str, where: str) -> dict[str, int]:
    """The number of each suffix by its letter; 1 for those without a number."""
    meaning, _, allowed = KINDS[kind]
    read: dict[str, int] = {}
    for suffix in re.findall(_SUFFIX, text):
        letter, number = suffix[0], suffix[1:]
        if letter not in allowed:
            able = [other for other, (_, _, suffixes) in KINDS.items() if letter in suffixes]
            raise UserError(f"{where}: {meaning} cannot carry {letter}; {', '.join(able[:-1])} and {able[-1]} can")
        if letter in read:
            raise UserError(f"{where}: {letter} is there twice; each suffix stands at most once")
        explained, takes_number = SUFFIXES[letter]
        if number and not takes_number:
            raise UserError(f"{where}: {letter} ({explained}) takes no number")
        read[letter] = _read_whole(number, where, f"{letter} ({explained})") if takes_number else 1
    return read


def _read_number(kind: str, number: str, where: str) -> float | None:
    meaning, takes, _ = KINDS[kind]
    if not takes:
        if number:
            raise UserError(f"{where}: {meaning} takes no number")
        return None
    if kind in ("P", "A"):
        number = number or "2"
    if not number or number == ".":
        raise UserError(
            f"{where}: {meaning} needs a number of its own ({takes}), such as {kind}{'.25' if kind == 'D' else '32'}"
        )
    if kind == "D":
        if not 0 <= float(number) < 1:
            raise UserError(f"{where}: a probability of dropout is at least 0 and below 1, such as D.25")
        return float(number)
    return _read_whole(number, where, takes)


def _read_whole(number: str, where: str, takes: str) -> int:
    value = float(number) if number.strip(".") else 0
    if not 1 <= value <= LARGEST or value != int(value):
        raise UserError(f"{where}: {takes} must be a whole number from 1 to {LARGEST:,}")
    return int(value)


def _in_digits(number: float) -> str:
    """Every digit and no exponent: `16`, `.25`, `.00001`."""
    digits = format(Decimal(repr(number)), "f")
    return digits.rstrip("0").rstrip(".").removeprefix("0") or "0" if "." in digits else digits


def _shape_after(token: Token, before: Shape, position: int) -> Shape:
    match token.kind:
        case "D" | "N":
            return before
        case "F":
            return Shape(before.size)
        case "L":
            if not before.is_flat:
                raise _error(
                    token, position, f"a dense layer needs a flat input, and gets {before}; put F or G before it"
                )
            return Shape(token.count)
    if before.height is None or before.width is None:
        raise _error(
            token, position, f"{token.kind} ({KINDS[token.kind][0]}) needs a map, and gets a flat vector of {before}"
        )
    if token.kind == "G":
        return Shape(before.channels)
    height, width = (_side_after(token, side) for side in (before.height, before.width))
    if height < 1 or width < 1:
        what = f"a {'window' if token.is_pool else 'kernel'} of {token.window}×{token.window}"
        raise _error(token, position, f"{what}{' without padding' if token.valid else ''} does not fit into {before}")
    return Shape(before.channels if token.is_pool else token.count, height, width)


def _side_after(token: Token, side: int) -> int:
    """Height or width after a convolution or pool; below 1 where the window does not fit."""
    padded = token.is_convolution and not token.valid
    return -(-side // token.effective_stride) if padded else (side - token.window) // token.effective_stride + 1


def _error(token: Token, position: int, message: str) -> UserError:
    return UserError(f'token {position} ("{token.as_written}"): {message}')
