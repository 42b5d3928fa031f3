r"""What stage 2 minimises: prediction loss and the two regularizers of the gate.

.. math::

    \mathcal{L} = L(y, \hat y) + \lambda_c (g_a - b_a) - \lambda_e \Omega, \qquad
    \Omega = \frac1N \sum_n \sum_k \begin{cases}
        \log \alpha_{nk} & \xi_{nk} = 1 \\
        -\log \max(\alpha_{nk}, 0.01) & \xi_{nk} = -1 \end{cases}

The first keeps the capacity of the gate low, the second rewards importance on intact modalities
(:math:`\xi = 1`) and its absence on corrupted ones (:math:`\xi = -1`). The thesis has
:math:`\Omega` without the floor of 0.01.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from sklearn_emma.nn.attention import EnergyAttention

_LOG_FLOOR = math.log(0.01)

__all__ = ["capacity_penalty", "energy_alignment", "weighted_cross_entropy"]


def weighted_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Cross entropy of each row, averaged with the rows' weights.

    Parameters
    ----------
    logits : Tensor of shape (n_samples, n_classes)
        Unnormalised log probabilities.
    target : Tensor of shape (n_samples,)
        Class indices.
    weight : Tensor of shape (n_samples,)
        Weight of each row, one for an ordinary row.

    Returns
    -------
    Tensor of shape ()
        The sum of weighted losses over the number of rows.
    """
    return (F.cross_entropy(logits, target, reduction="none") * weight).mean()


def capacity_penalty(gate: EnergyAttention) -> Tensor:
    """:math:`g_a - b_a`, which the capacity of the gate grows with.

    Parameters
    ----------
    gate : EnergyAttention
        The gate.

    Returns
    -------
    Tensor of shape ()
        The penalty, to be multiplied by ``lambda_capacity``.
    """
    return gate.gain - gate.bias


def energy_alignment(log_importance: Tensor, indicator: Tensor, weight: Tensor) -> Tensor:
    r""":math:`\Omega`: how well importance follows the failures that were put in.

    Parameters
    ----------
    log_importance : Tensor of shape (n_samples, n_modalities)
        :math:`\log\alpha`. A missing modality (minus infinity) has nothing left to align.
    indicator : Tensor of shape (n_samples, n_modalities)
        :math:`\xi`: +1 intact, -1 corrupted. A corrupted modality earns nothing by falling below
        an importance of 0.01: without that floor the reward has no bound, and grows with the scale
        of the energies alone, at the expense of intact modalities.
    weight : Tensor of shape (n_samples,)
        Weight of each row.

    Returns
    -------
    Tensor of shape ()
        The alignment, to be rewarded by ``lambda_energy``.
    """
    finite = torch.isfinite(log_importance)
    earning = torch.where(indicator < 0, log_importance.clamp(min=_LOG_FLOOR), log_importance)
    aligned = (indicator * torch.where(finite, earning, 0.0)).sum(-1)
    return (aligned * weight).mean()
