"""Conversion of arrays and DataFrames to tensors, and back."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.utils import check_array
from torch import Tensor

from sklearn_emma.categories import (
    Levels,
    as_pandas,
    decode,
    encode,
    find_levels,
    may_hold_levels,
    merge_levels,
)
from sklearn_emma.explanations import explain_text
from sklearn_emma.tables import refuse_dates


def levels_of(X: Any, reference: Any, columns: np.ndarray) -> dict[int, list]:
    """Find the levels of the categorical columns of a table and of its reference samples.

    Parameters
    ----------
    X : ndarray or DataFrame of shape (n_samples, n_features)
        The table.
    reference : array-like or DataFrame of shape (n_reference, n_features), or None
        The reference samples.
    columns : ndarray of int of shape (n_used,)
        Positions of the columns to examine.

    Returns
    -------
    dict of int to list
        Levels by position of the column. It is empty for tables of numbers.

    Raises
    ------
    ValueError
        If a column holds dates, times or durations.
    """
    levels: dict[int, list] = {}
    for table in (X, reference):
        if table is None or not may_hold_levels(table) or len(np.shape(table)) != 2:
            continue
        frame = as_pandas(table)
        known = [column for column in columns if column < frame.shape[1]]
        refuse_dates(frame, np.array(known, dtype=np.intp))
        levels = merge_levels(levels, find_levels(frame, known))
    return levels


def codes_of(X: Any, levels: Levels) -> Any:
    """Return a table with codes instead of levels. Tables without levels are returned unchanged."""
    return encode(as_pandas(X), levels) if levels else X


def is_frame(X: Any) -> bool:
    """Return whether a table is a pandas or polars DataFrame."""
    return hasattr(X, "columns")


def read_modalities(X: Any, columns: Sequence[np.ndarray], name: str = "X") -> list[Tensor]:
    """Copy the modalities of a table to tensors.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table.
    columns : list of ndarray of shape (n_features_i,)
        Column positions of each modality.
    name : str, default="X"
        Name of the table in error messages.

    Returns
    -------
    list of Tensor of shape (n_samples, n_features_i)
        One tensor per modality: float32 if all these columns are float32, otherwise float64.
    """
    used = np.concatenate(columns)
    if hasattr(X, "iloc"):
        block = X.iloc[:, used]
    elif is_frame(X):
        block = X[:, used.tolist()]
    else:
        block = check_array(X, dtype=None, ensure_all_finite=False, input_name=name)[:, used]
    try:
        numbers = check_array(
            block,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            input_name=name,
        )
    except (TypeError, ValueError) as error:
        raise explain_text(error, block, name=name) from None
    block = np.array(numbers)  # a copy, which can be written to
    return list(torch.from_numpy(block).split([len(c) for c in columns], dim=1))


def check_reference(reference: Any, X: Any) -> None:
    """Raise ValueError unless the reference samples are a table with the same columns as X.

    Parameters
    ----------
    reference : array-like or DataFrame of shape (n_reference, n_features)
        The reference samples.
    X : ndarray or DataFrame of shape (n_samples, n_features)
        The table.
    """
    shape = np.shape(reference)
    if len(shape) != 2 or shape[1] != X.shape[1]:
        raise ValueError(
            f"reference must be a table with the {X.shape[1]} columns of X, got shape {shape}."
        )
    if is_frame(reference) and is_frame(X) and list(reference.columns) != list(X.columns):
        raise ValueError(
            f"reference must have the columns of X in the same order: expected {list(X.columns)}, "
            f"got {list(reference.columns)}."
        )


def replace_columns(
    X: Any, columns: np.ndarray, values: np.ndarray, levels: Levels | None = None
) -> Any:
    """Return a copy of a table with new values in some columns.

    Parameters
    ----------
    X : ndarray or DataFrame of shape (n_samples, n_features)
        The table. It is not modified.
    columns : ndarray of int of shape (n_used,)
        Positions of the columns to replace.
    values : ndarray of shape (n_samples, n_used)
        New values of these columns, with codes in categorical columns.
    levels : dict of int to list, default=None
        Levels of categorical columns.

    Returns
    -------
    ndarray or DataFrame of shape (n_samples, n_features)
        Table of the same type as `X`. In a pandas DataFrame, float32 columns stay float32, and
        nullable columns stay nullable. Codes in categorical columns are replaced by their levels.
    """
    levels = levels or {}
    for place, column in enumerate(columns):
        if column in levels:
            _check_codes(values[:, place], column, len(levels[column]))
    if not is_frame(X):
        X = np.array(X, dtype=None if np.asarray(X).dtype.kind in "fiu" else object)
        X[:, columns] = values
        for column in levels:
            codes = X[:, column].astype(float)
            X[:, column] = decode(codes, levels[column], pd.Series(dtype=object)).to_numpy()
        return X
    if hasattr(X, "isetitem"):
        X = X.copy()
        for column, new in zip(columns, values.T, strict=True):
            if column in levels:
                X.isetitem(column, decode(new, levels[column], X.iloc[:, column]))
                continue
            old = X.dtypes.iloc[column]
            dtype = np.float32 if old == np.float32 else values.dtype
            nullable = getattr(old, "na_value", None) is pd.NA
            new = _cast(new, dtype)
            X.isetitem(column, pd.array(new, dtype="Float64") if nullable else new)
        return X
    series = []
    for column, new in zip(columns, values.T, strict=True):
        old = X.to_series(int(column))
        if column in levels:
            named = decode(new, levels[column], pd.Series(dtype=object)).tolist()
            known = [
                None if missing else level
                for level, missing in zip(named, np.isnan(new), strict=True)
            ]
            series.append(type(old)(old.name, known, dtype=old.dtype))
        else:
            series.append(type(old)(old.name, new.copy()))
    return X.with_columns(series)


def _cast(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Convert the values of a column. Raise ValueError if one of them becomes infinite."""
    with np.errstate(over="ignore"):
        found = values.astype(dtype)
    if (np.isinf(found) & ~np.isinf(values)).any():
        raise ValueError(
            "Corrupted values are too large for single precision. Use a smaller strength, or "
            "float64 columns."
        )
    return found


def _check_codes(values: np.ndarray, column: int, n_levels: int) -> None:
    """Raise ValueError unless values are codes of levels, or NaN."""
    if not np.isin(values[~np.isnan(values)], np.arange(n_levels)).all():
        raise ValueError(
            f"Values of the categorical column {column} must be codes of its {n_levels} levels, or "
            "NaN. _fail_category must return values of x or of donors."
        )
