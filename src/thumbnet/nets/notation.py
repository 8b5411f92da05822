"""The network language: a line such as `C16 C16+ c16 P C32 G` is parsed here, and its shapes are worked out.

Parsing and shapes are plain Python, without torch, so that a line of `params.yaml` is refused before anything runs.
What a token becomes as a PyTorch module is the concern of `thumbnet.nets.builder`.
"""

import difflib
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from thumbnet.errors import UserError
from thumbnet.params import ModelParams, NormKind

Kind = Literal["C", "c", "P", "G", "F", "L", "D"]

#: Every kind of token: what it means, the number it takes, and whether it can carry a `+`.
KINDS: dict[str, tuple[str, str, bool]] = {
    "C": ("3×3 convolution", "filters", True),
    "c": ("1×1 convolution", "filters", True),
    "P": ("max pool", "window, 2 unless given", False),
    "G": ("global average pool", "", False),
    "F": ("flatten", "", False),
    "L": ("dense layer", "units", True),
    "D": ("dropout", "probability", False),
}  # fmt: skip

#: Of filters, units and windows; what is larger is a slip of the keyboard.
LARGEST = 1_000_000

_TOKEN = re.compile(r"(?P<kind>[A-Za-z])(?P<number>\d*\.?\d*)(?P<residual>\+?)")


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
    """One layer of a line.

    Attributes:
        kind: the letter.
        number: filters, units, window or probability; None where the kind takes none.
        residual: whether the layer's input is added to its output (`+`).
    """

    kind: Kind
    number: float | None = None
    residual: bool = False

    def __str__(self) -> str:
        number = "" if self.number is None or (self.kind == "P" and self.number == 2) else _in_digits(self.number)
        return f"{self.kind}{number}{'+' if self.residual else ''}"

    @property
    def count(self) -> int:
        """The number as filters, units or window."""
        if self.number is None:
            raise TypeError(f"{self.kind} has no number")
        return int(self.number)


@dataclass(frozen=True)
class Step:
    """A token with the shapes that it maps between."""

    token: Token
    before: Shape
    after: Shape


def parse(line: str) -> tuple[Token, ...]:
    """Reads a line of the network language.

    Args:
        line: tokens parted by white space, e.g. `"C16 C16+ c16 P C32 G"`.

    Raises:
        UserError: a token is not of the language; the message names it and what is allowed.
    """
    return tuple(_parse_token(text, position, line) for position, text in enumerate(line.split(), start=1))


def plan(tokens: tuple[Token, ...], image: Shape) -> list[Step]:
    """Works out the shape before and after each layer.

    Args:
        tokens: as `parse` returns them.
        image: the shape of one image.

    Raises:
        UserError: the shapes do not fit; the message names the token, its place and the shapes.
    """
    steps: list[Step] = []
    shape = image
    for position, token in enumerate(tokens, start=1):
        before = shape
        shape = _shape_after(token, before, position)
        if token.residual and shape != before:
            raise _error(
                token, position, f"adds {before} to {shape}; + needs the same shape before and after the layer"
            )
        steps.append(Step(token, before, shape))
    if not shape.is_flat:
        end = f"after {tokens[-1]}" if tokens else "of the images themselves"
        raise UserError(f"the classifier needs a flat input, and the shape {end} is {shape}; end the line with G or F")
    return steps


def check_network(member: str, params: ModelParams, image: Shape) -> None:
    """Checks that a member's line parses, fits the images, and suits its normalisation.

    Raises:
        UserError: it does not; the message names the member and the token.
    """
    try:
        steps = plan(parse(params.layers), image)
        for position, step in enumerate(steps, start=1):
            check_norm(step, position, params.norm, params.groups)
    except UserError as error:
        raise UserError(f"models.{member}.layers = {params.layers!r}, on images of {image}: {error}") from None


def check_norm(step: Step, position: int, norm: NormKind, groups: int) -> None:
    """Group normalisation divides channels evenly, or not at all.

    Raises:
        UserError: the layer's channels cannot be divided into `groups`.
    """
    if norm == "group" and is_normalised(step.token) and step.after.channels % groups:
        raise _error(step.token, position, f"{step.after.channels} channels cannot be divided into groups = {groups}")


def is_normalised(token: Token) -> bool:
    """Normalisation and activation follow every C and L; c carries none, being a transition, as in the sources."""
    return token.kind in ("C", "L")


def _parse_token(text: str, position: int, line: str) -> Token:
    where = f'token {position} ("{text}")'
    match = _TOKEN.fullmatch(text)
    if match is None or match["kind"] not in KINDS:
        close = difflib.get_close_matches(text[:1].swapcase(), list(KINDS), n=1)
        hint = f" (did you mean {close[0] + text[1:]!r}?)" if close and match else ""
        known = ", ".join(f"{kind} ({meaning})" for kind, (meaning, _, _) in KINDS.items())
        raise UserError(f"{where} is no layer{hint}; known are {known}, and + after C, c or L")
    kind, number, residual = match["kind"], match["number"], bool(match["residual"])
    meaning, _, can_add = KINDS[kind]
    if residual and not can_add:
        raise UserError(f"{where}: {meaning} cannot carry +; C, c and L can")
    return Token(kind, _read_number(kind, number, where), residual)  # type: ignore[arg-type]  # kind is in KINDS


def _read_number(kind: str, number: str, where: str) -> float | None:
    meaning, takes, _ = KINDS[kind]
    if kind in ("G", "F"):
        if number:
            raise UserError(f"{where}: {meaning} takes no number")
        return None
    if kind == "P":
        number = number or "2"
    if not number or number == ".":
        raise UserError(
            f"{where}: {meaning} needs a number of its own ({takes}), such as {kind}{'.25' if kind == 'D' else '32'}"
        )
    value = float(number)
    if kind == "D":
        if not 0 <= value < 1:
            raise UserError(f"{where}: a probability of dropout is at least 0 and below 1, such as D.25")
        return value
    if not 1 <= value <= LARGEST or value != int(value):
        raise UserError(f"{where}: {takes} must be a whole number from 1 to {LARGEST:,}")
    return value


def _in_digits(number: float) -> str:
    """Every digit and no exponent: `16`, `.25`, `.00001`."""
    digits = format(Decimal(repr(number)), "f")
    return digits.rstrip("0").rstrip(".").removeprefix("0") or "0" if "." in digits else digits


def _shape_after(token: Token, before: Shape, position: int) -> Shape:
    match token.kind:
        case "D":
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
    match token.kind:
        case "P":
            height, width = before.height // token.count, before.width // token.count
            if height < 1 or width < 1:
                raise _error(token, position, f"a window of {token.count}×{token.count} does not fit into {before}")
            return Shape(before.channels, height, width)
        case "G":
            return Shape(before.channels)
        case _:
            return Shape(token.count, before.height, before.width)


def _error(token: Token, position: int, message: str) -> UserError:
    return UserError(f'token {position} ("{token}"): {message}')
