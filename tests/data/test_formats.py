"""The published formats: idx, and CIFAR's batches as Python 2 pickled them."""

import io
import os
import pickle
import struct
from typing import Any, ClassVar

import numpy as np
import pytest

from thumbnet.data.formats import FormatError, read_cifar_batch, read_idx

PythonPickler: Any = pickle._Pickler  # what it inherits is in no type stub


class Python2Pickler(PythonPickler):
    """Writes byte strings as Python 2 wrote its strings, which is how CIFAR's batches are written."""

    dispatch: ClassVar = dict(PythonPickler.dispatch)

    def save_bytes(self, content: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(content)) + content)
        self.memoize(content)

    dispatch[bytes] = save_bytes

    def save_global(self, thing, name=None):
        old = {"_reconstruct": b"cnumpy.core.multiarray\n_reconstruct\n"}
        spelling = old.get(getattr(thing, "__name__", ""))
        return self.write(spelling) if spelling else super().save_global(thing, name)

    dispatch[type(np.array([]).__reduce__()[0])] = save_global


def python2_pickle(content: object) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(content)
    return file.getvalue()


@pytest.mark.parametrize("shape", [(7,), (3, 5, 4), (0, 2, 2)])
def test_idx(shape):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    header = bytes([0, 0, 8, len(shape)]) + struct.pack(f">{len(shape)}I", *shape)
    np.testing.assert_array_equal(read_idx(header + array.tobytes()), array)


@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", bytes([0, 0, 13, 1, 0, 0, 0, 0]), bytes([0, 0, 8, 1, 0, 0, 0, 9, 1]), bytes([0, 0, 8, 3, 0, 0])],
    ids=["empty", "html", "floats", "short", "no header"],
)
def test_idx_refuses(content):
    with pytest.raises(FormatError):
        read_idx(content)


def test_cifar_batch_as_python_2_wrote_it():
    planes = np.random.default_rng(0).integers(0, 256, (4, 3072), np.uint8)
    content = python2_pickle({b"batch_label": b"training batch 1", b"labels": [3, 9, 0, 1], b"data": planes})
    assert b"numpy.core.multiarray" in content
    assert b"C" + bytes([len(b"labels")]) not in content, "a bytes opcode that Python 2 did not have"
    images, labels = read_cifar_batch(content)
    assert images.dtype == np.uint8
    assert images.shape == (4, 32, 32, 3)
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, [3, 9, 0, 1])
    np.testing.assert_array_equal(images[2, 5, 7], planes[2, [5 * 32 + 7, 1024 + 5 * 32 + 7, 2048 + 5 * 32 + 7]])


class Call:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "payload",
    [Call(os.mkdir, "pwned"), Call(eval, "open('pwned', 'w')"), Call(getattr, int, "real"), Call(np.fromfile, "x")],
    ids=["os", "eval", "getattr", "numpy"],
)
def test_a_pickle_that_asks_for_more_than_arrays_is_refused(payload, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FormatError, match="asks for"):
        read_cifar_batch(pickle.dumps({b"data": payload, b"labels": []}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"nonsense", pickle.dumps([1]), pickle.dumps({b"data": [1, 2], b"labels": [1]}), pickle.dumps({b"data": []})],
)
def test_what_is_no_batch_is_refused(content):
    with pytest.raises(FormatError, match="no CIFAR batch"):
        read_cifar_batch(content)
