"""Which device trains, in which precision, with which switches: `auto` resolved for the hardware, the rest checked."""

import contextlib
import ctypes
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from thumbnet.errors import UserError
from thumbnet.params import Device, Precision

#: Options of glibc's mallopt: sizes from which memory is mapped of its own, and given back.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _NEVER = -1, -3, 2**30

#: The order in which `auto` looks for them.
DEVICES: tuple[Device, ...] = ("cuda", "mps", "cpu")


def choose_device(name: Device, deterministic: bool) -> torch.device:
    """The device to train on; CUDA's switches are set for it, for the whole process.

    Args:
        name: `auto` takes CUDA, then MPS, then the CPU.
        deterministic: `train.deterministic`. On CUDA PyTorch's deterministic algorithms are taken, with a warning where
            it has none.

    Raises:
        UserError: the named device is not there.
    """
    present = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return choose_device(next(device for device in DEVICES if present[device]), deterministic)
    if not present[name]:
        there = ", ".join(device for device, is_there in present.items() if is_there)
        raise UserError(f"train.device = {name!r}: this machine has none; it has {there} (auto chooses)")
    if name == "cuda":
        _set_switches_of_cuda(deterministic)
    return torch.device(name)


def _set_switches_of_cuda(deterministic: bool) -> None:
    # By default cuDNN rounds the inputs of fp32 convolutions to TF32's 10 bits. This is the old name of the switch:
    # once the new one (cudnn.conv.fp32_precision) is set, torch.compile fails where it reads the old one.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = not deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA's first product is computed
        # Deterministic mode fills all new memory, for programs that read what they have not written. Nothing here does,
        # and it takes a kernel for each new tensor.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if deterministic or torch.are_deterministic_algorithms_enabled():  # the next line loads for seconds
        torch.use_deterministic_algorithms(deterministic, warn_only=True)


def choose_precision(name: Precision, device: torch.device) -> torch.dtype:
    """The number format of matrix products and convolutions; everything else stays fp32 (autocast).

    Args:
        name: `auto` takes bf16 where the hardware multiplies it faster than fp32, else fp32.
        device: as `choose_device` returns it.
    """
    if name == "auto":
        return torch.bfloat16 if _gains_from_bf16(device) else torch.float32
    return torch.bfloat16 if name == "bf16" else torch.float32


def use_threads(count: int) -> None:
    """Lets PyTorch compute on so many threads of the CPU; a warning where they are more than its cores.

    Args:
        count: `train.threads`; 0 for PyTorch's default, one for each core.
    """
    if count == 0:
        return
    cores = os.cpu_count() or 1
    if count > cores:
        print(f"warning: train.threads = {count}: this machine has {cores} cores, and more threads are slower",
              file=sys.stderr)  # fmt: skip
    torch.set_num_threads(count)


def keep_freed_memory() -> None:
    """Lets the C library keep what tensors have freed, for the next ones.

    glibc gives large pieces back to the system at once, and every step of a training asks for the same again, zeroed
    page by page. Other C libraries have no such switch, and are left alone.
    """
    with contextlib.suppress(OSError, AttributeError):
        library = ctypes.CDLL("libc.so.6")
        for option in (_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD):
            library.mallopt(option, _NEVER)


#: What PyTorch says then: CPUs have no class of error for it.
_SHORT_OF_MEMORY = ("out of memory", "DefaultCPUAllocator", "Storage size calculation overflowed")


@contextlib.contextmanager
def short_memory_told(batch_size: int) -> Iterator[None]:
    """Turns what PyTorch raises for want of memory into plain words.

    Args:
        batch_size: `train.batch_size`.

    Raises:
        UserError: the device, or the processor, has too little memory for what is done within.
    """
    try:
        yield
    except RuntimeError as error:
        told = str(error)
        if not any(words in told for words in _SHORT_OF_MEMORY):
            raise
        raise UserError(
            f"train.batch_size = {batch_size}: the training needs more memory than there is; try a smaller one, a "
            f"smaller network, fewer train.seeds or smaller images ({told.splitlines()[0]})"
        ) from error


def describe(device: torch.device) -> str:
    """The device's name for people, such as `NVIDIA H100` or `cpu (x86_64, 2 threads)`."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"cpu ({platform.machine()}, {torch.get_num_threads()} threads)"
    return device.type


def _gains_from_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and _cpu_multiplies_bf16()


def _cpu_multiplies_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether the processor has bf16 products of its own; where it only emulates them they are slower than fp32."""
    return bool(bf16_instructions(cpuinfo))


def bf16_instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """The instructions of the processor that multiply bf16, by the names that Linux has for them; elsewhere none."""
    try:
        flags = set(cpuinfo.read_text().split())
    except OSError:
        return []
    # x86-64: avx512_bf16 or AMX tiles. 64-bit Arm lists its flag as "bf16".
    return sorted(flags & {"avx512_bf16", "amx_bf16", "bf16"})
