"""Tables as users have them: masked arrays, tensors, columns of anything."""

from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.sparse import issparse

from sklearn_emma.categories import (
    as_pandas,
    encode,
    find_levels,
    is_date,
    may_hold_levels,
)
from sklearn_emma.modalities import frame_of_arrow, resolve_modalities

# What numpy has, and so what tensors can be read as; any other floats become float32.
_NUMPY_FLOATS = (torch.float16, torch.float32, torch.float64)


def plain_array(X: Any) -> Any:
    """Read a masked array or a tensor as an array; return anything else as it is.

    A pyarrow table becomes one of pandas.

    Parameters
    ----------
    X : array-like, DataFrame, pyarrow Table or Tensor of shape (n_samples, n_features)
        The table. Values that are masked are missing.

    Returns
    -------
    ndarray, DataFrame, or the type of X
        NaN where a value is masked. Tensors are detached from their graph.

    Raises
    ------
    TypeError
        If X is a sparse tensor.
    """
    if isinstance(X, np.ma.MaskedArray):
        if not np.ma.is_masked(X):
            return X.data
        # a dtype that has NaN
        return np.ma.filled(X.astype(np.result_type(X.dtype, np.float16)), np.nan)
    if isinstance(X, torch.Tensor):
        return _array_of_tensor(X)
    return frame_of_arrow(X)


def without_na(X: Any) -> Any:
    """Return a table of objects with NaN for the NA of pandas, which is no number.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table, left as it is.

    Returns
    -------
    ndarray, DataFrame, or the type of X
        The table as it is if it holds no objects.
    """
    if isinstance(X, np.ndarray) and X.dtype == object:
        missing = pd.isna(X)
        return np.where(missing, np.nan, X) if missing.any() else X
    objects = []
    if hasattr(X, "isetitem"):
        objects = [column for column, dtype in enumerate(X.dtypes) if _is_object(dtype)]
    if objects:
        X = X.copy()
        for column in objects:
            X.isetitem(column, X.iloc[:, column].where(X.iloc[:, column].notna(), np.nan))
    return X


def _is_object(dtype: Any) -> bool:
    return isinstance(dtype, np.dtype) and dtype.kind == "O"


def plain_target(y: Any) -> Any:
    """Read what is predicted, if a masked array or a tensor, as an array.

    Parameters
    ----------
    y : array-like or Tensor of shape (n_samples, ...), or None
        What is predicted.

    Returns
    -------
    ndarray, or the type of y
        The same values.

    Raises
    ------
    ValueError
        If a value is masked.
    """
    if np.ma.is_masked(y):
        raise ValueError(
            f"y is a masked array, with {int(np.ma.count_masked(y))} value(s) masked. Leave out "
            "samples without a value to predict."
        )
    return plain_array(y)


def _array_of_tensor(X: torch.Tensor) -> np.ndarray:
    if X.layout != torch.strided:
        raise TypeError(
            "Sparse data was passed, but dense data is required: X is a sparse tensor. Pass "
            "X.to_dense()."
        )
    X = X.detach().cpu()
    if X.is_floating_point() and X.dtype not in _NUMPY_FLOATS:
        X = X.float()
    return X.resolve_conj().resolve_neg().numpy()


def check_unique_names(X: Any) -> None:
    """Raise ValueError if two columns of a DataFrame have the same name.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table.
    """
    names = list(X.columns) if hasattr(X, "columns") else []
    if len(set(names)) == len(names):
        return
    repeated = dict.fromkeys(name for name in names if names.count(name) > 1)
    raise ValueError(
        f"Several columns of X have the same name: {', '.join(map(repr, repeated))}. Rename them, "
        "or pass X.to_numpy(), with modalities as a dict of column positions."
    )


def unused_columns(estimator: Any, X: Any, at_fit: bool) -> np.ndarray:
    """Find the columns that an estimator ignores, before it has validated the table.

    Parameters
    ----------
    estimator : estimator
        With parameters `modalities` and `remainder`; fitted, unless `at_fit`.
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table.
    at_fit : bool
        Whether the parameters count, or what was fitted.

    Returns
    -------
    ndarray of int of shape (n_unused,)
        Positions; none where the table is none, or where the modalities are not valid.
    """
    none = np.zeros(0, dtype=np.intp)
    if issparse(X) or len(shape := np.shape(X)) != 2:
        return none
    if not at_fit:
        if shape[1] != getattr(estimator, "n_features_in_", None):
            return none
        columns = getattr(estimator, "modality_columns_", [np.arange(shape[1])])
    elif getattr(estimator, "remainder", None) == "drop":
        try:
            _, columns = resolve_modalities(estimator.modalities, X, remainder="drop")
        except (TypeError, ValueError):
            return none
    else:
        return none
    return np.setdiff1d(np.arange(shape[1]), np.concatenate(columns))


def encode_categories(estimator: Any, X: Any, at_fit: bool) -> Any:
    """Replace the levels of categorical columns by codes.

    At fit, the attribute ``categories_`` of the estimator is set: the levels of each categorical
    column, by its position.

    Parameters
    ----------
    estimator : estimator
        With parameters `modalities` and `remainder`; fitted, unless `at_fit`.
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table.
    at_fit : bool
        Whether the levels are learned, or known.

    Returns
    -------
    DataFrame, ndarray, or the type of X
        The table as it is if it has no categorical columns. Otherwise one of pandas, or an array
        where it has no column names, with zeros in columns that the estimator ignores.

    Raises
    ------
    ValueError
        If a column holds dates, times or durations.
    """
    if at_fit:
        estimator.categories_ = {}
    elif not getattr(estimator, "categories_", None):
        return X
    if issparse(X) or (at_fit and not may_hold_levels(X)) or len(shape := np.shape(X)) != 2:
        return X
    used = np.setdiff1d(np.arange(shape[1]), unused_columns(estimator, X, at_fit))
    X = without_na(X)
    frame = as_pandas(X)
    refuse_dates(frame, used)
    if at_fit:
        estimator.categories_ = find_levels(frame, used)
    if not getattr(estimator, "categories_", None):
        return X
    encoded = encode(frame, estimator.categories_)
    if len(used) < shape[1]:
        encoded = blank(encoded, np.setdiff1d(np.arange(shape[1]), used))
    return encoded if hasattr(X, "columns") else encoded.to_numpy(dtype=object)


def refuse_dates(X: Any, columns: np.ndarray) -> None:
    """Raise ValueError if a column holds dates, times or durations, and say what to do.

    Parameters
    ----------
    X : DataFrame of shape (n_samples, n_features)
        The table.
    columns : ndarray of int
        Positions of the columns to look at.
    """
    dates = [X.columns[column] for column in columns if is_date(X.iloc[:, column])]
    if dates:
        example = repr(dates[0])
        raise ValueError(
            f"Column(s) {_listed(dates)} hold dates, times or durations, which are not numbers. "
            "Replace them by the part that matters: the time since a reference in days, "
            f"(X[{example}] - reference) / pd.Timedelta(days=1); the time of day or of the year, "
            f"X[{example}].dt.hour or X[{example}].dt.month; or leave them out, for instance with "
            'remainder="drop".'
        )


def add_missing_modalities(estimator: Any, X: Any) -> Any:
    """Add the columns of modalities that a table has no column of, as missing.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    X : array-like or DataFrame of shape (n_samples, n_columns)
        The table.

    Returns
    -------
    DataFrame of shape (n_samples, n_features), or the type of X
        The columns of fit, in their order; X as it is if it has no column names, or lacks some
        columns of a modality but not all.
    """
    known = getattr(estimator, "feature_names_in_", None)
    if known is None or not hasattr(X, "columns"):
        return X
    given = set(X.columns)
    if not given < set(known):
        return X
    absent = set(known) - given
    groups = [set(known[columns]) for columns in estimator.modality_columns_]
    if any(absent & group not in (set(), group) for group in groups):
        return X
    if hasattr(X, "reindex"):
        return X.reindex(columns=known)
    series = type(X[X.columns[0]])
    columns = [series(name, np.full(len(X), np.nan)) for name in known if name in absent]
    return X.with_columns(columns).select(known.tolist())


def blank(X: Any, columns: np.ndarray) -> Any:
    """Return a copy of a table with zeros in some columns.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table, left as it is.
    columns : ndarray of int of shape (n_chosen,)
        Positions of the columns.

    Returns
    -------
    DataFrame, or ndarray of object of shape (n_samples, n_features)
        The copy.
    """
    if hasattr(X, "isetitem"):
        X = X.copy()
        for column in columns:
            X.isetitem(int(column), 0.0)
        return X
    if hasattr(X, "with_columns"):
        names = [X.columns[column] for column in columns]
        return X.with_columns([type(X[name])(name, np.zeros(len(X))) for name in names])
    X = np.array(X, dtype=object)
    X[:, columns] = 0.0
    return X


def explain(error: Exception, estimator: Any, X: Any, at_fit: bool) -> Exception:
    """Say more about why a table is not valid: which columns, and what to do.

    Parameters
    ----------
    error : TypeError or ValueError
        What scikit-learn says.
    estimator : estimator
        On behalf of which.
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table.
    at_fit : bool
        Whether the estimator is being fitted.

    Returns
    -------
    TypeError or ValueError
        The same error, if there is no more to say.
    """
    if issparse(X) or np.ndim(X) != 2:
        return error
    kind = TypeError if isinstance(error, TypeError) else ValueError
    columns = _columns(X)
    guilty = [name for name, values in columns.items() if not _is_numeric(values)]
    if guilty:
        held = "numbers or categories" if at_fit else "numbers where it did at fit"
        return kind(
            f"X must hold {held}, but column(s) {_listed(guilty)} hold something else: "
            f"{str(error).partition('. ')[0]}. Put NaN for missing values, and give categories "
            'most of which read as numbers the type "category" of pandas. Encode other values as '
            "numbers first, or leave them out."
        )
    may_be_missing = estimator.__sklearn_tags__().input_tags.allow_nan
    if "infinity" in str(error):
        infinite = [name for name, values in columns.items() if np.isinf(_floats(values)).any()]
        advice = "by NaN if they stand for missing ones" if may_be_missing else "or leave them out"
        return kind(
            f"{str(error).rstrip('.')}: column(s) {_listed(infinite)}. Replace such values, "
            f"{advice}."
        )
    if may_be_missing and not at_fit:
        return _explain_absence(error, estimator, X)
    return error


def _explain_absence(error: Exception, estimator: Any, X: Any) -> Exception:
    """Say how to pass a modality whose columns are all absent."""
    known = getattr(estimator, "feature_names_in_", None)
    if known is None or not hasattr(X, "columns"):
        if np.shape(X)[1] >= getattr(estimator, "n_features_in_", 0):
            return error
        return type(error)(
            f"{error} Pass the columns of a modality that is absent all the same, with NaN."
        )
    given = set(X.columns)
    if not given < set(known):
        return error
    groups = zip(estimator.modality_names_, estimator.modality_columns_, strict=True)
    absent = [name for name, columns in groups if not given.intersection(known[columns])]
    if not absent:
        return error
    return type(error)(
        f"{str(error).rstrip()}\nAll columns of modality {_listed(absent)} are absent. To predict "
        'without it, set missing_modalities="allow", or pass them as missing: '
        "X.reindex(columns=estimator.feature_names_in_) adds columns of NaN to a pandas DataFrame."
    )


def _columns(X: Any) -> dict[Any, np.ndarray]:
    """Return the columns of a table by name, or else by position."""
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


def _listed(names: list) -> str:
    return ", ".join(map(repr, names))
