r"""Detect saturated sensors by recurring values.

A saturated sensor often returns the limit of its range, while its other values are
ordinary. A feature *recurs* if it has the same value as in one of the last eight samples. That at
least one feature of a modality recurs is rare in clean samples
(:mod:`sklearn_emma.monitoring.rare_events`). Its probability f is the larger of two upper bounds,
each two standard errors above an estimate: from the c of n clean samples that recur, and from the d
pairs of clean samples in which a feature of the modality has equal values (summed over its
features):

.. math:: f = \max\left(\frac{c + 1 + 2 \sqrt{c + 1}}{n + 2},\;
    8\, \frac{d + 1 + 2 \sqrt{d + 1}}{n (n - 1) / 2}\right).

Features of quantized sensors, and features with a resting value, recur while the process does not
change. They are recognized by equal values among the clean samples, in any order, and are ignored.
"""

import numpy as np

from sklearn_emma.monitoring.rare_events import EXPECTED_RATE, e_value_of_event, upper_rate
from sklearn_emma.monitoring.statistics import SampleStatistics

# Number of previous samples with which a value is compared.
_WINDOW = 8
# A feature is ignored if the number of its clean values that occur several times exceeds both this
# fraction of them and this number, or if it has fewer values than this.
_EQUAL, _FEW, _FEWEST = 0.01, 4, 30


class Recurrence:
    """E-values of saturation, from recurring values.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_features)
        Standardized clean samples. NaN marks missing values.
    statistics : SampleStatistics
        Which features belong to which modality.

    Attributes
    ----------
    features_ : ndarray of bool of shape (n_features,)
        True for features that are used, which rarely have equal values in clean samples.
    rates_ : ndarray of shape (n_modalities,)
        Upper bound f of the probability that a feature of the modality recurs in a clean sample.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.recurrence import Recurrence
    >>> from sklearn_emma.monitoring.statistics import SampleStatistics
    >>> table = np.random.RandomState(0).standard_normal((100, 2))
    >>> statistics = SampleStatistics(table, [2])
    >>> recurrence = Recurrence(statistics.relative(table), statistics)
    >>> clipped = np.array([[1.0, -0.3], [0.4, 0.2], [1.0, 0.7]])
    >>> recurrence(clipped, np.full((8, 2), np.nan))[:, 0].round(1)
    array([0.8, 0.8, 6.8])
    """

    def __init__(self, z: np.ndarray, statistics: SampleStatistics) -> None:
        self._statistics = statistics
        n_values, sizes = (~np.isnan(z)).sum(axis=0), [_sizes_of_equal(x) for x in z.T]
        most, n_tied = np.maximum(_EQUAL * n_values, _FEW), np.array([s.sum() for s in sizes])
        usable = statistics.varies_ & (n_values >= _FEWEST)
        self.features_ = usable & (n_tied <= most)
        recurs = self._in_modality(self._recurs(z, np.full((_WINDOW, z.shape[1]), np.nan)))
        # features that just exceed the limit count, too; otherwise, the rate would be too low
        n_equal = np.array([(s * (s - 1) / 2).sum() for s in sizes])
        of_pairs = n_equal / np.maximum(n_values * (n_values - 1) / 2, 1)
        share = statistics.over_modalities(np.add, (of_pairs * usable * (n_tied <= 2 * most))[None])
        n_pairs = len(z) * (len(z) - 1) / 2
        among_pairs = _WINDOW * upper_rate(share[0] * n_pairs, n_pairs)
        rates = np.maximum(upper_rate(recurs.sum(axis=0), len(z)), among_pairs)
        self.rates_ = np.minimum(rates, EXPECTED_RATE)

    def __call__(self, z: np.ndarray, recent: np.ndarray) -> np.ndarray:
        """Return the e-values of saturation for the next samples of a stream.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_features)
            The next samples, standardized. NaN marks missing values.
        recent : ndarray of shape (n_recent, n_features)
            At least the eight samples before them. NaN marks missing values, and samples before the
            stream.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            E-values.
        """
        recurs = self._in_modality(self._recurs(z, recent))
        return e_value_of_event(recurs, self.rates_)

    def _recurs(self, z: np.ndarray, recent: np.ndarray) -> np.ndarray:
        """Return which values recur. Missing values never do."""
        values = np.vstack([recent[-_WINDOW:], z])
        found = np.zeros(z.shape, dtype=bool)
        for lag in range(1, _WINDOW + 1):
            earlier = values[_WINDOW - lag : len(values) - lag]
            found |= z == earlier
        return found

    def _in_modality(self, recurs: np.ndarray) -> np.ndarray:
        """Return for which modalities at least one feature recurs."""
        return self._statistics.any_feature(recurs & self.features_)


def _sizes_of_equal(x: np.ndarray) -> np.ndarray:
    """Return the numbers of equal values, where there are several. Missing values do not count."""
    counts = np.unique(x[~np.isnan(x)], return_counts=True)[1]
    return counts[counts > 1]
