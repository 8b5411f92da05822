"""Kernels can be had where they should be: elsewhere a broken one is silently left to PyTorch's layers."""

import sys

import numpy as np
import pytest
import torch
from numba import njit

from thumbnet.training import kernels
from thumbnet.training.kernels import BODIES
from thumbnet.training.launching import can_have, get_kernels

WITH_ACTIVATION = {"normalise", "differentiate"}


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch's loops run on GNU's OpenMP on Linux")
@pytest.mark.parametrize("name", BODIES)
def test_every_kernel_compiles_on_linux(name: str) -> None:
    get_kernels().compile(f"{name}.silu" if name in WITH_ACTIVATION else name)


def test_what_cannot_be_compiled_cannot_be_had() -> None:
    assert not can_have({"no such kernel"})


def test_both_ways_to_round_are_pytorchs() -> None:
    numbers = torch.randn(10**5, generator=torch.Generator().manual_seed(0)) * 10.0 ** torch.linspace(-30, 30, 10**5)
    ties = torch.tensor([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 0.0, -0.0, torch.inf, 3.4e38])
    numbers = torch.cat([numbers, ties])
    expected = numbers.to(torch.bfloat16).view(torch.int16).numpy().view(np.uint16)
    for narrow in {kernels._narrow, kernels._narrow_fast}:

        @njit
        def round_all(numbers, results, narrow=narrow):
            for i in range(len(numbers)):
                results[i] = narrow(numbers[i])

        results = np.empty(len(numbers), np.uint16)
        round_all(numbers.numpy(), results)
        assert np.array_equal(results, expected)


@pytest.mark.parametrize("negative", [False, True])
def test_exponentials_are_as_near_as_they_say(negative: bool) -> None:
    @njit
    def exp_all(numbers, results):
        constants = kernels._constants()
        for i in range(len(numbers)):
            results[i] = kernels._exp(numbers[i], constants, negative)

    numbers = np.linspace(-87, 87, 10**5, dtype=np.float32)
    results = np.empty_like(numbers)
    exp_all(numbers, results)
    expected = np.exp(numbers.astype(np.float64) * (-1 if negative else 1))
    assert np.abs(results / expected - 1).max() < 1.1e-4
    few = np.array([0, np.nan, 1000, -1000], np.float32)
    exp_all(few, results)
    assert results[0] == 1
    assert np.isnan(results[1])
    assert sorted(results[2:4]) == pytest.approx([np.exp(-87), np.exp(87)], rel=1e-3)
