r"""Estimate how often a modality with frequent values repeats its values in clean data.

Frequent values often follow each other. Therefore a modality that consists of categorical columns,
or of numbers with frequent values, such as counts or an idle sensor, often repeats whole samples.
The probability that a sample with values v is followed by an equal one depends on v. If m of n
clean samples with these values were followed by a repeat, an upper bound of this probability at two
standard deviations is

.. math:: c(v) = \frac{m + 2 + 2 \sqrt{m (n - m) / n + 1}}{n + 4}

(Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. Journal
of the American Statistical Association 22). Values with fewer than twenty clean samples are pooled.
If the times between changes vary more than those of a memoryless process, this :math:`c(v)` is too
low for long runs. Therefore it is set to at least :math:`N^{-1 / R}`, with R the longest run of
repeats among N clean samples. The evidence of such a run is then at most log N.
"""

import numpy as np

__all__ = ["LevelRuns", "has_frequent_values"]

# Smallest number of clean samples for which equal values get their own probability.
_ENOUGH = 20


def has_frequent_values(x: np.ndarray) -> bool:
    """Return whether some combination of values has a probability of a repeat of its own.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_features)
        Clean samples of a modality.

    Returns
    -------
    bool
        True if at least twenty samples are equal.
    """
    return bool(np.unique(x, axis=0, return_counts=True)[1].max() >= _ENOUGH)


class LevelRuns:
    """Probability that a sample of a modality with frequent values is followed by an equal one.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_features)
        Clean samples of the modality, in the order of their table.
    rounding : ndarray of shape (n_features,), default=0.0
        Largest difference from a frequent value that counts as rounding error, for instance of
        single precision.

    Attributes
    ----------
    hazards_ : dict of bytes to float
        Upper bound c of the probability, for each frequent combination of values.
    other_ : float
        Upper bound c for all other values.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.levels import LevelRuns
    >>> x = (np.random.RandomState(0).uniform(size=(1000, 1)) < 0.8).astype(float)
    >>> LevelRuns(x).hazards(np.array([[0.0], [1.0]])).round(1)
    array([0.3, 0.8])
    """

    def __init__(self, x: np.ndarray, rounding: np.ndarray | float = 0.0) -> None:
        values, of_sample, counts = np.unique(x, axis=0, return_inverse=True, return_counts=True)
        enough = counts >= _ENOUGH
        # the last group pools values that are rare or new
        group = np.where(enough, np.arange(len(values)), len(values))
        own = group[of_sample.ravel()]
        repeats = (x[1:] == x[:-1]).all(axis=1)
        runs = _longest_runs(repeats, own[:-1], len(values) + 1)
        n = np.bincount(own[:-1], minlength=len(values) + 1)
        m = np.bincount(own[:-1], repeats, minlength=len(values) + 1)
        if enough.all():
            n[-1], m[-1], runs[-1] = n.sum(), m.sum(), runs.max()
        hazards = np.maximum(_upper_bound(m, n), len(x) ** (-1.0 / np.maximum(runs, 0.5)))
        keys = (row.tobytes() for row in values[enough])
        self.hazards_ = dict(zip(keys, hazards[:-1][enough].tolist(), strict=True))
        self.other_ = float(hazards[-1])
        self._frequent = [np.unique(column) for column in values[enough].T]
        self._rounding = np.broadcast_to(rounding, x.shape[1])

    def hazards(self, x: np.ndarray) -> np.ndarray:
        """Return the probability that each sample is followed by an equal one.

        Parameters
        ----------
        x : ndarray of shape (n_samples, n_features)
            Samples of the modality.

        Returns
        -------
        ndarray of shape (n_samples,)
            Upper bounds c of the probabilities.
        """
        rows = np.array(x, order="C")
        for j, (known, rounding) in enumerate(zip(self._frequent, self._rounding, strict=True)):
            rows[:, j] = _without_rounding(rows[:, j], known, rounding)
        return np.array([self.hazards_.get(row.tobytes(), self.other_) for row in rows])


def _without_rounding(x: np.ndarray, known: np.ndarray, rounding: float) -> np.ndarray:
    """Replace values by the nearest known value if they differ by rounding errors only."""
    if not len(known):
        return x
    above = np.searchsorted(known, x).clip(max=len(known) - 1)
    below = np.maximum(above - 1, 0)
    nearest = np.where(x - known[below] < known[above] - x, known[below], known[above])
    return np.where(np.abs(x - nearest) <= rounding, nearest, x)


def _upper_bound(m: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return the upper bound of a probability, given m successes in n trials."""
    return (m + 2 + 2 * np.sqrt(m * (n - m) / np.maximum(n, 1) + 1)) / (n + 4)


def _longest_runs(repeats: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    """Return the largest number of consecutive repeats in each group."""
    position = np.arange(1, len(repeats) + 1)
    lengths = position - np.maximum.accumulate(np.where(repeats, 0, position))
    longest = np.zeros(n_groups)
    np.maximum.at(longest, group, lengths)
    return longest
