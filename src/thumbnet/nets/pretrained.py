"""Networks of torchvision's, with a classifier for our classes: from scratch, or from weights that someone trained.

The network language is left to `thumbnet.nets.builder`. torchvision takes seconds to load: this module loads it where
it needs it, and others load this module only for a network of torchvision's.
"""

import difflib
import hashlib
import os
import pickle
import re
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from thumbnet import paths
from thumbnet.errors import UserError
from thumbnet.nets.notation import Shape
from thumbnet.params import TorchvisionParams

COLOURS = 3
#: The size that most of these networks were made for.
USUAL_SIZE = 224

#: These have classifiers at their sides for the training, which are left out; they scale ImageNet's mean and standard
#: deviation to those that they were trained with, which is done whether or not their weights are pretrained.
INCEPTIONS = ("googlenet", "inception_v3")
SIDES = ("AuxLogits.", "aux1.", "aux2.")


class GreyToColour(nn.Module):
    """Grey images as colour ones: the same values in each of three channels."""

    def forward(self, images: Tensor) -> Tensor:  # (n, 1, height, width) -> (n, 3, height, width)
        return images.expand(-1, COLOURS, -1, -1)


def build_torchvision(params: TorchvisionParams, image: Shape, classes: int) -> nn.Module:
    """Builds a network of torchvision's.

    Args:
        params: its name, and where its initial weights come from: drawn from PyTorch's global generator, as torchvision
            does it; those that torchvision recommends, which PyTorch downloads once and keeps in its own cache; or a
            file. Of pretrained weights the classifier is left out where its size is another one.
        image: the shape of one image. Grey images are repeated to three channels.
        classes: the number of logits.

    Returns:
        A module from normalised images (n, channels, height, width), float, to logits (n, classes).

    Raises:
        UserError: there is no such network, it does not take such images, or the weights cannot be had or do not fit.
    """
    name = params.torchvision
    check_images(name, image)
    network = _make(name, classes)
    if params.pretrained == "imagenet":
        _fill(network, _download(name), name, "imagenet")
    elif params.pretrained != "none":
        _fill(network, _read(params.pretrained), name, params.pretrained)
    if image.channels == COLOURS:
        return network
    return nn.Sequential(OrderedDict(colours=GreyToColour(), network=network))


def build_skeleton(name: str, classes: int) -> nn.Module:
    """The network without any values, on PyTorch's meta device: its shapes alone, for little time and no memory."""
    with _WithoutValues():
        return _make(name, classes).to("meta")


def check_torchvision(member: str, params: TorchvisionParams, image: Shape, batch_size: int = 2) -> None:
    """Checks that a member is a network of torchvision's that takes the images, and that its weights are there.

    Nothing is downloaded.

    Args:
        member: its name in `models`.
        params: its entry there.
        image: the shape of one image.
        batch_size: of the training.

    Raises:
        UserError: it is not; the message names the member and what is allowed.
    """
    name, weights = params.torchvision, params.pretrained
    try:
        check_images(name, image)
        if batch_size == 1 and (refused := _refusal(name, image, batch=1)):
            raise UserError(f"train.batch_size = 1: on images of {image}, {name} needs at least 2 ({refused})")
        if weights not in ("none", "imagenet"):
            _check_fit(build_skeleton(name, classes=1), _read(weights, "meta"), name, weights)
    except UserError as error:
        raise UserError(f"models.{member}: {error}") from None


def check_images(name: str, image: Shape) -> None:
    """Checks that a network of torchvision's takes images of a shape.

    Raises:
        UserError: there is no such network, or it does not.
    """
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        close = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(close)}?" if close else f"it has {', '.join(known)}"
        raise UserError(f"torchvision = {name!r}: torchvision has no classifier of this name; {hint}")
    if image.channels not in (1, COLOURS):
        raise UserError(f"torchvision = {name!r} takes images of 3 channels, or of 1, which is repeated; these are "
                        f"{image}")  # fmt: skip
    refused = _refusal(name, image)
    if refused is not None:
        raise UserError(f"torchvision = {name!r} does not take images of {image.height}×{image.width}; "
                        f"{_taken(name) or refused}")  # fmt: skip


def _refusal(name: str, image: Shape, batch: int = 2) -> str | None:
    """What the network says to a batch of such images in training; None where it takes it."""
    network = build_skeleton(name, classes=2).train()
    try:
        network(torch.empty(batch, COLOURS, image.height or 1, image.width or 1, device="meta"))
    except (AssertionError, RuntimeError, ValueError) as error:
        return str(error).splitlines()[0]
    return None


def _taken(name: str) -> str:
    """The sizes that a network takes, as far as torchvision tells and a trial confirms."""
    from torchvision import models

    def takes(side: int) -> bool:
        return _refusal(name, Shape(COLOURS, side, side)) is None

    told = max(models.get_model_weights(name).DEFAULT.meta["min_size"])
    side = next((side for side in (told, USUAL_SIZE) if takes(side)), None)
    if side is None:
        return ""
    allowed = "the smallest are" if takes(2 * side) else "allowed are"
    return f"{allowed} {side}×{side} (an image_folder can be resized: dataset.image_size)"


class _WithoutValues(TorchFunctionMode):
    """Makes the tensors of parameters on the meta device, and no others: some networks reckon while they are built."""

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        elsewhere = {"device": "meta"} if function is torch.empty else {}
        return function(*args, **{**(kwargs or {}), **elsewhere})


def _make(name: str, classes: int) -> nn.Module:
    from torchvision import models

    network: nn.Module = models.get_model(name, weights=None, num_classes=classes, **_options(name))
    return network


def _options(name: str) -> dict[str, bool]:
    return {"aux_logits": False, "transform_input": True, "init_weights": True} if name in INCEPTIONS else {}


def _download(name: str) -> Mapping[str, Tensor]:
    """Torchvision's own best weights, from PyTorch's cache or the web."""
    from torchvision import models

    weights = models.get_model_weights(name).DEFAULT
    try:
        # Built by torchvision itself, which knows about names that have changed since its files were written.
        network: nn.Module = models.get_model(name, weights=weights, progress=False)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:  # no web; a file that is broken
        place = Path(torch.hub.get_dir()) / "checkpoints" / weights.url.rpartition("/")[2]
        raise UserError(
            f"pretrained: imagenet: the weights of {name} cannot be had from {weights.url} ({error}); download them "
            f"elsewhere to {place}, or give the path of a file: pretrained: PATH"
        ) from None
    return _without_sides(network.state_dict())


def _read(pretrained: str, device: str = "cpu") -> Mapping[str, Tensor]:
    """The state dict in a file.

    Args:
        pretrained: the path; what follows a `#` is the beginning of the file's sha256.
        device: `meta` for shapes alone.

    Raises:
        UserError: there is no such file, it is another one, or it holds no state dict.
    """
    path, _, expected = pretrained.partition("#")
    file = Path(path) if os.path.exists(path) else paths.checkout_root() / path
    what = f"pretrained = {pretrained!r}"
    if not os.path.isfile(file):  # False, not an error, for a name that is too long
        raise UserError(f"{what}: there is no such file; allowed are none, imagenet and the path of a state dict")
    if file.suffix not in (".safetensors", ".pth", ".pt"):
        raise UserError(f"{what}: a file of weights ends in .safetensors, .pth or .pt")
    if expected and not (digest := _sha256(file)).startswith(expected.lower()):
        raise UserError(f"{what}: the file has changed; its sha256 begins with {digest[:8]}, which belongs after the # "
                        "if it is the right one")  # fmt: skip
    try:
        if file.suffix == ".safetensors":
            weights: Any = load_file(file)
        else:
            weights = torch.load(file, map_location=device, weights_only=True)
    except (OSError, RuntimeError, ValueError, LookupError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise UserError(f"{what} cannot be read as a state dict of tensors alone: {_reason(error)}; "
                        "save one with: torch.save(network.state_dict(), PATH)") from None  # fmt: skip
    if not isinstance(weights, Mapping) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in weights.items()
    ):
        raise UserError(f"{what} holds something else than a state dict; save one with: "
                        "torch.save(network.state_dict(), PATH)")  # fmt: skip
    return _without_sides({_present_name(name): value for name, value in weights.items()})


def _reason(error: Exception) -> str:
    """Why a file cannot be read: PyTorch advises to trust it, or tells where its own reader was."""
    told = (str(error) or "it is empty").splitlines()
    if any(words in line for line in told for words in ("GLOBAL", "TorchScript")):
        return "it holds other objects than tensors, a whole network perhaps"
    if isinstance(error, LookupError | pickle.UnpicklingError):
        return "torch.save did not write it"
    return told[0]


def _without_sides(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if not name.startswith(SIDES)}


def _present_name(name: str) -> str:
    """Torchvision's files of DenseNets still say `norm.1` where it now says `norm1`."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])\.", r"\1\2.", name)


def _fill(network: nn.Module, weights: Mapping[str, Tensor], name: str, origin: str) -> None:
    """Replaces the initial weights by others, but for a classifier of another size."""
    network.load_state_dict({key: weights[key] for key in _check_fit(network, weights, name, origin)}, strict=False)


def _check_fit(network: nn.Module, weights: Mapping[str, Tensor], name: str, origin: str) -> list[str]:
    """The names of what can be taken over: everything, or everything but the classifier.

    Raises:
        UserError: something else is missing, or there is something else, or something has another shape.
    """
    own = network.state_dict()
    head = _head(name)
    needed = {key for key in own if not key.endswith("num_batches_tracked")}  # files of old lack this count
    missing = [key for key in own if key in needed - head and key not in weights]
    unexpected = [key for key in weights if key not in own]
    other = [key for key in own if key in weights and own[key].shape != weights[key].shape]
    wrong = [key for key in other if key not in head]
    told = {
        "lacks": missing,
        "has besides": unexpected,
        "has in other shapes": [f"{key} {_shape(weights[key])} for {_shape(own[key])}" for key in wrong],
    }
    if missing or unexpected or wrong:
        parts = [f"{what} {_first(keys)}" for what, keys in told.items() if keys]
        raise UserError(f"pretrained = {origin!r} does not fit torchvision's {name}: it {', and '.join(parts)}")
    return [key for key in weights if key not in head or not other]


def _head(name: str) -> set[str]:
    """What belongs to the classifier: the values whose shape depends on the number of classes."""
    two, three = (build_skeleton(name, classes).state_dict() for classes in (2, 3))
    return {key for key in two if two[key].shape != three[key].shape}


def _first(keys: list[str], count: int = 3) -> str:
    rest = len(keys) - count
    return ", ".join(keys[:count]) + (f" and {rest} more" if rest > 0 else "")


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "()"


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
