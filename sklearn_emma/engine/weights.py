"""Modules to plain numpy arrays and back, so that fitted estimators hold no torch objects."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn


def to_arrays(module: nn.Module) -> dict[str, np.ndarray]:
    """Return parameters and buffers as arrays.

    Parameters
    ----------
    module : torch.nn.Module
        The module, on any device.

    Returns
    -------
    dict of str to ndarray
        Copies.
    """
    return {
        name: value.detach().cpu().numpy().copy() for name, value in module.state_dict().items()
    }


def load_arrays(
    module: nn.Module, arrays: Mapping[str, np.ndarray | float], strict: bool = True
) -> None:
    """Set parameters and buffers, in place.

    Parameters
    ----------
    module : torch.nn.Module
        The module.
    arrays : mapping of str to ndarray
        What :func:`to_arrays` returned for a module of the same structure.
    strict : bool, default=True
        Whether the arrays must name every parameter and buffer.
    """
    state = {name: torch.as_tensor(np.array(value)) for name, value in arrays.items()}
    module.load_state_dict(state, strict=strict)
