r"""How much successive samples of a stream have in common.

Evidence of n samples adds up if they are independent. Samples of a process that moves slowly repeat
the same evidence: with autocorrelations :math:`\rho_L` at lag L they are worth

.. math:: \frac{n}{\tau}, \qquad \tau = 1 + 2 \sum_{L \ge 1} \rho_L

independent ones (Sokal, A. (1997). Monte Carlo methods in statistical mechanics), so e-values are
raised to the power :math:`1 / \tau`. Autocorrelations are estimated from how much the values of a
modality change within L samples, relative to two clean samples drawn at random,

.. math:: \rho_L = 1 - \exp\Bigl(\min\bigl(0, \overline{\log \Delta_L^2} - \mu
    + 3 \sigma / \sqrt{n_L}\bigr)\Bigr),

:math:`\mu` and :math:`\sigma` being mean and standard deviation of :math:`\log \Delta^2` over
random pairs. So samples count as independent until the stream shows that they are not; twenty
independent changes stand for the calibration, if that was not in order. A change of level, or a failure that lasts, is one large change and does not look like dependence; repeats do
not count, so that neither does a sensor that is stuck. Lags are powers of two; between them
:math:`\rho` is constant, and beyond the last it decays as it did until then.
"""

from typing import NamedTuple

import numpy as np

from sklearn_emma.monitoring.statistics import SampleStatistics

__all__ = ["Changes", "Dependence"]

LAGS = 2 ** np.arange(7)
# Samples whose lag is closest to each of LAGS, from below.
_WIDTHS = np.diff(np.append(LAGS, 2 * LAGS[-1])) - np.append(np.zeros(len(LAGS) - 1), LAGS[-1] - 1)
# Changes after which older ones are forgotten.
_MEMORY = 1000
# Changes from which on a lag may say how autocorrelation goes on.
_FEWEST = 8
_ERRORS = 3.0
# Independent changes that stand for clean samples without order.
_BEFORE = 20.0


class Changes(NamedTuple):
    """What is kept of the changes in a stream.

    Attributes
    ----------
    recent : ndarray of shape (64, n_features)
        Standardised values of the last samples, NaN before the first.
    counts : ndarray of shape (n_lags, n_modalities)
        Changes at each lag, 1000 at most.
    means : ndarray of shape (n_lags, n_modalities)
        Their mean, logarithms of squares relative to random pairs.
    """

    recent: np.ndarray
    counts: np.ndarray
    means: np.ndarray


class Dependence:
    """Exponents of e-values, from how much a stream changes.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_features)
        Standardised clean samples.
    statistics : SampleStatistics
        Says which features belong together, and which are constant: those are left out.
    tolerance : ndarray of shape (n_modalities,)
        Largest change of a feature that is a repeat.
    rng : RandomState
        Draws pairs.

    Attributes
    ----------
    level_, spread_ : ndarray of shape (n_modalities,)
        Mean and standard deviation of the logarithm of squared changes, over random pairs.
    """

    def __init__(
        self,
        z: np.ndarray,
        statistics: SampleStatistics,
        tolerance: np.ndarray,
        rng: np.random.RandomState,
    ) -> None:
        self._statistics, self._tolerance = statistics, tolerance
        self.level_, self.spread_ = np.zeros((2, len(tolerance)))
        pairs = self._log_changes(z[rng.permutation(len(z))] - z)
        known = np.isfinite(pairs)
        for i in np.flatnonzero(known.sum(axis=0) > 1):
            self.level_[i] = pairs[known[:, i], i].mean()
            self.spread_[i] = pairs[known[:, i], i].std()

    def start(self) -> Changes:
        """Return what is known before the first sample.

        Returns
        -------
        Changes
            That clean samples are independent.
        """
        shape = len(LAGS), len(self.level_)
        recent = np.full((LAGS[-1], len(self._statistics.mean_)), np.nan)
        return Changes(recent, np.full(shape, _BEFORE), np.zeros(shape))

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
        changes = np.stack(
            [self._log_changes(z - values[longest - lag : len(values) - lag]) for lag in LAGS], 1
        )
        known = np.isfinite(changes)
        changes = np.where(known, changes, 0.0)
        counts, means = before.counts, before.means
        exponents = np.empty((len(z), len(self.level_)))
        for t in range(len(z)):
            counts = np.minimum(counts + known[t], _MEMORY)
            means = means + known[t] * (changes[t] - means) / counts
            exponents[t] = self._exponents(counts, means)
        return exponents, Changes(values[-longest:], counts, means)

    def _log_changes(self, difference: np.ndarray) -> np.ndarray:
        """Return logarithms of mean squared changes, NaN for repeats."""
        varies, reduce = self._statistics.varies_, self._statistics.over_modalities
        squares = np.where(varies, difference**2, 0.0)
        repeats = reduce(np.maximum, squares) <= self._tolerance**2
        mean = reduce(np.add, squares) / self._statistics.sizes_
        with np.errstate(divide="ignore"):
            return np.where(repeats, np.nan, np.log(mean)) - self.level_

    def _exponents(self, counts: np.ndarray, means: np.ndarray) -> np.ndarray:
        """Return exponents of all modalities from the changes so far."""
        margin = _ERRORS * self.spread_ / np.sqrt(counts)
        rho = -np.expm1(np.minimum(means + margin, 0.0))
        time = 1.0 + 2.0 * (_WIDTHS @ rho)
        # beyond the longest lag that is known
        enough = counts >= _BEFORE + _FEWEST
        last = np.where(enough, LAGS[:, None], 0).argmax(axis=0)
        modality = np.arange(rho.shape[1])
        end = np.where(enough[last, modality], rho[last, modality], 0.0)
        time += 2.0 * LAGS[last] * end / -np.log(np.clip(end, 1e-12, 1 - 1e-6))
        return 1.0 / time
