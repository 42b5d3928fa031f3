"""Attribute an energy to features by integrated gradients from the nearest typical sample."""

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.nn import EnergyEnsemble

# Largest number of steps of the descent, and relative decrease of the energy at which it stops.
_MAX_STEPS = 200
_ARRIVED = 1e-7
# Number of nodes of the quadrature.
_N_NODES = 64


def descend(energy: EnergyEnsemble, x: Tensor) -> Tensor:
    """Iterate the reconstruction of samples to its fixed point.

    A step that would increase the energy is halved, so that the energy decreases in every step and
    the iteration cannot cycle.

    Parameters
    ----------
    energy : EnergyEnsemble
        Energy of one modality.
    x : Tensor of shape (n_samples, n_features)
        Samples from which the descent starts.

    Returns
    -------
    Tensor of shape (n_samples, n_features)
        Points at which the energy no longer decreases.
    """
    x = _bound(energy, x)
    value = energy.potential(x)
    step = torch.ones_like(value)
    for _ in range(_MAX_STEPS):
        moving = step > _ARRIVED
        if not moving.any():
            break
        moved = x + step.unsqueeze(1) * (energy.reconstruct(x) - x)
        reached = energy.potential(moved)
        fall = value - reached
        better = moving & (fall > 0)
        x = torch.where(better.unsqueeze(1), moved, x)
        value = torch.where(better, reached, value)
        arrived = better & (fall <= _ARRIVED * (1.0 + reached.abs()))
        step = torch.where(better, (2.0 * step).clamp(max=1.0), 0.5 * step)
        step = torch.where(arrived, 0.0, step)
    return x


def _bound(energy: EnergyEnsemble, x: Tensor) -> Tensor:
    """Clip values that are so extreme that all views treat them as equal, to avoid overflow."""
    bounded = torch.stack([see.bound(x) for see in energy.coordinates])
    return bounded.gather(0, bounded.abs().argmax(0, keepdim=True))[0]


def attribute(energy: EnergyEnsemble, x: Tensor) -> Tensor:
    """Divide the energy above the nearest typical sample among the features.

    Parameters
    ----------
    energy : EnergyEnsemble
        Energy of one modality.
    x : Tensor of shape (n_samples, n_features)
        Samples.

    Returns
    -------
    Tensor of shape (n_samples, n_features)
        Contributions, which sum to the difference of the potentials.
    """
    x = _bound(energy, x)
    typical = descend(energy, x)
    way = x - typical
    # Gauss-Legendre nodes, mapped from [-1, 1] to [0, 1]
    nodes, shares = np.polynomial.legendre.leggauss(_N_NODES)
    total = torch.zeros_like(x)
    for node, share in zip(0.5 * (nodes + 1.0), 0.5 * shares, strict=True):
        total += share * energy.gradient(typical + node * way)
    total *= way
    # distribute the error of the quadrature in proportion to the contributions
    rest = energy.potential(x) - energy.potential(typical) - total.sum(1)
    size = total.abs()
    return total + rest.unsqueeze(1) * size / size.sum(1, keepdim=True).clamp(min=1e-300)
