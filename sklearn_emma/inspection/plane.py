"""Grids over data of two columns, for the Displays that draw in their plane."""

from numbers import Integral, Real

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted


def make_grid(estimator, X, resolution, margin, who):
    """Lay a grid over rows of two columns.

    Parameters
    ----------
    estimator : estimator
        Fitted on two columns.
    X : array-like or DataFrame of shape (n_samples, 2)
        Rows.
    resolution : int
        Points in each direction.
    margin : float
        What is added on each side, as a fraction of the range of the rows.
    who : str
        What draws, for messages.

    Returns
    -------
    xx0, xx1 : ndarray of shape (resolution, resolution)
        Coordinates of the points.
    points : DataFrame or ndarray of shape (resolution ** 2, 2)
        The points as rows for the estimator.
    rows : ndarray of shape (n_samples, 2)
        The rows as an array.
    """
    check_is_fitted(estimator)
    n_columns = getattr(estimator, "n_features_in_", 2)
    rows = np.asarray(X, dtype=float)
    if n_columns != 2 or rows.ndim != 2 or rows.shape[1] != 2:
        raise ValueError(
            f"{who} draws the plane of two columns, but the estimator was fitted on {n_columns} "
            f"column(s) and X has shape {rows.shape}."
        )
    if isinstance(resolution, bool) or not isinstance(resolution, Integral) or resolution < 2:
        raise ValueError(f"grid_resolution={resolution!r} must be an integer of at least 2.")
    if isinstance(margin, bool) or not isinstance(margin, Real) or not margin >= 0:
        raise ValueError(f"margin={margin!r} must be a number that is not negative.")
    low, high = np.nanmin(rows, axis=0), np.nanmax(rows, axis=0)
    span = np.where(high > low, high - low, 1.0)
    axes = np.linspace(low - margin * span, high + margin * span, int(resolution))
    xx0, xx1 = np.meshgrid(axes[:, 0], axes[:, 1])
    points = np.column_stack([xx0.ravel(), xx1.ravel()])
    names = getattr(estimator, "feature_names_in_", None)
    return xx0, xx1, points if names is None else pd.DataFrame(points, columns=names), rows


def check_grid(xx0, xx1, **values):
    """Return coordinates and values as arrays of one shape (n_rows, n_columns)."""
    arrays = [np.asarray(a, dtype=float) for a in (xx0, xx1, *values.values())]
    shapes = {a.shape for a in arrays}
    if len(shapes) > 1 or arrays[0].ndim != 2:
        raise ValueError(
            f"xx0, xx1, {', '.join(values)} must be matrices of one shape, got shapes "
            f"{', '.join(str(a.shape) for a in arrays)}."
        )
    return arrays


def label_columns(ax, estimator_or_names):
    """Label both axes with the names of columns."""
    names = estimator_or_names
    names = ["column 0", "column 1"] if names is None else [str(name) for name in names]
    ax.set(xlabel=names[0], ylabel=names[1])


def draw_rows(ax, rows, color, **kwargs):
    """Draw at most two thousand rows as dots."""
    if rows is None:
        return None
    step = -(-len(rows) // 2000)
    return ax.scatter(*rows[::step].T, s=6, color=color, linewidths=0, **kwargs)
