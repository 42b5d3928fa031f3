"""Choice of the weights of two averaged predictions on held-out samples."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar

#: Fraction of the samples that are held out for the choice, and their largest number.
_FRACTION, _MOST = 0.2, 1000
#: Smallest number of samples, in total and per class, for which the weights are chosen.
_FEWEST, _FEWEST_OF_CLASS = 40, 5
# Lower bound of probabilities in the log loss, which limits the influence of a single sample.
_FLOOR = 1e-4

Loss = Callable[[np.ndarray], float]


def held_out_samples(strata: np.ndarray) -> np.ndarray:
    """Return the held-out samples that the blend is chosen on: the last fifth of each class.

    If the samples are in temporal order, the blend is chosen on samples that are later than the
    training samples. If they are shuffled, the held-out samples are random.

    Parameters
    ----------
    strata : ndarray of int of shape (n_samples,)
        Class of each sample, or another stratum, as an integer.

    Returns
    -------
    ndarray of int of shape (n_held_out,)
        Positions in ascending order. There are about 1,000 at most, and none if there are too few
        samples in total or in a class.
    """
    size = np.bincount(strata)
    if len(strata) < _FEWEST or size.min() < _FEWEST_OF_CLASS:
        return np.zeros(0, dtype=np.intp)
    n_held_out = np.ceil(min(_FRACTION, _MOST / len(strata)) * size).astype(np.intp)
    last = [np.flatnonzero(strata == c)[-n:] for c, n in enumerate(n_held_out)]
    return np.sort(np.concatenate(last))


def best_blend(first: np.ndarray, second: np.ndarray, loss: Loss) -> float:
    r"""Return the weight of the second prediction that minimizes the loss of the average.

    The average is :math:`(1 - b)\, p_1 + b\, p_2` with a weight b from 0 to 1. Log loss and squared
    error are convex functions of b. The method is stacking of two models, with non-negative weights
    that sum to one (Breiman, L. (1996). Stacked regressions. Machine Learning 24).

    Parameters
    ----------
    first, second : ndarray of shape (n_samples, ...)
        Predictions of both models for samples that neither model was trained on.
    loss : callable
        Function that returns the loss of a prediction.

    Returns
    -------
    float
        The weight b.
    """

    def loss_at(b: float) -> float:
        """Return the loss of the average with weight b."""
        return loss((1.0 - b) * first + b * second)

    found = minimize_scalar(loss_at, bounds=(0.0, 1.0), method="bounded", options={"xatol": 0.01})
    # the search does not evaluate the bounds
    return float(min((0.0, 1.0, found.x), key=loss_at))


def log_loss_of(codes: np.ndarray, weight: np.ndarray) -> Loss:
    """Return a function that computes the log loss of probabilities.

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

    def loss(probabilities: np.ndarray) -> float:
        """Return the weighted mean loss."""
        true = probabilities[np.arange(len(codes)), codes]
        return float(np.average(-np.log(np.maximum(true, _FLOOR)), weights=weight))

    return loss


def squared_error_of(y: np.ndarray, weight: np.ndarray) -> Loss:
    """Return a function that computes the mean squared error of predictions.

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
    # in units of the largest deviation, whose square neither overflows nor underflows
    largest = np.abs(y - y.mean(axis=0)).max(axis=0)
    largest = np.where(largest > 0, largest, 1.0)
    variance = ((y - y.mean(axis=0)) / largest).var(axis=0)
    variance = np.where(variance > 0, variance, 1.0)

    def loss(values: np.ndarray) -> float:
        """Return the weighted mean loss."""
        error = ((values - y) / largest) ** 2 / variance
        return float(np.average(error.reshape(len(y), -1).mean(axis=1), weights=weight))

    return loss
