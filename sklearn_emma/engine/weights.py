"""Convert modules to NumPy arrays and back, so that fitted estimators hold no torch objects."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn


def to_arrays(module: nn.Module) -> dict[str, np.ndarray]:
    """Return parameters and buffers as arrays.

    Parameters
    ----------
    module : torch.nn.Module
        Module on any device.

    Returns
    -------
    dict of str to ndarray
        Copies of parameters and buffers, by name.
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
        Module whose values are set.
    arrays : mapping of str to ndarray
        Result of :func:`to_arrays` for a module of the same structure.
    strict : bool, default=True
        Whether there must be an array for every parameter and buffer.
    """
    state = {name: torch.as_tensor(np.array(value)) for name, value in arrays.items()}
    module.load_state_dict(state, strict=strict)
