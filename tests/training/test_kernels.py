"""Kernels can be had where they should be: elsewhere a broken one is silently left to PyTorch's layers."""

import sys

import pytest

from thumbnet.training.kernels import BODIES
from thumbnet.training.launching import can_have, get_kernels

WITH_ACTIVATION = {"apply", "sums"}


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch's loops run on GNU's OpenMP on Linux")
@pytest.mark.parametrize("name", BODIES)
def test_every_kernel_compiles_on_linux(name: str) -> None:
    get_kernels().compile(f"{name}.silu" if name in WITH_ACTIVATION else name)


def test_what_cannot_be_compiled_cannot_be_had() -> None:
    assert not can_have({"no such kernel"})
