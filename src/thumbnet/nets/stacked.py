"""Several networks of one architecture as one: k small products in one call keep a processor busy, k calls do not.

What is stacked has k as its first axis: weights, activations, logits. Dense networks can be stacked. Convolutions keep
a CPU busy alone, and dropout draws from the global generator, so that k networks would share its draws.

`torch.func.vmap` over `stack_module_state` computes the same. Its backward pass took two to three times as long for a
network of 784-128-10, and it fails where batch normalisation meets bf16.
"""

import copy
from collections.abc import Sequence
from typing import TypeGuard

import torch
from torch import Tensor, nn
from torch.nn import functional

from thumbnet.nets.layers import Classifier, Residual

#: Without weights, and of each value alone.
_ELEMENTWISE = (nn.ReLU, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Tanh)


class Stacked(nn.Module):
    """k classifiers as one; their weights are copied.

    Args:
        classifiers: two or more, of one architecture, for which `can_stack` holds.
    """

    def __init__(self, classifiers: Sequence[Classifier]) -> None:
        super().__init__()
        first = classifiers[0]
        self.networks = len(classifiers)
        self._template = (copy.deepcopy(first),)  # in a tuple, so that it is no part of this module
        # Normalisation is the first one's, which all share, around stacked layers.
        self.classifier = Classifier(_stack([classifier.network for classifier in classifiers]), first.mean, first.std)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of each network.

        Args:
            images: (k, n, height, width, channels), a batch for each network, or (n, height, width, channels), one
                for all of them.

        Returns:
            (k, n, classes).
        """
        scaled = self.classifier.scale(images)
        if images.ndim == 4:
            scaled = scaled.expand(self.networks, *scaled.shape)
        logits: Tensor = self.classifier.network(scaled)
        return logits

    @torch.no_grad()
    def weights(self, place: int) -> dict[str, Tensor]:
        """A copy of the weights and running statistics of one network, as its classifier's `state_dict` has them.

        Args:
            place: from 0, in the order of `classifiers`.
        """
        (template,) = self._template
        _unstack(self.classifier.network, template.network, place)
        return {name: tensor.clone() for name, tensor in template.state_dict().items()}


def can_stack(classifiers: Sequence[nn.Module]) -> TypeGuard[Sequence[Classifier]]:
    """Whether classifiers of one architecture can be stacked."""
    return all(
        isinstance(classifier, Classifier) and all(_is_stackable(module) for module in classifier.network.modules())
        for classifier in classifiers
    )


def _is_stackable(module: nn.Module) -> bool:
    if isinstance(module, nn.Flatten):
        return module.start_dim == 1
    return isinstance(module, (nn.Linear, nn.BatchNorm1d, nn.GroupNorm, *_ELEMENTWISE)) or type(module) in (
        nn.Sequential,
        Residual,
    )


class _StackedLinear(nn.Module):
    """k dense layers. Weights lie as (k, in, out): from (k, out, in) the backward pass takes half as long again."""

    def __init__(self, layers: Sequence[nn.Linear]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.stack([layer.weight.detach().T for layer in layers]))  # (k, in, out)
        self.bias: nn.Parameter | None = None
        if layers[0].bias is not None:
            self.bias = nn.Parameter(torch.stack([layer.bias.detach() for layer in layers]))  # (k, out)

    def forward(self, inputs: Tensor) -> Tensor:  # (k, n, in) -> (k, n, out)
        if self.bias is None:
            return torch.bmm(inputs, self.weight)
        return torch.baddbmm(self.bias[:, None], inputs, self.weight)

    def unstack(self, layer: nn.Module, place: int) -> None:
        layer.get_parameter("weight").copy_(self.weight[place].T)
        if self.bias is not None:
            layer.get_parameter("bias").copy_(self.bias[place])


class _StackedNorm(nn.Module):
    """k batch normalisations, or group normalisations, as one of k times the channels and groups."""

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, norms: Sequence[nn.BatchNorm1d] | Sequence[nn.GroupNorm]) -> None:
        super().__init__()
        first = norms[0]
        self._groups = first.num_groups if isinstance(first, nn.GroupNorm) else None
        self._eps = first.eps
        self._momentum = (first.momentum or 0.0) if isinstance(first, nn.BatchNorm1d) else 0.0
        self.weight = nn.Parameter(torch.stack([norm.weight.detach() for norm in norms]))  # (k, channels)
        self.bias = nn.Parameter(torch.stack([norm.bias.detach() for norm in norms]))  # (k, channels)
        for name, _ in norms[0].named_buffers():
            self.register_buffer(name, torch.stack([norm.get_buffer(name) for norm in norms]))

    def forward(self, inputs: Tensor) -> Tensor:  # (k, n, channels), before and after
        count, images, channels = inputs.shape
        side_by_side = inputs.transpose(0, 1).reshape(images, count * channels)
        scale, shift = self.weight.flatten(), self.bias.flatten()
        if self._groups is not None:
            normalised = functional.group_norm(side_by_side, count * self._groups, scale, shift, self._eps)
        else:
            if self.training:
                self.num_batches_tracked += 1
            mean, variance = self.running_mean.view(-1), self.running_var.view(-1)  # views: they are updated in place
            normalised = functional.batch_norm(
                side_by_side, mean, variance, scale, shift, self.training, self._momentum, self._eps
            )
        return normalised.view(images, count, channels).transpose(0, 1)

    def unstack(self, norm: nn.Module, place: int) -> None:
        norm.load_state_dict({name: tensor[place] for name, tensor in self.state_dict().items()})


def _stack(modules: Sequence[nn.Module]) -> nn.Module:
    """k equal modules as one; those without weights as they are."""
    first = modules[0]
    match first:
        case nn.Linear():
            return _StackedLinear(modules)  # type: ignore[arg-type]  # all are of one class
        case nn.BatchNorm1d() | nn.GroupNorm():
            return _StackedNorm(modules)  # type: ignore[arg-type]  # all are of one class
        case nn.Flatten():
            return nn.Flatten(start_dim=2)
        case nn.Sequential():
            children = (module.children() for module in modules)
            return type(first)(*(_stack(same) for same in zip(*children, strict=True)))
        case _:
            return first


def _unstack(stacked: nn.Module, module: nn.Module, place: int) -> None:
    """Copies one of k networks into a module."""
    if isinstance(stacked, _StackedLinear | _StackedNorm):
        stacked.unstack(module, place)
        return
    for inner, outer in zip(stacked.children(), module.children(), strict=True):
        _unstack(inner, outer, place)
