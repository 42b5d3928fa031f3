"""Tables with closed modalities, and predictions from such tables."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from sklearn_emma.gate.objective import NOTHING_LEFT

#: Masks with a smaller weight are left out of the mean over thresholds, to save predictions.
_NEGLIGIBLE = 0.01


def close_modalities(
    table: np.ndarray, columns: Sequence[np.ndarray], closed: np.ndarray
) -> np.ndarray:
    """Return a copy of a table in which the values of closed modalities are NaN.

    Parameters
    ----------
    table : ndarray of float of shape (n_samples, n_features)
        The table.
    columns : sequence of ndarray of int
        Positions of the columns of each modality.
    closed : ndarray of bool of shape (n_samples, n_modalities)
        True if the modality is closed.

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
    """Return a copy of a table in which values without attention are NaN.

    Parameters
    ----------
    table : ndarray of float of shape (n_samples, n_features)
        The table.
    columns : sequence of ndarray of int
        Positions of the columns of each modality.
    attention : ndarray of shape (n_samples, n_used_features)
        Attention to the columns that belong to a modality, in the order of the table.

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
    """Yield masks of closed modalities, for one threshold or for all thresholds.

    Parameters
    ----------
    attention : ndarray of shape (n_samples, n_modalities)
        Attention to each modality, from 0 to 1.
    threshold : float or "mean"
        Modalities whose attention is at most this threshold are closed. "mean" means all thresholds
        below the highest attention of the sample. A modality is open for a fraction of them, which
        is its attention divided by the highest attention.

    Yields
    ------
    weight : ndarray of shape (n_samples,)
        Fraction of the thresholds that give this mask. The weights of a sample sum to one.
    closed : ndarray of bool of shape (n_samples, n_modalities)
        The mask: True if the modality is closed.
    """
    if not isinstance(threshold, str):
        yield np.ones(len(attention)), attention <= threshold
        return
    edges = np.sort(np.column_stack([attention, np.zeros(len(attention))]), axis=1)
    # fraction of the thresholds between successive edges; above the highest, all are closed
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
    """Return the weighted mean of the predictions for all masks of closed modalities.

    Parameters
    ----------
    predict : callable
        Function that takes a table with NaN in closed modalities, and returns predictions of shape
        (n_rows, ...).
    table : ndarray of float of shape (n_samples, n_features)
        The table.
    columns : sequence of ndarray of int
        Positions of the columns of each modality.
    attention : ndarray of shape (n_samples, n_modalities)
        Attention to each modality, from 0 to 1.
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
    """Draw which modalities of each sample are closed.

    Of M modalities, 1 to M - 1 are closed, and sometimes all of them. A single modality is never
    closed.

    Parameters
    ----------
    n_samples, n_modalities : int
        Number of samples, and number M of modalities.
    random_state : RandomState
        Random number generator.

    Returns
    -------
    ndarray of bool of shape (n_samples, n_modalities)
        True if the modality is closed.
    """
    n_closed = random_state.randint(1, max(n_modalities, 2), size=n_samples)
    n_closed[random_state.uniform(size=n_samples) < NOTHING_LEFT] = n_modalities
    if n_modalities == 1:
        n_closed[:] = 0
    rank = random_state.uniform(size=(n_samples, n_modalities)).argsort(axis=1).argsort(axis=1)
    return rank < n_closed[:, None]
