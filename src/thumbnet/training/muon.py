"""Muon, an optimizer that orthogonalises the steps of kernels.

`torch.optim.Muon` makes the same steps, but of matrices only, one at a time and always in bf16. This one takes kernels
of convolutions too, works on all kernels of a shape at once, and computes in fp32 where bf16 would only be emulated: on
CPUs without bf16 products that takes a quarter of the time.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from thumbnet.training.eager import EagerAdamW, eager

#: Of the quintic Newton-Schulz iteration, chosen by Jordan et al. to converge fast, to singular values near 1.
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


@eager
class Muon(Optimizer):
    """Muon for the kernels of hidden layers, AdamW for the classifier's kernel, biases and normalisation.

    Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) replaces the momentum of a matrix by the
    nearest orthogonal one. A convolution's kernel counts as a matrix of one row per filter, a depthwise one too. Its
    steps are scaled to the size of AdamW's (Liu et al. 2025, arXiv:2502.16982; `match_rms_adamw` in PyTorch), so that
    one learning rate serves both.

    Args:
        hidden: kernels of two dimensions (dense layers) or four (convolutions), one or more, in either memory format.
        others: kernels for AdamW.
        vectors: tensors of fewer than two dimensions, for AdamW.
        lr: the learning rate of both.
        weight_decay: decoupled, on kernels alone.
        momentum: share of the old gradients that a step keeps, for the hidden kernels.
        nesterov: whether to look ahead along the momentum.
        stacked: whether every tensor is that of several networks, which are its first axis.
    """

    def __init__(
        self,
        hidden: list[nn.Parameter],
        others: list[nn.Parameter],
        vectors: list[nn.Parameter],
        lr: float,
        weight_decay: float,
        momentum: float,
        nesterov: bool,
        stacked: bool = False,
    ) -> None:
        super().__init__(hidden, {"lr": lr, "weight_decay": weight_decay})
        rest = [{"params": others, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        fused = can_fuse(hidden[0].device)
        self._adamw = EagerAdamW(rest, lr=lr, fused=fused, foreach=not fused)
        self.param_groups += self._adamw.param_groups  # the very groups: what a schedule sets here holds there
        self._momentum = momentum
        self._nesterov = nesterov
        self._stacked = stacked
        self._kernels: dict[torch.Size, list[nn.Parameter]] = {}
        for kernel in hidden:
            self._kernels.setdefault(self._matrices(kernel, kernel).shape[1:], []).append(kernel)
        self._averages = {
            shape: torch.zeros_like(torch.cat([self._matrices(kernel, kernel) for kernel in kernels]))
            for shape, kernels in self._kernels.items()
        }

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of both; a kernel without a gradient stays as it is."""
        lr, decay = self.param_groups[0]["lr"], self.param_groups[0]["weight_decay"]
        for (rows, columns), kernels in self._kernels.items():
            if all(kernel.grad is None for kernel in kernels):
                continue
            # (matrices, rows, columns)
            gradients = torch.cat([self._matrices(_gradient(kernel), kernel) for kernel in kernels])
            average = self._averages[torch.Size((rows, columns))].lerp_(gradients, 1 - self._momentum)
            steps = orthogonalise(gradients.lerp(average, self._momentum) if self._nesterov else average)
            own = torch.chunk(steps, len(kernels))
            moves = [pair for pair in zip(kernels, own, strict=True) if pair[0].grad is not None]
            matrices = [self._matrices(kernel, kernel) for kernel, _ in moves]  # views: kernels change with them
            torch._foreach_mul_(matrices, 1 - lr * decay)
            torch._foreach_add_(matrices, [step for _, step in moves], alpha=-lr * 0.2 * math.sqrt(max(rows, columns)))
        self._adamw.step()

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        averages = list(self._averages.values())
        return {"lr": self.param_groups[0]["lr"], "averages": averages, "adamw": self._adamw.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes what `state_dict` gave."""
        self._adamw.load_state_dict(state_dict["adamw"])  # it makes itself new groups
        self.param_groups[1:] = self._adamw.param_groups
        self.param_groups[0]["lr"] = state_dict["lr"]
        for average, own in zip(self._averages.values(), state_dict["averages"], strict=True):
            average.copy_(own)

    def _matrices(self, values: Tensor, kernel: Tensor) -> Tensor:
        """Values of a kernel's shape as (networks, filters, rest), in the order in which the kernel lies in memory.

        Which order that is does not matter to Muon: permuting the columns of a matrix permutes those of its step.
        """
        if self._stacked:
            return values.flatten(2)
        if values.ndim == 4 and not kernel.is_contiguous():  # channels_last
            values = values.permute(0, 2, 3, 1)
        return values.flatten(1)[None]


def can_fuse(device: torch.device) -> bool:
    """Whether optimizers of PyTorch can make a step of all tensors in one call there."""
    return device.type in ("cpu", "cuda")


def orthogonalise(matrices: Tensor) -> Tensor:
    """Nearly the nearest matrices with orthonormal rows or columns, whichever are fewer: singular values 0.7 to 1.2.

    Args:
        matrices: (k, rows, columns), float32.

    Returns:
        The same shape and type.
    """
    a, b, c = _COEFFICIENTS
    wide = matrices.shape[1] <= matrices.shape[2]
    x = matrices if wide else matrices.mT
    if x.is_cuda:
        x = x.bfloat16()
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT  # (k, short, short)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    result: Tensor = x if wide else x.mT
    return result.to(matrices.dtype)


def _gradient(kernel: nn.Parameter) -> Tensor:
    return torch.zeros_like(kernel) if kernel.grad is None else kernel.grad
