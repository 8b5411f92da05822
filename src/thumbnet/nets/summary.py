"""What a network consists of, layer by layer: shapes, parameters with their arithmetic, receptive fields, work.

For a line of the network language all of it follows from the plan, in plain Python without torch. How it is shown is
left to `thumbnet.describing`, on the screen, and to `thumbnet.figures.networks`.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thumbnet.errors import UserError
from thumbnet.nets.accounting import Extent, Layer, plain_extent
from thumbnet.nets.notation import (
    KINDS,
    Shape,
    Step,
    Token,
    check_norms,
    computed_channels,
    has_bias,
    normalised_shape,
    parse,
    plan,
)
from thumbnet.params import ModelParams, NetworkParams, TorchvisionParams, network_params

CLASSIFIER = "classifier"


@dataclass(frozen=True)
class Summary:
    """What a network consists of.

    Attributes:
        name: what it is called.
        params: what it was made from.
        image: the shape of one image.
        classes: the number of logits.
        layers: in order; of a line one for each token, and the classifier.
    """

    name: str
    params: NetworkParams
    image: Shape
    classes: int
    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        """The number of trained values."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Of all kernels for one image."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def receptive_field(self) -> Extent | None:
        """That of the logits."""
        return self.layers[-1].receptive_field

    @property
    def is_line(self) -> bool:
        """Whether the network is written in the network language."""
        return isinstance(self.params, ModelParams)

    @property
    def title(self) -> str:
        """Its name and what it is, unless the line is its name."""
        if isinstance(self.params, TorchvisionParams):
            name = self.params.torchvision
            return f"{name} of torchvision" if self.name == name else f"{self.name}: {name} of torchvision"
        return self.name if self.name == self.params.layers else f"{self.name}: {' '.join(self.params.layers.split())}"

    @property
    def settings(self) -> str:
        """What else its sizes depend on, and for torchvision's how they are written."""
        data = f"images {self.image}, {self.classes} classes"
        if isinstance(self.params, TorchvisionParams):
            return f"{data}; shapes in PyTorch's order, channels first"
        norm = {"none": "no norm", "group": f"group norm ({self.params.groups} groups)"}
        order = "" if self.params.norm == "none" else f", {self.params.order}"
        return f"{data}; {norm.get(self.params.norm, f'{self.params.norm} norm')}{order}, {self.params.activation}"

    def shape_of(self, layer: Layer) -> str:
        """The output of a layer: 16×16×32, channels last, as in all messages; of torchvision's in PyTorch's order."""
        return str(Shape(*layer.output)) if self.is_line else "×".join(map(str, layer.output))

    def as_json(self) -> dict[str, Any]:
        """Plain values; a receptive field is one number where height and width are equal, else both of them."""
        return {
            "network": self.name,
            "model": self.params.used(),
            "input_shape": list(_sides(self.image)),
            "classes": self.classes,
            "layers": [layer.as_json() for layer in self.layers],
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "receptive_field": plain_extent(self.receptive_field),
        }


def summarise(name: str, params: NetworkParams, image: Shape, classes: int) -> Summary:
    """Works out what a network consists of.

    Args:
        name: what it is called.
        params: the network, an entry of `models`.
        image: the shape of one image.
        classes: the number of logits.

    Raises:
        UserError: the network does not parse, or does not fit the images.
    """
    if isinstance(params, TorchvisionParams):
        from thumbnet.nets.tracing import trace_layers  # loads torchvision

        return Summary(name, params, image, classes, trace_layers(params, image, classes))
    steps = plan(parse(params.layers), image)
    check_norms(steps, params)
    sight = _Sight(image)
    layers = [_layer_of(step, params, sight) for step in steps]
    features = steps[-1].after.size if steps else image.size
    sight.join()
    dense = ((features, classes), (classes,))
    layers.append(Layer(CLASSIFIER, "dense layer", (classes,), dense, features * classes, sight.field))
    return Summary(name, params, image, classes, tuple(layers))


def summarise_trained(folder: Path) -> Summary:
    """Works out what a trained network consists of, by its card; weights are not read.

    Args:
        folder: of weights and card; its name is the network's.

    Raises:
        UserError: the folder holds no trained network.
    """
    try:
        card = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} holds no trained network; train it with: dvc repro train@{folder.name}") from None
    height, width, channels = card["input_shape"]
    return summarise(folder.name, network_params(card["model"]), Shape(channels, height, width), len(card["classes"]))


class _Sight:
    """How much of the image the outputs of a layer see, carried from layer to layer.

    Attributes:
        field: of one output.
        whole: of all outputs of a vector together.
        jump: from an output to its neighbour; None for vectors.
    """

    def __init__(self, image: Shape) -> None:
        self.field: Extent = (1, 1)
        self.whole: Extent = (image.height or 1, image.width or 1)
        self.jump: int | None = None if image.is_flat else 1

    def pass_window(self, window: int, stride: int) -> None:
        """A convolution or pool: each output sees a window of the outputs before."""
        jump = self.jump or 1
        self.field = self._widened(window, window)
        self.jump = jump * stride

    def end_map(self, height: int, width: int) -> None:
        """A map becomes a vector."""
        self.whole = self._widened(height, width)
        self.jump = None

    def join(self) -> None:
        """What comes now sees all outputs of the vector before."""
        self.field = self.whole

    def _widened(self, height: int, width: int) -> Extent:
        """Of so many neighbours together."""
        jump = self.jump or 1
        return self.field[0] + (height - 1) * jump, self.field[1] + (width - 1) * jump


def _layer_of(step: Step, params: ModelParams, sight: _Sight) -> Layer:
    """The summary of one step; moves the sight on."""
    token, before = step.token, step.before
    if token.is_convolution or token.is_pool:
        sight.pass_window(token.window, token.effective_stride)
    elif token.kind in ("G", "F"):
        sight.end_map(before.height or 1, before.width or 1)
    if token.kind in ("G", "L"):
        sight.join()
    kernels = _kernels(step, params)
    places = (step.after.height or 1) * (step.after.width or 1)
    multiply_adds = places * sum(map(math.prod, kernels))
    terms = kernels + _other_terms(step, params)
    return Layer(str(token), _in_words(token), _sides(step.after), terms, multiply_adds, sight.field, sight.jump)


def _kernels(step: Step, params: ModelParams) -> tuple[tuple[int, ...], ...]:
    """The sizes of the kernels of a layer: height, width, channels that one output reads, outputs."""
    token, before = step.token, step.before.channels
    if token.kind == "L":
        return ((before, computed_channels(step, params)),)
    if token.kind == "S":
        return (token.window, token.window, before), (before, computed_channels(step, params))
    if token.is_convolution:
        return ((token.window, token.window, before, computed_channels(step, params)),)
    return ()


def _other_terms(step: Step, params: ModelParams) -> tuple[tuple[int, ...], ...]:
    """Biases, factors and summands of a normalisation, slopes of PReLU."""
    terms: list[tuple[int, ...]] = []
    if (step.token.is_convolution or step.token.kind == "L") and has_bias(step, params):
        terms.append((computed_channels(step, params),))
    normalised = normalised_shape(step, params)
    if normalised is not None:
        terms.append((2, normalised.channels))
    if step.token.is_activated and params.activation == "prelu":
        terms.append((step.after.channels,))
    return tuple(terms)


def _in_words(token: Token) -> str:
    """Such as `5×5 convolution, stride 2`."""
    meaning = KINDS[token.kind][0]
    if token.is_pool:
        meaning = f"{token.window}×{token.window} {meaning}"
    meaning = meaning.replace("3×3", f"{token.window}×{token.window}")
    strided = token.effective_stride != (token.window if token.is_pool else 1)
    marks = {
        f"stride {token.effective_stride}": strided,
        "valid": token.valid,
        "plus its input": token.residual,
    }
    return ", ".join([meaning, *(mark for mark, given in marks.items() if given)])


def _sides(shape: Shape) -> tuple[int, ...]:
    """In PyTorch's order, without the batch."""
    return tuple(side for side in (shape.channels, shape.height, shape.width) if side is not None)
