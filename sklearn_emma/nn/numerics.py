r"""Sums of log cosh, softplus and exponentials with few transcendental functions per term.

Evaluating an energy consists of matrix products and of these sums. Computed term by term, the sums
would take most of the time. One logarithm per sample is enough, as

.. math:: \sum_k \log(1 + e^{-a_k}) = \log \prod_k (1 + e^{-a_k}), \qquad 1 \le 1 + e^{-a_k} \le 2,

and ``torch.exp2`` is by far the fastest exponential function of torch on a CPU.
"""

import math

import torch
from torch import Tensor

__all__ = ["LOG2_E", "log_cosh", "log_sum_exp2_", "quantile", "sum_log_cosh_", "sum_softplus_"]

#: Binary logarithm of e.
LOG2_E = 1.0 / math.log(2.0)
# Number of factors, each at most two, whose product is finite in single precision.
_MOST_FACTORS = 64


def log_cosh(u: Tensor) -> Tensor:
    """Return the logarithm of the hyperbolic cosine, without overflow.

    Parameters
    ----------
    u : Tensor
        Any finite numbers.

    Returns
    -------
    Tensor
        Element-wise logarithms, with the shape of `u`.
    """
    return sum_log_cosh_(u.unsqueeze(-1).clone())


def sum_log_cosh_(u: Tensor) -> Tensor:
    r"""Return :math:`\sum_k \log\cosh u_k = \sum_k |u_k| + \log((1 + e^{-2|u_k|}) / 2)`.

    Parameters
    ----------
    u : Tensor of shape (..., n)
        Any finite numbers. They are overwritten.

    Returns
    -------
    Tensor of shape (...,)
        Sums over the last axis.
    """
    n_terms = int(u.shape[-1])  # shapes are tensors while a module is traced
    magnitude = u.abs_()
    total = magnitude.sum(-1) - n_terms * math.log(2.0)
    return total + _sum_log1p_exp_(magnitude, -2.0)


def sum_softplus_(u: Tensor) -> Tensor:
    r"""Return :math:`\sum_k \log(1 + e^{u_k}) = \sum_k (u_k + |u_k|) / 2 + \log(1 + e^{-|u_k|})`.

    Parameters
    ----------
    u : Tensor of shape (..., n)
        Any finite numbers. They are overwritten.

    Returns
    -------
    Tensor of shape (...,)
        Sums over the last axis.
    """
    total = u.sum(-1)
    magnitude = u.abs_()
    return 0.5 * (total + magnitude.sum(-1)) + _sum_log1p_exp_(magnitude, -1.0)


def _sum_log1p_exp_(u: Tensor, factor: float) -> Tensor:
    """Sum log(1 + exp(factor * u)) over the last axis, for factor * u <= 0. Overwrites u."""
    terms = u.mul_(factor * LOG2_E).exp2_()
    terms = terms + 1.0 if terms.requires_grad else terms.add_(1.0)
    # slices, since an exporter that does not know the size translates split incorrectly
    starts = range(0, int(terms.shape[-1]), _MOST_FACTORS)
    products = [terms[..., start : start + _MOST_FACTORS].prod(-1) for start in starts]
    return sum((product.log() for product in products[1:]), start=products[0].log())


def log_sum_exp2_(u: Tensor) -> Tensor:
    r"""Return the natural logarithm :math:`\log \sum_k 2^{u_k}`, without overflow.

    Parameters
    ----------
    u : Tensor of shape (..., n)
        Finite numbers. They are overwritten.

    Returns
    -------
    Tensor of shape (...,)
        Logarithms of the sums over the last axis.
    """
    largest = u.detach().amax(-1, keepdim=True)
    return u.sub_(largest).exp2_().sum(-1).log() + largest.squeeze(-1) * math.log(2.0)


def quantile(values: Tensor, q: float, weight: Tensor | None = None) -> float:
    """Return a weighted quantile: one of the values, without interpolation.

    Unlike in :func:`torch.quantile`, the number of values is not limited.

    Parameters
    ----------
    values : Tensor of shape (n_values,)
        At least one value.
    q : float
        Level of the quantile, between zero and one.
    weight : Tensor of shape (n_values,), default=None
        Positive weights. None weights all values equally.

    Returns
    -------
    float
        The quantile. A value of weight two has the effect of two equal values, up to rounding.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn.numerics import quantile
    >>> values, weight = torch.arange(5.0), torch.tensor([1.0, 1.0, 1.0, 1.0, 9.0])
    >>> quantile(values, 0.5), quantile(values, 0.5, weight)
    (2.0, 4.0)
    """
    ascending, order = values.sort()
    if weight is None or bool((weight == weight[0]).all()):
        return float(ascending[round(q * (len(values) - 1))])
    total = weight[order].double().cumsum(0)
    place = int(torch.searchsorted(total, q * total[-1:]))
    return float(ascending[min(place, len(values) - 1)])
