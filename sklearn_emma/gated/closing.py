"""Tables with closed modalities, and predictions behind such masks."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from sklearn_emma.gate.objective import NOTHING_LEFT

#: Weights of a mean over thresholds that are too small to pay for a prediction.
_NEGLIGIBLE = 0.01


def close_modalities(
    table: np.ndarray, columns: Sequence[np.ndarray], closed: np.ndarray
) -> np.ndarray:
    """Return a copy of a table with NaN in closed modalities.

    Parameters
    ----------
    table : ndarray of float of shape (n_samples, n_features)
        The table.
    columns : sequence of ndarray of int
        Positions of the columns of each modality.
    closed : ndarray of bool of shape (n_samples, n_modalities)
        True where a modality is closed.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        The copy.
    """
    table = table.copy()
    for positions, rows in zip(columns, closed.T, strict=True):
        table[np.ix_(rows, positions)] = np.nan
    return table


def leave_out_columns(
    table: np.ndarray, columns: Sequence[np.ndarray], attention: np.ndarray
) -> np.ndarray:
    """Return a copy of a table with NaN in columns without attention.

    Parameters
    ----------
    table : ndarray of float of shape (n_samples, n_features)
        The table.
    columns : sequence of ndarray of int
        Positions of the columns of each modality.
    attention : ndarray of shape (n_samples, n_used_features)
        Attention to the columns of modalities, in the order of the table.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        The copy.
    """
    table = table.copy()
    used = np.sort(np.concatenate(columns))
    table[:, used] = np.where(attention > 0, table[:, used], np.nan)
    return table


def masks(attention: np.ndarray, threshold: float | str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Find the closed modalities, at one threshold or at all of them.

    Parameters
    ----------
    attention : ndarray of shape (n_samples, n_modalities)
        From 0 to 1.
    threshold : float or "mean"
        Modalities of at most this attention are closed. "mean" goes through all thresholds below
        the highest attention of a sample: the share of them at which a modality is open is its
        attention, divided by the highest one.

    Yields
    ------
    weight : ndarray of shape (n_samples,)
        Share of thresholds with this mask; of a sample all weights add up to one.
    closed : ndarray of bool of shape (n_samples, n_modalities)
        The mask.
    """
    if not isinstance(threshold, str):
        yield np.ones(len(attention)), attention <= threshold
        return
    edges = np.sort(np.column_stack([attention, np.zeros(len(attention))]), axis=1)
    # the share of thresholds between one edge and the next; above the highest all are closed
    share = np.diff(edges, axis=1)
    share = np.where(share < _NEGLIGIBLE, 0.0, share)
    total = share.sum(axis=1)
    nothing = total == 0  # all attention is negligible
    for lower, weight in zip(edges.T, share.T, strict=False):
        weight = weight / np.where(nothing, 1.0, total)
        yield weight, attention <= lower[:, None]
    yield nothing.astype(float), np.ones(attention.shape, dtype=bool)


def mean_over_masks(
    predict: Callable[[np.ndarray], np.ndarray],
    table: np.ndarray,
    columns: Sequence[np.ndarray],
    attention: np.ndarray,
    threshold: float | str,
) -> np.ndarray:
    """Return the mean of the predictions behind each mask.

    Parameters
    ----------
    predict : callable
        Gives predictions (n_rows, ...) for a table with NaN in closed modalities.
    table : ndarray of float of shape (n_samples, n_features)
        The table.
    columns : sequence of ndarray of int
        Positions of the columns of each modality.
    attention : ndarray of shape (n_samples, n_modalities)
        From 0 to 1.
    threshold : float or "mean"
        As for :func:`masks`.

    Returns
    -------
    ndarray of shape (n_samples, ...)
        Mean predictions.
    """
    total: Any = None
    for weight, closed in masks(attention, threshold):
        rows = weight > 0
        if not rows.any():
            continue
        output = predict(close_modalities(table[rows], columns, closed[rows]))
        if total is None:
            total = np.zeros((len(table), *output.shape[1:]))
        total[rows] += weight[rows].reshape(-1, *[1] * (output.ndim - 1)) * output
    return total


def draw_closed(
    n_samples: int, n_modalities: int, random_state: np.random.RandomState
) -> np.ndarray:
    """Draw which modalities of which samples are closed: 1 to M - 1 of M, and sometimes all.

    Parameters
    ----------
    n_samples, n_modalities : int
        Number of samples and of modalities M.
    random_state : RandomState
        Source of random numbers.

    Returns
    -------
    ndarray of bool of shape (n_samples, n_modalities)
        True where a modality is closed.
    """
    n_closed = random_state.randint(1, max(n_modalities, 2), size=n_samples)
    n_closed[random_state.uniform(size=n_samples) < NOTHING_LEFT] = n_modalities
    if n_modalities == 1:
        n_closed[:] = 0
    rank = random_state.uniform(size=(n_samples, n_modalities)).argsort(axis=1).argsort(axis=1)
    return rank < n_closed[:, None]
