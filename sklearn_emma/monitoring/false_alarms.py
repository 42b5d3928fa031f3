"""Choose all parameters that keep false alarms rare.

If clean samples are in temporal order, the exponents of e-values are chosen
(:mod:`sklearn_emma.monitoring.exponents`), and the odds of an alarm are those of the theory. If
they are exchangeable, the odds are chosen (:mod:`sklearn_emma.monitoring.alarm_odds`).
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from sklearn_emma.monitoring.alarm_odds import StuckAfter, choose_alarm_odds
from sklearn_emma.monitoring.calibration import Past, state_prior
from sklearn_emma.monitoring.categories import CategoryEvidence
from sklearn_emma.monitoring.dependence import Changes, Dependence
from sklearn_emma.monitoring.e_values import largest_e_value
from sklearn_emma.monitoring.exchangeability import (
    warn_of_few_samples,
    warn_of_long_repeats,
    warn_of_slow_process,
)
from sklearn_emma.monitoring.exponents import (
    Powers,
    SlowProcess,
    choose_powers,
    clean_likelihoods,
    clean_odds,
    exponents_of_missing,
    exponents_of_stuck,
)
from sklearn_emma.monitoring.filter import (
    Rates,
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
    simulated_failures,
)
from sklearn_emma.monitoring.ratios import FailureRatios, include_large_offsets
from sklearn_emma.monitoring.recurrence import Recurrence
from sklearn_emma.monitoring.residuals import Residuals
from sklearn_emma.monitoring.run_lengths import RunLengths, Stuck, fill_forward
from sklearn_emma.monitoring.statistics import SampleStatistics
from sklearn_emma.monitoring.tables import are_numbers

# Smallest number of independent samples that half of the clean samples must be worth for residuals.
_FEWEST_INDEPENDENT = 10.0


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
    values : ndarray of shape (n_samples, n_features)
        Standardized samples in the order in which they are divided. NaN marks missing values.
    filled, rows : ndarray of shape (n_samples, n_features)
        Samples with filled missing values, in this order and in that in which they were given.
    missing : Missing
        Missing modalities in these samples, after those of samples before them.
    half : int
        Position of the first sample that is judged.
    judged : ndarray of shape (n_judged, n_modalities, n_statistics)
        Statistics of the samples that are judged.
    unseen : ndarray of bool of shape (n_judged, n_modalities)
        Whether they have an unseen level in a modality.
    """

    values: np.ndarray
    filled: np.ndarray
    rows: np.ndarray
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
    names, half = estimator.modality_names_, clean.half
    warn_of_few_samples(len(clean.values) - half)
    judged, changes = _judge_in_order(tests, slow, clean)
    process = _slow_process(judged.worth, rates)
    counted, powers = choose_powers(judged, process)
    _warn_if_no_alarm_is_possible(names, powers, slow, process, rates)
    transition, alarm_odds = process.transition, rates.highest_alarm_odds(len(names))
    stuck = _judged_by_the_other_half(clean.values, tests.statistics, are_numbers(estimator))
    of_stuck = exponents_of_stuck(stuck, tests.run_lengths.tied_, rates.hazard, transition)
    warn_of_long_repeats(names, of_stuck)
    # missing values that are usual must not raise an alarm
    limit = min(len(clean.missing.absent) * rates.hazard, alarm_odds)
    of_missing = exponents_of_missing(clean.missing, limit, transition)
    usual = usual_share(transitions(rates.hazard, rates.recovery, state_prior()))
    with_stuck = counted._replace(stuck=stuck.e_values[half:] ** of_stuck)
    return Chosen(
        exponents=powers.values,
        innovation_exponents=powers.innovations * slow.innovations.exponents_,
        residual_exponents=powers.residuals,
        intermittent_exponents=powers.wrong,
        stuck_exponents=of_stuck,
        missing=clean.missing.rate**of_missing,
        start=Past.before(changes, len(names)),
        transition=transition,
        usual=usual,
        settled=_settled(with_stuck, process, usual),
        alarm_odds=alarm_odds,
    )


def _judge_in_order(
    tests: FailureTests, slow: SlowTests, clean: CleanSamples
) -> tuple[EvidenceInOrder, Changes]:
    """Judge clean samples as those of a stream, which starts in the state that is also returned.

    No power is chosen yet, and no sensor is stuck.
    """
    start, half = tests.dependence.start(), clean.half
    exponents, changes = tests.dependence(clean.filled, start)
    worth = exponents[half:]
    saturation = tests.recurrence(clean.values, start.recent)[half:]
    learned = tests.ratios(clean.judged)
    e_values = simulated_failures(learned, saturation, tests.categories, clean.unseen)
    innovations = slow.innovations(clean.values, None)[half:]
    filled = fill_forward(clean.values)
    repeats = tests.run_lengths.repeats(np.diff(filled, axis=0, prepend=np.nan))[half:]
    # residuals need clean samples that are worth several independent ones
    enough = len(clean.values) / 2 * np.median(worth, axis=0) >= _FEWEST_INDEPENDENT
    judged = EvidenceInOrder(
        values=include_large_offsets(e_values) ** worth[..., None],
        innovations=innovations ** slow.innovations.exponents_[:, None],
        residuals=slow.residuals(clean.values[half:]),
        residual_exponents=slow.residuals.exponents_ * enough,
        wrong=wrong_samples(e_values, innovations, worth),
        stuck=np.zeros(worth.shape),
        repeats=repeats & ~clean.unseen,
        worth=worth,
    )
    return judged, changes._replace(recent=start.recent, n_samples=0)


def _slow_process(worth: np.ndarray, rates: Rates) -> SlowProcess:
    """Return how clean samples are filtered, given the independent samples that each is worth."""
    usual_worth = np.median(worth, axis=0)
    recovery = slow_recovery(rates.recovery, rates.hazard, usual_worth)
    transition = [
        let_turn_into_offset(transitions(rates.hazard, rate, state_prior())) for rate in recovery
    ]
    limit = len(worth) * rates.hazard
    return SlowProcess(len(worth), limit, usual_worth, recovery, np.stack(transition))


def _warn_if_no_alarm_is_possible(
    names: Sequence[str],
    powers: Powers,
    slow: SlowTests,
    process: SlowProcess,
    rates: Rates,
) -> None:
    """Warn of modalities in which even the largest e-values in every sample raise no alarm."""
    n_clean, worth = process.n_clean, process.worth
    of_values = largest_e_value(n_clean) ** (worth * powers.values)
    of_innovations = slow.innovations.largest_ ** ((1.0 - worth) * powers.innovations)
    with_residuals = slow.residuals.highest(of_values, worth, powers.residuals)
    possible = [
        highest_odds(e_value, rates.hazard, process.recovery)
        >= rates.highest_alarm_odds(len(names))
        for e_value in (with_residuals, of_values * of_innovations)
    ]
    warn_of_slow_process(names, worth * powers.values, *possible)


def _settled(evidence: EvidenceInOrder, process: SlowProcess, usual: float) -> np.ndarray:
    """Return up to which probability of failing a modality counts as clean, at least `usual`."""
    odds = np.median(clean_odds(*clean_likelihoods(evidence), process.transition), axis=0)
    return np.clip(2.0 * odds / (1.0 + odds), usual, usual_share(process.transition))


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
    half = clean.half
    ones = np.ones(len(tests.run_lengths.tied_))
    transition = transitions(rates.hazard, rates.recovery, state_prior())
    possible = tests.ratios.possible(clean.judged, rng)
    saturation = tests.recurrence(clean.values, tests.dependence.start().recent)[half:]
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
