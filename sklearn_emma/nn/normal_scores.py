r"""Normal scores of columns: map their quantiles to those of a normal distribution.

.. math::

    q(x) = s_k + (x - t_k) \frac{s_{k+1} - s_k}{t_{k+1} - t_k}, \quad t_k \le x < t_{k+1}, \qquad
    s_k = \Phi^{-1}\!\left(\frac{k - 1/2}{K}\right)

with the quantiles :math:`t_1 < \dots < t_K` of the training samples at the levels
:math:`(k - 1/2)/K` and the quantile function :math:`\Phi^{-1}` of the normal distribution (van der
Waerden, 1952). The scores spread values that lie close together, so that a network can distinguish
them. Below :math:`t_1` and above :math:`t_K` the slope is one. Unlike in the
``QuantileTransformer`` of scikit-learn, values outside the range of the training samples are not
clipped and keep their order.
"""

from statistics import NormalDist

import torch
from torch import Tensor, nn

__all__ = ["NormalScores"]

#: Quantiles K of a column.
N_QUANTILES = 32
#: The highest score of a quantile; the lowest is its negative.
HIGHEST_SCORE = NormalDist().inv_cdf(1.0 - 0.5 / N_QUANTILES)


class NormalScores(nn.Module):
    """Piecewise linear functions, one per column, with a slope of one outside the outer quantiles.

    Parameters
    ----------
    n_features : int
        Number of columns D.

    Notes
    -----
    The buffers ``quantile`` and ``score``, of shape (n_features, 32), hold the breakpoints of each
    function and its values there. The buffer ``slope``, of shape (n_features, 33), holds the slopes
    of the pieces. Each function is the identity until :meth:`set_points` is called.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import NormalScores
    >>> scores = NormalScores(1)
    >>> points = torch.linspace(0, 1, 32)[None]
    >>> scores.set_points(points, 3 * points)
    >>> scores(torch.tensor([[-1.0], [0.5], [2.0]])).flatten()
    tensor([-1.0000,  1.5000,  4.0000])
    """

    quantile: Tensor
    score: Tensor
    slope: Tensor

    def __init__(self, n_features: int):
        super().__init__()
        points = torch.linspace(-1.0, 1.0, N_QUANTILES, dtype=torch.float32).repeat(n_features, 1)
        self.register_buffer("quantile", points)
        self.register_buffer("score", points.clone())
        slope = torch.ones(n_features, N_QUANTILES + 1, dtype=torch.float32)
        self.register_buffer("slope", slope)

    def set_points(self, quantile: Tensor, score: Tensor) -> None:
        """Set the breakpoints of the functions and their values.

        Parameters
        ----------
        quantile : Tensor of shape (n_features, 32)
            Breakpoints, strictly increasing in each row.
        score : Tensor of shape (n_features, 32)
            Values of the functions at the breakpoints.
        """
        self.quantile.copy_(quantile)
        self.score.copy_(score)
        self.slope[:, 1:-1] = score.diff(dim=1) / quantile.diff(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the normal scores of samples.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            Normal score of each value.
        """
        columns = x.mT.contiguous()
        piece = torch.searchsorted(self.quantile, columns)
        start = (piece - 1).clamp(min=0)
        beyond = columns - self.quantile.gather(1, start)
        return (self.score.gather(1, start) + beyond * self.slope.gather(1, piece)).mT
