"""Several modules of like shape as one: their products become one batched product.

A stacked module has the parameters of all with a leading dimension, and so have the samples that it
takes and returns. Where modules differ in columns the narrower are padded with weights of zero,
which get no gradient, and so stay zero, as the padding of their samples is zero too.
"""

import copy
import math
from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Module = TypeVar("Module", bound=nn.Module)


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """:math:`x W^T + b`, for one module or for several at once.

    Parameters
    ----------
    x : Tensor of shape (..., n_samples, n_in)
        Samples.
    weight : Tensor of shape (..., n_out, n_in)
        W, with leading dimensions that go with those of `x`.
    bias : Tensor of shape (..., n_out)
        The bias.

    Returns
    -------
    Tensor of shape (..., n_samples, n_out)
        The product.
    """
    if weight.ndim == 2:
        return F.linear(x, weight, bias)
    if weight.ndim == x.ndim == 3:
        return torch.baddbmm(bias.unsqueeze(-2), x, weight.mT)
    if weight.ndim == 4 and x.ndim in (3, 4):
        # one product with the bias, and not a sum afterwards: as fast again on many samples
        x, [(flat_weight, flat_bias)] = merge_stacks(x, [(weight, bias)])
        return affine(x, flat_weight, flat_bias).unflatten(0, weight.shape[:2])
    return x @ weight.mT + bias.unsqueeze(-2)


def merge_stacks(
    x: Tensor, layers: Sequence[tuple[Tensor, Tensor]]
) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
    """Make one stack of a stack of stacks.

    Parameters
    ----------
    x : Tensor of shape (..., n_samples, n_in)
        Samples of all, or those that all have in common.
    layers : sequence of tuple of Tensor of shape (n_stacks, n_modules, ...)
        Weights and biases.

    Returns
    -------
    x : Tensor of shape (n_stacks * n_modules, n_samples, n_in)
        The samples of each module.
    layers : list of tuple of Tensor of shape (n_stacks * n_modules, ...)
        Its weights and biases.
    """
    shape = layers[0][0].shape[:2]
    flat = [(weight.flatten(0, 1), bias.flatten(0, 1)) for weight, bias in layers]
    return x.expand(*shape, -1, -1).flatten(0, 1), flat


def stack(modules: Sequence[Module]) -> Module:
    """Several modules as one.

    Parameters
    ----------
    modules : sequence of torch.nn.Module
        Of one class, with the same parameters but for the number of columns.

    Returns
    -------
    torch.nn.Module
        With copies of the parameters.
    """
    stacked = copy.deepcopy(modules[0])
    for name, parameter in stacked.named_parameters():
        values = [module.get_parameter(name).detach() for module in modules]
        shape = torch.tensor([value.shape for value in values]).amax(0).tolist()
        parameter.data = values[0].new_zeros(len(values), *shape)
        for place, value in zip(parameter.data, values, strict=True):
            _corner(place, value).copy_(value)
    return stacked


@torch.no_grad()
def unstack(stacked: Module, modules: Sequence[Module]) -> None:
    """Give the parameters of a stacked module back.

    Parameters
    ----------
    stacked : torch.nn.Module
        What :func:`stack` made.
    modules : sequence of torch.nn.Module
        Of what; changed in place.
    """
    for i, module in enumerate(modules):
        for name, parameter in module.named_parameters():
            parameter.copy_(_corner(stacked.get_parameter(name)[i], parameter))


def _corner(padded: Tensor, like: Tensor) -> Tensor:
    """Return the part of a padded tensor that is not padding."""
    return padded[tuple(slice(size) for size in like.shape)]


def stack_samples(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Samples of several modules as one tensor, padded with zeros.

    Parameters
    ----------
    tensors : sequence of Tensor of shape (n_samples, n_features)
        Samples of each; they may differ in columns.
    dim : int, default=0
        Where the new dimension goes.

    Returns
    -------
    Tensor
        The samples.
    """
    widest = max(tensor.shape[-1] for tensor in tensors)
    padded = [
        F.pad(tensor, (0, widest - tensor.shape[-1])) if tensor.shape[-1] < widest else tensor
        for tensor in tensors
    ]
    return torch.stack(padded, dim)


def width_class(n_features: int) -> int:
    """Return what modules must have in common to be worth stacking: padding at most doubles them.

    Parameters
    ----------
    n_features : int
        Number of columns.

    Returns
    -------
    int
        The next power of two, and at least 8: so small, a product costs less than its call.
    """
    return max(8, 2 ** math.ceil(math.log2(n_features)))


class ModalityStacks(nn.Module):
    """A module for each modality, those that are alike as one stack.

    Parameters
    ----------
    modules : sequence of torch.nn.Module
        One per modality.
    kinds : sequence of int
        Modules of the same kind are stacked.
    """

    def __init__(self, modules: Sequence[nn.Module], kinds: Sequence[int]):
        super().__init__()
        alike: dict[int, list[int]] = {}
        for i, kind in enumerate(kinds):
            alike.setdefault(kind, []).append(i)
        #: Places of the modalities of each stack.
        self.groups = list(alike.values())
        stacks = [stack([modules[i] for i in group]) for group in self.groups]
        self.stacks: Any = nn.ModuleList(stacks)
        order = [i for group in self.groups for i in group]
        self._places = None if order == sorted(order) else np.argsort(order).tolist()

    def join(self, outputs: Sequence[Tensor]) -> Tensor:
        """Put what the stacks return together.

        Parameters
        ----------
        outputs : sequence of Tensor of shape (..., n_modules, n_samples, n_units)
            What each stack returned.

        Returns
        -------
        Tensor of shape (..., n_modalities, n_samples, n_units)
            In the order of the modalities.
        """
        joined = outputs[0] if len(outputs) == 1 else torch.cat(list(outputs), -3)
        return joined if self._places is None else joined[..., self._places, :, :]
