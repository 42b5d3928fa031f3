r"""Values that come again: evidence of a sensor whose range is too small.

A sensor that saturates gives the end of its range again and again, while its other values are
ordinary. A feature *recurs* if it has a value of one of the last eight samples. With h the
probability, on clean samples, that a feature of a modality recurs,

.. math:: e = \frac{q}{h} \text{ if one recurs}, \qquad \frac{1 - q}{1 - h} \text{ if none does,}

is the likelihood ratio of recurrences with probability q. A small q costs little if they are more
frequent. Where c of n clean samples recur, h is two standard errors above what they show,

.. math:: h = \frac{c + 1 + 2 \sqrt{c + 1}}{n + 2}.

Features with steps, or with a value at which they rest, recur while the process stands still. They
show by equal values among the clean samples, in any order, and are left out.
"""

import numpy as np

from sklearn_emma.monitoring.statistics import SampleStatistics

# Samples in which a value may come again.
_WINDOW = 8
# Largest share of clean samples with equal values, of a feature without steps.
_EQUAL = 0.01
# q
_EXPECTED = 0.2


class Recurrence:
    """Recurring values, and how unlikely they are on clean data.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_features)
        Standardised clean samples, in order; what is missing is zero.
    statistics : SampleStatistics
        Says which features belong together.
    tolerance : ndarray of shape (n_features,)
        Largest difference of two equal values.

    Attributes
    ----------
    features_ : ndarray of bool of shape (n_features,)
        Those without steps.
    rates_ : ndarray of shape (n_modalities,)
        h.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.recurrence import Recurrence
    >>> from sklearn_emma.monitoring.statistics import SampleStatistics
    >>> table = np.random.RandomState(0).standard_normal((100, 2))
    >>> statistics = SampleStatistics(table, [2])
    >>> recurrence = Recurrence(statistics.standardise(table), statistics, np.zeros(2))
    >>> clipped = np.array([[1.0, -0.3], [0.4, 0.2], [1.0, 0.7]])
    >>> recurrence(clipped, np.full((8, 2), np.nan))[:, 0].round(1)
    array([0.8, 0.8, 6.8])
    """

    def __init__(self, z: np.ndarray, statistics: SampleStatistics, tolerance: np.ndarray) -> None:
        self._statistics, self._tolerance = statistics, tolerance
        self.features_ = np.array([_equal(x) <= _EQUAL for x in z.T])
        recurs = self._in_modality(self._recurs(z, np.full((_WINDOW, z.shape[1]), np.nan)))
        self.rates_ = np.minimum(upper_rate(recurs.sum(axis=0), len(z)), _EXPECTED)

    def __call__(self, z: np.ndarray, recent: np.ndarray) -> np.ndarray:
        """Judge samples that follow others.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_features)
            Standardised samples.
        recent : ndarray of shape (n_recent, n_features)
            At least the eight samples before; NaN where there is none.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            E-values.
        """
        recurs = self._in_modality(self._recurs(z, recent))
        expected, h = _EXPECTED, self.rates_
        return np.where(recurs, expected / h, (1.0 - expected) / (1.0 - h))

    def _recurs(self, z: np.ndarray, recent: np.ndarray) -> np.ndarray:
        """Tell which values come again; missing ones do not count."""
        values = np.vstack([recent[-_WINDOW:], z])
        found = np.zeros(z.shape, dtype=bool)
        for lag in range(1, _WINDOW + 1):
            earlier = values[_WINDOW - lag : len(values) - lag]
            found |= np.abs(z - earlier) <= self._tolerance
        return found & (z != 0)

    def _in_modality(self, recurs: np.ndarray) -> np.ndarray:
        """Tell which modalities have a feature that recurs."""
        return self._statistics.over_modalities(np.logical_or, recurs & self.features_)


def upper_rate(count: np.ndarray, n_samples: int) -> np.ndarray:
    """Return an upper bound of how often something happens: two standard errors above what is seen.

    Parameters
    ----------
    count : ndarray of int of shape (n_modalities,)
        How often it happened.
    n_samples : int
        In so many samples.

    Returns
    -------
    ndarray of shape (n_modalities,)
        Probabilities, possibly above one.
    """
    one_more = count + 1
    return (one_more + 2.0 * np.sqrt(one_more)) / (n_samples + 2)


def _equal(x: np.ndarray) -> float:
    """Return the share of values that come more than once."""
    counts = np.unique(x, return_counts=True)[1]
    return float(counts[counts > 1].sum() / len(x))
