"""Choice of the weights of two averaged predictions on held-out samples."""

from collections.abc import Callable

import numpy as np
from scipy.special import softmax

#: Fraction of the samples that are held out for the choice, and their largest number.
_FRACTION, _MOST = 0.2, 1000
#: Smallest number of samples, in total and per class, for which the weights are chosen.
_FEWEST, _FEWEST_OF_CLASS = 40, 5
# Lower bound of probabilities in the likelihood, which limits the influence of a single sample.
_FLOOR = 1e-4
# Weights that are compared.
_GRID = np.linspace(0.0, 1.0, 51)

Likelihood = Callable[[np.ndarray], float]


def judging_samples(strata: np.ndarray) -> np.ndarray:
    """Return the held-out samples that the blend is chosen on: the last fifth of each class.

    If the samples are in the order of time, the blend is chosen on samples that are later than the
    training samples. If they are shuffled, the held-out samples are random.

    Parameters
    ----------
    strata : ndarray of int of shape (n_samples,)
        Class of each sample, or another stratum, as an integer.

    Returns
    -------
    ndarray of int of shape (n_judging,)
        Positions in ascending order. There are about 1,000 at most, and none if there are too few
        samples in total or in a class.
    """
    size = np.bincount(strata)
    if len(strata) < _FEWEST or size.min() < _FEWEST_OF_CLASS:
        return np.zeros(0, dtype=np.intp)
    n_held_out = np.ceil(min(_FRACTION, _MOST / len(strata)) * size).astype(np.intp)
    last = [np.flatnonzero(strata == c)[-n:] for c, n in enumerate(n_held_out)]
    return np.sort(np.concatenate(last))


def expected_blend(
    first: np.ndarray, second: np.ndarray, likelihood: Likelihood, n_samples: int
) -> float:
    r"""Return the expected weight of the second prediction in the average of both.

    The average is :math:`(1 - b)\, p_1 + b\, p_2` with a weight b from 0 to 1. Its expected value is
    that of the posterior distribution for a uniform prior,

    .. math:: \frac{\int_0^1 b\, e^{n \ell(b)}\, db}{\int_0^1 e^{n \ell(b)}\, db}

    where n is the number of samples and :math:`\ell(b)` the mean log likelihood. With few samples it
    is about one half; with many, it is the weight of highest likelihood, that is stacking of two
    models with non-negative weights that sum to one (Breiman, L. (1996). Stacked regressions.
    Machine Learning 24; Yao, Y. et al. (2018). Using stacking to average Bayesian predictive
    distributions. Bayesian Analysis 13).

    Parameters
    ----------
    first, second : ndarray of shape (n_predicted, ...)
        Predictions of both models for samples that neither model was trained on.
    likelihood : callable
        Function that returns the mean log likelihood of a prediction.
    n_samples : int
        Number of different samples. It is less than `n_predicted` if these are copies.

    Returns
    -------
    float
        The weight b, rounded to two digits.
    """
    found = [likelihood((1.0 - b) * first + b * second) for b in _GRID]
    return round(float(softmax(n_samples * np.array(found)) @ _GRID), 2)


def likelihood_of_classes(codes: np.ndarray, weight: np.ndarray) -> Likelihood:
    """Return a function that computes the mean log likelihood of classes.

    Parameters
    ----------
    codes : ndarray of int of shape (n_samples,)
        True class of each sample, as its column in the probabilities.
    weight : ndarray of shape (n_samples,)
        Sample weights.

    Returns
    -------
    callable
        Function of the probabilities, an array of shape (n_samples, n_classes).
    """

    def likelihood(probabilities: np.ndarray) -> float:
        """Return the weighted mean log probability of the true classes."""
        true = probabilities[np.arange(len(codes)), codes]
        return float(np.average(np.log(np.maximum(true, _FLOOR)), weights=weight))

    return likelihood


def likelihood_of_values(y: np.ndarray, weight: np.ndarray) -> Likelihood:
    r"""Return a function that computes the mean log likelihood of values.

    Residuals are normally distributed, with the variance of highest likelihood. Up to a constant,
    this is :math:`-\tfrac{1}{2} \log` of the mean squared error.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        True values.
    weight : ndarray of shape (n_samples,)
        Sample weights.

    Returns
    -------
    callable
        Function of the predictions, an array with the shape of y. The error of each output is
        divided by the variance of the output.
    """
    tiny = np.finfo(float).tiny
    spread = np.maximum(y.var(axis=0), tiny)

    def likelihood(values: np.ndarray) -> float:
        """Return the log likelihood, given by the weighted mean squared error."""
        error = (values - y) ** 2 / spread
        mean = np.average(error.reshape(len(y), -1).mean(axis=1), weights=weight)
        return -0.5 * float(np.log(max(mean, tiny)))

    return likelihood
