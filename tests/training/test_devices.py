"""Device, precision and threads: `auto` on the hardware at hand, and what is not there refused."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch

from thumbnet.errors import UserError
from thumbnet.params import Device
from thumbnet.training import devices
from thumbnet.training.devices import choose_device, choose_precision, describe, short_memory_told, use_threads

PRESENT = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}


@pytest.mark.usefixtures("restored_switches")
def test_auto_takes_the_fastest_device_that_is_there() -> None:
    expected = next(name for name in ("cuda", "mps", "cpu") if PRESENT[name])
    assert choose_device("auto", deterministic=True) == torch.device(expected)


@pytest.mark.usefixtures("restored_switches")
@pytest.mark.parametrize("name", ["cpu", "cuda", "mps"])
def test_a_named_device_is_taken_or_refused(name: Device) -> None:
    if PRESENT[name]:
        assert choose_device(name, deterministic=True).type == name
        return
    with pytest.raises(UserError, match=rf"train\.device = '{name}': this machine has none; it has .*cpu") as refused:
        choose_device(name, deterministic=True)
    assert "auto" in str(refused.value)


@pytest.mark.usefixtures("restored_switches")
@pytest.mark.parametrize("name", ["cuda", "auto"])
@pytest.mark.parametrize("deterministic", [True, False])
def test_cuda_is_set_to_real_fp32_and_to_what_deterministic_says(
    name: Device, deterministic: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    choose_device(name, not deterministic)
    assert choose_device(name, deterministic) == torch.device("cuda"), "the later choice counts"

    cudnn: Any = torch.backends.cudnn
    memory: Any = torch.utils.deterministic  # PyTorch's types do not know all of its switches
    assert not cudnn.allow_tf32
    assert cudnn.conv.fp32_precision in ("none", "ieee"), "the newer name of the same"
    assert torch.get_float32_matmul_precision() == "highest"
    assert cudnn.benchmark is not deterministic
    assert torch.are_deterministic_algorithms_enabled() is deterministic
    assert not deterministic or torch.is_deterministic_algorithms_warn_only_enabled()
    assert not (deterministic and memory.fill_uninitialized_memory), "a kernel for each new tensor"


@pytest.mark.usefixtures("restored_switches")
def test_other_devices_leave_the_switches_of_cuda_alone() -> None:
    torch.backends.cudnn.allow_tf32 = True
    choose_device("cpu", deterministic=True)
    assert torch.backends.cudnn.allow_tf32
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has 1 GiB"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
        RuntimeError("MPS backend out of memory (MPS allocated: 9.06 GB)"),
        RuntimeError("Storage size calculation overflowed with sizes=[1000000, 1000000, 999999, 999999]"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4 bytes."),
    ],
    ids=str,
)
def test_too_little_memory_is_told_in_words(error: RuntimeError) -> None:
    with (
        pytest.raises(UserError, match=r"train\.batch_size = 16: .* more memory than there is; .* smaller") as told,
        short_memory_told(16),
    ):
        raise error
    assert str(error).splitlines()[0] in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 shapes cannot be multiplied"), UserError("a typo")])
def test_other_errors_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as told, short_memory_told(16):
        raise error
    assert told.value is error


@pytest.mark.parametrize(
    ("flags", "gains"),
    [
        ("flags : fpu sse4_2 avx2 avx512f", False),
        ("flags : fpu avx512f avx512_bf16 amx_tile", True),
        ("flags : fpu amx_bf16 amx_tile amx_int8", True),
        ("Features : fp asimd sve bf16 i8mm", True),
        ("Features : fp asimd", False),
        ("model name : no bf16x at all", False),
        ("", False),
        (None, False),
    ],
)
def test_bf16_on_processors_that_multiply_it(flags: str | None, gains: bool, tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    if flags is not None:
        cpuinfo.write_text(f"processor : 0\n{flags}\n\nprocessor : 1\n{flags}\n")
    assert devices._cpu_multiplies_bf16(cpuinfo) is gains


def test_precision_is_what_is_asked_for() -> None:
    cpu = torch.device("cpu")
    assert choose_precision("fp32", cpu) == torch.float32
    assert choose_precision("bf16", cpu) == torch.bfloat16
    fastest = torch.bfloat16 if devices._cpu_multiplies_bf16() else torch.float32
    assert choose_precision("auto", cpu) == fastest


def test_a_device_is_described_for_people() -> None:
    assert describe(torch.device("cpu")).startswith("cpu (")
    assert f"{torch.get_num_threads()} threads" in describe(torch.device("cpu"))


@pytest.mark.parametrize(("count", "used"), [(1, 1), (2, 2), (0, 3)])
def test_threads_are_those_asked_for_and_0_leaves_the_default(count: int, used: int) -> None:
    torch.set_num_threads(3)
    use_threads(count)
    assert torch.get_num_threads() == used


def test_more_threads_than_cores_are_warned_of(capsys: pytest.CaptureFixture[str]) -> None:
    cores = os.cpu_count() or 1
    use_threads(cores)
    assert capsys.readouterr().err == ""
    use_threads(cores + 1)
    assert f"warning: train.threads = {cores + 1}: this machine has {cores} cores" in capsys.readouterr().err
