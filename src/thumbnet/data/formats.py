"""The two published formats: idx files (MNIST and its successors) and CIFAR's pickled batches.

Bytes in, arrays out. The caller has verified the bytes against the catalogue; batches are read without trusting even
those, by an unpickler that can build arrays and nothing else.
"""

import io
import math
import pickle
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thumbnet.data.arrays import Images, Labels
from thumbnet.data.catalogue import (
    CIFAR_TEST_BATCH,
    CIFAR_TRAIN_BATCHES,
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    Dataset,
)

#: Images and labels of each split, by its name.
Decoded = dict[str, tuple[Images, Labels]]

_IDX_UINT8 = 0x08

#: numpy's own names for it differ between versions: `numpy.core.multiarray`, `numpy._core.multiarray`.
_RECONSTRUCT_ARRAY: Any = np.empty(0).__reduce__()[0]
_ALLOWED_GLOBALS: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT_ARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT_ARRAY,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class FormatError(Exception):
    """The bytes are not what the format prescribes."""


def decode(dataset: Dataset, contents: Mapping[str, bytes]) -> Decoded:
    """Decodes the official files of a data set.

    Args:
        dataset: an entry of the catalogue that has `files`.
        contents: the unpacked, verified bytes of each of them, by name.

    Raises:
        FormatError: the bytes do not follow their format.
    """
    if CIFAR_TEST_BATCH in contents:
        batches = [read_cifar_batch(contents[name]) for name in CIFAR_TRAIN_BATCHES]
        train = (np.concatenate([images for images, _ in batches]), np.concatenate([labels for _, labels in batches]))
        return {"train": train, "test": read_cifar_batch(contents[CIFAR_TEST_BATCH])}
    return {
        "train": _idx_pair(contents[TRAIN_IMAGES], contents[TRAIN_LABELS]),
        "test": _idx_pair(contents[TEST_IMAGES], contents[TEST_LABELS]),
    }


def read_idx(content: bytes) -> NDArray[np.uint8]:
    """Reads an idx file of unsigned bytes.

    The header is two zero bytes, the element type, the number of axes, and the length of each as a big-endian 32-bit
    integer (http://yann.lecun.com/exdb/mnist/).

    Raises:
        FormatError: another element type, or a length that disagrees with the header.
    """
    if len(content) < 4 or content[:3] != bytes([0, 0, _IDX_UINT8]):
        raise FormatError("no idx file of unsigned bytes")
    axes = content[3]
    header = 4 + 4 * axes
    if len(content) < header:
        raise FormatError("an idx file that ends in its header")
    shape = np.frombuffer(content[4:header], dtype=">u4").tolist()
    if len(content) - header != math.prod(shape):
        raise FormatError(f"an idx file of shape {shape} with {len(content) - header:,} bytes of data")
    return np.frombuffer(content, dtype=np.uint8, offset=header).reshape(shape)


def read_cifar_batch(content: bytes) -> tuple[Images, Labels]:
    """Reads one of CIFAR's pickled batches.

    A batch is a dict with `data`, uint8, (n, 3072): the red, the green, then the blue plane, each row by row; and
    `labels`, a list of n (https://www.cs.toronto.edu/~kriz/cifar.html).

    Raises:
        FormatError: anything else, above all a pickle that asks for more than arrays.
    """
    try:
        # Python 2 wrote these files: "bytes" keeps its strings as the bytes they are.
        batch = _ArrayUnpickler(io.BytesIO(content), encoding="bytes").load()
        planes = np.asarray(batch[b"data"], dtype=np.uint8).reshape(-1, 3, 32, 32)
        labels = np.asarray(batch[b"labels"], dtype=np.int64)
    except FormatError:
        raise
    except Exception as error:  # an unpickler fed with nonsense raises nearly anything
        raise FormatError(f"no CIFAR batch: {error}") from None
    if len(planes) != len(labels):
        raise FormatError(f"a CIFAR batch of {len(planes):,} images with {len(labels):,} labels")
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels  # (n, height, width, channels)


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return _ALLOWED_GLOBALS[module, name]
        except KeyError:
            raise FormatError(f"the pickle asks for {module}.{name}, which no batch of images needs") from None


def _idx_pair(images: bytes, labels: bytes) -> tuple[Images, Labels]:
    pixels, classes = read_idx(images), read_idx(labels)
    if pixels.ndim != 3 or classes.ndim != 1 or len(pixels) != len(classes):
        raise FormatError(f"images of shape {pixels.shape} with labels of shape {classes.shape}")
    return pixels[..., np.newaxis], classes.astype(np.int64)
