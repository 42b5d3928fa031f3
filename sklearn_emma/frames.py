"""Tables of other libraries as those of pandas.

scikit-learn knows the tables of some libraries, in some versions: where it does not, it neither
learns their column names nor checks them.
"""

from typing import Any

import pandas as pd


def frame_of_arrow(X: Any) -> Any:
    """Return a pyarrow table or column as one of pandas, and anything else as it is.

    Parameters
    ----------
    X : object
        Any table.

    Returns
    -------
    DataFrame, Series, or the type of X
        The same values; null is NaN.
    """
    return X.to_pandas() if type(X).__module__.startswith("pyarrow.") else X


def pandas_frame(X: Any) -> Any:
    """Return a table of pyarrow or polars as one of pandas, and anything else as it is.

    Parameters
    ----------
    X : object
        Any table.

    Returns
    -------
    DataFrame of shape (n_samples, n_features), or the type of X
        The same values; null is NaN among numbers, and None elsewhere.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.frames import pandas_frame
    >>> pandas_frame(np.array([[1.0, 2.0]]))
    array([[1., 2.]])
    """
    if hasattr(X, "with_columns") and hasattr(X, "to_numpy"):
        return pd.DataFrame({name: X[name].to_numpy() for name in X.columns})
    return frame_of_arrow(X)
