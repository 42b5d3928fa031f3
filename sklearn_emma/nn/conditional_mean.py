r"""Conditional mean of the missing values of a sample, for Gaussian features.

Let S be the set of missing features, and R the other features. The values of S are predicted from
those of R, for a Gaussian with mean :math:`\mu` and precision matrix P:

.. math:: \hat x_S = \mu_S - P_{SS}^{-1} P_{SR}\, (x_R - \mu_R)

The linear equations are solved by conjugate gradients with Jacobi preconditioning [1]_, for all
samples at once. In exact arithmetic, this needs as many steps as values are missing. It consists of
matrix products with P, and can be exported to ONNX.

Mean and covariance are learned from samples that may have missing values, too. Each covariance is
first estimated from the samples that have both values. It is then improved by a few steps of the EM
algorithm [2]_. The conditional covariance of the missing values, :math:`P_{SS}^{-1}`, is estimated
from random draws [3]_, which need no inverse for each set S: the solution z of
:math:`P_{SS}\, z = g_S` has this covariance if g has the covariance P.

References
----------
.. [1] Shewchuk, J. R. (1994). An introduction to the conjugate gradient method without the
   agonizing pain. Carnegie Mellon University.
.. [2] Little, R. J. A. and Rubin, D. B. (2019). Statistical analysis with missing data, chapter 11.
   Wiley.
.. [3] Wei, G. C. G. and Tanner, M. A. (1990). A Monte Carlo implementation of the EM algorithm and
   the poor man's data augmentation algorithms. Journal of the American Statistical Association, 85.
"""

import math

import torch
from torch import Tensor, nn

__all__ = ["ConditionalMean"]

# Values are clipped to this many standard deviations before they predict other features.
_LIMIT = 5.0
# Largest number of steps. With more features than this, the error is below a thousandth.
_MOST_STEPS = 20
# A sample is done if its squared residual has been reduced by this factor.
_TOLERANCE = 1e-12
# The same, while mean and covariance are learned.
_LEARNING_TOLERANCE = 1e-4
# Number of steps of the EM algorithm. Fewer are enough if few values are missing.
_EM_STEPS = 10
# Smallest variance that is added to each feature, so that the covariance can be inverted.
_LEAST_RIDGE = 1e-3
# Largest number of values from which mean and covariance are learned, to limit memory.
_MOST_VALUES = 2**20
# Number of random values from which conditional covariances are estimated in each step.
_DRAWN_VALUES = 2**15
# Seed of the draws: what is learned depends only on the samples.
_SEED = 0
# Smallest total weight of samples by which a sum is divided.
_LEAST_SHARE = 1e-12


class ConditionalMean(nn.Module):
    """Predict the missing values of samples from their other values.

    Parameters
    ----------
    n_features : int
        Number of features.

    Notes
    -----
    The module has the buffers ``mean``, of shape (n_features,), and ``precision``, of shape
    (n_features, n_features). Before :meth:`learn` is called, the mean is zero, and the precision is
    the identity.

    Examples
    --------
    >>> import torch
    >>> from sklearn_emma.nn import ConditionalMean
    >>> generator = torch.Generator().manual_seed(0)
    >>> cause = torch.randn(500, 1, generator=generator)
    >>> x = cause + 0.1 * torch.randn(500, 3, generator=generator)
    >>> predict = ConditionalMean(3)
    >>> predict.learn(x)
    >>> sample = torch.tensor([[2.0, torch.nan, 2.0]])
    >>> predict.fill(sample, sample.isnan()).round(decimals=1)
    tensor([[2., 2., 2.]])
    """

    mean: Tensor
    precision: Tensor

    def __init__(self, n_features: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features, dtype=torch.float32))
        self.register_buffer("precision", torch.eye(n_features, dtype=torch.float32))

    @torch.no_grad()
    def learn(self, x: Tensor, weight: Tensor | None = None) -> None:
        r"""Estimate mean and precision matrix from samples.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Standardized samples. NaN marks missing values. Samples without any value are ignored.
            A ridge of n_features / n_pairs is added to the covariance, where n_pairs is the mean
            effective number of samples with both of two values. If there are many samples, only
            every k-th is used.
        weight : Tensor of shape (n_samples,), default=None
            Sample weights. None weights all samples equally.
        """
        x, share = _samples_with_values(x, weight)
        if not len(x):
            return
        mean, covariance, n_pairs = _pairwise_moments(x, share)
        ridge = (x.shape[1] / n_pairs.clamp_min(1.0)).clamp_min(_LEAST_RIDGE)
        missing = x.isnan()
        generator = torch.Generator(x.device).manual_seed(_SEED)
        for _ in range(_EM_STEPS if missing.any() else 0):
            precision = _invert(covariance, ridge)
            filled = fill_gaps(x, missing, mean, precision, _LEARNING_TOLERANCE)
            filled = filled.clamp(-_LIMIT, _LIMIT)
            mean = share @ filled
            covariance = _scatter(filled - mean, share)
            covariance += _conditional_covariance(precision, missing, share, generator)
            covariance.diagonal().sub_(ridge * (share @ missing.double()))  # it is added once
        self.mean.copy_(mean)
        self.precision.copy_(_invert(covariance, ridge))

    def fill(self, x: Tensor, missing: Tensor) -> Tensor:
        r"""Replace missing values by their conditional mean given the others: :math:`\hat x_S`.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Standardized samples. Missing values may be any number, or NaN.
        missing : Tensor of bool of shape (n_samples, n_features)
            True for missing values, the set S of each sample.

        Returns
        -------
        Tensor of shape (n_samples, n_features)
            The filled samples.
        """
        return fill_gaps(x, missing, self.mean, self.precision)

    def explained_variance(self) -> Tensor:
        r"""Return the share of the variance of each feature that the others explain.

        Returns
        -------
        Tensor of shape (n_features,)
            :math:`1 - 1 / (P_{jj} \Sigma_{jj})`, where :math:`\Sigma` is the inverse of P.
        """
        variances = torch.linalg.inv(self.precision.double()).diagonal()
        return 1.0 - 1.0 / (self.precision.diagonal() * variances)

    def deviation(self, x: Tensor) -> Tensor:
        """Return the deviations from the mean, with clipped values."""
        return _deviation(x, self.mean)


def _samples_with_values(x: Tensor, weight: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the samples to learn from, and their shares of the total weight."""
    share = x.new_ones(len(x)) if weight is None else weight
    used = ~x.isnan().all(1) & (share > 0)
    x, share = x[used], share[used]
    step = max(math.ceil(x.numel() / _MOST_VALUES), 1)
    x, share = x[::step].double(), share[::step].double()
    return x, share / share.sum()


def _pairwise_moments(x: Tensor, share: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return mean and covariance, each from the samples with the values, and their number."""
    present = (~x.isnan()).double()
    known = x.clamp(-_LIMIT, _LIMIT).nan_to_num(0.0)
    of_value = present * share.unsqueeze(1)
    mean = (of_value * known).sum(0) / of_value.sum(0).clamp_min(_LEAST_SHARE)
    of_pair = of_value.mT @ present
    covariance = _scatter((known - mean) * present, share) / of_pair.clamp_min(_LEAST_SHARE)
    n_effective = 1.0 / share.square().sum()
    return mean, covariance, n_effective * of_pair.mean()


def _scatter(deviation: Tensor, share: Tensor) -> Tensor:
    return (share.unsqueeze(1) * deviation).mT @ deviation


def _conditional_covariance(
    precision: Tensor, missing: Tensor, share: Tensor, generator: torch.Generator
) -> Tensor:
    """Estimate the mean of the conditional covariances of the missing values of all samples."""
    some = missing.any(1)
    missing, share = missing[some], share[some]
    n_draws = max(_DRAWN_VALUES // missing.numel(), 1)
    missing, share = missing.repeat(n_draws, 1), share.repeat(n_draws) / n_draws
    draws = torch.randn(
        missing.shape, generator=generator, dtype=precision.dtype, device=precision.device
    )
    force = draws @ torch.linalg.cholesky(precision).mT
    return _scatter(_solve(precision, force, missing, _LEARNING_TOLERANCE), share)


def _invert(covariance: Tensor, ridge: Tensor) -> Tensor:
    """Return the inverse of a covariance with a ridge, without negative eigenvalues."""
    variances, axes = torch.linalg.eigh(covariance)
    return (axes / (variances.clamp_min(0.0) + ridge)) @ axes.mT


def _deviation(x: Tensor, mean: Tensor) -> Tensor:
    return x.clamp(-_LIMIT, _LIMIT) - mean


def fill_gaps(
    x: Tensor, missing: Tensor, mean: Tensor, precision: Tensor, tolerance: float = _TOLERANCE
) -> Tensor:
    r"""Replace missing values by their conditional mean given the others: :math:`\hat x_S`.

    Parameters
    ----------
    x : Tensor of shape (n_samples, n_features)
        Standardized samples. Missing values may be any number, or NaN.
    missing : Tensor of bool of shape (n_samples, n_features)
        True for missing values, the set S of each sample.
    mean : Tensor of shape (n_features,)
        Mean of the samples.
    precision : Tensor of shape (n_features, n_features)
        Precision matrix P.
    tolerance : float, default=1e-12
        A sample is done if its squared residual has been reduced by this factor.

    Returns
    -------
    Tensor of shape (n_samples, n_features)
        The filled samples.
    """
    known = _deviation(x, mean).masked_fill(missing, 0.0)
    # a traced loop would always have as many steps as that of the example
    solve = torch.jit.script(_solve) if torch.jit.is_tracing() else _solve
    found = solve(precision, -(known @ precision), missing, tolerance)
    return torch.where(missing, mean + found, x)


def _solve(
    precision: Tensor,
    force: Tensor,
    missing: Tensor,
    tolerance: float,
    most_steps: int = _MOST_STEPS,
) -> Tensor:
    """Solve the linear equations of the missing values of each sample by conjugate gradients."""
    of_missing, diagonal = missing.to(force.dtype), precision.diagonal()
    found = torch.zeros_like(force)
    residual = force * of_missing
    preconditioned = residual / diagonal
    direction = preconditioned
    error = (residual * preconditioned).sum(1, keepdim=True)
    enough = tolerance * error
    goes_on = error > enough
    step = 0
    while step < most_steps and bool(goes_on.any()):
        # samples that are done do not change, so that results do not depend on other samples
        change = (direction @ precision) * of_missing
        length = _divide(error, (direction * change).sum(1, keepdim=True), goes_on)
        found = found + length * direction
        residual = residual - length * change
        preconditioned = residual / diagonal
        previous = error
        error = (residual * preconditioned).sum(1, keepdim=True)
        direction = preconditioned + _divide(error, previous, goes_on) * direction
        goes_on = error > enough
        step += 1
    return found


def _divide(numerator: Tensor, denominator: Tensor, defined: Tensor) -> Tensor:
    """Return a quotient where it is defined, and zero elsewhere."""
    return torch.where(defined, numerator / torch.where(defined, denominator, 1.0), 0.0)
