"""Tables as users have them: masked arrays, tensors, columns of anything."""

from typing import Any

import numpy as np
import torch
from scipy.sparse import issparse

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
    """Find the columns that an estimator leaves out, before it has validated the table.

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
        return kind(
            f"X must hold numbers, but column(s) {_listed(guilty)} hold something else: "
            f"{str(error).partition('. ')[0]}. Encode them as numbers first, for instance with "
            "sklearn.preprocessing.OneHotEncoder, or leave them out."
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
        "without it, pass them as missing: X.reindex(columns=estimator.feature_names_in_) adds "
        "columns of NaN to a pandas DataFrame."
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
