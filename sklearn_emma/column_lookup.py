"""Conversion of the column specification of a modality to column positions."""

import difflib
from collections.abc import Iterable
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd

from sklearn_emma.compat import _get_column_indices


def _as_plain(columns: Any) -> Any:
    """Convert indexes, series, arrays and ranges to lists, and array scalars to scalars."""
    for method in ("tolist", "to_list"):
        if hasattr(columns, method):
            return getattr(columns, method)()
    return list(columns) if isinstance(columns, range) else columns


def find_columns(
    name: str, columns: Any, X: Any, n_columns: int, column_names: list[str] | None
) -> list[int]:
    """Find the positions of the columns of a modality.

    Parameters
    ----------
    name : str
        Name of the modality, for error messages.
    columns : str, int, slice, list, array or range
        Specification of the columns by the user.
    X : DataFrame or array-like of shape (n_samples, n_columns)
        The data.
    n_columns : int
        Number of columns of the data.
    column_names : list of str or None
        Names of the columns of the data, or None if not all of them are strings.

    Returns
    -------
    list of int
        Column positions.

    Raises
    ------
    ValueError
        If the specification does not match the columns of the data.
    """
    columns = _as_plain(columns)
    if isinstance(columns, slice):
        if columns.start is columns.stop is None:
            return list(range(n_columns))[columns]
        requested = [end for end in (columns.start, columns.stop) if end is not None]
    else:
        requested = list(columns) if isinstance(columns, (list, tuple)) else [columns]

    if requested and all(isinstance(column, str) for column in requested):
        _check_known(name, requested, X, column_names)
        # only names are needed, and scikit-learn does not support the tables of all libraries
        return _get_column_indices(pd.DataFrame(columns=column_names), columns)
    if requested and all(isinstance(column, (bool, np.bool_)) for column in requested):
        if len(requested) != n_columns or not isinstance(columns, (list, tuple)):
            raise ValueError(
                f"Modality {name!r}: a boolean mask needs one entry per column, expected "
                f"{n_columns}, got {len(requested)}."
            )
    elif all(isinstance(column, Integral) and not isinstance(column, bool) for column in requested):
        outside = [i for i in requested if not -n_columns <= i < n_columns]
        if outside and not isinstance(columns, slice):
            raise ValueError(
                f"Modality {name!r}: position {listed(outside)} is out of range. The data "
                f"have {n_columns} column(s), at positions 0 to {n_columns - 1}."
            )
    else:
        raise ValueError(
            f"Modality {name!r}: {columns!r} is not a valid choice of columns. Expected names, "
            "positions (integers), a slice of either, a boolean mask, or a callable that returns "
            "one of these; names and positions cannot be mixed."
        )
    # For positions, only the number of columns matters. With a DataFrame, repeated names would be
    # an error.
    return _get_column_indices(np.empty((0, n_columns)), columns)


def _check_known(name: str, requested: list[str], X: Any, column_names: list[str] | None) -> None:
    """Check that the names of one modality's columns are names of the data's columns."""
    if column_names is None:
        raise ValueError(
            f"Modality {name!r} names its columns ({listed(requested)}), but {why_no_names(X)}"
        )
    unknown = [column for column in requested if column not in column_names]
    if unknown:
        close = difflib.get_close_matches(unknown[0], column_names, n=1)
        advice = f"Did you mean {close[0]!r}?" if close else "Check the spelling."
        if name in column_names:
            advice = "Give each modality its columns, and not each column its modality."
        raise ValueError(
            f"Modality {name!r}: unknown column(s) {listed(unknown)}. {advice} The data "
            f"have the columns {listed(column_names)}."
        )
    repeated = [column for column in requested if column_names.count(column) > 1]
    if repeated:
        raise ValueError(
            f"Modality {name!r}: the data have several columns named {listed(repeated)}. "
            "Rename them, or use column positions."
        )


def why_no_names(X: Any) -> str:
    """Return the end of an error message about missing column names, with advice.

    Parameters
    ----------
    X : DataFrame or array-like of shape (n_samples, n_columns)
        The data.

    Returns
    -------
    str
        Text that follows "..., but " in the message.
    """
    other = [name for name in getattr(X, "columns", ()) if not isinstance(name, str)]
    if not other:
        return (
            "the data have no column names that are strings. Pass a pandas or polars DataFrame, or "
            "use column positions."
        )
    rename = "X.columns.astype(str)"
    if isinstance(other[0], tuple):
        rename = '["__".join(map(str, name)) for name in X.columns]'
    return (
        f"the data have the column name {other[0]!r}, of type {type(other[0]).__name__}. Rename "
        f"the columns of the DataFrame, X.columns = {rename}, or use column positions."
    )


def listed(items: Iterable, limit: int = 8) -> str:
    """Return a comma-separated list of the first items.

    Parameters
    ----------
    items : iterable of object
        The items.
    limit : int, default=8
        Largest number of items in the list.

    Returns
    -------
    str
        The list, with the number of further items if there are more than `limit`.
    """
    texts = [repr(item) for item in items]
    if len(texts) > limit:
        return f"{', '.join(texts[:limit])} and {len(texts) - limit} more"
    return ", ".join(texts)
