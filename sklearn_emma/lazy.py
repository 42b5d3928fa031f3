"""Support of dask arrays and DataFrames, which may be larger than memory.

A method that returns one row per sample is applied to each chunk separately. It begins with::

    if is_lazy(X):
        return map_chunks(self.method, X)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import is_classifier
from sklearn.metrics import accuracy_score, r2_score

from sklearn_emma.compat import _get_output_config


def is_lazy(X: Any) -> bool:
    """Return whether a table is a dask array or DataFrame.

    Parameters
    ----------
    X : object
        Any table.

    Returns
    -------
    bool
        True if :func:`map_chunks` accepts the table.
    """
    return type(X).__module__.startswith(("dask.array", "dask.dataframe", "dask_expr"))


def load(X: Any) -> Any:
    """Compute a dask table, which must fit in memory, and return other tables unchanged.

    Parameters
    ----------
    X : object
        Any table.

    Returns
    -------
    ndarray, DataFrame, or the type of X
        The table.
    """
    return X.compute() if is_lazy(X) else X


class LazyScore:
    """Mixin that scores the predictions of dask tables too, whose chunk sizes may be unknown."""

    predict: Callable[[Any], Any]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Score the predictions of samples: accuracy, or R2 of a regressor.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples; NaN marks missing values.
        y : array-like of shape (n_samples,)
            True labels or values.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        float
            Accuracy or R2.
        """
        metric = accuracy_score if is_classifier(self) else r2_score
        # the predictions fit in memory, even if the samples do not
        predicted, y, sample_weight = map(load, (self.predict(X), y, sample_weight))
        return float(metric(y, predicted, sample_weight=sample_weight))


def map_chunks(method: Callable[[Any], np.ndarray], X: Any, evidence: Any = None) -> Any:
    """Apply a method lazily to each chunk of a dask table.

    Parameters
    ----------
    method : callable
        Method that takes a table of any length and returns an array with one row per sample. It is
        called once with a sample of zeros, to find the shape of its rows and to check the columns.
    X : dask Array or dask DataFrame of shape (n_samples, n_features)
        The table.
    evidence : None
        Additional evidence that was passed to the caller. It is not supported.

    Returns
    -------
    dask Array of shape (n_samples, ...)
        Result with one chunk per chunk of samples. Chunk sizes are unknown if those of `X` are
        unknown, as in DataFrames.

    Raises
    ------
    ValueError
        If evidence is given, if X does not have two dimensions, or if the columns are not those of
        fit.
    """
    if evidence is not None:
        raise ValueError(
            "evidence was given with a table of dask. Give it with samples in memory, for instance "
            "those of one partition, X.partitions[0].compute()."
        )
    if X.ndim != 2:
        raise ValueError(f"X must have two dimensions, (n_samples, n_features), got {X.ndim}.")
    rows = np.asarray(method(_one_sample(X)))[:0]
    of_chunk = _OfChunk(method, rows)
    if hasattr(X, "map_partitions"):
        return X.map_partitions(of_chunk, meta=rows)
    X = X.rechunk({1: -1})  # all columns of a sample in one chunk
    if rows.ndim == 1:
        return X.map_blocks(of_chunk, drop_axis=1, dtype=rows.dtype, meta=rows)
    chunks = X.chunks[0], rows.shape[1:]
    return X.map_blocks(of_chunk, chunks=chunks, dtype=rows.dtype, meta=rows)


def refuse_container(transformer: Any, X: Any) -> None:
    """Raise an error if a transformer should return DataFrames, but the table is lazy.

    scikit-learn would load the result, and lose the index.

    Parameters
    ----------
    transformer : transformer
        Transformer that is about to transform the table.
    X : object
        Any table.

    Raises
    ------
    ValueError
        If a container was chosen by ``set_output`` or by the configuration of scikit-learn.
    """
    if not is_lazy(X):
        return
    container = _get_output_config("transform", transformer)["dense"]
    if container != "default":
        raise ValueError(
            f"transform returns a dask array for a table of dask, so its output cannot be "
            f'{container!r}. Set it to "default", or transform the partitions, as in '
            "X.map_partitions(transformer.transform)."
        )


@dataclass(frozen=True)
class _OfChunk:
    """Function that applies a method to a chunk, which may be empty."""

    method: Callable[[Any], np.ndarray]
    rows: np.ndarray

    def __call__(self, chunk: Any) -> np.ndarray:
        return np.asarray(self.method(chunk)) if len(chunk) else self.rows


def _one_sample(X: Any) -> Any:
    """Return a table with one sample of zeros and the columns of a dask table."""
    if not hasattr(X, "columns"):
        return np.zeros((1, X.shape[1]), dtype=X.dtype)
    single = all(dtype == np.float32 for dtype in X.dtypes)
    zeros = np.zeros((1, len(X.columns)), dtype=np.float32 if single else np.float64)
    return pd.DataFrame(zeros, columns=X.columns)
