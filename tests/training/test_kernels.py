"""Kernels can be had where they should be: elsewhere a broken one is silently left to PyTorch's layers."""

import sys

import pytest

from thumbnet.training.kernels import can_have, get_kernels


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch's loops run on GNU's OpenMP on Linux")
@pytest.mark.parametrize(
    "kernel", ["statistics", "apply.silu", "sums.silu", "combine", "pool", "unpool", "descend", "adapt"]
)
def test_every_kernel_compiles_on_linux(kernel: str) -> None:
    get_kernels().compile(kernel)


def test_what_cannot_be_compiled_cannot_be_had() -> None:
    assert not can_have({"no such kernel"})
