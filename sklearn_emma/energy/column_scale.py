"""Compute the scales of columns, and the noise levels for training, from the training samples."""

import math

import numpy as np

from sklearn_emma.energy.views import EnergyView

# A value is extreme if its distance from the central 90 % of the samples is more than this many
# times their range, so that heavy tails are not extreme. If these are all equal, the central 98 %
# are used.
_EXTREME = 5.0
_MIDDLES = ((0.05, 0.95), (0.01, 0.99))
# Largest number of samples for the search of nearest neighbors.
_N_ROWS = 2000
# If fewer than this fraction of the samples are distinct, the columns have few values, and the
# distance between these is no measure of noise.
_FEWEST_DISTINCT = 0.25
# Limits of "auto" noise. The lowest level is for tables with few distinct samples. The highest
# level is one scale of the columns, at which modalities lose their structure.
_LOWEST, _HIGHEST = 0.03, 1.0


def mean_and_deviation(
    table: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the weighted mean and standard deviation of columns, ignoring NaN.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Samples. NaN marks missing values.
    weight : ndarray of shape (n_samples,)
        Sample weights.

    Returns
    -------
    mean, deviation : ndarray of shape (n_features,)
        Mean and standard deviation, NaN for a column without values.
    constant : ndarray of bool of shape (n_features,)
        Whether a column is constant up to rounding.
    """
    present = ~np.isnan(table)
    share = present * weight[:, None]
    # not by the deviation, which for a constant column is the rounding error of the mean
    low = table.min(axis=0, where=share > 0, initial=np.inf)
    high = table.max(axis=0, where=share > 0, initial=-np.inf)
    constant = (low <= high) & _equal_up_to_rounding(low, high)
    total = share.sum(axis=0)
    total = np.where(total > 0, total, np.nan)
    mean = (np.where(present, table, 0.0) * share).sum(axis=0) / total
    mean = np.where(constant, low, mean)  # without rounding errors
    # avoid the cancellation of a plain sum of squares, and overflow
    difference = np.where(present, table - mean, 0.0)
    largest = np.abs(difference).max(axis=0)
    largest[largest == 0] = 1.0
    deviation = largest * np.sqrt(((difference / largest) ** 2 * share).sum(axis=0) / total)
    return mean, deviation, constant


def _equal_up_to_rounding(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return whether the values of two arrays differ by rounding errors only."""
    largest = np.maximum(np.abs(low), np.abs(high))
    # halves, because the difference may be too large for a floating point number
    return high / 2 - low / 2 <= 5.0 * np.finfo(float).eps * largest


def limit_extreme_values(table: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Clip extreme values of a table, before its scales are computed.

    Otherwise, a single code for "no reading" such as -9999 would inflate the standard deviation of
    its column so much that all other variation becomes negligible.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Samples. NaN marks missing values.
    weight : ndarray of shape (n_samples,)
        Sample weights.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        Values, clipped to a distance of five times the range of the central samples.
    """
    levels = sum(zip(*_MIDDLES, strict=True), ())
    lows, highs = np.split(quantiles_of_columns(table, weight, levels), 2)
    spread = highs - lows
    # use the narrowest range that is not zero, up to rounding
    varies = spread > 1e-9 * np.maximum(np.abs(lows), np.abs(highs))
    found, first = varies.any(axis=0), varies.argmax(axis=0)[None]
    low, high = (np.take_along_axis(q, first, axis=0)[0] for q in (lows, highs))
    reach = np.where(found, _EXTREME * (high - low), np.inf)
    return table.clip(low - reach, high + reach)


def column_scale(
    x: np.ndarray, weight: np.ndarray, scaling: str, least: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Return center and scale of columns, after clipping extreme values.

    "standard" uses mean and standard deviation. "robust" uses the median and the interquartile
    range, converted to a standard deviation by :math:`IQR / 1.349`, but at least half a standard
    deviation, as the interquartile range is useless if most values are equal.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_features)
        Training samples.
    weight : ndarray of shape (n_samples,)
        Sample weights with a mean of one.
    scaling : {"standard", "robust"}
        Kind of scaling.
    least : ndarray of shape (n_features,), default=None
        Smallest scale of each column.

    Returns
    -------
    center, scale : ndarray of shape (n_features,)
        Center and scale of each column. The scale of a constant column is one.
    """
    if least is not None:
        center, scale = column_scale(x, weight, scaling)
        return center, np.maximum(scale, least)
    mean, scale, constant = mean_and_deviation(limit_extreme_values(x, weight), weight)
    scale = np.where(constant, 1.0, scale)
    if scaling == "standard":
        return mean, scale
    low, median, high = quantiles_of_columns(x, weight, (0.25, 0.5, 0.75))
    return median, np.where(constant, 1.0, np.maximum((high - low) / 1.349, 0.5 * scale))


def target_scale(y: np.ndarray, weight: np.ndarray, loss: str) -> tuple[np.ndarray, np.ndarray]:
    r"""Return center and scale of the targets of a regression.

    For the squared error these are mean and standard deviation. For other losses they are the
    median and the interquartile range, converted to a standard deviation by :math:`IQR / 1.349`,
    which are robust to extreme values. If the quartiles are equal, the standard deviation is used.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_outputs)
        Targets without missing values.
    weight : ndarray of shape (n_samples,)
        Weights of the samples.
    loss : str
        Name of the loss, such as "squared_error".

    Returns
    -------
    center, scale : ndarray of shape (n_outputs,)
        Center and scale of each output. The scale of a constant output is zero.
    """
    mean, deviation, constant = mean_and_deviation(y, weight)
    deviation = np.where(constant, 0.0, deviation)
    if loss == "squared_error":
        return mean, deviation
    low, median, high = quantiles_of_columns(y, weight, (0.25, 0.5, 0.75))
    spread = (high - low) / 1.349
    # whatever the extreme values are
    useless = constant | _equal_up_to_rounding(low, high)
    return median, np.where(useless, deviation, spread)


def quantiles_of_columns(
    x: np.ndarray, weight: np.ndarray, levels: tuple[float, ...]
) -> np.ndarray:
    """Return weighted quantiles of columns, ignoring NaN.

    If all weights are equal and there is no NaN, they are those of :func:`numpy.quantile`.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_features)
        Samples.
    weight : ndarray of shape (n_samples,)
        Sample weights.
    levels : tuple of float of length n_levels
        Levels between zero and one, in ascending order.

    Returns
    -------
    ndarray of shape (n_levels, n_features)
        Quantiles, NaN for a column without values.
    """
    if (weight == weight[0]).all() and not np.isnan(x).any():
        return np.quantile(x, levels, axis=0)
    quantiles = np.full((len(levels), x.shape[1]), np.nan)
    for j, column in enumerate(x.T):
        order = np.argsort(column)[: np.count_nonzero(~np.isnan(column))]  # NaN comes last
        if len(order) == 0:
            continue
        share = weight[order]
        rank = (np.cumsum(share) - 0.5 * share) / share.sum()
        quantiles[:, j] = np.interp(levels, rank, column[order])
    return quantiles


def medians_of_columns(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return weighted medians of columns, ignoring NaN.

    If all weights are equal, they are those of :func:`numpy.nanmedian`.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_features)
        Samples, with at least one value per column.
    weight : ndarray of shape (n_samples,)
        Sample weights.

    Returns
    -------
    ndarray of shape (n_features,)
        Medians.
    """
    if (weight == weight[0]).all():
        return np.nanmedian(x, axis=0)
    return quantiles_of_columns(x, weight, (0.5,))[0]


def noise_range(z: np.ndarray, view: EnergyView, seed: int) -> tuple[float, float]:
    r"""Return the range of noise levels for training.

    The lowest level of "auto" is the distance from a sample to its nearest neighbor, per column,
    :math:`\sigma_{low} = \mathrm{median}\, d_1 / \sqrt{D}`. Less noise would overfit to single
    samples, and much more noise would blur the structure of the data. Repeated samples, as in a
    bootstrap sample, count once, unless there are only a few distinct ones.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_features)
        Training samples in the coordinates of the view.
    view : EnergyView
        View with the requested noise.
    seed : int
        Seed of the random choice of samples for the search of neighbors, if there are many.

    Returns
    -------
    low, high : float
        Lowest and highest standard deviation of the noise.
    """
    if isinstance(view.noise, (tuple, list)):
        low, high = view.noise
        return float(low), float(high)
    if view.noise != "auto":
        return float(view.noise), float(view.noise)
    if len(z) < 2:
        return _HIGHEST, _HIGHEST
    if len(z) > _N_ROWS:
        z = z[np.random.RandomState(seed).permutation(len(z))[:_N_ROWS]]
    distinct = np.unique(z, axis=0)
    if max(_FEWEST_DISTINCT * len(z), 2) <= len(distinct) < len(z):
        z = distinct
    from sklearn.neighbors import NearestNeighbors  # takes longer to import than the package

    distances, _ = NearestNeighbors(n_neighbors=1).fit(z).kneighbors()
    low = float(np.median(distances)) / math.sqrt(z.shape[1])
    low = min(max(low, _LOWEST), _HIGHEST)
    return low, min(view.noise_ratio * low, _HIGHEST)
