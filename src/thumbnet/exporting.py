"""The command `thumbnet export`: a trained network as an ONNX file, checked against PyTorch before it is there.

The file takes raw pixels, as the network itself does: scaling by the statistics and the softmax are a part of it.
"""

import json
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from thumbnet import paths
from thumbnet.data.arrays import load_split
from thumbnet.errors import UserError
from thumbnet.files import fresh_file
from thumbnet.nets.layers import Classifier
from thumbnet.training.checkpoints import Card, load_card, load_classifier

INPUT, OUTPUT = "images", "probabilities"
#: Of the test split, for the check.
IMAGES = 256
#: Between PyTorch and onnxruntime, in probability: sums in another order come to about 1e-6.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: of the file.
        images: how many it was checked on.
        are_real: whether they are of the test split; else random pixels, since there are no splits of that shape.
        difference: the largest one between a probability of PyTorch's and of onnxruntime's.
        same_class: share of the images with the same most probable class.
    """

    path: Path
    images: int
    are_real: bool
    difference: float
    same_class: float


class _WithSoftmax(nn.Module):
    def __init__(self, classifier: Classifier) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:  # (n, height, width, channels), uint8 -> (n, classes)
        probabilities: Tensor = self.classifier(images).softmax(1)
        return probabilities


def export(folder: Path, path: Path) -> Exported:
    """Writes a trained network as ONNX and runs both on the same images; a file that differs is not kept.

    Args:
        folder: of a trained network.
        path: of the file. Its input `images` is uint8, (n, height, width, channels) for any n, its output
            `probabilities` float32, (n, classes). Its metadata tell `classes` (a JSON list), `member`, `data` and
            `input`.

    Returns:
        What the check found.

    Raises:
        UserError: there is no such network, the extra packages are missing, the two differ, or the file cannot be
            written.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  # torch.onnx needs it
    except ImportError as error:
        raise UserError(
            f"thumbnet export needs the package {error.name}; install it with: pip install 'thumbnet[export]' (in a "
            "checkout: .venv/bin/pip install -e '.[export]')"
        ) from None
    card = load_card(folder)
    module = _WithSoftmax(load_classifier(folder)).eval()
    pixels, are_real = _images(card)
    example = torch.from_numpy(np.repeat(pixels[:1], 2, axis=0))  # of one image alone n would be a constant
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of the exporter, about itself
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module,
            (example,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={"images": {0: torch.export.Dim("n")}},
            dynamo=True,
            verbose=False,
        )
        expected = module(torch.from_numpy(pixels)).numpy()
    assert program is not None
    model = program.model_proto
    for key, value in _metadata(card).items():
        model.metadata_props.add(key=key, value=value)
    try:
        with fresh_file(path) as aside:
            onnx.save(model, aside)
            session = onnxruntime.InferenceSession(aside, providers=["CPUExecutionProvider"])
            (given,) = session.run([OUTPUT], {INPUT: pixels})
            difference = float(np.abs(given - expected).max())
            if not difference <= TOLERANCE:
                raise UserError(
                    f"{path} is not written: onnxruntime's probabilities differ from PyTorch's by up to "
                    f"{difference:.2g}, and {TOLERANCE:g} is allowed"
                )
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from None
    same = float((given.argmax(1) == expected.argmax(1)).mean())
    return Exported(path, len(pixels), are_real, difference, same)


def _images(card: Card) -> tuple[NDArray[np.uint8], bool]:
    """Images of the test split, or random pixels where there is none of the network's shape."""
    if (paths.SPLITS / "test_images.npy").exists():
        images, _ = load_split(paths.SPLITS, "test", mmap=True)
        if images.shape[1:] == card.input_shape:
            return np.array(images[:IMAGES]), True
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (IMAGES, *card.input_shape), dtype=np.uint8), False


def _metadata(card: Card) -> dict[str, str]:
    height, width, channels = card.input_shape
    values: dict[str, Any] = {
        "classes": json.dumps(card.classes, ensure_ascii=False),
        "member": card.member,
        "data": card.data["name"],
        "input": f"raw pixels 0-255, uint8, (n, {height}, {width}, {channels})",
    }
    return values
