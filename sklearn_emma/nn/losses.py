r"""Loss of stage 2: the prediction loss and two regularization terms of the gate.

.. math::

    \mathcal{L} = L(y, \hat y) + \lambda_c (g_a - b_a) - \lambda_e \Omega, \qquad
    \Omega = \frac1N \sum_n \sum_k \begin{cases}
        \log \alpha_{nk} & \xi_{nk} = 1 \\
        -\log \max(\alpha_{nk}, \alpha_{min}) & \xi_{nk} = -1 \end{cases}

L is the mean over samples of the cross entropy for a classifier, or of a regression loss (squared
error, absolute error, pinball loss of quantiles). The term with :math:`\lambda_c` limits the
capacity of the gate. The term with :math:`\lambda_e` rewards a high importance of clean modalities
(:math:`\xi = 1`) and a low importance of corrupted ones (:math:`\xi = -1`). The floor
:math:`\alpha_{min}` is 0.01. The thesis has no floor.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from sklearn_emma.nn.attention import EnergyAttention

__all__ = [
    "capacity_penalty",
    "energy_alignment",
    "noise_contrastive_loss",
    "weighted_absolute_error",
    "weighted_cross_entropy",
    "weighted_pinball_loss",
    "weighted_squared_error",
]


def weighted_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Return the weighted cross entropy, averaged over samples.

    Parameters
    ----------
    logits : Tensor of shape (n_samples, n_classes)
        Unnormalized log probabilities.
    target : Tensor of shape (n_samples,)
        Class indices.
    weight : Tensor of shape (n_samples,)
        Weight of each sample, one for an ordinary sample.

    Returns
    -------
    Tensor of shape ()
        The sum of weighted losses over the number of samples.
    """
    return (F.cross_entropy(logits, target, reduction="none") * weight).mean()


def weighted_squared_error(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    r"""Return the weighted squared error, averaged over samples.

    .. math::

        L = \frac1N \sum_n \frac{v_n}{K} \sum_k (\hat y_{nk} - y_{nk})^2

    with the sample weights :math:`v_n`. The minimizer is the conditional mean.

    Parameters
    ----------
    output : Tensor of shape (n_samples, n_outputs)
        Predictions :math:`\hat y`.
    target : Tensor of shape (n_samples, n_outputs)
        True values y.
    weight : Tensor of shape (n_samples,)
        Weight of each sample, one for an ordinary sample.

    Returns
    -------
    Tensor of shape ()
        The sum of weighted losses over the number of samples.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import weighted_squared_error
    >>> output, target = torch.tensor([[1.0], [5.0]]), torch.tensor([[0.0], [3.0]])
    >>> weighted_squared_error(output, target, torch.ones(2))
    tensor(2.5000)
    """
    return ((output - target).square().mean(1) * weight).mean()


def weighted_absolute_error(output: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    r"""Return the weighted absolute error, averaged over samples.

    .. math::

        L = \frac1N \sum_n \frac{v_n}{K} \sum_k |\hat y_{nk} - y_{nk}|

    with the sample weights :math:`v_n`. The minimizer is the conditional median, which is robust
    to extreme targets.

    Parameters
    ----------
    output : Tensor of shape (n_samples, n_outputs)
        Predictions :math:`\hat y`.
    target : Tensor of shape (n_samples, n_outputs)
        True values y.
    weight : Tensor of shape (n_samples,)
        Weight of each sample, one for an ordinary sample.

    Returns
    -------
    Tensor of shape ()
        The sum of weighted losses over the number of samples.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import weighted_absolute_error
    >>> output, target = torch.tensor([[1.0], [5.0]]), torch.tensor([[0.0], [3.0]])
    >>> weighted_absolute_error(output, target, torch.ones(2))
    tensor(1.5000)
    """
    return ((output - target).abs().mean(1) * weight).mean()


def weighted_pinball_loss(
    output: Tensor, target: Tensor, weight: Tensor, quantiles: Sequence[float]
) -> Tensor:
    r"""Return the weighted pinball loss of several quantiles, averaged over samples.

    .. math::

        L = \frac1N \sum_n \frac{v_n}{K} \sum_k
            \max\bigl(q_k (y_n - \hat y_{nk}), (q_k - 1) (y_n - \hat y_{nk})\bigr)

    with the sample weights :math:`v_n`. The minimizer :math:`\hat y_{nk}` is the conditional
    quantile of y at level :math:`q_k` [1]_. At :math:`q = 1/2` the loss is half the absolute error.

    Parameters
    ----------
    output : Tensor of shape (n_samples, n_quantiles)
        Predicted quantiles :math:`\hat y`.
    target : Tensor of shape (n_samples, 1)
        True values y.
    weight : Tensor of shape (n_samples,)
        Weight of each sample, one for an ordinary sample.
    quantiles : sequence of float of length n_quantiles
        Quantile levels :math:`q_k`, between 0 and 1.

    Returns
    -------
    Tensor of shape ()
        The sum of weighted losses over the number of samples.

    References
    ----------
    .. [1] Koenker, R. and Bassett, G. (1978). Regression quantiles. Econometrica 46(1), 33-50.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import weighted_pinball_loss
    >>> output, target = torch.tensor([[0.0, 2.0]]), torch.tensor([[1.0]])
    >>> weighted_pinball_loss(output, target, torch.ones(1), (0.25, 0.75))
    tensor(0.2500)
    """
    level = output.new_tensor(quantiles)
    short = target - output
    return (torch.maximum(level * short, (level - 1.0) * short).mean(1) * weight).mean()


def capacity_penalty(gate: EnergyAttention) -> Tensor:
    """Return the penalty :math:`g_a - b_a`, which increases with the capacity of the gate.

    Parameters
    ----------
    gate : EnergyAttention
        Attention gate.

    Returns
    -------
    Tensor of shape ()
        Penalty, to be multiplied by ``lambda_capacity``.
    """
    return gate.gain - gate.bias


def energy_alignment(
    log_importance: Tensor, indicator: Tensor, weight: Tensor, floor: float = 0.01
) -> Tensor:
    r"""Return the alignment :math:`\Omega` of the importance with the simulated failures.

    Parameters
    ----------
    log_importance : Tensor of shape (n_samples, n_modalities)
        Log importance :math:`\log\alpha`. Missing modalities (minus infinity) are ignored.
    indicator : Tensor of shape (n_samples, n_modalities)
        Indicator :math:`\xi`: +1 for clean and -1 for corrupted modalities.
    weight : Tensor of shape (n_samples,)
        Weight of each sample.
    floor : float, default=0.01
        Importance :math:`\alpha_{min}` below which the reward of a corrupted modality does not
        increase further. Without a floor (0), the reward is unbounded: it increases with the scale
        of the energies alone, at the expense of clean modalities.

    Returns
    -------
    Tensor of shape ()
        Alignment, to be multiplied by ``lambda_energy`` and maximized.
    """
    lowest = math.log(floor) if floor else -math.inf
    reward = torch.where(indicator < 0, log_importance.clamp(min=lowest), log_importance)
    reward = reward.masked_fill(log_importance == -math.inf, 0.0)
    return (indicator * weight.unsqueeze(-1) * reward).sum() / len(weight)


def noise_contrastive_loss(
    together: Tensor, apart: Tensor, weight: Tensor, apart_weight: Tensor
) -> Tensor:
    r"""Return the logistic loss of distinguishing samples from shuffled ones, pair by pair.

    .. math:: \frac{1}{P} \sum_{i \ne j} \left( \mathrm{E}\, \log(1 + e^{-c_{ij}}) +
        \mathrm{E}\, \log(1 + e^{c'_{ij}}) \right)

    with P pairs of modalities. At the minimum, c is the log ratio of the density of a pair from the
    same sample to that of a pair from different samples (Gutmann, M. and Hyvärinen, A. (2010).
    Noise-contrastive estimation. AISTATS).

    Parameters
    ----------
    together : Tensor of shape (n_samples, n_modalities, n_modalities)
        Log ratios c of the original samples. The diagonal is ignored.
    apart : Tensor of shape (n_shuffles * n_samples, n_modalities, n_modalities)
        Log ratios c' of samples whose modalities are shuffled.
    weight : Tensor of shape (n_samples,)
        Weights of the original samples.
    apart_weight : Tensor of shape (n_shuffles * n_samples, n_modalities)
        Weight of the sample from which each modality of a shuffled sample was taken. The weight of
        a pair is the product of both.

    Returns
    -------
    Tensor of shape ()
        Loss. It is 2 log 2 if all log ratios are zero and all weights are one.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import noise_contrastive_loss
    >>> zeros = torch.zeros(4, 2, 2)
    >>> noise_contrastive_loss(zeros, zeros, torch.ones(4), torch.ones(4, 2))
    tensor(1.3863)
    """
    m = together.shape[1]
    share = (1.0 - torch.eye(m, dtype=together.dtype, device=weight.device)) / max(m * (m - 1), 1)
    missed = (F.softplus(-together) * share).sum((1, 2)) * weight
    of_pairs = F.softplus(apart) * share * apart_weight.unsqueeze(1)
    return missed.mean() + (of_pairs.sum(2) * apart_weight).sum(1).mean()
