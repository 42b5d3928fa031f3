r"""Estimate the autocorrelation time of values in temporal order.

n values with the autocorrelation time :math:`\tau` are worth :math:`n / \tau` independent ones.
It is estimated from ranks,

.. math:: \hat \tau = 1 + 2 \sum_{L=1}^{W} \rho_L, \qquad
   \tau = \hat \tau \Bigl(1 + \sqrt{2 (2 W + 1) / n}\Bigr),

where :math:`\rho_L` is the autocorrelation of ranks at lag L, and W the smallest window with
:math:`W \ge 5 \hat \tau`. The square root is the relative standard error of :math:`\hat \tau`
(Sokal, A. (1997). Monte Carlo methods in statistical mechanics).
"""

import numpy as np
from scipy.stats import rankdata


def autocorrelation_time(values: np.ndarray) -> float:
    r"""Return the autocorrelation time of values in temporal order.

    Parameters
    ----------
    values : ndarray of shape (n_samples,)
        Values; those that are not finite are missing.

    Returns
    -------
    float
        Autocorrelation time :math:`\tau`, at least one, and the number of values if no window is
        wide enough.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.autocorrelation import autocorrelation_time
    >>> round(autocorrelation_time(np.repeat(np.random.RandomState(0).uniform(size=500), 10)))
    16
    """
    known = np.isfinite(values)
    n = int(known.sum())
    ranks = np.zeros(len(values))
    ranks[known] = rankdata(values[known]) - (n + 1) / 2
    if not ranks.any():
        return 1.0
    products, pairs = _sums_of_products(ranks), _sums_of_products(known.astype(float))
    autocorrelation = products / np.maximum(pairs, 1.0) * n / products[0]
    times = 2 * np.cumsum(autocorrelation) - 1
    wide_enough = np.flatnonzero(np.arange(len(times)) >= 5 * times)
    if not len(wide_enough):
        return float(n)
    window = wide_enough[0]
    error = np.sqrt(2 * (2 * window + 1) / n)
    return float(np.clip(times[window] * (1 + error), 1.0, n))


def longest_times(values: np.ndarray) -> np.ndarray:
    """Return the longest autocorrelation time of several quantities of each modality.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_modalities, n_quantities)
        Values in temporal order; those that are not finite are missing.

    Returns
    -------
    ndarray of shape (n_modalities,)
        Autocorrelation times.
    """
    times = [[autocorrelation_time(x) for x in own.T] for own in values.swapaxes(0, 1)]
    return np.max(times, axis=1)


def _sums_of_products(values: np.ndarray) -> np.ndarray:
    """Return the sum of products of values at each lag."""
    spectrum = np.abs(np.fft.rfft(values, 2 * len(values))) ** 2
    return np.fft.irfft(spectrum)[: len(values)]
