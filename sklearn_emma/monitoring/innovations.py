r"""Evidence of a failure from the innovations of a slow process.

Successive samples of a slow process are similar, so that each is worth only a fraction
:math:`\gamma` of an independent sample (:mod:`sklearn_emma.monitoring.dependence`). Their
*innovations*, the errors of the prediction of each feature from its own last L values,

.. math:: c_t = z_t - \sum_{l=1}^{L} \phi_l z_{t-l},

are almost independent. In process control, they are charted instead of the values (Alwan, L. C. and
Roberts, H. V. (1988). Time-series modeling for statistical process control. Journal of Business &
Economic Statistics 6). They show noise at once, and also the *jump* when an offset starts or ends.

Clean samples in temporal order are divided into two halves. From the first, the coefficients
:math:`\phi`, the statistics of innovations and the likelihood ratios of failures are learned, as
those of values are. The second calibrates the e-values :math:`c_k` of a failure k that lasts, and
:math:`j` of a jump: the first sample of a failure, or the first one after it. They are raised to
the power :math:`1 / \tau`, with the longest autocorrelation time of their logarithms. They are
combined with the e-values :math:`e_k` of the values to

.. math:: c_k^{1 - \gamma} e_k^\gamma \text{ (failure k lasts)}, \quad
    \Bigl(\frac{c_k + j}{2}\Bigr)^{1 - \gamma} e_k^\gamma \text{ (it starts)}, \quad
    \Bigl(\frac{1 + j}{2}\Bigr)^{1 - \gamma} \text{ (it ends)}.

The means are taken because failures may also start and end gradually. A geometric mean is at most
the arithmetic mean, so all three are e-values if those that they combine are, on average over clean
samples. For independent samples, :math:`\gamma = 1`, innovations have no effect.

Innovations are unknown if their value is missing, or the value before it, unless many clean values
follow missing ones, as in a sensor that reports less often. Then the last value counts as that of
the samples in between, up to eight. Unknown innovations are filled like missing values
(:mod:`sklearn_emma.monitoring.statistics`). If more than half of a modality are unknown,
:math:`c_k = j = 1`.

Values that are far beyond the range of the clean samples are wrong, and would spoil the predictions
of the samples after them. If a value is within this wider range, those before it that are not are
replaced in its prediction by the last one that is.

Innovations show when an offset starts and ends, but hardly while it lasts: an ordinary level of the
process leaves the same small bias in successive innovations. For lasting offsets, :math:`c_k = 1`,
and also where the logarithm of :math:`c_k` has a negative mean in simulated failures.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.monitoring.autocorrelation import longest_times
from sklearn_emma.monitoring.e_values import largest_e_value
from sklearn_emma.monitoring.failures import (
    FAILURES,
    LARGE_OFFSETS,
    LARGEST_NOISE,
    LIKE_LARGE_OFFSETS,
    SMALL_ALLOWANCE,
    Failure,
)
from sklearn_emma.monitoring.filter import let_change
from sklearn_emma.monitoring.ratios import (
    Examples,
    FailureRatios,
    append_modality,
    gather_examples,
    informative_failures,
    positions_of_examples,
)
from sklearn_emma.monitoring.run_lengths import fill_forward
from sklearn_emma.monitoring.statistics import SampleStatistics

# Largest number of lags L, and smallest number of clean samples for each lag.
_MOST_LAGS, _PER_LAG = 8, 20
# Smallest half of the clean samples from which anything is learned.
_FEWEST = 100
# Fraction of the clean values of a feature that must follow missing ones to be usual.
_MANY = 0.05
# Allowance of the e-values. That of the values would outweigh what offsets and mismatches show.
_ALLOWANCE = SMALL_ALLOWANCE
# Probability per sample that noise, gain or mismatch turns out to be an offset.
_OFFSET_RATE = 0.05
_JUMP = Failure("jump", lambda z, rng: z)
_KINDS = np.array([failure.kind for failure in FAILURES])


class EValuesByPhase(NamedTuple):
    """E-values of simulated failures that last, start or end at a sample.

    Attributes
    ----------
    lasts, starts, ends : ndarray of shape (n_samples, n_modalities, n_failures)
        E-values of a failure that was there at the sample before, of one that starts at this
        sample, and of clean values after a failure.
    """

    lasts: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


class Innovations:
    r"""E-values of failures from innovations.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_features)
        Standardized clean samples in temporal order. NaN marks missing values.
    sizes : sequence of int of length n_modalities
        Number of features of each modality.
    usable : ndarray of bool of shape (n_features,)
        Whether a feature is a number that is not constant. Failures are simulated only for these.
    rng : RandomState
        Random number generator of the failures.

    Attributes
    ----------
    coefficients_ : ndarray of shape (n_lags, n_features)
        Coefficients :math:`\phi_l` of each feature, that of the last value first.
    range_ : ndarray of shape (2, n_features)
        Lowest and highest value of each feature that count as possible.
    follows_gaps_ : ndarray of bool of shape (n_features,)
        Whether values often follow missing ones in the clean samples.
    statistics_ : SampleStatistics
        Statistics of innovations.
    ratios_ : FailureRatios
        E-values of the failures and, last, of a jump.
    informative_ : ndarray of bool of shape (n_modalities, n_failures + 1)
        False where e-values are replaced by one.
    exponents_ : ndarray of shape (n_modalities,)
        Exponents :math:`1 / \tau` of the e-values.
    largest_ : ndarray of shape (n_modalities,)
        Largest possible e-value of noise.
    """

    def __init__(
        self,
        values: np.ndarray,
        sizes: Sequence[int],
        usable: np.ndarray,
        rng: np.random.RandomState,
    ) -> None:
        half = len(values) // 2
        n_lags = int(np.clip(half // _PER_LAG, 1, _MOST_LAGS))
        filled = _fill_gaps(values[:half], n_lags)
        self.range_ = _wide_range(filled)
        self.follows_gaps_ = _often_follow_gaps(values[:half])
        self.coefficients_ = np.stack([_autoregression(x, n_lags) for x in filled.T], axis=1)
        innovations = self._innovations(values, None)
        self.statistics_ = SampleStatistics(innovations[n_lags:half], sizes)
        last = positions_of_examples(n_lags, half, len(sizes))
        windows = filled[last[:, None] - np.arange(n_lags, -1, -1)]
        failing = self._simulate(windows, usable, rng)
        clean = [windows] if len(sizes) == 1 else [windows, *_jumps_of_the_process(windows, rng)]
        clean_statistics = self.statistics_.of_table(self._at_end_of(np.concatenate(clean)))
        examples = gather_examples(clean_statistics, failing)
        examples = self._add_quiet_neighbors(examples, windows, rng)
        judged = self.statistics_.of_table(innovations[half:])
        unknown = self.statistics_.mostly_missing(innovations[half:])
        for own, gaps in zip(judged.swapaxes(0, 1), unknown.T, strict=True):
            if not gaps.all():  # samples with gaps are not judged, so they do not calibrate either
                own[gaps] = np.resize(own[~gaps], (gaps.sum(), own.shape[1]))
        seed = draw_seed(rng)
        self.ratios_ = FailureRatios(
            judged, examples, seed, extrapolate=False, allowance=_ALLOWANCE
        )
        throughout = [[x[::2] for x in by_modality] for by_modality in failing.values()]
        self.informative_ = informative_failures(self._e_values, throughout)
        self.informative_ &= half >= _FEWEST
        self.informative_[:, :-1] &= _KINDS != "offset"
        log_e_values = np.where(self.informative_, np.log(self._e_values(judged)), 0.0)
        log_e_values[unknown] = np.nan
        self.exponents_ = 1.0 / longest_times(log_e_values)
        shown = self.informative_[:, :-1][:, _KINDS == "noise"].any(axis=1)
        largest = largest_e_value(len(judged), _ALLOWANCE) ** self.exponents_
        self.largest_ = np.where(shown, largest, 1.0)

    def __call__(self, values: np.ndarray, recent: np.ndarray | None) -> np.ndarray:
        """Return the e-values of the next samples of a stream.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_features)
            The next samples, standardized. NaN marks missing values.
        recent : ndarray of shape (n_recent, n_features) or None
            The samples before them, at least twice as many as there are lags. NaN marks missing
            values, and samples before the stream. None if there are none.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities, n_failures + 1)
            E-values of the failures and, last, of a jump, for single samples (`exponents_` are not
            applied). One for modalities of which most innovations are unknown.
        """
        innovations = self._innovations(values, recent)
        e_values = self._e_values(self.statistics_.of_table(innovations))
        known = ~self.statistics_.mostly_missing(innovations)[..., None]
        return np.where(self.informative_ & known, e_values, 1.0)

    def _e_values(self, statistics: np.ndarray) -> np.ndarray:
        """Return the e-values of innovations with the given statistics.

        A jump that is larger than all simulated ones looks like a sample with noise or a gain, so
        the e-value of a jump is the mean with those of the largest noise and gain.
        """
        found = self.ratios_(statistics)
        found[..., -1] = found[..., [-1, *LIKE_LARGE_OFFSETS]].mean(axis=-1)
        return found

    def _innovations(self, values: np.ndarray, recent: np.ndarray | None) -> np.ndarray:
        """Return innovations, NaN if they are unknown.

        Impossible values do not enter the predictions of possible ones.
        """
        n_lags, n_features = self.coefficients_.shape
        empty = np.full((2 * n_lags, n_features), np.nan)
        before = empty if recent is None else np.vstack([empty, recent])[-len(empty) :]
        known = np.vstack([before, values])
        beyond = (known < self.range_[0]) | (known > self.range_[1])
        filled = _fill_gaps(known, n_lags)
        possible = _fill_gaps(np.where(beyond, np.nan, known), n_lags)
        found, later = values.copy(), filled[len(before) - 1 : -1]
        for lag, coefficients in enumerate(self.coefficients_, start=1):
            past, instead = (x[len(before) - lag : len(x) - lag] for x in (filled, possible))
            # after a long time of impossible values, only the values after them are possible
            instead = np.where(np.isnan(instead) & ~np.isnan(past), later, instead)
            later = np.where(beyond[len(before) :], past, instead)
            found -= coefficients * later
        after_gap = np.isnan(known[len(before) - 1 : -1]) & ~self.follows_gaps_
        return np.where(after_gap, np.nan, found)

    def _at_end_of(self, windows: np.ndarray) -> np.ndarray:
        """Return the innovations at the last samples of windows."""
        return windows[:, -1] - (windows[:, -2::-1] * self.coefficients_).sum(axis=1)

    def _simulate(
        self, windows: np.ndarray, usable: np.ndarray, rng: np.random.RandomState
    ) -> dict[Failure, list[np.ndarray]]:
        """Return the statistics of every failure, and of jumps, in each modality.

        In every second window, the failure lasts from the first sample to the last. In the others,
        it starts at a random sample but the last.
        """
        n_windows, length, _ = windows.shape
        failing: dict[Failure, list[np.ndarray]] = {failure: [] for failure in (*FAILURES, _JUMP)}
        start = np.where(np.arange(n_windows) % 2, rng.randint(length - 1, size=n_windows), 0)
        lasts = (np.arange(length) >= start[:, None])[..., None]
        for own in self.statistics_.positions(usable):
            jumps = []
            for k, failure in enumerate(FAILURES):
                failed = windows.copy()
                values = failure.values(windows[..., own].reshape(n_windows, -1), rng)
                failed[..., own] = values.reshape(n_windows, length, -1)
                lasting = np.where(lasts, failed, windows)
                failing[failure].append(self.statistics_.of_table(self._at_end_of(lasting)))
                of_clean, of_failed = (x[k :: len(FAILURES)] for x in (windows, failed))
                for before, after in ((of_clean, of_failed), (of_failed, of_clean)):
                    jumps.append(np.concatenate([before[:, :-1], after[:, -1:]], axis=1))
            failing[_JUMP].append(self.statistics_.of_table(self._at_end_of(np.concatenate(jumps))))
        return failing

    def _add_quiet_neighbors(
        self, examples: Examples, windows: np.ndarray, rng: np.random.RandomState
    ) -> Examples:
        """Add clean examples of modalities while another one is stuck or changes too little.

        Otherwise the changes of the clean modality would seem too large in comparison.
        """
        n_modalities, features = len(self.statistics_.sizes_), [examples.features]
        own = np.repeat(np.arange(n_modalities), self.statistics_.sizes_)
        for i in range(n_modalities):
            for j in np.delete(np.arange(n_modalities), i):
                some = windows[rng.randint(n_modalities - 1, size=len(windows)) == 0].copy()
                some[..., own == j] *= rng.uniform(0.0, 0.5, size=(len(some), 1, 1))
                statistics = self.statistics_.of_table(self._at_end_of(some))[:, i]
                features.append(append_modality(statistics, np.full(len(some), i), n_modalities))
        n_added = sum(map(len, features[1:]))
        labels = np.append(examples.failure, np.zeros(n_added, dtype=examples.failure.dtype))
        return Examples(np.concatenate(features), labels)


def _fill_gaps(values: np.ndarray, longest: int) -> np.ndarray:
    """Replace missing values by the last value, in gaps up to the given number of samples."""
    count = np.cumsum(~np.isnan(values), axis=0)
    earlier = np.vstack([np.zeros_like(count[: longest + 1]), count])[: len(count)]
    return np.where(count > earlier, fill_forward(values), np.nan)


def _often_follow_gaps(values: np.ndarray) -> np.ndarray:
    """Return for which features many values follow missing ones."""
    gaps = np.isnan(values)
    known = ~gaps[1:]
    return (gaps[:-1] & known).sum(axis=0) > _MANY * known.sum(axis=0)


def _wide_range(values: np.ndarray) -> np.ndarray:
    """Return the range of each feature, extended by half of its width; NaN if it is missing."""
    low, high = np.fmin.reduce(values), np.fmax.reduce(values)
    return np.stack([1.5 * low - 0.5 * high, 1.5 * high - 0.5 * low])


def _autoregression(x: np.ndarray, n_lags: int) -> np.ndarray:
    """Return the coefficients of the ridge regression of values on those before."""
    windows = np.lib.stride_tricks.sliding_window_view(x, n_lags + 1)
    windows = windows[~np.isnan(windows).any(axis=1)]
    past = windows[:, -2::-1]
    return np.linalg.solve(past.T @ past + np.eye(n_lags), past.T @ windows[:, -1])


def _jumps_of_the_process(windows: np.ndarray, rng: np.random.RandomState) -> list[np.ndarray]:
    """Return windows in which all modalities jump, once or at every sample.

    This is what gaps between samples, or another interval between them, look like.
    """
    n_windows, length, _ = windows.shape
    last = windows[rng.permutation(n_windows), -1:]
    shuffled = windows[rng.randint(n_windows, size=(n_windows, length)), -1]
    return [np.concatenate([windows[:, :-1], last], axis=1), shuffled]


def let_turn_into_offset(transition: np.ndarray) -> np.ndarray:
    """Let noise, gain and mismatch turn into an offset.

    The jump at the start of an offset looks like one of these.

    Parameters
    ----------
    transition : ndarray of shape (1 + n_failures, 1 + n_failures)
        Transition matrix of the filter.

    Returns
    -------
    ndarray of shape (1 + n_failures, 1 + n_failures)
        Transition matrix.
    """
    sources = np.flatnonzero(_KINDS != "offset")
    return let_change(transition, sources, LARGE_OFFSETS, _OFFSET_RATE)


def combine_with_innovations(
    e_values: np.ndarray, of_innovations: np.ndarray, worth: np.ndarray
) -> EValuesByPhase:
    r"""Combine the e-values of values with those of innovations.

    Parameters
    ----------
    e_values : ndarray of shape (n_samples, n_modalities, n_simulated_failures)
        E-values of the values, raised to the power :math:`\gamma`. Innovations show nothing of the
        failures at the end (saturation).
    of_innovations : ndarray of shape (n_samples, n_modalities, n_failures + 1)
        E-values of the innovations, the last one that of a jump.
    worth : ndarray of shape (n_samples, n_modalities)
        Number of independent samples :math:`\gamma` that a sample is worth.

    Returns
    -------
    EValuesByPhase
        E-values.
    """
    rest = 1.0 - worth[..., None]
    lasting, jump = of_innovations[..., :-1], of_innovations[..., -1:]
    shown = slice(lasting.shape[-1])
    lasts, starts, ends = e_values.copy(), e_values.copy(), np.ones_like(e_values)
    lasts[..., shown] *= lasting**rest
    starts[..., shown] *= (0.5 * (lasting + jump)) ** rest
    ends[..., shown] = (0.5 * (1.0 + jump)) ** rest
    return EValuesByPhase(lasts, starts, ends)


def wrong_samples(
    e_values: np.ndarray, of_innovations: np.ndarray, worth: np.ndarray
) -> np.ndarray:
    r"""Return the e-values of single wrong samples.

    A wrong sample is unlike all clean ones, and unlike the samples before it:

    .. math:: w = \min\left(e,\; j^{1 - \gamma} e^\gamma\right)

    with the e-values e of the largest noise and j of a jump. It is an e-value, as e is. An unusual
    level of a slow process is unlike the samples before it only when it starts.

    Parameters
    ----------
    e_values : ndarray of shape (n_samples, n_modalities, n_simulated_failures)
        E-values of the values.
    of_innovations : ndarray of shape (n_samples, n_modalities, n_failures + 1)
        E-values of the innovations, the last one that of a jump.
    worth : ndarray of shape (n_samples, n_modalities)
        Number of independent samples :math:`\gamma` that a sample is worth.

    Returns
    -------
    ndarray of shape (n_samples, n_modalities)
        E-values.
    """
    noise, jump = e_values[..., LARGEST_NOISE], of_innovations[..., -1]
    return np.minimum(noise, jump ** (1.0 - worth) * noise**worth)
