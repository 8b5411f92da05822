"""Calls compiled loops over bf16 values on tensors, for `thumbnet.training.fused` and `.copies`.

The loops (`thumbnet.training.loops`) run on the threads of OpenMP that PyTorch runs on, so that no second pool is in
its way. numba is loaded where a loop is needed, and not before.
"""

import ctypes
import functools
import math
from pathlib import Path

import torch
from torch import Tensor

#: Places of a loop's argument list, all of them 64-bit integers: at 0 the number of the next part, then the sizes, and
#: from TENSORS on the addresses; ARGUMENTS is their number.
PARTS, PLACES, CHANNELS, STEP, TENSORS, ARGUMENTS = 1, 2, 3, 4, 5, 16

#: A row of coefficients is to stay in the processor's nearest cache: layers of more channels are left to PyTorch.
MOST_CHANNELS = 1024


@functools.cache
def get_kernels() -> "Kernels":
    """The one caller of kernels, once `can_have` has said that they are to be had."""
    return Kernels()


def can_have(names: set[str]) -> bool:
    """Compiles kernels, or loads them from the cache; whether all of them work here."""
    try:
        for name in sorted(names):
            get_kernels().compile(name)
    except Exception:  # whatever fails in numba or its compiler, PyTorch's own layers do the work
        return False
    return True


class Kernels:
    """Calls the kernels on tensors.

    Raises:
        ImportError: there is no numba.
        OSError, AttributeError: PyTorch's loops do not run on GNU's OpenMP, or one that stands in for it.
    """

    def __init__(self) -> None:
        from thumbnet.training.loops import compiled  # numba is loaded where it is used

        self._compiled = compiled
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        self._parallel = library.GOMP_parallel  # found in the library that PyTorch's own loops call
        self._parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        self._parallel.restype = None

    def compile(self, kernel: str) -> None:
        """Has a kernel ready, so that its first run does not wait."""
        self._compiled(kernel)

    def divide(self, rows: int, channels: int) -> int:
        """Into how many parts to cut rows that share their coefficients: few, but enough for all threads."""
        most = max(1, min(64, rows * channels // 8192))
        return math.gcd(rows, 2 ** int(math.log2(most)))

    def run(self, kernel: str, parts: int, places: int, channels: int, step: int, *tensors: Tensor | None) -> None:
        """Runs a kernel over all parts.

        Args:
            kernel: its name, with that of an activation after a dot where it takes one.
            parts, places, channels: the values lie as (parts, places, channels).
            step: values from one part's coefficients to the next one's: `channels`, or 0 where all share theirs.
            tensors: what the kernel reads and writes, contiguous in this sense.
        """
        arguments = (ctypes.c_int64 * ARGUMENTS)(0, parts, places, channels, step)
        for place, tensor in enumerate(tensors, TENSORS):
            arguments[place] = 0 if tensor is None else tensor.data_ptr()
        threads = min(torch.get_num_threads(), parts)
        self._parallel(self._compiled(kernel).address, ctypes.addressof(arguments), threads, 0)
