"""Conversion of tables of other libraries to pandas.

Some versions of scikit-learn do not support the tables of some libraries. Then they neither learn
nor check the column names.
"""

from typing import Any

import pandas as pd

# Types of polars whose columns NumPy cannot hold in one dimension.
_NOT_NUMPY = ("Array", "Struct", "Int128", "UInt128")


def frame_of_arrow(X: Any) -> Any:
    """Convert a pyarrow table or column to pandas, and return other objects unchanged.

    Parameters
    ----------
    X : object
        Any table.

    Returns
    -------
    DataFrame, Series, or the type of X
        Table with the same values. Null is converted to NaN.
    """
    return X.to_pandas() if type(X).__module__.startswith("pyarrow.") else X


def pandas_frame(X: Any) -> Any:
    """Convert a pyarrow or polars table to pandas, and return other objects unchanged.

    Parameters
    ----------
    X : object
        Any table.

    Returns
    -------
    DataFrame of shape (n_samples, n_features), or the type of X
        Table with the same values. Null is converted to NaN in numeric columns, and to None in
        other columns.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.frames import pandas_frame
    >>> pandas_frame(np.array([[1.0, 2.0]]))
    array([[1., 2.]])
    """
    if hasattr(X, "with_columns") and hasattr(X, "to_numpy"):
        return pd.DataFrame({name: _pandas_column(X[name]) for name in X.columns})
    return frame_of_arrow(X)


def _pandas_column(column: Any) -> Any:
    """Convert a column of polars to a categorical if it is one, and otherwise to an array."""
    kind = str(column.dtype).partition("(")[0]
    if kind in _NOT_NUMPY:
        return pd.Series(column.to_list(), dtype=object)
    values = column.to_numpy()
    return pd.Categorical(values) if kind in ("Categorical", "Enum") else values
