"""How far an average of two predictions relies on each, chosen on held-out samples."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import minimize_scalar

#: Fraction of the samples that are held out to choose, and how many at most.
_FRACTION, _MOST = 0.2, 1000
#: Below so many samples, or so many of a class, there is nothing to choose on.
_FEWEST, _FEWEST_OF_CLASS = 40, 5
# Probabilities below count as this: one sample must not decide.
_FLOOR = 1e-4

Loss = Callable[[np.ndarray], float]


def judging_samples(strata: np.ndarray) -> np.ndarray:
    """Return the held-out samples that the blend is chosen on: the last fifth of each class.

    If the samples are in the order of time, the blend is thus chosen on later samples than those
    that the models learn from. If they are shuffled, the last ones are random ones.

    Parameters
    ----------
    strata : ndarray of int of shape (n_samples,)
        Positions of the classes, or of parts of the samples.

    Returns
    -------
    ndarray of int of shape (n_judging,)
        Positions in ascending order, about 1,000 at most. Empty if there are too few samples, or
        too few of some class.
    """
    size = np.bincount(strata)
    if len(strata) < _FEWEST or size.min() < _FEWEST_OF_CLASS:
        return np.zeros(0, dtype=np.intp)
    n_held_out = np.ceil(min(_FRACTION, _MOST / len(strata)) * size).astype(np.intp)
    last = [np.flatnonzero(strata == c)[-n:] for c, n in enumerate(n_held_out)]
    return np.sort(np.concatenate(last))


def best_blend(first: np.ndarray, second: np.ndarray, loss: Loss) -> float:
    r"""Return the weight of the second prediction with which an average of both is best.

    It minimises the loss of :math:`(1 - b)\, p_1 + b\, p_2` over b from 0 to 1, which is convex for
    the log loss and for the squared error. This is stacking of two models with weights that are
    not negative and sum to one (Breiman, L. (1996). Stacked regressions. Machine Learning 24).

    Parameters
    ----------
    first, second : ndarray of shape (n_samples, ...)
        Predictions of samples that neither was trained on.
    loss : callable
        The loss of a prediction.

    Returns
    -------
    float
        The weight b.
    """

    def loss_at(b: float) -> float:
        """Return the loss of the average."""
        return loss((1.0 - b) * first + b * second)

    found = minimize_scalar(loss_at, bounds=(0.0, 1.0), method="bounded", options={"xatol": 0.01})
    # the search never quite arrives at the ends
    return float(min((0.0, 1.0, found.x), key=loss_at))


def log_loss_of(codes: np.ndarray, weight: np.ndarray) -> Loss:
    """Return the log loss of probabilities.

    Parameters
    ----------
    codes : ndarray of int of shape (n_samples,)
        Positions of the true classes.
    weight : ndarray of shape (n_samples,)
        Weights of the samples.

    Returns
    -------
    callable
        Of probabilities (n_samples, n_classes).
    """

    def loss(probabilities: np.ndarray) -> float:
        """Return the weighted mean."""
        true = probabilities[np.arange(len(codes)), codes]
        return float(np.average(-np.log(np.maximum(true, _FLOOR)), weights=weight))

    return loss


def squared_error_of(y: np.ndarray, weight: np.ndarray) -> Loss:
    """Return the squared error of values.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        True values.
    weight : ndarray of shape (n_samples,)
        Weights of the samples.

    Returns
    -------
    callable
        Of values of the shape of y. Each output counts in units of its variance.
    """
    spread = np.maximum(y.var(axis=0), np.finfo(float).tiny)

    def loss(values: np.ndarray) -> float:
        """Return the weighted mean."""
        error = (values - y) ** 2 / spread
        return float(np.average(error.reshape(len(y), -1).mean(axis=1), weights=weight))

    return loss
