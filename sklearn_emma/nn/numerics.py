r"""Sums of logarithms of exponentials with few transcendental functions per term.

Evaluating an energy is matrix products and these sums; written down term by term, the sums take
most of the time. A logarithm is needed for each sample only, as

.. math:: \sum_k \log(1 + e^{-a_k}) = \log \prod_k (1 + e^{-a_k}), \qquad 1 \le 1 + e^{-a_k} \le 2,

and of the exponentials that torch offers, that to base two is by far the fastest on a CPU.
"""

import math

from torch import Tensor

__all__ = ["LOG2_E", "log_cosh", "log_sum_exp2_", "sum_log_cosh_", "sum_softplus_"]

#: Binary logarithm of e.
LOG2_E = 1.0 / math.log(2.0)
# Factors, none above two, whose product is finite in single precision.
_MOST_FACTORS = 64


def log_cosh(u: Tensor) -> Tensor:
    """Logarithm of the hyperbolic cosine, which does not overflow.

    Parameters
    ----------
    u : Tensor
        Any numbers.

    Returns
    -------
    Tensor
        Of the shape of `u`.
    """
    return sum_log_cosh_(u.unsqueeze(-1).clone())


def sum_log_cosh_(u: Tensor) -> Tensor:
    r""":math:`\sum_k \log\cosh u_k = \sum_k |u_k| + \log((1 + e^{-2|u_k|}) / 2)`.

    Parameters
    ----------
    u : Tensor of shape (..., n)
        Any numbers; they are overwritten.

    Returns
    -------
    Tensor of shape (...,)
        The sums.
    """
    n_terms = int(u.shape[-1])  # of a module that is being traced, shapes are tensors
    magnitude = u.abs_()
    total = magnitude.sum(-1) - n_terms * math.log(2.0)
    return total + _sum_log1p_exp_(magnitude, -2.0)


def sum_softplus_(u: Tensor) -> Tensor:
    r""":math:`\sum_k \log(1 + e^{u_k}) = \sum_k (u_k + |u_k|) / 2 + \log(1 + e^{-|u_k|})`.

    Parameters
    ----------
    u : Tensor of shape (..., n)
        Any numbers; they are overwritten.

    Returns
    -------
    Tensor of shape (...,)
        The sums.
    """
    total = u.sum(-1)
    magnitude = u.abs_()
    return 0.5 * (total + magnitude.sum(-1)) + _sum_log1p_exp_(magnitude, -1.0)


def _sum_log1p_exp_(u: Tensor, factor: float) -> Tensor:
    """Sum log(1 + exp(factor * u)), where no product is positive, overwriting u."""
    terms = u.mul_(factor * LOG2_E).exp2_()
    terms = terms + 1.0 if terms.requires_grad else terms.add_(1.0)
    products = [part.prod(-1) for part in terms.split(_MOST_FACTORS, -1)]
    return sum((product.log() for product in products[1:]), start=products[0].log())


def log_sum_exp2_(u: Tensor) -> Tensor:
    r""":math:`\log \sum_k 2^{u_k}`, which does not overflow.

    Parameters
    ----------
    u : Tensor of shape (..., n)
        Finite numbers; they are overwritten.

    Returns
    -------
    Tensor of shape (...,)
        The logarithms.
    """
    largest = u.detach().amax(-1, keepdim=True)
    return u.sub_(largest).exp2_().sum(-1).log() + largest.squeeze(-1) * math.log(2.0)
