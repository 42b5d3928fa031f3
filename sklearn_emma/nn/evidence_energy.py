r"""Convert evidence against a modality to potential energy.

All evidence against a modality is measured in nats, and converted to potential energy by a fixed
factor:

.. math:: \Delta\Psi_i = 3\, s_i\, a_i

for :math:`a_i` nats of evidence, where :math:`s_i` is the scale of the potential. At a coldness of
one third, one nat divides the Boltzmann weight of the modality by e, as it divides the odds that
its values are valid by e. Three kinds of evidence are converted in this way: missing values, values
that are not consistent with the other modalities (:class:`~sklearn_emma.nn.CrossModalEnergy`), and
levels of categorical columns that do not occur in the training data.
"""

import math
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "NAT",
    "add_gap_energy",
    "evidence_of_potential",
    "gap_energy",
    "gap_evidence",
    "potential_of_evidence",
    "relative_potential",
    "unseen_level_evidence",
]

Values = TypeVar("Values", Tensor, np.ndarray)

#: Potential energy per nat of evidence, in units of the scale :math:`s_i`.
NAT = 3.0
# Pseudocount of each level (additive smoothing).
_PRIOR = 1.0


def potential_of_evidence(evidence: Values, scale: Values | float) -> Values:
    r"""Convert evidence to potential energy: :math:`3\, s_i\, a_i`.

    Parameters
    ----------
    evidence : Tensor or ndarray of shape (..., n_modalities)
        Evidence :math:`a_i`, in nats.
    scale : Tensor or ndarray of shape (n_modalities,), or float
        Scale :math:`s_i` of the potential.

    Returns
    -------
    Tensor or ndarray of shape (..., n_modalities)
        Potential energy that the evidence adds.
    """
    return NAT * scale * evidence


def gap_evidence(missing: Tensor) -> Tensor:
    r"""Return the evidence of missing values: :math:`-\log(1 - n_i / D_i)`.

    Parameters
    ----------
    missing : Tensor
        Fraction :math:`n_i / D_i` of the values of a modality that are missing.

    Returns
    -------
    Tensor
        Evidence in nats, with the shape of `missing`: zero if no value is missing, infinite if all
        are.
    """
    return -torch.log1p(-missing)


def gap_energy(missing: Tensor, scale: Tensor | float) -> Tensor:
    """Return the energy of missing values.

    Parameters
    ----------
    missing : Tensor of shape (n_samples, ...)
        Fraction of the values of a modality that are missing.
    scale : Tensor or float
        Scale :math:`s_i` of the potential. If it is zero, only missing modalities have an energy.

    Returns
    -------
    Tensor of shape (n_samples, ...)
        Energy of missing values, infinite if all values of a modality are missing.
    """
    energy = potential_of_evidence(gap_evidence(missing), scale)
    return torch.where(missing < 1, energy, math.inf)


def add_gap_energy(own: Tensor, gap: Tensor) -> Tensor:
    """Return own + gap, which is infinite for missing modalities even if own is NaN."""
    return torch.where(gap < math.inf, own + gap, math.inf)


def unseen_level_evidence(n_rarest: int, n_once: int) -> float:
    r"""Return the evidence of a level that does not occur in the training samples.

    The surprisal of a level that occurs in n of N training samples is
    :math:`-\log\frac{n + 1}{N + K}`, with K levels. The evidence is the surprisal of an unseen
    level minus that of the rarest known level:

    .. math:: a = \max\Bigl(0, \log\frac{n_{min} + 1}{n_1 + 1}\Bigr)

    Here :math:`n_{min}` is the number of training samples of the rarest known level, and
    :math:`n_1` is the number of levels that occur only once. By Good's estimate [1]_,
    :math:`n_1` of N samples are expected to have an unseen level. If unseen levels are
    common, they are therefore not evidence.

    Parameters
    ----------
    n_rarest : int
        Number :math:`n_{min}` of training samples of the rarest known level.
    n_once : int
        Number :math:`n_1` of levels that occur only once.

    Returns
    -------
    float
        Evidence in nats.

    References
    ----------
    .. [1] Good, I. J. (1953). The population frequencies of species and the estimation of
       population parameters. Biometrika 40.
    """
    return max(0.0, math.log((n_rarest + _PRIOR) / (n_once + _PRIOR)))


def evidence_of_potential(potential: Values, scale: Values) -> Values:
    r"""Convert potential energy to evidence, the inverse of :func:`potential_of_evidence`.

    Parameters
    ----------
    potential : Tensor or ndarray of shape (..., n_modalities)
        Potential energy that was added by evidence.
    scale : Tensor or ndarray of shape (n_modalities,)
        Scale :math:`s_i` of the potential.

    Returns
    -------
    Tensor or ndarray of shape (..., n_modalities)
        Evidence :math:`a_i`, in nats.
    """
    return potential / (NAT * scale)


def relative_potential(potential: Values, minimum: Values, scale: Values) -> Values:
    r"""Return the potential on the scale of the gate: :math:`(\Psi_i - \Psi_{min,i}) / s_i`.

    Parameters
    ----------
    potential : Tensor or ndarray
        Potential :math:`\Psi_i`.
    minimum, scale : Tensor or ndarray
        Minimum :math:`\Psi_{min,i}` and scale :math:`s_i` of the potential. Their shapes must
        broadcast with `potential`.

    Returns
    -------
    Tensor or ndarray
        Scaled potential, with the shape of `potential`.
    """
    return (potential - minimum) / scale
