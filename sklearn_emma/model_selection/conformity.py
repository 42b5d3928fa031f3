"""Nonconformity scores: how much a label or a value deviates from a prediction."""

from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from pandas.util import hash_array

from sklearn_emma.tables import plain_table


def lac_scores(probabilities: np.ndarray) -> np.ndarray:
    r"""Nonconformity scores of the least ambiguous set-valued classifier (LAC).

    .. math:: s(x, y) = 1 - p(y|x)

    Source: Sadinle, M., Lei, J., & Wasserman, L. (2019). Least ambiguous set-valued classifiers
    with bounded error levels. Journal of the American Statistical Association 114(525).

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities.

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        Scores, from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.model_selection.conformity import lac_scores
    >>> lac_scores(np.array([[0.75, 0.25]]))
    array([[0.25, 0.75]])
    """
    return 1.0 - probabilities


def aps_scores(probabilities: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    r"""Nonconformity scores of adaptive prediction sets (APS).

    The score of a label is the total probability of all labels that are more probable, plus a
    random part of its own probability:

    .. math:: s(x, y) = \sum_{k: p(k|x) > p(y|x)} p(k|x) + u \, p(y|x)

    Each sample has one random number u, uniform in [0, 1].

    Source: Romano, Y., Sesia, M., & Candès, E. (2020). Classification with valid and adaptive
    coverage. Advances in Neural Information Processing Systems 33.

    Parameters
    ----------
    probabilities : ndarray of shape (n_samples, n_classes)
        Class probabilities. Classes with equal probabilities are ordered by their position.
    uniform : ndarray of shape (n_samples,)
        Random number u of each sample.

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        Scores, from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.model_selection.conformity import aps_scores
    >>> aps_scores(np.array([[0.25, 0.75]]), np.array([0.5]))
    array([[0.875, 0.375]])
    """
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ordered = np.take_along_axis(probabilities, order, axis=1)
    before = np.cumsum(ordered, axis=1) - ordered
    scores = np.empty_like(probabilities)
    np.put_along_axis(scores, order, before + uniform[:, None] * ordered, axis=1)
    return scores


def uniform_of_samples(X: Any, seed: int) -> np.ndarray:
    """Return a random number for each sample, which depends only on its values and the seed.

    Equal samples have equal numbers, in whatever batches and types of tables they come. Numbers are
    compared in single precision.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.
    seed : int
        Seed.

    Returns
    -------
    ndarray of shape (n_samples,)
        Numbers that are uniformly distributed in [0, 1), if the samples are distinct.
    """
    table = pd.DataFrame(plain_table(X))
    hashed = np.full(len(table), seed, dtype=np.uint64)
    for i in range(table.shape[1]):
        hashed = hash_array(np.uint64(31) * hashed + _hash_of_column(table.iloc[:, i]))
    return (hashed >> np.uint64(11)) * 2.0**-53


def _hash_of_column(column: pd.Series) -> np.ndarray:
    """Return a hash of each value, which does not depend on the dtype of the column."""
    kind = pd.api.types
    if kind.is_numeric_dtype(column) and not kind.is_bool_dtype(column):
        hashed = _hash_of_numbers(column.to_numpy(dtype=float, na_value=np.nan))
    else:  # the dtype of a batch may depend on what is missing in it
        values = column.to_numpy(dtype=object)
        number = np.array([isinstance(v, Real) and not kind.is_bool(v) for v in values], dtype=bool)
        words = hash_array(np.array([str(v) for v in values], dtype=object))
        numbers = _hash_of_numbers(np.where(number, values, 0.0).astype(float))
        hashed = np.where(number, numbers, words)
    hashed[column.isna().to_numpy(dtype=bool)] = 0
    return hashed


def _hash_of_numbers(values: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        return hash_array(values.astype(np.float32).astype(float) + 0.0)  # -0.0 equals 0.0


def interval_scores(y: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> np.ndarray:
    r"""Nonconformity scores of values, given a predicted interval.

    The score is the distance of the value to the nearest bound: positive outside of the interval,
    negative inside.

    .. math:: s(x, y) = \max(l(x) - y, y - u(x))

    If both bounds are the predicted value, l = u, the score is the absolute residual [1]_. If they
    are predicted quantiles, it is the score of conformalized quantile regression [2]_.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        True values.
    lower, upper : ndarray of shape (n_samples,)
        Bounds l and u of the interval of each sample.

    Returns
    -------
    ndarray of shape (n_samples,)
        Scores, in the unit of y.

    References
    ----------
    .. [1] Lei, J., G'Sell, M., Rinaldo, A., Tibshirani, R. J., & Wasserman, L. (2018).
       Distribution-free predictive inference for regression. Journal of the American Statistical
       Association 113(523), 1094-1111.
    .. [2] Romano, Y., Patterson, E., & Candès, E. (2019). Conformalized quantile regression.
       Advances in Neural Information Processing Systems 32.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.model_selection.conformity import interval_scores
    >>> interval_scores(np.array([3.0, 7.0]), np.array([2.0, 2.0]), np.array([6.0, 6.0]))
    array([-1.,  1.])
    """
    return np.maximum(lower - y, y - upper)
