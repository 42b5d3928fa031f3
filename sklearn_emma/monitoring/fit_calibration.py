"""Calibrate a monitor on clean samples."""

from typing import Any, NamedTuple

import numpy as np

from sklearn_emma.compat import _safe_indexing
from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.indicators import feature_columns
from sklearn_emma.monitoring.calibration import Calibration, Past, state_prior
from sklearn_emma.monitoring.categories import CategoryEvidence
from sklearn_emma.monitoring.correction import location_and_spread
from sklearn_emma.monitoring.dependence import Dependence
from sklearn_emma.monitoring.evidence import RunLengths, fill_forward, largest_e_value
from sklearn_emma.monitoring.exchangeability import (
    warn_of_dependent_rows,
    warn_of_few_samples,
    warn_of_long_repeats,
    warn_of_slow_process,
)
from sklearn_emma.monitoring.failures import ALLOWANCE, FAILURES, SATURATION, allowances
from sklearn_emma.monitoring.filter import (
    Switches,
    highest_odds,
    slow_recovery,
    transitions,
    usual_share,
)
from sklearn_emma.monitoring.innovations import (
    Innovations,
    combine_with_innovations,
    include_large_offsets,
    let_turn_into_offset,
)
from sklearn_emma.monitoring.likelihoods import (
    STATE_KINDS,
    Missing,
    combine,
    missing_in,
    switches_of,
)
from sklearn_emma.monitoring.ratios import Examples, FailureRatios, gather_examples
from sklearn_emma.monitoring.recurrence import Recurrence
from sklearn_emma.monitoring.simulation import Simulation
from sklearn_emma.monitoring.statistics import SampleStatistics, measures_no_disagreement
from sklearn_emma.monitoring.tables import (
    are_numbers,
    as_table,
    categories_of,
    check_clean,
    read_table,
    read_unseen,
)
from sklearn_emma.monitoring.tails import is_discrete
from sklearn_emma.monitoring.thresholds import (
    Stuck,
    StuckAfter,
    choose_alarm_odds,
    choose_exponents,
    clean_odds,
    exponents_of_missing,
    exponents_of_stuck,
)

# Number of samples with simulated failures, per failure and modality: to measure whether a failure
# harms the predictions, and to learn likelihood ratios.
_N_HARMED, _N_EXAMPLES = 500, 1000


def calibrate_monitor(
    estimator: Any,
    X: Any,
    reference: Any,
    rates: tuple[float, float, float],
    ordered: bool,
    rng: np.random.RandomState,
) -> Calibration:
    """Calibrate a monitor on clean samples.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted estimator.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Clean samples.
    reference : array-like or DataFrame of shape (n_reference, n_features) or None
        Other clean samples, from which means, covariances, regressions and the likelihood ratios of
        failures are estimated. None uses half of X: the first half if `ordered` is True, else a
        random half.
    rates : tuple of float
        Hazard rate, recovery rate, and allowed rate of false alarms of all modalities together, per
        sample.
    ordered : bool
        Whether the samples are in temporal order.
    rng : RandomState
        Random number generator.

    Returns
    -------
    Calibration
        Calibrated parameters.
    """
    clean = _divide(estimator, X, reference, ordered, rng)
    statistics = SampleStatistics(clean.known, [len(c) for c in feature_columns(estimator)])
    learn_from = _spaced(len(clean.known), _N_EXAMPLES)
    if measures_no_disagreement(estimator):
        # not from the same samples, which fit together better than new ones
        learn_from = _spaced(len(clean.known), min(_N_EXAMPLES, len(clean.known) // 2))
        statistics.learn_agreement(np.delete(clean.known, learn_from, axis=0), rng)
    of_reference = _safe_indexing(clean.reference, learn_from)
    examples = _examples(Simulation(estimator, of_reference, statistics, rng))
    of_X = _safe_indexing(clean.X, _spaced(len(clean.X), _N_HARMED))
    simulation = Simulation(estimator, of_X, statistics, rng)
    unusable = _unusable(simulation)
    judged = simulation.statistics_of(clean.X)
    # large values of dependent samples occur in clusters, from which no tail can be extrapolated
    allowance = ALLOWANCE if ordered else allowances(len(statistics.sizes_))
    z, rows = statistics.standardize(clean.table), statistics.standardize(clean.rows)
    discrete = np.array([is_discrete(samples) for samples in statistics.split(z)])
    ratios = FailureRatios(judged, examples, draw_seed(rng), not ordered, allowance, discrete)
    values = statistics.relative(clean.table)
    run_lengths = RunLengths(
        values, statistics, are_numbers(estimator), statistics.relative(clean.rows)
    )
    unseen = read_unseen(estimator, clean.X)
    tests = _Tests(
        statistics,
        run_lengths,
        Recurrence(z, statistics),
        ratios,
        Dependence(z, statistics, run_lengths, rng),
        _category_evidence(estimator, statistics, unseen),
    )
    missing = missing_in(statistics.over_modalities(np.logical_and, np.isnan(values)))
    evidence = _Evidence(z, rows, values, missing, clean.half, judged, unseen)
    innovations = None
    if ordered:
        usable = statistics.varies_ & are_numbers(estimator)
        innovations = Innovations(values, statistics.sizes_.tolist(), usable, rng)
        chosen = _in_order(tests, innovations, evidence, estimator, rates)
    else:
        chosen = _exchangeable(tests, evidence, rates, rng)
        as_given = judged[np.argsort(clean.order[clean.half :])]
        warn_of_dependent_rows(as_given, list(estimator.modality_names_), rng)
    location, spread = location_and_spread(values)
    return Calibration(
        **tests._asdict(),
        **chosen._asdict(),
        unusable=unusable,
        location=location,
        spread=spread,
        innovations=innovations,
    )


class _Clean(NamedTuple):
    """Clean samples, divided into those that are judged and those that are known.

    `table` and `known` hold numbers, `table` of all samples in the order of `order`, and `rows` of
    all samples in the order in which they were given. X are the samples of `table` from `half` on.
    """

    X: Any
    reference: Any
    known: np.ndarray
    table: np.ndarray
    rows: np.ndarray
    order: np.ndarray
    half: int


class _Tests(NamedTuple):
    """Evidence of failures; see the attributes of :class:`Calibration`."""

    statistics: SampleStatistics
    run_lengths: RunLengths
    recurrence: Recurrence
    ratios: FailureRatios
    dependence: Dependence
    categories: CategoryEvidence | None


class _Evidence(NamedTuple):
    """What clean samples show.

    `z` and `rows` are standardized samples, in which missing values are zero. `values` are those of
    `z` with NaN. `judged` and `unseen` are the statistics and the unseen levels of the samples from
    `half` on.
    """

    z: np.ndarray
    rows: np.ndarray
    values: np.ndarray
    missing: Missing
    half: int
    judged: np.ndarray
    unseen: np.ndarray


class _Chosen(NamedTuple):
    """What is chosen such that there are few false alarms; see :class:`Calibration`."""

    exponents: np.ndarray
    innovation_exponents: np.ndarray
    stuck_exponents: np.ndarray
    missing: np.ndarray
    start: Past
    transition: np.ndarray
    usual: float
    settled: np.ndarray
    alarm_odds: float


def _divide(
    estimator: Any, X: Any, reference: Any, ordered: bool, rng: np.random.RandomState
) -> _Clean:
    """Read and check clean samples, shuffle them unless they are ordered, and divide them."""
    X = as_table(estimator, X)
    rows = read_table(estimator, X)
    check_clean(estimator, rows, "X")
    order, table = np.arange(len(rows)), rows
    if not ordered:
        order = rng.permutation(len(rows))
        X, table = _safe_indexing(X, order), rows[order]
    if reference is not None:
        reference = as_table(estimator, reference)
        known = read_table(estimator, reference)
        check_clean(estimator, known, "reference")
        return _Clean(X, reference, known, table, rows, order, 0)
    half = len(table) // 2
    reference, judged = (
        _safe_indexing(X, np.arange(*part)) for part in ((half,), (half, len(table)))
    )
    return _Clean(judged, reference, table[:half], table, rows, order, half)


def _category_evidence(
    estimator: Any, statistics: SampleStatistics, unseen: np.ndarray
) -> CategoryEvidence | None:
    """Return the evidence of unseen levels, or None if no column is categorical."""
    if not categories_of(estimator):
        return None
    numbers = are_numbers(estimator)
    has = [
        statistics.over_modalities(np.logical_or, features[None])[0]
        for features in (~numbers, numbers)
    ]
    return CategoryEvidence(unseen, *has)


def _in_order(
    tests: _Tests,
    innovations: Innovations,
    evidence: _Evidence,
    estimator: Any,
    rates: tuple[float, float, float],
) -> _Chosen:
    """Choose exponents and recovery rates on clean samples in temporal order."""
    z, half = evidence.z, evidence.half
    warn_of_few_samples(len(z) - half)
    start = tests.dependence.start()
    exponents, changes = tests.dependence(z, start)
    recurring = tests.recurrence(z, start.recent)[half:, :, None]
    e_values = np.concatenate([tests.ratios(evidence.judged), recurring], axis=-1)
    if tests.categories is not None:
        e_values = tests.categories(e_values, evidence.unseen)
    filled = fill_forward(evidence.values)
    repeats = tests.run_lengths.repeats(np.diff(filled, axis=0, prepend=np.nan))[half:]
    worth = np.median(exponents[half:], axis=0)
    recovery = slow_recovery(rates[1], rates[0], worth)
    transition = np.stack(
        [let_turn_into_offset(transitions(rates[0], rate, state_prior())) for rate in recovery]
    )
    e_values = include_large_offsets(e_values) ** exponents[half:, :, None]
    n_clean = len(evidence.judged)
    limit = n_clean * rates[0]
    none = np.zeros(repeats.shape)
    further = choose_exponents(
        lambda power: (combine(e_values**power, none, repeats, n_clean), None), limit, transition
    )
    e_values **= further[:, None]
    of_innovations = innovations(evidence.values, None)[half:]
    present = Missing(np.zeros(repeats.shape, dtype=bool), none[0])

    def likelihoods(power: Any, of_stuck: np.ndarray) -> tuple[np.ndarray, Switches]:
        of_power = of_innovations ** np.expand_dims(power, -1)
        found = combine_with_innovations(e_values, of_power, exponents[half:])
        switches = switches_of(found, of_stuck, repeats, n_clean, present)
        return combine(found.lasts, of_stuck, repeats, n_clean), switches

    tempered = choose_exponents(lambda power: likelihoods(power, none), limit, transition)
    largest = largest_e_value(n_clean) ** (worth * further)
    also = largest * innovations.largest_ ** ((1.0 - worth) * tempered)
    reached = np.stack([highest_odds(e_value, rates[0], recovery) for e_value in (largest, also)])
    alarm_odds = rates[0] / rates[2] * len(worth)
    possible = reached >= alarm_odds
    warn_of_slow_process(estimator.modality_names_, worth * further, possible[0], possible[1])
    stuck = _judged_by_the_other_half(evidence.values, tests.statistics, are_numbers(estimator))
    of_stuck = exponents_of_stuck(stuck, tests.run_lengths.tied_, rates[0], transition)
    warn_of_long_repeats(estimator.modality_names_, of_stuck)
    # missing values that are usual must not raise an alarm
    of_missing = exponents_of_missing(
        evidence.missing, min(len(z) * rates[0], alarm_odds), transition
    )
    usual = usual_share(transitions(*rates[:2], state_prior()))
    found = likelihoods(tempered, stuck.e_values[half:] ** of_stuck)
    odds = np.median(clean_odds(*found, transition), axis=0)
    settled = np.clip(2.0 * odds / (1.0 + odds), usual, usual_share(transition))
    before = changes._replace(recent=start.recent, n_samples=0)
    return _Chosen(
        further,
        tempered,
        of_stuck,
        evidence.missing.rate**of_missing,
        Past.before(before, len(worth)),
        transition,
        usual,
        settled,
        alarm_odds,
    )


def _exchangeable(
    tests: _Tests,
    evidence: _Evidence,
    rates: tuple[float, float, float],
    rng: np.random.RandomState,
) -> _Chosen:
    """Choose the odds of an alarm on clean samples that are exchangeable."""
    z, half = evidence.z, evidence.half
    ones = np.ones(len(tests.run_lengths.tied_))
    transition = transitions(*rates[:2], state_prior())
    possible = tests.ratios.possible(evidence.judged, rng)
    recurring = tests.recurrence(z, tests.dependence.start().recent)[half:, :, None]
    recurring = np.broadcast_to(recurring, (*possible.shape[:3], 1))
    possible = np.concatenate([possible, recurring], axis=-1)
    if tests.categories is not None:
        possible = tests.categories(possible, evidence.unseen)
    after = StuckAfter(tests.run_lengths, fill_forward(evidence.values)[half:])
    missing = evidence.missing._replace(absent=evidence.missing.absent[half:])
    at_most = rates[0] / rates[2] * len(ones)
    alarm_odds = choose_alarm_odds(possible, after, missing, transition, rates[2], at_most, rng)
    start = Past.before(tests.dependence.suspect(evidence.rows), len(ones))
    usual = usual_share(transition)
    return _Chosen(
        ones, ones, ones, missing.rate, start, transition, usual, usual * ones, alarm_odds
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


def _spaced(n_samples: int, at_most: int) -> np.ndarray:
    """Return the positions of at most `at_most` samples, evenly spaced in a table."""
    return np.linspace(0, n_samples - 1, min(n_samples, at_most)).astype(int)


def _examples(simulation: Simulation) -> Examples:
    """Simulate all failures and return the training set of the likelihood ratios."""
    modalities = range(len(simulation.values))
    failing = {
        failure: [simulation.statistics_of(simulation.fail(i, failure)) for i in modalities]
        for failure in FAILURES
    }
    return gather_examples(simulation.statistics_of(simulation.X), failing)


def _unusable(simulation: Simulation) -> np.ndarray:
    """Return the probability that a modality in each failure state is useless to the predictor.

    It is 1 where the predictor is better without a modality that fails in this way, else 0. Values
    of another sample are always useless.
    """
    modalities = range(len(simulation.values))
    found = np.ones((len(modalities), len(STATE_KINDS)))
    for k, failure in enumerate((*FAILURES, SATURATION)):
        if failure.kind != "mismatch":
            found[:, k] = [simulation.harms(simulation.fail(i, failure), i) for i in modalities]
        elif len(modalities) == 2:
            # values of another sample are unusable, but they may be those of the other modality
            found[:, k] = 0.5
    # the energy of each sample shows whether it is wrong
    found[:, STATE_KINDS.index("intermittent")] = 0.0
    return found
