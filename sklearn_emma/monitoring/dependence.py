r"""How much successive samples of a stream have in common.

Evidence of n samples adds up if they are independent. Samples of a process that moves slowly repeat
the same evidence: with autocorrelations :math:`\rho_L` at lag L they are worth

.. math:: \frac{n}{\tau}, \qquad \tau = 1 + 2 \sum_{L \ge 1} \rho_L

independent ones (Sokal, A. (1997). Monte Carlo methods in statistical mechanics), so e-values are
raised to the power :math:`1 / \tau`. Autocorrelations are estimated from how much the values of a
modality change within L samples, relative to two clean samples drawn at random,

.. math:: \rho_L = 1 - \exp\Bigl(\min\bigl(0, \operatorname{med} \log \Delta_L^2 - \mu
    + 3 \cdot 1.25\, \sigma / \sqrt{n_L}\bigr)\Bigr),

:math:`\mu` and :math:`\sigma` being median and standard deviation of :math:`\log \Delta^2` over
random pairs, and 1.25 the standard error of a median relative to that of a mean. So samples count
as independent until the stream shows that they are not; ten changes stand for the calibration, if
that is not known to be in order. The median is that of the last thousand changes: a change of
level, or a failure with smaller changes, does not look like dependence before it has lasted as long
as what was before. Repeats do not count, so that a sensor that is stuck does not either. Lags are
powers of two; between them :math:`\rho` is constant, and beyond the last it decays as it did until
then.
"""

from typing import Any, NamedTuple

import numpy as np

from sklearn_emma.monitoring.evidence import RunLengths
from sklearn_emma.monitoring.statistics import SampleStatistics

__all__ = ["Changes", "Dependence"]

LAGS = 2 ** np.arange(7)
# Samples whose lag is closest to each of LAGS, from below.
_WIDTHS = np.diff(np.append(LAGS, 2 * LAGS[-1])) - np.append(np.zeros(len(LAGS) - 1), LAGS[-1] - 1)
# Changes after which older ones are forgotten.
_MEMORY = 1000
# Changes from which on a lag may say how autocorrelation goes on.
_FEWEST = 8
# Standard errors of a median.
_ERRORS = 3.0 * 1.25
# Independent changes that stand for clean samples without order.
_BEFORE = 10.0
# Logarithms of changes are counted in bins, in units of their standard deviation; it is at least:
_EDGES = 0.5 * np.sinh(np.linspace(-5.0, 2.5, 61))
_LEAST_SPREAD = 0.1
# Exponents are computed anew after each of the first samples of a stream, then after every 16th.
_FIRST, _PERIOD = 64, 16


class Changes(NamedTuple):
    """What is kept of the changes in a stream.

    Attributes
    ----------
    recent : ndarray of shape (64, n_features)
        Standardised values of the last samples, NaN before the first.
    counts : ndarray of shape (n_lags, n_modalities, n_bins)
        Histograms of the logarithm of squared changes, relative to random pairs; about 1000 in all.
    exponents : ndarray of shape (n_modalities,)
        The last ones.
    n_samples : int
        Length of the stream.
    """

    recent: np.ndarray
    counts: np.ndarray
    exponents: np.ndarray
    n_samples: int


class Dependence:
    """Exponents of e-values, from how much a stream changes.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_features)
        Standardised clean samples.
    statistics : SampleStatistics
        Says which features belong together, and which are constant: those are left out.
    run_lengths : RunLengths
        Says what a repeat is.
    rng : RandomState
        Draws pairs.

    Attributes
    ----------
    level_, spread_ : ndarray of shape (n_modalities,)
        Median and standard deviation of the logarithm of squared changes, over random pairs.
    histogram_ : ndarray of shape (n_modalities, n_bins)
        Of these logarithms, summing to one.
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
        """Return what is known of independent samples.

        Returns
        -------
        Changes
            Before the first sample.
        """
        recent = np.full((LAGS[-1], len(self._statistics.mean_)), np.nan)
        counts = _BEFORE * np.stack([self.histogram_] * len(LAGS))
        return Changes(recent, counts, np.ones(len(self.level_)), 0)

    def suspect(self, z: np.ndarray) -> Changes:
        """Return what is known before the first sample, if clean samples may have been in order.

        What the last thousand of them show stands for the first ten changes only: rows may be
        sorted in a way that says nothing of a stream.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_features)
            Standardised clean samples, in the order of their table.

        Returns
        -------
        Changes
            Before the first sample.
        """
        start = self.start()
        _, found = self(z[-_MEMORY:], start)
        counts = found.counts / found.counts.sum(axis=2, keepdims=True)
        return start._replace(counts=_BEFORE * counts)

    def __call__(self, z: np.ndarray, before: Changes) -> tuple[np.ndarray, Changes]:
        """Advance.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_features)
            The next standardised samples.
        before : Changes
            What is known of those before.

        Returns
        -------
        exponents : ndarray of shape (n_samples, n_modalities)
            :math:`1 / \\tau` at every sample.
        after : Changes
            What is known after them.
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
        """Return the bins of changes of a modality, or of one in each column."""
        found = np.searchsorted(_EDGES, changes / self.spread_[modality])
        return np.clip(found - 1, 0, len(_EDGES) - 2)

    def _log_changes(self, difference: np.ndarray) -> np.ndarray:
        """Return logarithms of mean squared changes, NaN for repeats.

        From one level to another there is no small change: categories tell nothing.
        """
        squares = np.where(self._statistics.varies_, difference**2, 0.0)
        mean = self._statistics.over_modalities(np.add, squares) / self._statistics.sizes_
        untold = self._run_lengths.repeats(difference) | self._run_lengths.steps_
        with np.errstate(divide="ignore"):
            return np.where(untold, np.nan, np.log(mean)) - self.level_

    def autocorrelations(self, counts: np.ndarray) -> np.ndarray:
        r"""Autocorrelations :math:`\rho_L`, as far as the changes so far are sure of them.

        Parameters
        ----------
        counts : ndarray of shape (n_lags, n_modalities, n_bins)
            Of :class:`Changes`.

        Returns
        -------
        ndarray of shape (n_lags, n_modalities)
            From 0 to 1.
        """
        below = counts.cumsum(axis=2)
        total = below[..., -1]
        k = (below >= total[..., None] / 2).argmax(axis=2)[..., None]
        here, until = (np.take_along_axis(c, k, axis=2)[..., 0] for c in (counts, below))
        k = k[..., 0]
        share = 1.0 - (until - total / 2) / here
        median = _EDGES[k] + share * (_EDGES[k + 1] - _EDGES[k])
        return -np.expm1(self.spread_ * np.minimum(median + _ERRORS / np.sqrt(total), 0.0))

    def _exponents(self, counts: np.ndarray) -> np.ndarray:
        """Return exponents of all modalities from the changes so far."""
        rho, total = self.autocorrelations(counts), counts.sum(axis=2)
        time = 1.0 + 2.0 * (_WIDTHS @ rho)
        # beyond the longest lag that is known
        last = np.where(total >= _BEFORE + _FEWEST, LAGS[:, None], 0).argmax(axis=0)
        modality = np.arange(rho.shape[1])
        end = np.where(total[last, modality] >= _BEFORE + _FEWEST, rho[last, modality], 0.0)
        time += 2.0 * LAGS[last] * end / -np.log(np.clip(end, 1e-12, 1 - 1e-6))
        return 1.0 / time
