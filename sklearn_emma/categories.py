"""Categorical columns: their levels, and conversion of levels to codes.

A column is categorical if it contains text, categories or booleans. In an array of booleans, which
has no columns of different types, they are numbers. The *levels* of a column are the values that
occur in the training samples. The code of a level is its position in the list of levels. Unseen
levels have the code ``n_levels``, and missing values are NaN. In this way, a table with categorical
columns is converted to a numeric table with the same columns.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from sklearn_emma.frames import pandas_frame

#: Levels of each categorical column, by its position.
Levels = Mapping[int, list]


def may_hold_levels(X: Any) -> bool:
    """Return whether a table has a type that can contain values other than numbers.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table.

    Returns
    -------
    bool
        False for arrays and DataFrames of numbers.
    """
    if hasattr(X, "columns") and hasattr(X, "dtypes"):
        kinds = [getattr(dtype, "kind", "O") for dtype in X.dtypes]
        return hasattr(X, "with_columns") or not set(kinds) <= set("iuf")
    if hasattr(X, "dtype"):
        return getattr(X.dtype, "kind", "f") in "OUSTmM"
    return isinstance(X, list | tuple)


def as_pandas(X: Any) -> pd.DataFrame:
    """Convert a table with columns of any type to a pandas DataFrame.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table.

    Returns
    -------
    DataFrame of shape (n_samples, n_features)
        The same values.
    """
    X = pandas_frame(X)
    if isinstance(X, pd.DataFrame):
        return X
    dates = getattr(getattr(X, "dtype", None), "kind", "O") in "mM"
    return pd.DataFrame(X if dates else np.array(X, dtype=object))


def find_levels(X: pd.DataFrame, columns: Iterable[int]) -> dict[int, list]:
    """Find the categorical columns of a table, and their levels.

    As in scikit-learn, text that can be converted to numbers is numeric, unless the column has the
    type ``category``.

    Parameters
    ----------
    X : DataFrame of shape (n_samples, n_features)
        The table.
    columns : iterable of int
        Positions of the columns to examine.

    Returns
    -------
    dict of int to list
        Ordered levels by position of the column.
    """
    found = {}
    for column in columns:
        values = X.iloc[:, column]
        if is_categorical(values):
            found[int(column)] = _levels(values)
    return found


def is_categorical(values: pd.Series) -> bool:
    """Return whether a column is categorical.

    Parameters
    ----------
    values : Series of shape (n_samples,)
        The column.

    Returns
    -------
    bool
        True for the type ``category``, for booleans, and for text if at least half of the values
        cannot be converted to numbers. Otherwise a numeric column with a few invalid values would
        be treated as categorical.
    """
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return not is_date(values)
    kind = getattr(dtype, "kind", "O")
    if kind == "b":
        return True
    if kind in "iufcmM" or is_date(values):
        return False
    known = values[values.notna()].astype(object)
    if not len(known) or not all(isinstance(value, str | bool | np.bool_) for value in known):
        return False
    if all(isinstance(value, bool | np.bool_) for value in known):
        return True
    return bool(pd.to_numeric(known, errors="coerce").isna().mean() >= 0.5)


def is_date(values: pd.Series) -> bool:
    """Return whether a column contains dates, times or durations.

    Parameters
    ----------
    values : Series of shape (n_samples,)
        The column.

    Returns
    -------
    bool
        Columns of objects are judged by their first value that is not missing.
    """
    dtype = values.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        dtype = dtype.categories.dtype
    if getattr(dtype, "kind", "O") in "mM" or isinstance(dtype, pd.PeriodDtype):
        return True
    if not pd.api.types.is_object_dtype(dtype) or not values.notna().any():
        return False
    first = values[values.notna()].iloc[0]
    # dates, times and durations of the standard library, of numpy and of pandas
    return isinstance(first, np.datetime64 | np.timedelta64) or (
        type(first).__module__.partition(".")[0] in ("datetime", "pandas")
    )


def merge_levels(first: Levels, second: Levels) -> dict[int, list]:
    """Merge the levels of two tables.

    Parameters
    ----------
    first, second : dict of int to list
        Levels of each table. Levels of the first table come first.

    Returns
    -------
    dict of int to list
        Levels by position of the column.
    """
    columns = dict.fromkeys([*first, *second])
    return {j: list(dict.fromkeys([*first.get(j, []), *second.get(j, [])])) for j in columns}


def encode(X: pd.DataFrame, levels: Levels) -> pd.DataFrame:
    """Replace levels by their codes.

    Parameters
    ----------
    X : DataFrame of shape (n_samples, n_features)
        The table. It is not modified.
    levels : dict of int to list
        Levels of the categorical columns.

    Returns
    -------
    DataFrame of shape (n_samples, n_features)
        Table with float codes in the categorical columns, and NaN for missing values.
    """
    X = X.copy()
    for column, known in levels.items():
        if column < X.shape[1]:
            X.isetitem(column, _codes(X.iloc[:, column], known))
    return X


def decode(codes: np.ndarray, levels: list, like: pd.Series) -> pd.Series:
    """Convert codes to levels, as a column with a given type.

    Parameters
    ----------
    codes : ndarray of float of shape (n_samples,)
        Codes of levels. NaN and codes without a level become missing values.
    levels : list
        The levels.
    like : Series
        Column with the desired type.

    Returns
    -------
    Series of shape (n_samples,)
        Column of this type. Levels that are not among its categories are added to them. A boolean
        column with missing values becomes nullable. The index is that of `like`, if the lengths are
        equal.
    """
    missing = ~(codes < len(levels))
    values = np.empty(len(codes), dtype=object)
    values[:] = [levels[int(code)] for code in np.where(missing, 0, codes)] if levels else np.nan
    values[missing] = np.nan
    dtype: Any = like.dtype
    index = like.index if len(like) == len(codes) else None
    if isinstance(dtype, pd.CategoricalDtype):
        others = [level for level in levels if level not in dtype.categories]
        if others:
            dtype = pd.CategoricalDtype([*dtype.categories, *others], dtype.ordered)
        return pd.Series(pd.Categorical(values, dtype=dtype), index)
    if dtype == np.dtype(bool) and missing.any():
        dtype = "boolean"
    if pd.api.types.is_object_dtype(dtype):
        return pd.Series(values, index, dtype=object)
    values[missing] = None
    return pd.Series(pd.array(values.tolist(), dtype=dtype), index)


def decode_table(table: np.ndarray, levels: Levels, names: Any = None) -> pd.DataFrame:
    """Convert the codes of a table to levels.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        The table.
    levels : dict of int to list
        Levels of the categorical columns.
    names : sequence of str, default=None
        Names of the columns. By default, their positions are used.

    Returns
    -------
    DataFrame of shape (n_samples, n_features)
        Table in which the categorical columns have the type ``category``.
    """
    frame = pd.DataFrame(table, columns=names)
    for column, known in levels.items():
        like = pd.Series(dtype=pd.CategoricalDtype(known))
        frame.isetitem(column, decode(table[:, column], known, like).array)
    return frame


def count_levels(table: np.ndarray, levels: Levels) -> dict[int, np.ndarray]:
    """Count the samples of each level.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Samples, with codes in the categorical columns.
    levels : dict of int to list
        Levels of the categorical columns.

    Returns
    -------
    dict of int to ndarray of int of shape (n_levels,)
        Counts by position of the column.
    """
    counts = {}
    for column, known in levels.items():
        codes = table[:, column]
        codes = codes[~np.isnan(codes)].astype(np.intp)
        counts[column] = np.bincount(codes, minlength=len(known))[: len(known)]
    return counts


def _levels(values: pd.Series) -> list:
    """Return the levels that occur in a column, in the order of its categories or sorted."""
    occurring = values[values.notna()].unique().tolist()
    if isinstance(values.dtype, pd.CategoricalDtype):
        known = set(occurring)
        return [level for level in values.dtype.categories.tolist() if level in known]
    return sorted(occurring, key=lambda level: (type(level).__name__, level))


def _codes(values: pd.Series, levels: list) -> np.ndarray:
    """Return the code of each value."""
    places = pd.Index(levels, dtype=object).get_indexer(values.astype(object))
    codes = np.where(places < 0, len(levels), places).astype(float)
    codes[values.isna().to_numpy()] = np.nan
    return codes
