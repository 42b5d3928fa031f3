"""Conversion and validation of tables: masked arrays, tensors, and columns of any type."""

from collections.abc import Iterator, Mapping
from os import PathLike
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
from sklearn_emma.frames import frame_of_arrow, pandas_frame
from sklearn_emma.lazy import load
from sklearn_emma.modalities import resolve_modalities

_LABELS = (pd.StringDtype, pd.CategoricalDtype)
# Floating dtypes that numpy supports. Tensors with other floating dtypes are converted to float32.
_NUMPY_FLOATS = (torch.float16, torch.float32, torch.float64)


def plain_array(X: Any) -> Any:
    """Convert masked arrays and tensors to arrays, and pyarrow tables to pandas DataFrames.

    Tables of dask are computed and must fit in memory.

    Parameters
    ----------
    X : array-like, DataFrame, pyarrow Table or Tensor of shape (n_samples, n_features)
        The table. Masked values are treated as missing.

    Returns
    -------
    ndarray, DataFrame, or the type of X
        Converted table, in which masked values are NaN. Tables of other types are returned
        unchanged. Tensors are detached from their graph.

    Raises
    ------
    TypeError
        If X is a sparse tensor.
    """
    X = load(X)
    if isinstance(X, np.ma.MaskedArray):
        if not np.ma.is_masked(X):
            return X.data
        if X.dtype.kind in "USO":
            return np.ma.filled(X.astype(object), np.nan)
        # dtype that supports NaN
        return np.ma.filled(X.astype(np.result_type(X.dtype, np.float16)), np.nan)
    if isinstance(X, torch.Tensor):
        return _array_of_tensor(X)
    return frame_of_arrow(X)


def plain_table(X: Any) -> Any:
    """Convert a table to an array or a pandas DataFrame, if it is of any other supported type.

    Parameters
    ----------
    X : array-like, DataFrame, pyarrow Table or Tensor of shape (n_samples, n_features)
        The table. Masked values are treated as missing.

    Returns
    -------
    ndarray, DataFrame, or the type of X
        Converted table. Lists and other array-likes are returned unchanged.
    """
    return pandas_frame(plain_array(X))


def refuse_non_tables(X: Any, name: str = "X") -> None:
    """Raise an error, with advice, if the argument cannot be a table.

    Parameters
    ----------
    X : object
        Argument that was passed as a table.
    name : str, default="X"
        Name of the argument.

    Raises
    ------
    TypeError
        If X is a dict, a list of dicts or of tables, a string or path, None, a structured array, an
        iterator, or a table without values, such as a polars LazyFrame.
    ValueError
        If X is a list of rows of different lengths.
    """
    what, advice = None, ""
    if X is None:
        what, advice = "None", "a DataFrame or an array of shape (n_samples, n_features)"
    elif isinstance(X, (str, PathLike)):
        what = f"{X!r}, a string or path, not a table"
        advice = "the table itself, for instance the result of pandas.read_csv"
    elif hasattr(X, "collect_schema") and not hasattr(X, "shape"):
        what, advice = f"a {type(X).__name__} without values", f"{name}.collect()"
    elif isinstance(X, Mapping) and not issparse(X):  # some sparse arrays are dicts
        what, advice = f"a {type(X).__name__}", f"pandas.DataFrame({name})"
    elif isinstance(X, (list, tuple)) and any(isinstance(row, Mapping) for row in X):
        what, advice = "a list of dicts", f"pandas.DataFrame({name})"
    elif isinstance(X, np.ndarray) and X.dtype.names is not None:
        what, advice = "a structured array", f"pandas.DataFrame({name})"
    elif _is_list_of_tables(X):
        frames = any(hasattr(part, "columns") for part in X)
        joined = f"pandas.concat({name}, axis=1)" if frames else f"numpy.hstack({name})"
        what, advice = "a list of tables", f"one table, for instance {joined}"
    elif isinstance(X, Iterator):
        what, advice = f"an iterator, {type(X).__name__}", f"list({name})"
    if what is not None:
        raise TypeError(f"{name} must be a table, but is {what}. Pass {advice}.")
    if isinstance(X, (list, tuple)) and all(isinstance(row, (list, tuple)) for row in X):
        lengths = sorted({len(row) for row in X})
        if len(lengths) > 1:
            raise ValueError(
                f"{name} must have rows of one length, but they have from {lengths[0]} to "
                f"{lengths[-1]} values. Put NaN for missing values."
            )


def _is_list_of_tables(X: Any) -> bool:
    """Return whether X is a list of DataFrames, or of arrays that do not form one array."""
    if not isinstance(X, (list, tuple)) or not all(len(getattr(x, "shape", ())) == 2 for x in X):
        return False
    return any(hasattr(part, "columns") for part in X) or len({part.shape for part in X}) > 1


def refuse_empty_tables(X: Any) -> None:
    """Raise ValueError if a DataFrame has no columns.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table.
    """
    if hasattr(X, "columns") and len(X.columns) == 0:
        raise ValueError(
            f"Found array with 0 feature(s) (shape=({len(X)}, 0)) while a minimum of 1 is "
            "required: X has no columns."
        )


def without_na(X: Any) -> Any:
    """Replace pandas NA, which is not a number, by NaN in columns of objects.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table. It is not modified.

    Returns
    -------
    ndarray, DataFrame, or the type of X
        Converted table. A table without objects is returned unchanged.
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


def plain_target(y: Any, name: str = "y") -> Any:
    """Convert targets from masked arrays and tensors to arrays.

    Parameters
    ----------
    y : array-like or Tensor of shape (n_samples, ...), or None
        Targets, or sample weights.
    name : str, default="y"
        Name of the argument, for messages.

    Returns
    -------
    ndarray, or the type of y
        The same values.

    Raises
    ------
    ValueError
        If a value is masked, or if a label is missing.
    """
    if np.ma.is_masked(y):
        raise ValueError(
            f"{name} is a masked array, with {int(np.ma.count_masked(y))} value(s) masked. Leave "
            "out samples without a value."
        )
    labels = isinstance(y, pd.Series) and isinstance(y.dtype, _LABELS)
    if labels and y.isna().any():
        raise ValueError(f"Input {name} contains NaN. Leave out samples without a value.")
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
    """Find the columns that an estimator ignores, before the table is validated.

    Parameters
    ----------
    estimator : estimator
        Estimator with parameters `modalities` and `remainder`, fitted unless `at_fit` is True.
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table.
    at_fit : bool
        Whether to use the parameters of the estimator (True), or its fitted attributes (False).

    Returns
    -------
    ndarray of int of shape (n_unused,)
        Positions of ignored columns. It is empty if X is not a table or the modalities are not
        valid.
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
        Estimator with parameters `modalities` and `remainder`, fitted unless `at_fit` is True.
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table.
    at_fit : bool
        Whether to learn the levels (True), or to use known levels (False).

    Returns
    -------
    DataFrame, ndarray, or the type of X
        Table with codes. A table without categorical columns is returned unchanged. Otherwise the
        result is a pandas DataFrame, or an array if X has no column names, and columns that the
        estimator ignores are zero.

    Raises
    ------
    ValueError
        If a column holds dates, times or durations.
    """
    if at_fit:
        estimator.categories_ = {}
    elif not getattr(estimator, "categories_", None):
        return without_na(X)
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
    """Raise ValueError, with advice, if a column contains dates, times or durations.

    Parameters
    ----------
    X : DataFrame of shape (n_samples, n_features)
        The table.
    columns : ndarray of int
        Positions of the columns to examine.
    """
    dates = [X.columns[column] for column in columns if is_date(X.iloc[:, column])]
    if dates:
        names, example = ", ".join(map(repr, dates)), repr(dates[0])
        raise ValueError(
            f"Column(s) {names} hold dates, times or durations, which are not numbers. "
            "Replace them by the part that matters: the time since a reference in days, "
            f"(X[{example}] - reference) / pd.Timedelta(days=1); the time of day or of the year, "
            f"X[{example}].dt.hour or X[{example}].dt.month; or leave them out, for instance with "
            'remainder="drop".'
        )


def add_missing_modalities(estimator: Any, X: Any) -> Any:
    """Add columns of NaN for modalities of which a table has no column, if the estimator allows it.

    Functions that refer to columns by their positions at fit need them.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator.
    X : array-like or DataFrame of shape (n_samples, n_columns)
        The table.

    Returns
    -------
    DataFrame of shape (n_samples, n_features), or the type of X
        Table with the columns of fit, in their order. X is returned unchanged unless the estimator
        has ``missing_modalities="allow"``. It is also unchanged if it has no column names, if no
        column is missing, if it has unknown columns, or if only some of the columns of a modality
        are missing.
    """
    known = getattr(estimator, "feature_names_in_", None)
    allowed = getattr(estimator, "missing_modalities", "error") == "allow"
    if not allowed or known is None or not hasattr(X, "columns"):
        return X
    given = set(X.columns)
    if not given < set(known):
        return X
    absent = set(known) - given
    groups = [set(known[columns]) for columns in estimator.modality_columns_]
    if any(absent & group not in (set(), group) for group in groups):
        return X
    return pandas_frame(X).reindex(columns=known)


def blank(X: Any, columns: np.ndarray) -> Any:
    """Return a copy of a table with zeros in some columns.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table. It is not modified.
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
    X = np.array(X, dtype=object)
    X[:, columns] = 0.0
    return X
