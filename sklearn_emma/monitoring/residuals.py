r"""Evidence of an offset from the residuals of a slow process.

The *residuals* are the errors of the prediction of each feature from the other modalities at the
same time. A slow process that all modalities see is predicted, so that the residuals may change
much faster than the values. An offset shows in each of them while it lasts.

Clean samples in temporal order are divided into two halves. From the first, the predictions, the
statistics of residuals and the likelihood ratios of failures are learned, as those of values are.
Relations between modalities may drift, so the residuals of clean examples are shifted by the
difference between the mean residuals of two blocks of samples. The second half calibrates the
e-values :math:`r_k` of an offset k. They are raised to the power :math:`\gamma_r = 1 / \tau_r`,
with the longest autocorrelation time of their logarithms. If a value is worth :math:`\gamma`
independent samples, the e-value :math:`e_k^\gamma` of the values is replaced by

.. math:: e_k^{\gamma (1 - s)} r_k^{\gamma_r s}, \qquad
    s = (1 - \gamma) \max(0, 1 - 2 \gamma / \gamma_r).

A geometric mean is at most the arithmetic mean, so this is an e-value if those that it combines
are, on average over clean samples. Residuals count only if one is worth more than twice as many
independent samples as a value, and only within the range of the predictions of the first half.
"""

from collections.abc import Sequence

import numpy as np

from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.monitoring.autocorrelation import longest_times
from sklearn_emma.monitoring.e_values import largest_e_value
from sklearn_emma.monitoring.failures import FAILURES, OFFSETS, SMALL_ALLOWANCE, Failure
from sklearn_emma.monitoring.ratios import (
    FailureRatios,
    gather_examples,
    include_large_offsets,
    informative_failures,
    positions_of_examples,
)
from sklearn_emma.monitoring.statistics import SampleStatistics

# Smallest half of the clean samples from which anything is learned, and smallest number of
# modalities: the residuals of two do not show which of them fails.
_FEWEST, _FEWEST_MODALITIES = 1000, 3
# Number of blocks of successive samples whose mean residuals show how relations drift.
_N_BLOCKS = 8
# Residuals count if they are worth more than this many times as many samples as values.
_MARGIN = 2.0
_TINY = np.finfo(float).tiny


class Residuals:
    r"""E-values of offsets from residuals.

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
    predictions_ : SampleStatistics
        Predictions of each modality from the others.
    statistics_ : SampleStatistics
        Statistics of the residuals. Missing if there is nothing to learn from: with less than three
        modalities, or fewer than 1,000 samples in one half that have most values.
    range_ : ndarray of shape (2, n_features)
        Smallest and largest prediction in the first half, as predictions from unusual values of
        other modalities are not reliable. Missing if `statistics_` is.
    ratios_ : FailureRatios
        E-values of failures. Missing if `statistics_` is.
    informative_ : ndarray of bool of shape (n_modalities, n_offsets)
        False where e-values are replaced by one, because their logarithm has a negative mean in
        simulated failures.
    exponents_ : ndarray of shape (n_modalities,)
        Exponents :math:`\gamma_r` of the e-values. Zero if there is nothing to learn from.
    """

    def __init__(
        self,
        values: np.ndarray,
        sizes: Sequence[int],
        usable: np.ndarray,
        rng: np.random.RandomState,
    ) -> None:
        half = len(values) // 2
        self.predictions_ = SampleStatistics(values[:half], sizes)
        self.informative_ = np.zeros((len(sizes), len(OFFSETS)), dtype=bool)
        self.exponents_ = np.zeros(len(sizes))
        known = self._mostly_known(values)
        if len(sizes) < _FEWEST_MODALITIES or min(known[:half].sum(), known[half:].sum()) < _FEWEST:
            return
        first, second = (values[part][known[part]] for part in (slice(half), slice(half, None)))
        self.statistics_ = SampleStatistics(self._residuals(first), sizes)
        predicted, _ = self._predict(first)
        self.range_ = np.stack([predicted.min(axis=0), predicted.max(axis=0)])
        clean = first[positions_of_examples(0, len(first), len(sizes))]
        failing = {
            failure: [self._statistics_of(x) for x in self._fail(clean, failure, usable, rng)]
            for failure in FAILURES
        }
        examples = gather_examples(self._drifting(clean, values[known], rng), failing)
        judged = self._statistics_of(second)
        seed = draw_seed(rng)
        self.ratios_ = FailureRatios(
            judged, examples, seed, extrapolate=False, allowance=SMALL_ALLOWANCE
        )
        offsets = [failing[FAILURES[k]] for k in OFFSETS]
        self.informative_ = informative_failures(self._e_values, offsets)
        self.exponents_ = 1.0 / longest_times(np.log(self(values[half:])))

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """Return the e-values of samples.

        Parameters
        ----------
        values : ndarray of shape (n_samples, n_features)
            Standardized samples. NaN marks missing values.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities, n_offsets)
            E-values :math:`r_k` of the simulated offsets, NaN where nothing is known: in samples in
            which more than half of a modality is missing, where predictions are outside `range_`,
            and where `informative_` is False.
        """
        found = np.full((len(values), *self.informative_.shape), np.nan)
        if self.informative_.any():
            predicted, residuals = self._predict(values)
            within = (predicted >= self.range_[0]) & (predicted <= self.range_[1])
            known = self.predictions_.all_features(within)
            known &= self._mostly_known(values)[:, None]
            e_values = self._e_values(self.statistics_.of_table(residuals))
            found = np.where(known[..., None] & self.informative_, e_values, np.nan)
        return found

    def highest(
        self, of_values: np.ndarray, worth: np.ndarray, exponents: np.ndarray
    ) -> np.ndarray:
        """Return the largest possible e-values of offsets.

        Parameters
        ----------
        of_values : ndarray of shape (n_modalities,)
            Largest possible e-values of the values.
        worth, exponents : ndarray of shape (n_modalities,)
            Number of independent samples that a value and a residual are worth.

        Returns
        -------
        ndarray of shape (n_modalities,)
            At least `of_values`.
        """
        if not self.informative_.any():
            return of_values
        largest = np.where(
            self.informative_, largest_e_value(self.ratios_.n_clean_, SMALL_ALLOWANCE), 1
        )
        share = _share_of_residuals(worth, exponents)
        both = of_values ** (1.0 - share) * largest.max(axis=-1) ** (exponents * share)
        return np.maximum(of_values, both)

    def _mostly_known(self, values: np.ndarray) -> np.ndarray:
        """Return which samples have at least half of the values of each modality."""
        return np.all(~self.predictions_.mostly_missing(values), axis=1)

    def _predict(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the predictions of each feature from the other modalities, and their errors."""
        predicted = self.predictions_.predicted(self.predictions_.filled(values))
        return predicted, np.where(self.predictions_.varies_, values - predicted, 0.0)

    def _residuals(self, values: np.ndarray) -> np.ndarray:
        """Return the errors of the predictions."""
        return self._predict(values)[1]

    def _drifting(
        self, clean: np.ndarray, values: np.ndarray, rng: np.random.RandomState
    ) -> np.ndarray:
        """Return the statistics of clean samples whose residuals have drifted.

        The drift is the difference between the mean residuals of two blocks of samples. Thus
        relations that change slowly are no evidence of an offset.
        """
        blocks = np.array_split(self.statistics_.filled(self._residuals(values)), _N_BLOCKS)
        means = np.stack([block.mean(axis=0) for block in blocks])
        one, other = rng.randint(_N_BLOCKS, size=(2, len(clean)))
        return self._statistics_of(clean, means[one] - means[other])

    def _statistics_of(self, values: np.ndarray, drift: np.ndarray | float = 0.0) -> np.ndarray:
        """Return the statistics of residuals that have drifted."""
        return self.statistics_.of_table(self._residuals(values) + drift)

    def _e_values(self, statistics: np.ndarray) -> np.ndarray:
        """Return the e-values of offsets, given the statistics of residuals."""
        return include_large_offsets(self.ratios_(statistics))[..., OFFSETS]

    def _fail(
        self, clean: np.ndarray, failure: Failure, usable: np.ndarray, rng: np.random.RandomState
    ) -> list[np.ndarray]:
        """Return samples in which each modality fails, in every second one only some columns."""
        found, filled = [], self.predictions_.filled(clean)
        for own in self.predictions_.positions(usable):
            failed = clean.copy()
            values = failure.values(filled[:, own], rng)
            stays = rng.uniform(size=values.shape) < 0.5
            stays[::2] = False
            failed[:, own] = np.where(stays | np.isnan(clean[:, own]), clean[:, own], values)
            found.append(failed)
        return found


def combine_with_residuals(
    e_values: np.ndarray, of_residuals: np.ndarray, worth: np.ndarray, exponents: np.ndarray
) -> np.ndarray:
    r"""Combine the e-values of values with those of residuals.

    Parameters
    ----------
    e_values : ndarray of shape (n_samples, n_modalities, n_simulated_failures)
        E-values of the values, raised to the power :math:`\gamma`.
    of_residuals : ndarray of shape (n_samples, n_modalities, n_offsets)
        E-values :math:`r_k` of the residuals, NaN where nothing is known.
    worth : ndarray of shape (n_samples, n_modalities)
        Number of independent samples :math:`\gamma` that a value is worth.
    exponents : ndarray of shape (n_modalities,)
        Exponents :math:`\gamma_r` of the residuals.

    Returns
    -------
    ndarray of shape (n_samples, n_modalities, n_simulated_failures)
        E-values, of which those of offsets are new.
    """
    share = _share_of_residuals(worth, exponents)[..., None]
    own = e_values[..., OFFSETS]
    both = own ** (1.0 - share) * of_residuals ** (exponents[:, None] * share)
    found = e_values.copy()
    found[..., OFFSETS] = np.where(np.isnan(of_residuals), own, both)
    return found


def _share_of_residuals(worth: np.ndarray, exponents: np.ndarray) -> np.ndarray:
    """Return the share s of residuals in the combined e-values."""
    return (1.0 - worth) * np.maximum(1.0 - _MARGIN * worth / np.maximum(exponents, _TINY), 0.0)
