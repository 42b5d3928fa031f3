r"""Coordinates that make columns comparable, whatever their units and tails.

.. math::

    z = \phi\!\left(\frac{x - c}{s}\right), \qquad
    \phi(u) = \begin{cases} u & |u| \le l \\
    \mathrm{sign}(u)\,(l + \log(1 + |u| - l)) & \text{otherwise} \end{cases}

The map is linear up to l scales from the center, and logarithmic beyond. Therefore heavy tails do
not dominate the denoising loss of an energy, and the distance of extreme values is still preserved.
:math:`\phi` is continuously differentiable and invertible, so gradients and reconstructions can be
converted to the units of the column.
"""

import math
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["SoftClip"]

Values = TypeVar("Values", np.ndarray, Tensor)

# Values are clipped to this many scales from the center. Energies square values, which must not
# overflow, because the difference of two infinities is NaN.
_FAR = 1e15


def standardize(x: Values, center: Values, scale: Values) -> Values:
    """Center and scale values, and limit them so that their squares do not overflow.

    Parameters
    ----------
    x : ndarray or Tensor of shape (..., n_features)
        Values.
    center, scale : ndarray or Tensor of shape (n_features,)
        Center and scale of each feature.

    Returns
    -------
    ndarray or Tensor of shape (..., n_features)
        Distances from the center in scales, at most 1e15.
    """
    return ((x - center) / scale).clip(-_FAR, _FAR)


def soft_clip(u: Tensor, limit: float) -> Tensor:
    r"""Return :math:`\phi(u)`, which compresses large values logarithmically.

    Parameters
    ----------
    u : Tensor
        Any finite numbers.
    limit : float
        Absolute value l up to which numbers are unchanged.

    Returns
    -------
    Tensor
        Compressed values, with the shape of `u`.
    """
    if math.isinf(limit):
        return u
    within = u.clamp(-limit, limit)
    beyond = u - within
    return within + beyond.sign() * torch.log1p(beyond.abs())


class SoftClip(nn.Module):
    """Center and scale the columns of a modality, and compress extreme values.

    Parameters
    ----------
    n_features : int
        Number of columns D.
    limit : float, default=inf
        Distance from the center, in scales, up to which values are not compressed.

    Notes
    -----
    The buffers ``center`` and ``scale``, of shape (n_features,), are initialized to zeros and ones.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import SoftClip
    >>> soften = SoftClip(1, limit=3.0)
    >>> soften(torch.tensor([[2.0], [3.0], [13.0]])).flatten()
    tensor([2.0000, 3.0000, 5.3979])
    """

    center: Tensor
    scale: Tensor

    def __init__(self, n_features: int, limit: float = math.inf):
        super().__init__()
        self.limit = limit
        #: Dtype of the returned coordinates. None keeps the dtype of the centered samples.
        self.precision: torch.dtype | None = None
        self.register_buffer("center", torch.zeros(n_features, dtype=torch.float32))
        self.register_buffer("scale", torch.ones(n_features, dtype=torch.float32))

    def _scaled(self, x: Tensor) -> Tensor:
        """Return u, the signed distance from the center in scales."""
        return standardize(x, self.center, self.scale)

    def _excess(self, u: Tensor) -> Tensor:
        """Return by how much absolute values exceed the limit."""
        return (u.abs() - self.limit).clamp(min=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return the coordinates z of samples.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples, in the units of the table.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            Coordinates.
        """
        return soft_clip(self._scaled(x).to(self.precision), self.limit)

    def bound(self, x: Tensor) -> Tensor:
        """Clip values to the range within which different values have different coordinates.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples, in the units of the table.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            Clipped samples, which have the same coordinates.
        """
        reach = _FAR * self.scale
        return torch.maximum(torch.minimum(x, self.center + reach), self.center - reach)

    def inverse(self, z: Tensor) -> Tensor:
        """Return the samples that have the coordinates z.

        Parameters
        ----------
        z : Tensor of shape (n_samples, n_features)
            Coordinates.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            Samples.
        """
        beyond = torch.expm1(self._excess(z))
        u = z.clamp(-self.limit, self.limit) + z.sign() * beyond
        return u * self.scale + self.center

    def slope(self, x: Tensor) -> Tensor:
        """Return the derivative of each coordinate with respect to the value of its column.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            Derivatives, which are positive.
        """
        return 1.0 / ((1.0 + self._excess(self._scaled(x))) * self.scale)
