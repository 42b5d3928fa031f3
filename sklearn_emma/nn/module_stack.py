"""Stack several modules of similar shape, to compute them in one batched matrix product.

The parameters of a stacked module have an additional leading dimension, and so have its inputs and
outputs. If modules differ in their number of columns, the smaller ones are padded with zero
weights. The padding of their samples is also zero, so these weights have no gradient and remain
zero.
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

_FEW = 64  # numbers of samples that are faster to copy than to compute stack by stack


def affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return :math:`x W^T + b`, for one module or a stack of modules.

    Parameters
    ----------
    x : Tensor of shape (..., n_samples, n_in)
        Samples.
    weight : Tensor of shape (..., n_out, n_in)
        Weights W, with leading dimensions that broadcast with those of `x`.
    bias : Tensor of shape (..., n_out)
        Bias b.

    Returns
    -------
    Tensor of shape (..., n_samples, n_out)
        Result of the affine map.
    """
    if weight.ndim == 2:
        return F.linear(x, weight, bias)
    if weight.ndim == x.ndim == 3:
        return torch.baddbmm(bias.unsqueeze(-2), x, weight.mT)
    if weight.ndim == 4 and x.ndim in (3, 4):
        # adding the bias in the product is twice as fast as a separate sum on many samples
        return flat_affine(x, weight, bias).unflatten(0, weight.shape[:2])
    return x @ weight.mT + bias.unsqueeze(-2)


def flat_affine(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return :math:`x W^T + b` for a stack of stacks, as a single stack.

    Parameters
    ----------
    x : Tensor of shape (n_modules, n_samples, n_in) or (n_stacks, n_modules, n_samples, n_in)
        Samples of the modules of all stacks, or of each stack. Dimensions of size one are
        broadcast.
    weight : Tensor of shape (n_stacks, n_modules, n_out, n_in)
        Weights W.
    bias : Tensor of shape (n_stacks, n_modules, n_out)
        Bias b.

    Returns
    -------
    Tensor of shape (n_stacks * n_modules, n_samples, n_out)
        Result of the affine map.
    """
    k, m, n_out, _ = weight.shape
    if x.ndim == 3 and x.shape[1] > _FEW and not torch.is_grad_enabled():
        # one product per stack: a single one would copy many samples for each stack
        result = x.new_empty(k, m, x.shape[1], n_out)
        for into, of_stack, constant in zip(result, weight, bias, strict=True):
            torch.baddbmm(constant.unsqueeze(-2), x.expand(m, -1, -1), of_stack.mT, out=into)
        return result.flatten(0, 1)
    x = x.expand(k, m, -1, -1).flatten(0, 1)
    return affine(x, weight.flatten(0, 1), bias.flatten(0, 1))


def stack(modules: Sequence[Module]) -> Module:
    """Stack several modules to one.

    Parameters
    ----------
    modules : sequence of torch.nn.Module
        Modules of the same class, whose parameters differ only in the number of columns.

    Returns
    -------
    torch.nn.Module
        Stacked module with copies of the parameters.
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
    """Copy the parameters of a stacked module back to the single modules.

    Parameters
    ----------
    stacked : torch.nn.Module
        Result of :func:`stack`.
    modules : sequence of torch.nn.Module
        Modules that were stacked. They are changed in place.
    """
    for i, module in enumerate(modules):
        for name, parameter in module.named_parameters():
            parameter.copy_(_corner(stacked.get_parameter(name)[i], parameter))


def _corner(padded: Tensor, like: Tensor) -> Tensor:
    """Return the part of a padded tensor that is not padding."""
    return padded[tuple(slice(size) for size in like.shape)]


def stack_samples(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Stack the samples of several modules, and pad missing columns with zeros.

    Parameters
    ----------
    tensors : sequence of Tensor of shape (n_samples, n_features)
        Samples of each module, which may differ in their number of columns.
    dim : int, default=0
        Position of the new dimension.

    Returns
    -------
    Tensor
        Stacked samples.
    """
    widest = max(tensor.shape[-1] for tensor in tensors)
    padded = [
        F.pad(tensor, (0, widest - tensor.shape[-1])) if tensor.shape[-1] < widest else tensor
        for tensor in tensors
    ]
    return torch.stack(padded, dim)


def width_class(n_features: int) -> int:
    """Return the width class of a module. Stacking is efficient within one class.

    Within one class, padding at most doubles the number of columns, except for modules with few
    columns.

    Parameters
    ----------
    n_features : int
        Number of columns.

    Returns
    -------
    int
        Next power of two, but at least 8, as the computing time of smaller products does not
        matter.
    """
    return max(8, 2 ** math.ceil(math.log2(n_features)))


class ModalityStacks(nn.Module):
    """One module per modality, where similar modules are stacked.

    Parameters
    ----------
    modules : sequence of torch.nn.Module
        One module per modality.
    kinds : sequence of int
        Kind of each module. Modules of the same kind are stacked.
    """

    def __init__(self, modules: Sequence[nn.Module], kinds: Sequence[int]):
        super().__init__()
        alike: dict[int, list[int]] = {}
        for i, kind in enumerate(kinds):
            alike.setdefault(kind, []).append(i)
        #: Positions of the modalities of each stack.
        self.groups = list(alike.values())
        stacks = [stack([modules[i] for i in group]) for group in self.groups]
        self.stacks: Any = nn.ModuleList(stacks)
        order = [i for group in self.groups for i in group]
        self._places = None if order == sorted(order) else np.argsort(order).tolist()

    def join(self, outputs: Sequence[Tensor]) -> Tensor:
        """Concatenate the outputs of the stacks, and restore the order of the modalities.

        Parameters
        ----------
        outputs : sequence of Tensor of shape (..., n_modules, n_samples, n_units)
            Output of each stack.

        Returns
        -------
        Tensor of shape (..., n_modalities, n_samples, n_units)
            Outputs in the order of the modalities.
        """
        joined = outputs[0] if len(outputs) == 1 else torch.cat(list(outputs), -3)
        return joined if self._places is None else joined[..., self._places, :, :]
