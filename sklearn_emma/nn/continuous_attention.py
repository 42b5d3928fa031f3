r"""Continuous attention to an interval of a signal or a region of an image.

.. math::

    c = \mathbb{E}_{t \sim p}[V(t)] = \sum_k \pi_k\, B\, \mathbb{E}_{N(\mu_k, \Sigma_k)}[\psi(t)],
    \qquad V(t) = B\, \psi(t), \qquad
    \mathbb{E}_{N(\mu, \Sigma)}[\psi_j(t)] = N(m_j;\, \mu,\, \Sigma + s^2 I)

The values at discrete positions are converted to a smooth function V of continuous positions [1]_:
a sum of Gaussian basis functions :math:`\psi_j(t) = N(t; m_j, s^2 I)`, whose coefficients B are
estimated by ridge regression. The weights of positions, such as a softmax, are converted to a
density p. It is a Gaussian with the mean and covariance of the weights, or a mixture of Gaussians
that is fitted to the weighted positions by expectation maximization [2]_. The best number of
Gaussians has the least description length. The context c, the expectation of V under p, has a
closed form.

References
----------
.. [1] Martins, A. et al. (2020). Sparse and continuous attention mechanisms. NeurIPS.
.. [2] Farinhas, A. et al. (2021). Multimodal continuous visual attention mechanisms. ICCV
   workshops.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["ContinuousAttention", "Density"]

# Smallest variance of a density, in squared distances between neighboring positions. It is the
# variance of a uniform distribution over the interval of one position.
_LEAST_VARIANCE = 1.0 / 12.0


class Density(NamedTuple):
    """Mixtures of Gaussians over positions, one per sample.

    Attributes
    ----------
    weight : Tensor of shape (n_samples, n_components)
        Mixture weights :math:`\\pi_k`, which sum to one.
    mean : Tensor of shape (n_samples, n_components, n_axes)
        Means :math:`\\mu_k`. Positions range from zero to one along each axis.
    covariance : Tensor of shape (n_samples, n_components, n_axes, n_axes)
        Covariances :math:`\\Sigma_k`.
    """

    weight: Tensor
    mean: Tensor
    covariance: Tensor


class ContinuousAttention(nn.Module):
    """Pool values over time or space by their expectation under a density.

    Parameters
    ----------
    sizes : sequence of int
        (length,) of a signal, or (height, width) of an image.
    n_basis : int, default=16
        Number of basis functions along each axis, limited to the number of positions.
    ridge : float, default=0.01
        Regularization strength of the ridge regression, relative to the basis functions.
    n_components : int, default=1
        Number of Gaussians of the density.
    n_iter : int, default=10
        Number of iterations of expectation maximization. Not used for a single Gaussian.

    Examples
    --------
    A pulse at a third of the window, and attention to where the signal is strong:

    >>> import torch
    >>> from sklearn_emma.nn import ContinuousAttention
    >>> t = torch.linspace(0, 1, 60)
    >>> pulse = torch.exp(-200 * (t - 1 / 3) ** 2).reshape(1, 60)
    >>> attention = ContinuousAttention((60,))
    >>> density = attention.density(pulse / pulse.sum())
    >>> round(density.mean.item(), 1)
    0.3
    >>> attention(pulse.unsqueeze(1), pulse / pulse.sum()).shape
    torch.Size([1, 1])
    """

    positions: Tensor
    centers: Tensor
    widths: Tensor
    least: Tensor
    regression: Tensor
    resampling: Tensor

    def __init__(
        self,
        sizes: Sequence[int],
        n_basis: int = 16,
        ridge: float = 0.01,
        n_components: int = 1,
        n_iter: int = 10,
    ):
        super().__init__()
        self.sizes = tuple(sizes)
        self.n_components = n_components
        self.n_iter = n_iter
        counts = [min(n_basis, size) for size in sizes]
        variance = torch.tensor([n**-2.0 for n in counts], dtype=torch.float64)
        least = torch.tensor([_LEAST_VARIANCE * n**-2.0 for n in sizes], dtype=torch.float64)
        constants = {
            "positions": _grid(self.sizes),
            "centers": _grid(counts),
            "widths": torch.diag(variance),
            "least": torch.diag(least),
        }
        for name, constant in constants.items():
            self.register_buffer(name, constant, persistent=False)
        basis = self._basis(self.positions, self.widths)
        gram = basis.mT @ basis
        # the penalty is relative to the basis functions, whose height depends on their width
        penalty = ridge * gram.diagonal().mean() * torch.eye(len(gram), dtype=torch.float64)
        regression = torch.linalg.solve(gram + penalty, basis.mT).mT
        self.register_buffer("regression", regression, persistent=False)
        resampling = regression @ self._basis(self.centers, self.widths).mT
        self.register_buffer("resampling", resampling, persistent=False)
        self.float()

    def _basis(self, mean: Tensor, covariance: Tensor) -> Tensor:
        """Return :math:`N(m_j; mean, covariance)` of shape (..., n_basis)."""
        return _log_density(self.centers - mean.unsqueeze(-2), covariance.unsqueeze(-3)).exp()

    def density(self, weights: Tensor) -> Density:
        """Fit a density to weights of positions.

        Parameters
        ----------
        weights : Tensor of shape (n_samples, n_positions)
            Non-negative weights that sum to one. The positions of an image are given row by row.

        Returns
        -------
        Density
            Fitted density. A single component has the mean and covariance of the weights.
        """
        # initialize a mixture by splitting the positions, in order, into parts of equal weight
        reached = weights.cumsum(1) - 0.5 * weights
        stretch = (self.n_components * reached).floor().clamp(0, self.n_components - 1).long()
        components = torch.arange(self.n_components, device=weights.device)
        share = (stretch.unsqueeze(2) == components).to(weights.dtype)
        found = self._moments(weights, share)
        for _ in range(self.n_iter if self.n_components > 1 else 0):
            distance = self.positions - found.mean.unsqueeze(2)
            log_likelihood = _log_density(distance, found.covariance.unsqueeze(2))
            # every position has shares that sum to one, however far it is from all components
            share = (_log(found.weight).unsqueeze(2) + log_likelihood).softmax(1).mT
            found = self._moments(weights, share)
        return found

    def _moments(self, weights: Tensor, share: Tensor) -> Density:
        """Return the mixture, given the share of each component in each position (M step)."""
        mass = weights.unsqueeze(2) * share
        weight = mass.sum(1)
        relative = (mass / weight.unsqueeze(1).clamp(min=torch.finfo(mass.dtype).tiny)).mT
        mean = relative @ self.positions
        distance = self.positions - mean.unsqueeze(2)
        covariance = (relative.unsqueeze(3) * distance).mT @ distance + self.least
        return Density(weight, mean, covariance)

    def forward(self, values: Tensor, weights: Tensor) -> Tensor:
        """Return the context c, given weights of positions.

        Parameters
        ----------
        values : Tensor of shape (n_samples, n_values, n_positions)
            Values at each position.
        weights : Tensor of shape (n_samples, n_positions)
            Weights of positions, which sum to one.

        Returns
        -------
        Tensor of shape (n_samples, n_values)
            Expected values.
        """
        return self.expect(values, self.density(weights))

    def expect(self, values: Tensor, density: Density) -> Tensor:
        """Return the expected values under a density.

        Parameters
        ----------
        values : Tensor of shape (n_samples, n_values, n_positions)
            Values at each position.
        density : Density
            Density of each sample.

        Returns
        -------
        Tensor of shape (n_samples, n_values)
            Expected values.
        """
        expected = self._basis(density.mean, density.covariance + self.widths)
        mixed = (density.weight.unsqueeze(2) * expected).sum(1)
        coefficients = values @ self.regression
        return (coefficients @ mixed.unsqueeze(2)).squeeze(2)

    def description_length(
        self, weights: Tensor, density: Density, strength: float = 0.1
    ) -> Tensor:
        r"""Return the description length :math:`-2 \sum_l w_l \log p(t_l) + \lambda |K|`.

        Here :math:`|K|` is the number of free parameters of a mixture: its weights, means and
        covariances. The best number of components has the least description length.

        Parameters
        ----------
        weights : Tensor of shape (n_samples, n_positions)
            Weights to which the density was fitted.
        density : Density
            Density of each sample.
        strength : float, default=0.1
            Penalty :math:`\lambda` per free parameter.

        Returns
        -------
        Tensor of shape (n_samples,)
            Description length of each sample.
        """
        distance = self.positions - density.mean.unsqueeze(2)
        each = _log_density(distance, density.covariance.unsqueeze(2))
        mixed = (_log(density.weight).unsqueeze(2) + each).logsumexp(1)
        log_likelihood = (weights * mixed).sum(1)
        n_components, n_axes = density.mean.shape[1:]
        n_parameters = n_components * (1 + n_axes + n_axes * (n_axes + 1) // 2) - 1
        return strength * n_parameters - 2.0 * log_likelihood

    def smooth(self, values: Tensor) -> Tensor:
        """Return the smooth function V at the centers of the basis functions.

        Parameters
        ----------
        values : Tensor of shape (n_samples, n_values, n_positions)
            Values at each position.

        Returns
        -------
        Tensor of shape (n_samples, n_values, n_basis)
            Smoothed values. The positions of images are ordered row by row.
        """
        return values @ self.resampling


def _grid(sizes: Sequence[int]) -> Tensor:
    """Return the centers of equal intervals of [0, 1] along each axis, (n_positions, n_axes)."""
    axes = [(torch.arange(n, dtype=torch.float64) + 0.5) / n for n in sizes]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).flatten(0, -2)


def _log(weight: Tensor) -> Tensor:
    """Return the log of weights, with a finite gradient at zero."""
    return weight.clamp(min=torch.finfo(weight.dtype).tiny).log()


def _log_density(distance: Tensor, covariance: Tensor) -> Tensor:
    """Return the log of the normal density at a displacement (..., n_axes) from the mean."""
    factor = torch.linalg.cholesky(covariance)
    scaled = torch.linalg.solve_triangular(factor, distance.unsqueeze(-1), upper=False).squeeze(-1)
    log_volume = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    n_axes = distance.shape[-1]
    return -0.5 * scaled.square().sum(-1) - log_volume - 0.5 * n_axes * math.log(2 * math.pi)
