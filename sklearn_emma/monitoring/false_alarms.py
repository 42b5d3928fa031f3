"""Choose what makes false alarms rare, on clean samples in temporal order or exchangeable ones."""

from typing import Any, NamedTuple

import numpy as np

from sklearn_emma.monitoring.autocorrelation import autocorrelation_time
from sklearn_emma.monitoring.calibration import Past, state_prior
from sklearn_emma.monitoring.categories import CategoryEvidence
from sklearn_emma.monitoring.dependence import Dependence
from sklearn_emma.monitoring.evidence import RunLengths, fill_forward, largest_e_value
from sklearn_emma.monitoring.exchangeability import (
    warn_of_few_samples,
    warn_of_long_repeats,
    warn_of_slow_process,
)
from sklearn_emma.monitoring.filter import (
    Rates,
    Switches,
    highest_odds,
    slow_recovery,
    transitions,
    usual_share,
)
from sklearn_emma.monitoring.innovations import (
    Innovations,
    let_turn_into_offset,
    wrong_samples,
)
from sklearn_emma.monitoring.likelihoods import (
    EvidenceInOrder,
    Missing,
    combine,
    likelihoods_in_order,
    simulated_failures,
)
from sklearn_emma.monitoring.ratios import FailureRatios, include_large_offsets
from sklearn_emma.monitoring.recurrence import Recurrence
from sklearn_emma.monitoring.residuals import Residuals, combine_with_residuals
from sklearn_emma.monitoring.statistics import SampleStatistics
from sklearn_emma.monitoring.tables import are_numbers
from sklearn_emma.monitoring.thresholds import (
    Stuck,
    StuckAfter,
    choose_alarm_odds,
    choose_exponents,
    clean_odds,
    exponents_of_intermittent,
    exponents_of_missing,
    exponents_of_stuck,
)

# Smallest number of independent samples that half of the clean samples must be worth for residuals.
_FEWEST_INDEPENDENT = 10.0
# Highest odds of an intermittent failure in clean samples, relative to those of other failures.
_OF_INTERMITTENT = 0.01


class FailureTests(NamedTuple):
    """Evidence of failures.

    Attributes
    ----------
    statistics, run_lengths, recurrence, ratios, dependence, categories : objects
        Attributes of :class:`~sklearn_emma.monitoring.calibration.Calibration`.
    """

    statistics: SampleStatistics
    run_lengths: RunLengths
    recurrence: Recurrence
    ratios: FailureRatios
    dependence: Dependence
    categories: CategoryEvidence | None


class SlowTests(NamedTuple):
    """Evidence of failures of slow processes.

    Attributes
    ----------
    innovations, residuals : objects
        Attributes of :class:`~sklearn_emma.monitoring.calibration.Calibration`.
    """

    innovations: Innovations
    residuals: Residuals


class CleanSamples(NamedTuple):
    """Clean samples, as they are judged.

    Attributes
    ----------
    z, rows : ndarray of shape (n_samples, n_features)
        Standardized samples, in which missing values are zero: in the order in which they are
        divided, and in that in which they were given.
    values : ndarray of shape (n_samples, n_features)
        Values of `z`, with NaN for missing ones.
    missing : Missing
        Missing modalities in the samples of `z`, after those of samples before them.
    half : int
        Position of the first sample that is judged.
    judged : ndarray of shape (n_judged, n_modalities, n_statistics)
        Statistics of the samples that are judged.
    unseen : ndarray of bool of shape (n_judged, n_modalities)
        Whether they have an unseen level in a modality.
    """

    z: np.ndarray
    rows: np.ndarray
    values: np.ndarray
    missing: Missing
    half: int
    judged: np.ndarray
    unseen: np.ndarray


class Chosen(NamedTuple):
    """What is chosen such that there are few false alarms.

    Attributes
    ----------
    exponents, innovation_exponents, residual_exponents, intermittent_exponents, \
            stuck_exponents, missing, start : objects
        Attributes of :class:`~sklearn_emma.monitoring.calibration.Calibration`.
    transition, usual, settled, alarm_odds : objects
        Attributes of :class:`~sklearn_emma.monitoring.calibration.Calibration`.
    """

    exponents: np.ndarray
    innovation_exponents: np.ndarray
    residual_exponents: np.ndarray
    intermittent_exponents: np.ndarray
    stuck_exponents: np.ndarray
    missing: np.ndarray
    start: Past
    transition: np.ndarray
    usual: float
    settled: np.ndarray
    alarm_odds: float


def choose_in_order(
    tests: FailureTests,
    slow: SlowTests,
    clean: CleanSamples,
    estimator: Any,
    rates: Rates,
) -> Chosen:
    """Choose exponents and recovery rates on clean samples in temporal order.

    Parameters
    ----------
    tests : FailureTests
        Evidence of failures.
    slow : SlowTests
        Evidence of failures of slow processes.
    clean : CleanSamples
        Clean samples in temporal order.
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted estimator.
    rates : Rates
        Rates of failures, of recoveries and of allowed false alarms.

    Returns
    -------
    Chosen
        What was chosen.
    """
    z, half = clean.z, clean.half
    warn_of_few_samples(len(z) - half)
    start = tests.dependence.start()
    exponents, changes = tests.dependence(z, start)
    saturation = tests.recurrence(z, start.recent)[half:]
    learned = tests.ratios(clean.judged)
    e_values = simulated_failures(learned, saturation, tests.categories, clean.unseen)
    of_innovations = slow.innovations(clean.values, None)[half:]
    wrong = wrong_samples(e_values, of_innovations, exponents[half:])
    filled = fill_forward(clean.values)
    repeats = tests.run_lengths.repeats(np.diff(filled, axis=0, prepend=np.nan))[half:]
    repeats &= ~clean.unseen
    worth = np.median(exponents[half:], axis=0)
    recovery = slow_recovery(rates.recovery, rates.hazard, worth)
    transition = np.stack(
        [let_turn_into_offset(transitions(rates.hazard, rate, state_prior())) for rate in recovery]
    )
    e_values = include_large_offsets(e_values) ** exponents[half:, :, None]
    n_clean = len(clean.judged)
    limit = n_clean * rates.hazard
    none = np.zeros(repeats.shape)
    further = choose_exponents(
        lambda power: (combine(e_values**power, none, none, repeats), None), limit, transition
    )
    e_values **= further[:, None]
    of_residuals = slow.residuals(clean.values[half:])
    # residuals need clean samples that are worth several independent ones
    speed = slow.residuals.exponents_ * (len(z) / 2 * worth >= _FEWEST_INDEPENDENT)

    def with_residuals(power: Any) -> np.ndarray:
        """Return the e-values of values and residuals, given a power of those of residuals."""
        return combine_with_residuals(e_values, of_residuals, exponents[half:], power * speed)

    of_offsets = choose_exponents(
        lambda power: (combine(with_residuals(power), none, none, repeats), None),
        limit,
        transition,
    )
    of_innovations **= slow.innovations.exponents_[:, None]
    present = Missing(np.zeros(repeats.shape, dtype=bool), none[0])
    # the evidence of single samples adds up, and unusual samples of a process come in clusters
    alike = [autocorrelation_time(np.maximum(x, 1.0)) for x in wrong.T]
    wrong **= 1.0 / np.array(alike)
    of_wrong = exponents_of_intermittent(wrong, repeats, _OF_INTERMITTENT * limit, transition)
    evidence = EvidenceInOrder(
        values=e_values,
        innovations=of_innovations,
        residuals=of_residuals,
        residual_exponents=of_offsets * speed,
        wrong=wrong**of_wrong,
        stuck=none,
        repeats=repeats,
        worth=exponents[half:],
    )

    def likelihoods(power: Any, of_stuck: np.ndarray) -> tuple[np.ndarray, Switches]:
        """Return the likelihoods of the states, given a power of the e-values of innovations."""
        of_power = of_innovations ** np.expand_dims(power, -1)
        counted = evidence._replace(innovations=of_power, stuck=of_stuck)
        return likelihoods_in_order(counted, present, n_clean)

    tempered = choose_exponents(lambda power: likelihoods(power, none), limit, transition)
    largest = largest_e_value(n_clean) ** (worth * further)
    also = largest * slow.innovations.largest_ ** ((1.0 - worth) * tempered)
    largest = slow.residuals.highest(largest, worth, of_offsets * speed)
    reached = np.stack(
        [highest_odds(e_value, rates.hazard, recovery) for e_value in (largest, also)]
    )
    alarm_odds = rates.highest_alarm_odds(len(worth))
    possible = reached >= alarm_odds
    warn_of_slow_process(estimator.modality_names_, worth * further, possible[0], possible[1])
    stuck = _judged_by_the_other_half(clean.values, tests.statistics, are_numbers(estimator))
    of_stuck = exponents_of_stuck(stuck, tests.run_lengths.tied_, rates.hazard, transition)
    warn_of_long_repeats(estimator.modality_names_, of_stuck)
    # missing values that are usual must not raise an alarm
    at_most = min(len(clean.missing.absent) * rates.hazard, alarm_odds)
    of_missing = exponents_of_missing(clean.missing, at_most, transition)
    usual = usual_share(transitions(rates.hazard, rates.recovery, state_prior()))
    found = likelihoods(tempered, stuck.e_values[half:] ** of_stuck)
    odds = np.median(clean_odds(*found, transition), axis=0)
    settled = np.clip(2.0 * odds / (1.0 + odds), usual, usual_share(transition))
    before = changes._replace(recent=start.recent, n_samples=0)
    return Chosen(
        further,
        tempered * slow.innovations.exponents_,
        of_offsets * speed,
        of_wrong / alike,
        of_stuck,
        clean.missing.rate**of_missing,
        Past.before(before, len(worth)),
        transition,
        usual,
        settled,
        alarm_odds,
    )


def choose_exchangeable(
    tests: FailureTests,
    clean: CleanSamples,
    rates: Rates,
    rng: np.random.RandomState,
) -> Chosen:
    """Choose the odds of an alarm on clean samples that are exchangeable.

    Parameters
    ----------
    tests : FailureTests
        Evidence of failures.
    clean : CleanSamples
        Clean samples in random order.
    rates : Rates
        As in :func:`choose_in_order`.
    rng : RandomState
        Random number generator.

    Returns
    -------
    Chosen
        What was chosen.
    """
    z, half = clean.z, clean.half
    ones = np.ones(len(tests.run_lengths.tied_))
    transition = transitions(rates.hazard, rates.recovery, state_prior())
    possible = tests.ratios.possible(clean.judged, rng)
    saturation = tests.recurrence(z, tests.dependence.start().recent)[half:]
    possible = simulated_failures(possible, saturation, tests.categories, clean.unseen)
    after = StuckAfter(tests.run_lengths, fill_forward(clean.values)[half:])
    missing = clean.missing._replace(absent=clean.missing.absent[-len(clean.judged) :])
    highest = rates.highest_alarm_odds(len(ones))
    alarm_odds = choose_alarm_odds(
        possible, after, missing, transition, rates.false_alarms, highest, rng
    )
    start = Past.before(tests.dependence.suspect(clean.rows), len(ones))
    usual = usual_share(transition)
    return Chosen(
        exponents=ones,
        innovation_exponents=ones,
        residual_exponents=ones,
        intermittent_exponents=ones,
        stuck_exponents=ones,
        missing=missing.rate,
        start=start,
        transition=transition,
        usual=usual,
        settled=usual * ones,
        alarm_odds=alarm_odds,
    )


def _judged_by_the_other_half(
    values: np.ndarray, statistics: SampleStatistics, numbers: np.ndarray
) -> Stuck:
    """Return the evidence of stuck sensors in each half of clean samples in temporal order.

    How often values repeat is estimated on the other half, as values and rates of a stream may
    also differ from those of the clean samples.
    """
    half = len(values) // 2
    halves = values[:half], values[half:]
    found = []
    for judged, other in (halves, halves[::-1]):
        known = RunLengths(other, statistics, numbers)
        first, runs = np.full(values.shape[1], np.nan), np.zeros(len(known.tied_), dtype=int)
        found.append(Stuck(*known(judged, first, runs)[:2]))
    return Stuck(*(np.concatenate(parts) for parts in zip(*found, strict=True)))
