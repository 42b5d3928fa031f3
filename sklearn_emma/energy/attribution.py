"""Attribute an energy to features: descend to a typical sample, integrate along the way back."""

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.nn import EnergyEnsemble

# Steps of the descent, and the relative fall of the energy at which it stops.
_MAX_STEPS = 200
_ARRIVED = 1e-7
# Points of the quadrature along the way back.
_N_NODES = 64


def descend(energy: EnergyEnsemble, x: Tensor) -> Tensor:
    """Follow the reconstruction to its fixed point.

    A step that would raise the energy is halved until it does not, so that the energy falls all the
    way and the iteration cannot run in circles.

    Parameters
    ----------
    energy : EnergyEnsemble
        Of one modality.
    x : Tensor of shape (n_samples, n_features)
        Where to start.

    Returns
    -------
    Tensor of shape (n_samples, n_features)
        Where the energy no longer falls.
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
    """Limit values that no view tells apart, so that squares stay finite."""
    bounded = torch.stack([see.bound(x) for see in energy.coordinates])
    return bounded.gather(0, bounded.abs().argmax(0, keepdim=True))[0]


def attribute(energy: EnergyEnsemble, x: Tensor) -> Tensor:
    """Divide the energy above the nearest typical sample among the features.

    Parameters
    ----------
    energy : EnergyEnsemble
        Of one modality.
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
    # Gauss and Legendre's nodes, from [-1, 1] to [0, 1]
    nodes, shares = np.polynomial.legendre.leggauss(_N_NODES)
    total = torch.zeros_like(x)
    for node, share in zip(0.5 * (nodes + 1.0), 0.5 * shares, strict=True):
        total += share * energy.gradient(typical + node * way)
    total *= way
    # what the quadrature left over goes where most of it went
    rest = energy.potential(x) - energy.potential(typical) - total.sum(1)
    size = total.abs()
    return total + rest.unsqueeze(1) * size / size.sum(1, keepdim=True).clamp(min=1e-300)
