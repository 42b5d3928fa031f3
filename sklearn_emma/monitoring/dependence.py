r"""Correct e-values for the autocorrelation of a stream.

The evidence of n samples adds up if they are independent. Samples of a slow process repeat the same
evidence. With autocorrelations :math:`\rho_L` at lag L they are worth only

.. math:: \frac{n}{\tau}, \qquad \tau = 1 + 2 \sum_{L \ge 1} \rho_L

independent samples (Sokal, A. (1997). Monte Carlo methods in statistical mechanics), so e-values
are raised to the power :math:`1 / \tau`. Autocorrelations are estimated from the mean squared
change :math:`\Delta_L^2` of the values of a modality within L samples, compared with random pairs
of clean samples:

.. math:: \rho_L = 1 - \exp\Bigl(\min\bigl(0, \operatorname{med} \log \Delta_L^2 - \mu
    + 3 \cdot 1.25\, \sigma / \sqrt{n_L}\bigr)\Bigr),

where :math:`\mu` and :math:`\sigma` are the median and the standard deviation of
:math:`\log \Delta^2` over random pairs, :math:`n_L` is the number of changes, and 1.25 is the
standard error of a median relative to that of a mean. If it is larger, the quantile of
:math:`\log \Delta_L^2` at :math:`1/2 + 3 / (2 \sqrt{n_L})` takes the place of the median and its
error: sensors with few values have changes of a few sizes only. Thus samples count as independent
until the stream shows that they are not. If the calibration samples are not known to be in temporal
order, they have the weight of ten changes. The median is taken over about the last thousand
changes, so a change of level or a failure with smaller changes is mistaken for dependence only
after it has lasted as long as the time before it. Repeats are ignored, so a stuck sensor is not
mistaken for dependence. Lags are powers of two. Between them :math:`\rho` is taken to be constant,
and beyond the longest lag it is taken to decay exponentially.
"""

from typing import Any, NamedTuple

import numpy as np

from sklearn_emma.monitoring.run_lengths import RunLengths
from sklearn_emma.monitoring.statistics import SampleStatistics

__all__ = ["Changes", "Dependence"]

LAGS = 2 ** np.arange(7)
# Weight of each of LAGS in the sum over all lags: the number of lags that it stands for.
_WIDTHS = np.diff(np.append(LAGS, 2 * LAGS[-1])) - np.append(np.zeros(len(LAGS) - 1), LAGS[-1] - 1)
# Time constant, in samples, with which older changes are forgotten.
_MEMORY = 1000
# Number of observed changes from which on a lag is used to extrapolate to longer lags.
_FEWEST = 8
# Number of standard errors below the estimate at which autocorrelations are taken.
_ERRORS = 3.0
# Weight of the calibration samples, as a number of changes.
_BEFORE = 10.0
# Edges of the histogram of log changes, in standard deviations, and smallest standard deviation.
_EDGES = 0.5 * np.sinh(np.linspace(-5.0, 2.5, 61))
_LEAST_SPREAD = 0.1
# Exponents are updated after each of the first 64 samples of a stream, then after every 16th.
_FIRST, _PERIOD = 64, 16


class Changes(NamedTuple):
    """State of the estimate of autocorrelations in a stream.

    Attributes
    ----------
    recent : ndarray of shape (64, n_features)
        Standardized values of the last 64 samples, NaN before the first sample of the stream.
    counts : ndarray of shape (n_lags, n_modalities, n_bins)
        Histograms of the logarithm of squared changes, relative to the median of random pairs. The
        counts of one lag and modality sum to about 1000 at most, as older changes are forgotten.
    exponents : ndarray of shape (n_modalities,)
        Current exponents of the e-values.
    n_samples : int
        Number of samples of the stream so far.
    """

    recent: np.ndarray
    counts: np.ndarray
    exponents: np.ndarray
    n_samples: int


class Dependence:
    """Exponents of e-values that account for the autocorrelation of a stream.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_features)
        Standardized clean samples.
    statistics : SampleStatistics
        Which features belong to which modality, and which are constant. Constant features
        are ignored.
    run_lengths : RunLengths
        Which changes are so small that they count as repeats.
    rng : RandomState
        Generator that draws random pairs of clean samples.

    Attributes
    ----------
    level_, spread_ : ndarray of shape (n_modalities,)
        Median and standard deviation of the logarithm of squared changes, over random pairs.
    histogram_ : ndarray of shape (n_modalities, n_bins)
        Normalized histogram of these logarithms. Each row sums to one.
    """

    def __init__(
        self,
        z: np.ndarray,
        statistics: SampleStatistics,
        run_lengths: RunLengths,
        rng: np.random.RandomState,
    ) -> None:
        self._statistics, self._run_lengths = statistics, run_lengths
        n_modalities = len(statistics.sizes_)
        self.level_, self.spread_ = np.zeros(n_modalities), np.ones(n_modalities)
        pairs = self._log_changes(z[rng.permutation(len(z))] - z)
        self.histogram_ = np.full((n_modalities, len(_EDGES) - 1), 1.0 / (len(_EDGES) - 1))
        for i, values in enumerate(pairs.T):
            known = values[np.isfinite(values)]
            if len(known) > 1:
                self.level_[i] = np.median(known)
                self.spread_[i] = max(known.std(), _LEAST_SPREAD)
                bins = self._bins(known - self.level_[i], i)
                self.histogram_[i] = np.bincount(bins, minlength=len(_EDGES) - 1) / len(known)

    def start(self) -> Changes:
        """Return the state before the first sample, which assumes independent samples.

        Returns
        -------
        Changes
            State before the first sample.
        """
        recent = np.full((LAGS[-1], len(self._statistics.mean_)), np.nan)
        counts = _BEFORE * np.stack([self.histogram_] * len(LAGS))
        return Changes(recent, counts, np.ones(len(self.level_)), 0)

    def suspect(self, z: np.ndarray) -> Changes:
        """Return the state before the first sample if the clean samples may be in temporal order.

        The changes within the last thousand clean samples are counted as only ten changes, because
        the rows may be sorted in a way that has nothing to do with the order of a stream.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_features)
            Standardized clean samples, in the order of their table.

        Returns
        -------
        Changes
            State before the first sample.
        """
        start = self.start()
        _, found = self(z[-_MEMORY:], start)
        counts = found.counts / found.counts.sum(axis=2, keepdims=True)
        return start._replace(counts=_BEFORE * counts)

    def __call__(self, z: np.ndarray, before: Changes) -> tuple[np.ndarray, Changes]:
        """Return the exponents at the next samples of a stream, and the state after them.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_features)
            The next samples, standardized.
        before : Changes
            State before these samples.

        Returns
        -------
        exponents : ndarray of shape (n_samples, n_modalities)
            Exponents :math:`1 / \\tau` at each sample.
        after : Changes
            State after the last sample.
        """
        longest = LAGS[-1]
        values = np.vstack([before.recent, z])
        earlier = [values[longest - lag : len(values) - lag] for lag in LAGS]
        changes = self._log_changes(np.concatenate([z - x for x in earlier]))
        changes = changes.reshape(len(LAGS), len(z), -1).swapaxes(0, 1)
        known = np.isfinite(changes)
        modality = np.arange(len(self.level_))
        bins = self._bins(np.where(known, changes, 0.0), modality)
        counts, current = before.counts.copy(), before.exponents
        lag = np.arange(len(LAGS))[:, None]
        exponents = np.empty((len(z), len(modality)))
        for t in range(len(z)):
            if before.n_samples + t >= _MEMORY:
                counts *= 1.0 - 1.0 / _MEMORY
            counts[lag, modality, bins[t]] += known[t]
            n_samples = before.n_samples + t + 1
            if n_samples <= _FIRST or n_samples % _PERIOD == 0:
                current = self._exponents(counts)
            exponents[t] = current
        n_samples = before.n_samples + len(z)
        return exponents, Changes(values[-longest:], counts, current, n_samples)

    def _bins(self, changes: np.ndarray, modality: Any) -> np.ndarray:
        """Return the histogram bins of changes, of one modality or with one column per modality."""
        found = np.searchsorted(_EDGES, changes / self.spread_[modality])
        return np.clip(found - 1, 0, len(_EDGES) - 2)

    def _log_changes(self, difference: np.ndarray) -> np.ndarray:
        """Return the logarithm of mean squared changes relative to random pairs, NaN for repeats.

        It is NaN also for modalities with categories and repeated samples, as the difference
        between two levels has no meaningful size.
        """
        squares = np.where(self._statistics.varies_, difference**2, 0.0)
        mean = self._statistics.over_modalities(np.add, squares) / self._statistics.sizes_
        untold = self._run_lengths.repeats(difference) | self._run_lengths.steps_
        with np.errstate(divide="ignore"):
            return np.where(untold, np.nan, np.log(mean)) - self.level_

    def autocorrelations(self, counts: np.ndarray) -> np.ndarray:
        r"""Return lower bounds of the autocorrelations :math:`\rho_L`.

        Parameters
        ----------
        counts : ndarray of shape (n_lags, n_modalities, n_bins)
            Histograms of changes, as in :class:`Changes`.

        Returns
        -------
        ndarray of shape (n_lags, n_modalities)
            Autocorrelations from 0 to 1, three standard errors below the estimate.
        """
        below = counts.cumsum(axis=2)
        n = below[..., -1]
        by_spread = _quantile(counts, below, 0.5 * n) + 1.25 * _ERRORS / np.sqrt(n)
        # changes of a few sizes have a median that jumps from one to another
        by_rank = _quantile(counts, below, np.minimum(0.5 + 0.5 * _ERRORS / np.sqrt(n), 1.0) * n)
        return -np.expm1(self.spread_ * np.minimum(np.maximum(by_spread, by_rank), 0.0))

    def _exponents(self, counts: np.ndarray) -> np.ndarray:
        """Return the exponents of all modalities, given the histograms of changes."""
        rho, total = self.autocorrelations(counts), counts.sum(axis=2)
        time = 1.0 + 2.0 * (_WIDTHS @ rho)
        # extrapolate beyond the longest lag with enough changes
        last = np.where(total >= _BEFORE + _FEWEST, LAGS[:, None], 0).argmax(axis=0)
        modality = np.arange(rho.shape[1])
        end = np.where(total[last, modality] >= _BEFORE + _FEWEST, rho[last, modality], 0.0)
        time += 2.0 * LAGS[last] * end / -np.log(np.clip(end, 1e-12, 1 - 1e-6))
        return 1.0 / time


def _quantile(counts: np.ndarray, below: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """Return the change below which a number of changes lie, in standard deviations.

    Parameters
    ----------
    counts, below : ndarray of shape (n_lags, n_modalities, n_bins)
        Histograms of changes, and their cumulative sums.
    rank : ndarray of shape (n_lags, n_modalities)
        Number of changes, at most all of them.

    Returns
    -------
    ndarray of shape (n_lags, n_modalities)
        Change, interpolated within its bin.
    """
    k = (below >= rank[..., None]).argmax(axis=2)[..., None]
    here, until = (np.take_along_axis(c, k, axis=2)[..., 0] for c in (counts, below))
    k = k[..., 0]
    share = 1.0 - (until - rank) / here
    return _EDGES[k] + share * (_EDGES[k + 1] - _EDGES[k])
