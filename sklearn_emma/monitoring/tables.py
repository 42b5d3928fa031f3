"""Read tables for a monitor, as numbers and indicators of categorical levels."""

from typing import Any

import numpy as np
import pandas as pd

from sklearn_emma.categories import as_pandas, decode_table
from sklearn_emma.corruption.tables import is_frame
from sklearn_emma.indicators import feature_columns, indicators_of
from sklearn_emma.validation import read_samples

_FLOATS = [np.float64, np.float32]
# Fewer samples have no standard deviation.
_FEWEST_CLEAN = 2


def categories_of(estimator: Any) -> list[int]:
    """Return the positions of the categorical columns of a fitted estimator.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted estimator.

    Returns
    -------
    list of int
        Positions of the categorical columns. Empty if all columns are numerical.
    """
    return list(getattr(estimator, "categories_", None) or ())


def as_table(estimator: Any, X: Any) -> Any:
    """Convert a table to an array or DataFrame whose rows can be indexed and modified.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted estimator.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.

    Returns
    -------
    ndarray or DataFrame of shape (n_samples, n_features)
        A pandas DataFrame if the estimator has categorical columns. Otherwise, a DataFrame is
        returned unchanged, and any other table as an array of floats.
    """
    if categories_of(estimator):
        return as_pandas(X)
    return X if is_frame(X) else read_codes(estimator, X)


def read_codes(estimator: Any, X: Any) -> np.ndarray:
    """Read all columns as numbers. Categorical levels are replaced by their codes.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted estimator.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        Values and codes. NaN marks missing values.
    """
    return read_samples(estimator, X, dtype=_FLOATS)


def read_table(estimator: Any, X: Any) -> np.ndarray:
    """Read the features of all modalities, one modality after the other.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted estimator.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.

    Returns
    -------
    ndarray of shape (n_samples, n_used_features)
        Numerical columns and the indicators of categorical levels. NaN marks missing values.
    """
    table = indicators_of(estimator).expand(read_codes(estimator, X))
    return table[:, np.concatenate(feature_columns(estimator))]


def check_clean(estimator: Any, table: np.ndarray, name: str) -> None:
    """Raise ValueError if there are too few samples or a modality has only missing values.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted estimator.
    table : ndarray of shape (n_samples, n_used_features)
        Clean samples, from :func:`read_table`.
    name : str
        Name of the argument, for error messages.
    """
    if len(table) < _FEWEST_CLEAN:
        raise ValueError(f"{name} must hold at least {_FEWEST_CLEAN} samples, got {len(table)}.")
    ends = np.cumsum([len(places) for places in feature_columns(estimator)])[:-1]
    for modality, values in zip(
        estimator.modality_names_, np.split(table, ends, axis=1), strict=True
    ):
        if np.isnan(values).all():
            raise ValueError(
                f"{name} holds no value of modality {modality!r}. A monitor needs clean samples of "
                "every modality: pass some in which it is not missing."
            )


def read_unseen(estimator: Any, X: Any) -> np.ndarray:
    """Tell in which modalities a sample has a level that was not seen in training.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted estimator.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.

    Returns
    -------
    ndarray of bool of shape (n_samples, n_modalities)
        True for an unseen level. False also where unseen levels are no evidence of a failure, see
        :mod:`sklearn_emma.indicators`.
    """
    table = read_codes(estimator, X)
    return indicators_of(estimator).unseen_by_modality(table, estimator.modality_columns_) > 0


def are_numbers(estimator: Any) -> np.ndarray:
    """Return which features are numerical.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted estimator.

    Returns
    -------
    ndarray of bool of shape (n_used_features,)
        True for numerical features, False for indicators of categorical levels.
    """
    columns = np.concatenate(estimator.modality_columns_)
    positions = indicators_of(estimator).positions
    numbers = ~np.isin(columns, categories_of(estimator))
    return np.repeat(numbers, [len(positions[column]) for column in columns])


def number_columns(estimator: Any) -> np.ndarray:
    """Return the positions of the numerical columns, sorted by modality.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted estimator.

    Returns
    -------
    ndarray of int of shape (n_numbers,)
        Positions, in the order of the numerical features of :func:`read_table`.
    """
    columns = np.concatenate(estimator.modality_columns_)
    return columns[~np.isin(columns, categories_of(estimator))]


def as_samples(estimator: Any, table: np.ndarray) -> Any:
    """Convert features back to samples in the format that the estimator takes.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted estimator.
    table : ndarray of shape (n_samples, n_used_features)
        Features, as :func:`read_table` returns them. Indicators are converted to the nearest level.

    Returns
    -------
    ndarray or DataFrame of shape (n_samples, n_features)
        Samples. Columns that belong to no modality are zero.
    """
    indicators, places = indicators_of(estimator), np.concatenate(feature_columns(estimator))
    names = getattr(estimator, "feature_names_in_", None)
    X = np.zeros((len(table), indicators.n_features))
    X[:, places] = table
    if indicators.categories:
        return decode_table(indicators.codes(X), estimator.categories_, names)
    return X if names is None else pd.DataFrame(X, columns=names)
