"""Tables as a monitor reads them: numbers, and indicators of the levels of categories."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_array

from sklearn_emma.categories import as_pandas, decode_table
from sklearn_emma.compat import _check_n_features
from sklearn_emma.corruption.tables import is_frame
from sklearn_emma.indicators import feature_columns, indicators_of
from sklearn_emma.tables import plain_array
from sklearn_emma.validation import check_table

_FLOATS = [np.float64, np.float32]
# Fewer have no standard deviation.
_FEWEST_CLEAN = 2


def categories_of(estimator: Any) -> list[int]:
    """Return the positions of the categorical columns of a fitted estimator.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted.

    Returns
    -------
    list of int
        Empty if all are numbers.
    """
    return list(getattr(estimator, "categories_", None) or ())


def as_table(estimator: Any, X: Any) -> Any:
    """Return a table whose samples can be chosen and changed.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.

    Returns
    -------
    ndarray or DataFrame of shape (n_samples, n_features)
        Of pandas if the estimator has categorical columns. Else a DataFrame as it is, and anything
        else as an array of floats.
    """
    if categories_of(estimator):
        return as_pandas(plain_array(X))
    if is_frame(X):
        return X
    return check_array(X, dtype=_FLOATS, ensure_all_finite="allow-nan")


def read_codes(estimator: Any, X: Any) -> np.ndarray:
    """Read all columns, with codes in categorical ones.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        Values; NaN where missing.
    """
    if categories_of(estimator):
        return check_table(estimator, X, ensure_all_finite="allow-nan", reset=False, dtype=_FLOATS)
    if not isinstance(X, np.ndarray) or X.dtype.kind != "f":
        X = check_array(X, dtype=_FLOATS, ensure_all_finite="allow-nan")
    _check_n_features(estimator, X, reset=False)
    return X


def read_table(estimator: Any, X: Any) -> np.ndarray:
    """Read the features of all modalities, one modality after the other.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.

    Returns
    -------
    ndarray of shape (n_samples, n_used_features)
        Numbers, and the indicators of categories; NaN where missing.
    """
    table, indicators = read_codes(estimator, X), indicators_of(estimator)
    if indicators is not None:
        table = indicators.expand(table)
    return table[:, np.concatenate(feature_columns(estimator))]


def check_clean(estimator: Any, table: np.ndarray, name: str) -> None:
    """Raise ValueError unless clean samples say something about every modality.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted.
    table : ndarray of shape (n_samples, n_used_features)
        Clean samples, from :func:`read_table`.
    name : str
        What they are called.
    """
    if len(table) < _FEWEST_CLEAN:
        raise ValueError(f"{name} must hold at least {_FEWEST_CLEAN} samples, got {len(table)}.")
    ends = np.cumsum([len(places) for places in feature_columns(estimator)])[:-1]
    for modality, values in zip(
        estimator.modality_names_, np.split(table, ends, axis=1), strict=True
    ):
        if np.isnan(values).all():
            raise ValueError(
                f"{name} holds no value of modality {modality!r}. A monitor learns from clean "
                "samples what a modality is like: give some in which it is there."
            )


def read_unseen(estimator: Any, X: Any) -> np.ndarray:
    """Tell which modalities have a level that was never seen.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.

    Returns
    -------
    ndarray of bool of shape (n_samples, n_modalities)
        False where that is no evidence, see :mod:`sklearn_emma.indicators`.
    """
    indicators = indicators_of(estimator)
    if indicators is None:
        return np.zeros((len(X), len(estimator.modality_columns_)), dtype=bool)
    unseen = indicators.unseen(read_codes(estimator, X)) > 0
    return np.stack([unseen[:, columns].any(axis=1) for columns in estimator.modality_columns_], 1)


def are_numbers(estimator: Any) -> np.ndarray:
    """Tell which features are numbers.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted.

    Returns
    -------
    ndarray of bool of shape (n_used_features,)
        False for indicators.
    """
    columns, indicators = np.concatenate(estimator.modality_columns_), indicators_of(estimator)
    numbers = ~np.isin(columns, categories_of(estimator))
    if indicators is None:
        return numbers
    return np.repeat(numbers, [len(indicators.positions[column]) for column in columns])


def number_columns(estimator: Any) -> np.ndarray:
    """Return the positions of the columns of numbers, one modality after the other.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted.

    Returns
    -------
    ndarray of int of shape (n_numbers,)
        In the order of the features that are numbers.
    """
    columns = np.concatenate(estimator.modality_columns_)
    return columns[~np.isin(columns, categories_of(estimator))]


def as_samples(estimator: Any, table: np.ndarray) -> Any:
    """Return samples of given features, as the estimator takes them.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted.
    table : ndarray of shape (n_samples, n_used_features)
        Features, as :func:`read_table` returns them. Indicators become the nearest level.

    Returns
    -------
    ndarray or DataFrame of shape (n_samples, n_features)
        Columns of no modality are zero.
    """
    indicators, places = indicators_of(estimator), np.concatenate(feature_columns(estimator))
    names = getattr(estimator, "feature_names_in_", None)
    n_features = estimator.n_features_in_ if indicators is None else indicators.n_features
    X = np.zeros((len(table), n_features))
    X[:, places] = table
    if indicators is not None:
        return decode_table(indicators.codes(X), estimator.categories_, names)
    return X if names is None else pd.DataFrame(X, columns=names)
