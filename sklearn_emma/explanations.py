"""More detailed versions of scikit-learn's error messages about tables."""

from typing import Any

import numpy as np
from scipy.sparse import issparse

from sklearn_emma.column_lookup import listed


def explain(error: Exception, estimator: Any, X: Any, at_fit: bool) -> Exception:
    """Add the names of invalid columns, and advice, to an error about a table.

    Parameters
    ----------
    error : TypeError or ValueError
        Error raised by scikit-learn.
    estimator : estimator
        Estimator that validated the table.
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table.
    at_fit : bool
        Whether the estimator is being fitted.

    Returns
    -------
    TypeError or ValueError
        Error with a more detailed message, or the same error if there is nothing to add.
    """
    if str(error).startswith("Input y contains"):
        return ValueError(
            f"{str(error).rstrip('.')}. Leave out samples without a value to predict."
        )
    if issparse(X) or np.ndim(X) != 2:
        return error
    kind = _kind(error)
    columns = _columns(X)
    # with other columns than at fit, categories are not where they are expected
    if not str(error).startswith("The feature names should match"):
        held = "numbers or categories" if at_fit else "numbers in the columns that did so at fit"
        explained = explain_text(error, X, held)
        if explained is not error:
            return explained
    may_be_missing = estimator.__sklearn_tags__().input_tags.allow_nan
    if "infinity" in str(error):
        infinite = [name for name, values in columns.items() if np.isinf(_floats(values)).any()]
        advice = "by NaN if they stand for missing ones" if may_be_missing else "or leave them out"
        return kind(
            f"{str(error).rstrip('.')}: column(s) {listed(infinite)}. Replace such values, "
            f"{advice}."
        )
    if "contains NaN" in str(error) and not may_be_missing:
        missing = [name for name, values in columns.items() if np.isnan(_floats(values)).any()]
        return kind(
            f"Input X contains NaN: column(s) {listed(missing)}. {type(estimator).__name__} does "
            "not accept missing values. Drop these samples, or impute the missing values, for "
            "instance with sklearn.impute.SimpleImputer. This is not necessary if it is the energy "
            "of an EMMAClassifier or EMMARegressor, which accept missing values."
        )
    if not at_fit:
        error = _explain_order(error, estimator, X)
        if may_be_missing:
            return _explain_absence(error, estimator, X)
    return error


def explain_text(
    error: Exception, X: Any, held: str = "numbers or categories", name: str = "X"
) -> Exception:
    """Add the names of columns that are not numeric, and advice, to an error about a table.

    Parameters
    ----------
    error : TypeError or ValueError
        Error raised by scikit-learn.
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table.
    held : str, default="numbers or categories"
        What the columns must hold.
    name : str, default="X"
        Name of the table.

    Returns
    -------
    TypeError or ValueError
        Error with a more detailed message, or the same error if all columns are numeric.
    """
    guilty = [column for column, values in _columns(X).items() if not _is_numeric(values)]
    if not guilty:
        return error
    return _kind(error)(
        f"{name} must hold {held}, but column(s) {listed(guilty)} hold something else: "
        f"{str(error).partition('. ')[0]}. Use NaN for missing values. Text counts "
        "as numbers if it can be converted to them for most samples at fit. If these are names of "
        'categories, convert the column to the pandas type "category", before fit, too. '
        "Encode other values as numbers first, or leave them out."
    )


def _kind(error: Exception) -> type[TypeError] | type[ValueError]:
    """Return the class of the more detailed error."""
    return TypeError if isinstance(error, TypeError) else ValueError


def _explain_order(error: Exception, estimator: Any, X: Any) -> Exception:
    """Add advice if a table has all columns of fit, but also others, or in another order."""
    known = getattr(estimator, "feature_names_in_", None)
    names = list(getattr(X, "columns", ()))
    if known is None or not set(known) <= set(names) or names == list(known):
        return error
    what = "more columns than at fit"
    if len(names) == len(known):
        what = "the columns of fit in another order"
    return type(error)(
        f"{str(error).rstrip()}\nX has {what}. Pass X[list(estimator.feature_names_in_)], where "
        "estimator is the fitted estimator."
    )


def _explain_absence(error: Exception, estimator: Any, X: Any) -> Exception:
    """Add advice if a table does not have any column of a modality."""
    known = getattr(estimator, "feature_names_in_", None)
    if known is None or not hasattr(X, "columns"):
        if np.shape(X)[1] >= getattr(estimator, "n_features_in_", 0):
            return error
        return type(error)(
            f"{error} If a modality is missing, pass its columns nevertheless, filled with NaN."
        )
    given = set(X.columns)
    if not given < set(known):
        return error
    groups = zip(estimator.modality_names_, estimator.modality_columns_, strict=True)
    absent = [name for name, columns in groups if not given.intersection(known[columns])]
    if not absent:
        return error
    return type(error)(
        f"{str(error).rstrip()}\nAll columns of modality {listed(absent)} are absent. To predict "
        'without it, set missing_modalities="allow", or pass them as missing: '
        "X.reindex(columns=estimator.feature_names_in_) adds columns of NaN to a pandas DataFrame."
    )


def _columns(X: Any) -> dict[Any, np.ndarray]:
    """Return the columns of a table by name, or by position if there are no names."""
    if hasattr(X, "columns"):
        return {name: np.asarray(X[name]) for name in X.columns}
    table = np.asarray(X)
    return {i: table[:, i] for i in range(table.shape[1])}


def _is_numeric(values: np.ndarray) -> bool:
    if values.dtype.kind in "mM":
        return False
    try:
        _floats(values)
    except (TypeError, ValueError):
        return False
    return True


def _floats(values: np.ndarray) -> np.ndarray:
    return values if values.dtype.kind in "biufc" else values.astype(float)
