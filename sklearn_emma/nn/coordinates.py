r"""Coordinates in which the columns of a modality are alike, whatever their units and tails.

.. math::

    z = \phi\!\left(\frac{x - c}{s}\right), \qquad
    \phi(u) = \begin{cases} u & |u| \le l \\
    \mathrm{sign}(u)\,(l + \log(1 + |u| - l)) & \text{otherwise} \end{cases}

Linear within l scales of the centre and logarithmic beyond: heavy tails neither drown the noise
that an energy learns to undo, nor hide how far away a value is. :math:`\phi` is smooth to first
order and can be inverted, so that gradients and reconstructions go back to the units of the column.
"""

import math

import torch
from torch import Tensor, nn

__all__ = ["SoftClip"]

# Scales from the centre beyond which a value is just far: energies square values, and the
# difference of two infinities would be NaN.
FAR = 1e15


def soft_clip(u: Tensor, limit: float) -> Tensor:
    r"""Return :math:`\phi(u)`.

    Parameters
    ----------
    u : Tensor
        Any finite numbers.
    limit : float
        How far from zero they are left as they are.

    Returns
    -------
    Tensor
        Of the shape of `u`.
    """
    if math.isinf(limit):
        return u
    within = u.clamp(-limit, limit)
    beyond = u - within
    return within + beyond.sign() * torch.log1p(beyond.abs())


class SoftClip(nn.Module):
    """Centre, scale and soften the columns of a modality.

    Parameters
    ----------
    n_features : int
        Number of columns D.
    limit : float, default=inf
        Scales from the centre within which values are left as they are; inf softens nothing.

    Notes
    -----
    The buffers ``centre`` and ``scale``, of shape (n_features,), are zeros and ones until they are
    set.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import SoftClip
    >>> soften = SoftClip(1, limit=3.0)
    >>> soften(torch.tensor([[2.0], [3.0], [13.0]])).flatten()
    tensor([2.0000, 3.0000, 5.3979])
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, n_features: int, limit: float = math.inf):
        super().__init__()
        self.limit = limit
        #: Precision of the coordinates; None for that in which samples are centred.
        self.precision: torch.dtype | None = None
        self.register_buffer("centre", torch.zeros(n_features, dtype=torch.float32))
        self.register_buffer("scale", torch.ones(n_features, dtype=torch.float32))

    def _scaled(self, x: Tensor) -> Tensor:
        """Return u, scales from the centre."""
        return ((x - self.centre) / self.scale).clamp(-FAR, FAR)

    def _excess(self, u: Tensor) -> Tensor:
        """Return how far values are beyond the limit."""
        return (u.abs() - self.limit).clamp(min=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return z for samples of the table.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            Their coordinates.
        """
        return soft_clip(self._scaled(x).to(self.precision), self.limit)

    def bound(self, x: Tensor) -> Tensor:
        """Return samples with values limited to the range that coordinates tell apart.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            Samples with the same coordinates.
        """
        reach = FAR * self.scale
        return torch.maximum(torch.minimum(x, self.centre + reach), self.centre - reach)

    def inverse(self, z: Tensor) -> Tensor:
        """Return the samples of the table that have coordinates z.

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
        return u * self.scale + self.centre

    def slope(self, x: Tensor) -> Tensor:
        """Return the derivative of each coordinate by its column.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            Derivatives, positive.
        """
        return 1.0 / ((1.0 + self._excess(self._scaled(x))) * self.scale)
