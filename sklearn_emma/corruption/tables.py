"""Arrays and DataFrames as tensors, and back."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_array
from torch import Tensor


def is_frame(X: Any) -> bool:
    """Tell whether a table is a DataFrame, of pandas or polars."""
    return hasattr(X, "columns")


def read_modalities(X: Any, columns: Sequence[np.ndarray], name: str = "X") -> list[Tensor]:
    """Read the modalities of a table as tensors of their own memory.

    Parameters
    ----------
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table.
    columns : list of ndarray of shape (n_features_i,)
        Column positions of each modality.
    name : str, default="X"
        What the table is called in messages.

    Returns
    -------
    list of Tensor of shape (n_samples, n_features_i)
        One tensor per modality, float32 if the table is, otherwise float64.
    """
    used = np.concatenate(columns)
    if hasattr(X, "iloc"):
        block = X.iloc[:, used]
    elif is_frame(X):
        block = X[:, used.tolist()]
    else:
        block = check_array(X, dtype=None, ensure_all_finite=False, input_name=name)[:, used]
    block = check_array(
        block,
        dtype=[np.float64, np.float32],
        ensure_all_finite="allow-nan",
        input_name=name,
        copy=True,
    )
    return list(torch.from_numpy(block).split([len(c) for c in columns], dim=1))


def check_reference(reference: Any, X: Any) -> None:
    """Raise ValueError if the reference samples are not a table like X.

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


def replace_columns(X: Any, columns: np.ndarray, values: np.ndarray) -> Any:
    """Copy a table with new values in some columns.

    Parameters
    ----------
    X : ndarray or DataFrame of shape (n_samples, n_features)
        The table, left as it is.
    columns : ndarray of int of shape (n_used,)
        Positions of the columns to replace.
    values : ndarray of shape (n_samples, n_used)
        Their values.

    Returns
    -------
    ndarray or DataFrame of shape (n_samples, n_features)
        Of the type of `X`. Columns of a DataFrame in float32 stay so.
    """
    if not is_frame(X):
        X = X.copy()
        X[:, columns] = values
        return X
    if hasattr(X, "isetitem"):
        X = X.copy()
        for column, new in zip(columns, values.T, strict=True):
            dtype = np.float32 if X.dtypes.iloc[column] == np.float32 else values.dtype
            X.isetitem(column, new.astype(dtype))
        return X
    series = [X.to_series(int(column)) for column in columns]
    return X.with_columns(
        [type(old)(old.name, new.copy()) for old, new in zip(series, values.T, strict=True)]
    )
