"""What one layer of a network comes to: the shape of its output, its trained values, its work, what it sees."""

import math
from dataclasses import dataclass
from typing import Any

#: Height and width of a part of the image, in pixels.
Extent = tuple[int, int]


@dataclass(frozen=True)
class Layer:
    """One layer of a network.

    Attributes:
        token: as the line has it; `classifier` for what is appended; of a network of torchvision's the module's name.
        what: the same in words; of torchvision's the module's class.
        output: the shape of its output for one image, as PyTorch has it: (channels, height, width), or (n,).
        terms: its trained values as a sum of products: of kernel and bias, normalisation, slopes of PReLU.
        multiply_adds: of its kernels for one image; those of biases, normalisations, activations and pools, which are
            few beside them, are not counted.
        receptive_field: height and width of the part of the image that one of its outputs depends on; padding counts as
            a part of the image, so that it may be larger than that. Of the two paths of a `+` it is the longer one's,
            and normalisation, whose means may be those of a whole map, is not followed. None where it is not known.
        jump: pixels of the image from one output to its neighbour; None for vectors, and where it is not known.
    """

    token: str
    what: str
    output: tuple[int, ...]
    terms: tuple[tuple[int, ...], ...]
    multiply_adds: int
    receptive_field: Extent | None = None
    jump: int | None = None

    @property
    def parameters(self) -> int:
        """The number of trained values."""
        return sum(math.prod(term) for term in self.terms)

    @property
    def arithmetic(self) -> str:
        """How their number comes about: `3·3·16·32 + 2·32`."""
        return " + ".join("·".join(map(str, term)) for term in self.terms)

    @property
    def field(self) -> str:
        """The receptive field: `18`, height×width where they differ, and nothing where it is not known."""
        extent = plain_extent(self.receptive_field)
        if isinstance(extent, list):
            return "×".join(map(str, extent))
        return "" if extent is None else str(extent)

    def as_json(self) -> dict[str, Any]:
        """Plain values; a receptive field as `plain_extent` has it."""
        return {
            "token": self.token,
            "what": self.what,
            "output_shape": list(self.output),
            "parameters": self.parameters,
            "arithmetic": self.arithmetic,
            "receptive_field": plain_extent(self.receptive_field),
            "jump": self.jump,
            "multiply_adds": self.multiply_adds,
        }


def plain_extent(extent: Extent | None) -> int | list[int] | None:
    """One number where height and width are equal, else both of them."""
    if extent is None:
        return None
    return extent[0] if extent[0] == extent[1] else list(extent)
