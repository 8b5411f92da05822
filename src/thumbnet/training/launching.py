"""Runs the kernels of `thumbnet.training.kernels` on tensors, for `thumbnet.training.fused`, `.copies` and `.cropping`.

They run on the threads of OpenMP that PyTorch runs on, so that no second pool is in its way. numba is loaded where a
kernel is needed, and not before.
"""

import ctypes
import functools
import math
from pathlib import Path

import torch
from torch import Tensor


@functools.cache
def get_kernels() -> "Kernels":
    """The kernels of this process, once `can_have` has said that they are to be had."""
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
    """Launches kernels.

    Attributes:
        most_channels: that they serve; layers of more are left to PyTorch.
        barrier: the address of OpenMP's, an argument of kernels whose threads wait for each other.

    Raises:
        ImportError: there is no numba.
        OSError, AttributeError: PyTorch's loops do not run on GNU's OpenMP, or one that stands in for it.
    """

    def __init__(self) -> None:
        from thumbnet.training import kernels  # numba is loaded where it is used

        self._kernels = kernels
        self.most_channels = kernels.MOST_CHANNELS
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        self._parallel = library.GOMP_parallel  # found in the library that PyTorch's own loops call
        self._parallel.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint]
        self._parallel.restype = None
        self.barrier: int = ctypes.cast(library.GOMP_barrier, ctypes.c_void_p).value or 0
        self._table = ctypes.c_int64 * kernels.ARGUMENTS
        self._addresses: dict[str, int] = {}  # of kernels that are ready

    def compile(self, kernel: str) -> None:
        """Has a kernel ready, so that its first run does not wait."""
        self._addresses[kernel] = self._kernels.compiled(kernel).address

    def divide(self, rows: int, channels: int) -> int:
        """Into how many parts to cut rows that share their coefficients: few, but enough for all threads."""
        most = max(1, min(64, rows * channels // 8192))
        return math.gcd(rows, 2 ** int(math.log2(most)))

    def fill_up(self, channels: int) -> int:
        """Channels, and as many more as 1×1 convolutions compute with besides."""
        return int(self._kernels.filled_up.py_func(channels))

    def run(
        self, kernel: str, parts: int, places: int, channels: int, step: int, *arguments: Tensor | int | None
    ) -> None:
        """Runs a kernel over all parts.

        Args:
            kernel: its name, with that of an activation after a dot where it takes one.
            parts, places, channels: the values lie as (parts, places, channels), where the kernel does not say
                otherwise; no more threads than parts run it.
            step: one more size. For most kernels it is that from one part's coefficients to the next one's: `channels`,
                or 0 where all share theirs.
            arguments: what the kernel reads and writes, contiguous in this sense; None is none; and further numbers.
        """
        values = [argument.data_ptr() if isinstance(argument, Tensor) else argument or 0 for argument in arguments]
        table = self._table(0, parts, places, channels, step, *values)
        if kernel not in self._addresses:
            self.compile(kernel)
        self._parallel(self._addresses[kernel], table, min(torch.get_num_threads(), parts), 0)
