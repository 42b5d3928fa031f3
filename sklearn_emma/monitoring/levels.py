r"""How long a modality of categories keeps its levels.

A level may come again and again, the more often the more frequent it is, and a modality of nothing
but categories, or of categories and numbers with steps, repeats whole samples. After a sample with
the values v, another one like it follows with a probability that depends on v. Of n clean samples
with these values m were followed by a repeat; so the probability is, with a confidence of two
standard deviations, at most

.. math:: h(v) = \frac{m + 2 + 2 \sqrt{m (n - m) / n + 1}}{n + 4}

(Wilson, E. B. (1927). Probable inference, the law of succession, and statistical inference. Journal
of the American Statistical Association 22). Values with fewer than twenty clean samples count
together. If the times between changes vary more than that of a memoryless process, :math:`h(v)` is
too low. So it is at least :math:`N^{-1 / R}` for the longest run of R repeats among N clean
samples, which is then no evidence beyond what N samples can give.
"""

import numpy as np

__all__ = ["LevelRuns"]

# Clean samples that say by themselves how often they are repeated.
_ENOUGH = 20


class LevelRuns:
    """Repeats of the samples of a modality with categories.

    Parameters
    ----------
    x : ndarray of shape (n_samples, n_features)
        Clean samples of the modality, in order.

    Attributes
    ----------
    hazards_ : dict of bytes to float
        h, by the values of a sample.
    other_ : float
        h of all other values.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.levels import LevelRuns
    >>> x = (np.random.RandomState(0).uniform(size=(1000, 1)) < 0.8).astype(float)
    >>> LevelRuns(x).hazards(np.array([[0.0], [1.0]])).round(1)
    array([0.3, 0.8])
    """

    def __init__(self, x: np.ndarray) -> None:
        values, of_sample, counts = np.unique(x, axis=0, return_inverse=True, return_counts=True)
        enough = counts >= _ENOUGH
        # the last group is that of values that are rare, or new
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

    def hazards(self, x: np.ndarray) -> np.ndarray:
        """Return the probability that samples are repeated.

        Parameters
        ----------
        x : ndarray of shape (n_samples, n_features)
            Samples of the modality.

        Returns
        -------
        ndarray of shape (n_samples,)
            h.
        """
        rows = np.ascontiguousarray(x)
        return np.array([self.hazards_.get(row.tobytes(), self.other_) for row in rows])


def _upper_bound(m: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return the upper bound of a share of which m of n were seen."""
    return (m + 2 + 2 * np.sqrt(m * (n - m) / np.maximum(n, 1) + 1)) / (n + 4)


def _longest_runs(repeats: np.ndarray, group: np.ndarray, n_groups: int) -> np.ndarray:
    """Return how many repeats in a row there were at most, by group."""
    position = np.arange(1, len(repeats) + 1)
    lengths = position - np.maximum.accumulate(np.where(repeats, 0, position))
    longest = np.zeros(n_groups)
    np.maximum.at(longest, group, lengths)
    return longest
