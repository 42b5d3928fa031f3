"""What can be read off the columns before training: their scales, and the noise that suits them."""

import math

import numpy as np

from sklearn_emma.energy.views import EnergyView

# A value is extreme when it is so many ranges beyond the middle of the samples. The middle is nine
# tenths of them, so that heavy tails are not extreme; where those are equal, nearly all.
_EXTREME = 5.0
_MIDDLES = ((0.05, 0.95), (0.01, 0.99))
# Samples among which neighbours are looked for.
_N_ROWS = 2000
# The lowest level of noise that is found, for tables whose samples repeat; the highest level, one
# scale of the columns, at which modalities lose their structure.
_LOWEST, _HIGHEST = 0.03, 1.0


def mean_and_deviation(
    table: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and standard deviation of columns, NaN ignored.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Samples; every column holds a value.
    weight : ndarray of shape (n_samples,)
        Their weights.

    Returns
    -------
    mean, deviation : ndarray of shape (n_features,)
        NaN where a column holds no value.
    constant : ndarray of bool of shape (n_features,)
        Whether a column does not vary beyond rounding.
    """
    present = ~np.isnan(table)
    share = present * weight[:, None]
    total = share.sum(axis=0)
    total = np.where(total > 0, total, np.nan)
    mean = (np.where(present, table, 0.0) * share).sum(axis=0) / total
    # far from zero a plain sum of squares would cancel, and squares may overflow
    difference = np.where(present, table - mean, 0.0)
    largest = np.abs(difference).max(axis=0)
    largest[largest == 0] = 1.0
    deviation = largest * np.sqrt(((difference / largest) ** 2 * share).sum(axis=0) / total)
    return mean, deviation, deviation <= 10 * np.finfo(float).eps * np.abs(mean)


def limit_extreme_values(table: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the table with values beyond all bounds put on the bounds, for finding its scales.

    One code for "no reading", such as -9999, among the training samples would stretch the standard
    deviation of its column until nothing else is seen in it.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Samples, NaN where there is no value.
    weight : ndarray of shape (n_samples,)
        Their weights.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        The same values, none further from the middle samples than five times their range.
    """
    levels = sum(zip(*_MIDDLES, strict=True), ())
    lows, highs = np.split(quantiles_of_columns(table, weight, levels), 2)
    spread = highs - lows
    # narrowest first; quartiles apart by rounding only are the same
    varies = spread > 1e-9 * np.maximum(np.abs(lows), np.abs(highs))
    found, first = varies.any(axis=0), varies.argmax(axis=0)[None]
    low, high = (np.take_along_axis(q, first, axis=0)[0] for q in (lows, highs))
    reach = np.where(found, _EXTREME * (high - low), np.inf)
    return table.clip(low - reach, high + reach)


def column_scale(
    x: np.ndarray, weight: np.ndarray, scaling: str, least: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    r"""Centre and scale of columns, extreme values limited.

    "standard" is mean and standard deviation. "robust" is the median and the interquartile range in
    standard deviations of a normal distribution, :math:`IQR / 1.349`, but at least half a standard
    deviation: where most values are equal the quartiles say nothing.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_features)
        Training samples.
    weight : ndarray of shape (n_samples,)
        Their weights, of mean one.
    scaling : {"standard", "robust"}
        Which.
    least : ndarray of shape (n_features,), default=None
        The least scale of each column.

    Returns
    -------
    centre, scale : ndarray of shape (n_features,)
        The scale of a constant column is one.
    """
    if least is not None:
        centre, scale = column_scale(x, weight, scaling)
        return centre, np.maximum(scale, least)
    mean, scale, constant = mean_and_deviation(limit_extreme_values(x, weight), weight)
    scale = np.where(constant, 1.0, scale)
    if scaling == "standard":
        return mean, scale
    low, median, high = quantiles_of_columns(x, weight, (0.25, 0.5, 0.75))
    return median, np.where(constant, 1.0, np.maximum((high - low) / 1.349, 0.5 * scale))


def target_scale(y: np.ndarray, weight: np.ndarray, loss: str) -> tuple[np.ndarray, np.ndarray]:
    r"""Centre and scale of what a regression predicts.

    Mean and standard deviation for the squared error. For the others the median and the
    interquartile range in standard deviations of a normal distribution, :math:`IQR / 1.349`,
    however few extreme values have whatever size; the standard deviation where the quartiles are
    the same.

    Parameters
    ----------
    y : ndarray of shape (n_samples, n_outputs)
        Values, none missing.
    weight : ndarray of shape (n_samples,)
        Weights of the samples.
    loss : str
        "squared_error" or another.

    Returns
    -------
    centre, scale : ndarray of shape (n_outputs,)
        The scale of a constant output is one.
    """
    mean, deviation, constant = mean_and_deviation(y, weight)
    deviation = np.where(constant, 1.0, deviation)
    if loss == "squared_error":
        return mean, deviation
    low, median, high = quantiles_of_columns(y, weight, (0.25, 0.5, 0.75))
    spread = (high - low) / 1.349
    # quartiles apart by rounding only are the same
    return median, np.where(constant | (spread <= 1e-10 * deviation), deviation, spread)


def quantiles_of_columns(
    x: np.ndarray, weight: np.ndarray, levels: tuple[float, ...]
) -> np.ndarray:
    """Weighted quantiles of columns, NaN ignored, as numpy's where the weights are equal.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_features)
        Samples.
    weight : ndarray of shape (n_samples,)
        Their weights.
    levels : tuple of float of length n_levels
        Between zero and one, in order.

    Returns
    -------
    ndarray of shape (n_levels, n_features)
        The quantiles; NaN for a column without values.
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


def noise_range(z: np.ndarray, view: EnergyView, seed: int) -> tuple[float, float]:
    r"""Levels of noise that suit a table.

    What "auto" begins with is the distance from a sample to its nearest neighbour, per column,
    :math:`\sigma_{low} = \mathrm{median}\, d_1 / \sqrt{D}`: less noise would teach each sample by
    itself, and much more would blur what many samples show.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_features)
        Training samples in the coordinates of the view.
    view : EnergyView
        What the user asks for.
    seed : int
        Chooses the samples among which neighbours are looked for, when there are many.

    Returns
    -------
    low, high : float
        Standard deviations of the noise.
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
    from sklearn.neighbors import NearestNeighbors  # takes longer to import than the package

    distances, _ = NearestNeighbors(n_neighbors=1).fit(z).kneighbors()
    low = float(np.median(distances)) / math.sqrt(z.shape[1])
    low = min(max(low, _LOWEST), _HIGHEST)
    return low, min(view.noise_ratio * low, _HIGHEST)
