"""Calibrated parameters of a monitor, and the likelihoods that they give."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sklearn_emma.monitoring.categories import CategoryEvidence
from sklearn_emma.monitoring.dependence import Changes, Dependence
from sklearn_emma.monitoring.failures import KINDS, LARGEST_NOISE
from sklearn_emma.monitoring.filter import Switches
from sklearn_emma.monitoring.innovations import (
    Innovations,
    wrong_samples,
)
from sklearn_emma.monitoring.likelihoods import (
    STATE_KINDS,
    EvidenceInOrder,
    Missing,
    combine,
    intermittent_failure,
    likelihoods_in_order,
    replace_missing,
    simulated_failures,
)
from sklearn_emma.monitoring.ratios import FailureRatios, include_large_offsets
from sklearn_emma.monitoring.recurrence import Recurrence
from sklearn_emma.monitoring.residuals import Residuals
from sklearn_emma.monitoring.run_lengths import RunLengths
from sklearn_emma.monitoring.statistics import SampleStatistics, read_energies
from sklearn_emma.monitoring.tables import read_table, read_unseen

_TINY = np.finfo(float).tiny

#: Whether a changed process, with all sensors intact, can be mistaken for each failure state.
CHANGED = np.array([kind not in ("stuck", "missing") for kind in STATE_KINDS])


def state_prior() -> np.ndarray:
    """Return the prior probability of each failure state.

    All kinds of failure have the same probability, and so have all severities of one kind.

    Returns
    -------
    ndarray of shape (n_failures,)
        Prior probabilities, summing to one.
    """
    return np.array([1.0 / STATE_KINDS.count(kind) for kind in STATE_KINDS]) / len(KINDS)


class Past(NamedTuple):
    """Summary of the past values of a stream.

    Attributes
    ----------
    runs : ndarray of int of shape (n_modalities,)
        Number of consecutive repeats that end with the last sample.
    changes : Changes
        Recent values and histograms of changes, from which autocorrelations are estimated.
    last : ndarray of shape (n_features,)
        Last standardized value of each feature that was not missing, NaN if there is none.
    missing : ndarray of bool of shape (64, n_features)
        Which of the recent values in `changes` were missing.
    """

    runs: np.ndarray
    changes: Changes
    last: np.ndarray
    missing: np.ndarray

    @property
    def recent(self) -> np.ndarray:
        """Recent values, (64, n_features), with NaN for those that were missing."""
        return np.where(self.missing, np.nan, self.changes.recent)

    @classmethod
    def before(cls, changes: Changes, n_modalities: int) -> "Past":
        """Return the summary before the first sample of a stream.

        Parameters
        ----------
        changes : Changes
            State of the estimate of autocorrelations.
        n_modalities : int
            Number of modalities.

        Returns
        -------
        Past
            Summary without values.
        """
        recent = changes.recent
        last = np.full(recent.shape[1], np.nan)
        return cls(np.zeros(n_modalities, dtype=int), changes, last, np.zeros(recent.shape, bool))


class _Judged(NamedTuple):
    """Samples of a stream, judged one by one.

    `values` are standardized, with NaN for missing ones. `e_values` are those of the simulated
    failures and `stuck` those of a stuck sensor. `repeats` says which samples repeat the one
    before, `worth` how many independent samples each is worth, and `absent` which modalities are
    missing.
    """

    values: np.ndarray
    e_values: np.ndarray
    stuck: np.ndarray
    repeats: np.ndarray
    worth: np.ndarray
    absent: np.ndarray


@dataclass(frozen=True)
class Calibration:
    """Calibrated parameters of a monitor.

    Attributes
    ----------
    statistics : SampleStatistics
        Statistics of single samples, from which the likelihood ratios are computed.
    run_lengths : RunLengths
        E-values of stuck sensors.
    recurrence : Recurrence
        E-values of saturating sensors.
    ratios : FailureRatios
        E-values of the other simulated failures.
    dependence : Dependence
        Exponents of the e-values that account for the autocorrelation of the stream.
    exponents, innovation_exponents, residual_exponents, intermittent_exponents, \
            stuck_exponents : ndarray of shape (n_modalities,)
        Additional exponents of the e-values of simulated failures, and exponents of those of
        innovations, of residuals, of wrong samples and of stuck sensors, chosen on clean samples in
        temporal order. One if the clean samples were not in temporal order.
    start : Past
        Summary of past values before the first sample of a stream.
    missing : ndarray of shape (n_modalities,)
        Upper bound of the probability that the modality is missing in a clean sample; zero if it
        never was. If `ordered` is True, raised to a power that accounts for missing values that
        come in blocks.
    unusable : ndarray of shape (n_modalities, n_failures)
        1 if the predictor should not use a modality that fails in this way, else 0. One half for a
        mismatch of two modalities, of which either may have failed. Zero for an intermittent
        failure.
    transition : ndarray of shape ([n_modalities,] 1 + n_failures, 1 + n_failures)
        Transition matrix of the filter, if `ordered` is True of each modality.
    usual : float
        Prior probability that a modality fails: the long-term fraction of samples in which it does,
        given the hazard rate and the recovery rate for independent samples.
    settled : ndarray of shape (n_modalities,)
        Probability of failing up to which a modality counts as clean when the start of a failure is
        dated. If `ordered` is True, it is higher for slow processes, whose probabilities vary more.
    alarm_odds : float
        Odds of a failure at which an alarm is raised.
    location, spread : ndarray of shape (n_features,)
        Median and scaled median absolute deviation of clean standardized values.
    innovations : Innovations or None
        E-values of failures from successive samples. None if the clean samples were not in temporal
        order.
    residuals : Residuals or None
        E-values of offsets from the other modalities. None if `innovations` is.
    categories : CategoryEvidence or None
        Changes of the e-values of modalities with categories. None if no column is categorical.
    """

    statistics: SampleStatistics
    run_lengths: RunLengths
    recurrence: Recurrence
    ratios: FailureRatios
    dependence: Dependence
    exponents: np.ndarray
    innovation_exponents: np.ndarray
    residual_exponents: np.ndarray
    intermittent_exponents: np.ndarray
    stuck_exponents: np.ndarray
    start: Past
    missing: np.ndarray
    unusable: np.ndarray
    transition: np.ndarray
    usual: float
    settled: np.ndarray
    alarm_odds: float
    location: np.ndarray
    spread: np.ndarray
    innovations: Innovations | None
    residuals: Residuals | None
    categories: CategoryEvidence | None

    @property
    def ordered(self) -> bool:
        """Whether the clean samples were in temporal order."""
        return self.innovations is not None

    def likelihoods(
        self, estimator: Any, X: Any, past: Past
    ) -> tuple[np.ndarray, Switches | None, Past]:
        """Return the likelihoods of the states of the filter for the next samples of a stream.

        Parameters
        ----------
        estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
            Fitted estimator.
        X : array-like or DataFrame of shape (n_samples, n_features)
            The next samples.
        past : Past
            Summary of the samples before.

        Returns
        -------
        likelihoods : ndarray of shape (n_samples, n_modalities, 1 + n_failures)
            Likelihoods relative to the clean state. For a missing modality, the likelihood is one
            for the state "missing", and `missing` for all other states.
        switches : Switches or None
            Likelihoods of states that start or end. None if they are the same.
        past : Past
            Summary of the samples up to the last one of X.
        """
        judged, after = self._judge(estimator, X, past)
        if not self.ordered:
            return self._likelihoods_exchangeable(judged), None, after
        return *self._likelihoods_in_order(judged, past.recent), after

    def _judge(self, estimator: Any, X: Any, past: Past) -> tuple[_Judged, Past]:
        """Judge the next samples, and summarize the samples up to the last of them."""
        table = read_table(estimator, X)
        energies = read_energies(estimator, X, table, self.statistics)
        values = self.statistics.relative(table)
        stuck, repeats, runs, last = self.run_lengths(values, past.last, past.runs)
        filled = self.statistics.filled(values)
        worth, changes = self.dependence(filled, past.changes)
        saturation = self.recurrence(values, past.recent)
        unseen = None
        if self.categories is not None:
            unseen = read_unseen(estimator, X)
            # two unseen levels are not known to be equal
            repeats, stuck = repeats & ~unseen, np.where(unseen, 1.0, stuck)
        learned = self.ratios(self.statistics(values, *energies, filled))
        e_values = simulated_failures(learned, saturation, self.categories, unseen)
        absent = self.statistics.absent(values)
        recently = np.vstack([past.missing, np.isnan(values)])[-len(past.missing) :]
        judged = _Judged(values, e_values, stuck, repeats, worth, absent)
        return judged, Past(runs, changes, last, recently)

    def _likelihoods_in_order(
        self, judged: _Judged, recent: np.ndarray
    ) -> tuple[np.ndarray, Switches]:
        """Return the likelihoods and switches if the clean samples were in temporal order."""
        assert self.innovations is not None
        assert self.residuals is not None
        innovations = self.innovations(judged.values, recent)
        wrong = wrong_samples(judged.e_values, innovations, judged.worth)
        powers = judged.worth * self.exponents
        evidence = EvidenceInOrder(
            values=include_large_offsets(judged.e_values) ** powers[..., None],
            innovations=innovations ** self.innovation_exponents[:, None],
            residuals=self.residuals(judged.values) if self.residual_exponents.any() else None,
            residual_exponents=self.residual_exponents,
            wrong=wrong**self.intermittent_exponents,
            stuck=judged.stuck**self.stuck_exponents,
            repeats=judged.repeats,
            worth=judged.worth,
        )
        missing = Missing(judged.absent, self.missing)
        return likelihoods_in_order(evidence, missing, self.ratios.n_clean_)

    def _likelihoods_exchangeable(self, judged: _Judged) -> np.ndarray:
        """Return the likelihoods if the clean samples were exchangeable."""
        powers = judged.worth * self.exponents
        simulated = judged.e_values ** powers[..., None]
        intermittent = intermittent_failure(simulated[..., LARGEST_NOISE], self.ratios.n_clean_)
        # when the process does not change, modalities with equal clean samples repeat values
        stuck = judged.stuck ** np.where(self.run_lengths.tied_, judged.worth, 1.0)
        # each of several independent samples is informative, even if they are equal
        repeats = judged.repeats & ~self.run_lengths.steps_
        likelihoods = combine(simulated, intermittent, stuck, repeats)
        return replace_missing(likelihoods, judged.absent, self.missing)

    def evidence(self, probabilities: np.ndarray, changed: np.ndarray) -> np.ndarray:
        r"""Return the evidence against each modality, as the gate takes it.

        It is minus the log probability that the values of modality i are usable, relative to its
        prior probability:

        .. math:: a_i = \max\Bigl(0, \log(1 - \pi) - \log\bigl(1 - \sum_k u_{ik} p_{ik}\bigr)\Bigr)

        where :math:`\pi` is the prior probability that a modality fails, :math:`p_{ik}` the
        probability of failure k, and :math:`u_{ik}` is the probability that this failure makes
        the modality unusable (the attribute `unusable`). A probability of unusable values of at
        most :math:`\pi` gives no evidence.

        Parameters
        ----------
        probabilities : ndarray of shape (n_samples, n_modalities, 1 + n_failures)
            Probabilities of the states of the filter.
        changed : ndarray of shape (n_samples,)
            Probability that the process has changed while all sensors are intact. Failure states
            that a changed process can be mistaken for are discounted by it.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Evidence, in nats.
        """
        useless = self.unusable * (1.0 - changed[:, None, None] * CHANGED)
        usable = probabilities[..., 0] + (probabilities[..., 1:] * (1 - useless)).sum(axis=-1)
        return np.maximum(np.log1p(-self.usual) - np.log(np.maximum(usable, _TINY)), 0.0)
