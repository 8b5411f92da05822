"""What is drawn on the CPU, sent to the device that trains."""

import torch
from torch import Tensor


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on the device; CUDA gets it without a wait for what it is computing.

    A copy waits for CUDA unless it comes from pinned memory, which PyTorch keeps until the copy is done. MPS can lose
    the source of a copy that nobody waits for (PyTorch's issues 139550 and 189690), so that a plain copy is made there.
    """
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
