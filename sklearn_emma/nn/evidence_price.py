r"""One unit for every reason to distrust a modality.

Evidence against a modality is measured in nats, and becomes potential energy at a fixed price:

.. math:: \Delta\Psi_i = 3\, s_i\, a_i

for :math:`a_i` nats of evidence and the scale :math:`s_i` of the potential. With a coldness of one
third a nat divides the Boltzmann weight of the modality by e, like the odds that its values are
right. Three kinds of evidence enter this way: values that are missing, values that are not
consistent with the other modalities (:class:`~sklearn_emma.nn.CrossModalEnergy`), and levels of
categorical columns that were never seen.
"""

import math
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

__all__ = [
    "NAT",
    "evidence_of_potential",
    "gap_evidence",
    "potential_of_evidence",
    "relative_potential",
    "unseen_level_evidence",
]

Values = TypeVar("Values", Tensor, np.ndarray)

#: Scales :math:`s_i` of the potential per nat of evidence.
NAT = 3.0
# Samples that every level is thought to have besides those that were seen.
_PRIOR = 1.0


def potential_of_evidence(evidence: Values, scale: Values | float) -> Values:
    r"""Price of evidence: :math:`3\, s_i\, a_i`.

    Parameters
    ----------
    evidence : Tensor or ndarray of shape (..., n_modalities)
        :math:`a_i`, in nats.
    scale : Tensor or ndarray of shape (n_modalities,), or float
        :math:`s_i`.

    Returns
    -------
    Tensor or ndarray of shape (..., n_modalities)
        What the evidence adds to the potential.
    """
    return NAT * scale * evidence


def gap_evidence(missing: Tensor) -> Tensor:
    r"""Evidence of missing values: :math:`-\log(1 - n_i / D_i)`.

    Parameters
    ----------
    missing : Tensor
        :math:`n_i / D_i`, the fraction of the modality's values that are missing.

    Returns
    -------
    Tensor
        Evidence in nats, of the shape of `missing`: zero for a complete modality, infinite for a
        missing one.
    """
    return -torch.log1p(-missing)


def unseen_level_evidence(n_rarest: int, n_once: int) -> float:
    r"""Evidence of a level that no training sample has.

    The surprisal of a level that n of N training samples have is :math:`-\log\frac{n + 1}{N + K}`
    with K levels. What a level that was never seen has above the rarest usual one, with
    :math:`n_{min}` samples, is evidence:

    .. math:: a = \max\Bigl(0, \log\frac{n_{min} + 1}{n_1 + 1}\Bigr)

    for :math:`n_1` levels that were seen once. By Good's estimate [1]_ so many samples in N have a
    level that was not seen before: where new levels are usual, they are no evidence.

    Parameters
    ----------
    n_rarest : int
        :math:`n_{min}`.
    n_once : int
        :math:`n_1`.

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
    r"""Evidence at the price of a potential: the inverse of :func:`potential_of_evidence`.

    Parameters
    ----------
    potential : Tensor or ndarray of shape (..., n_modalities)
        What evidence added to the potential.
    scale : Tensor or ndarray of shape (n_modalities,)
        :math:`s_i`.

    Returns
    -------
    Tensor or ndarray of shape (..., n_modalities)
        :math:`a_i`, in nats.
    """
    return potential / (NAT * scale)


def relative_potential(potential: Values, minimum: Values, scale: Values) -> Values:
    r"""Potential on the scale of the gate: :math:`(\Psi_i - \Psi_{min,i}) / s_i`.

    Parameters
    ----------
    potential : Tensor or ndarray
        :math:`\Psi_i`.
    minimum, scale : Tensor or ndarray
        :math:`\Psi_{min,i}` and :math:`s_i`, of shapes that broadcast with `potential`.

    Returns
    -------
    Tensor or ndarray
        Of the shape of `potential`.
    """
    return (potential - minimum) / scale
