"""Calibrate a monitor on clean samples."""

from typing import Any, NamedTuple

import numpy as np

from sklearn_emma.compat import _safe_indexing
from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.indicators import feature_columns
from sklearn_emma.monitoring.calibration import Calibration
from sklearn_emma.monitoring.categories import CategoryEvidence
from sklearn_emma.monitoring.correction import location_and_spread
from sklearn_emma.monitoring.dependence import Dependence
from sklearn_emma.monitoring.exchangeability import warn_of_dependent_rows
from sklearn_emma.monitoring.failures import ALLOWANCE, FAILURES, SATURATION, allowances
from sklearn_emma.monitoring.false_alarms import (
    CleanSamples,
    FailureTests,
    SlowTests,
    choose_exchangeable,
    choose_in_order,
)
from sklearn_emma.monitoring.filter import Rates
from sklearn_emma.monitoring.innovations import Innovations
from sklearn_emma.monitoring.likelihoods import STATE_KINDS, missing_in
from sklearn_emma.monitoring.ratios import (
    N_EXAMPLES,
    Examples,
    FailureRatios,
    evenly_spaced,
    gather_examples,
)
from sklearn_emma.monitoring.recurrence import Recurrence
from sklearn_emma.monitoring.residuals import Residuals
from sklearn_emma.monitoring.run_lengths import RunLengths
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

# Largest number of samples with simulated failures, per failure and modality, that measure whether
# the failure harms the predictions.
_N_HARMED = 500


def calibrate_monitor(
    estimator: Any,
    X: Any,
    reference: Any,
    rates: Rates,
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
    rates : Rates
        Rates of failures, of recoveries and of allowed false alarms.
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
    learn_from = evenly_spaced(0, len(clean.known), N_EXAMPLES)
    if measures_no_disagreement(estimator):
        # not from the same samples, which fit together better than new ones
        n_examples = min(N_EXAMPLES, len(clean.known) // 2)
        learn_from = evenly_spaced(0, len(clean.known), n_examples)
        statistics.learn_agreement(np.delete(clean.known, learn_from, axis=0), rng)
    of_reference = _safe_indexing(clean.reference, learn_from)
    examples = _examples(Simulation(estimator, of_reference, statistics, rng))
    of_X = _safe_indexing(clean.X, evenly_spaced(0, len(clean.X), _N_HARMED))
    simulation = Simulation(estimator, of_X, statistics, rng)
    unusable = _unusable(simulation)
    judged = simulation.statistics_of(clean.X)
    # large values of dependent samples occur in clusters, from which no tail can be extrapolated
    allowance = ALLOWANCE if ordered else allowances(len(statistics.sizes_))
    values, rows = statistics.relative(clean.table), statistics.relative(clean.rows)
    filled = statistics.filled(values)
    discrete = np.array([is_discrete(samples) for samples in statistics.split(filled)])
    seed = draw_seed(rng)
    ratios = FailureRatios(
        judged, examples, seed, extrapolate=not ordered, allowance=allowance, discrete=discrete
    )
    run_lengths = RunLengths(values, statistics, are_numbers(estimator), rows)
    unseen = read_unseen(estimator, clean.X)
    tests = FailureTests(
        statistics,
        run_lengths,
        Recurrence(values, statistics),
        ratios,
        Dependence(filled, statistics, run_lengths, rng),
        _category_evidence(estimator, statistics, unseen),
    )
    all_clean = clean.table if clean.half else np.vstack([clean.known, clean.table])
    missing = missing_in(statistics.absent(all_clean))
    samples = CleanSamples(
        values, filled, statistics.filled(rows), missing, clean.half, judged, unseen
    )
    innovations = residuals = None
    if ordered:
        usable = statistics.varies_ & are_numbers(estimator)
        sizes = statistics.sizes_.tolist()
        innovations = Innovations(values, sizes, usable, rng)
        residuals = Residuals(values, sizes, usable, rng)
        slow = SlowTests(innovations, residuals)
        chosen = choose_in_order(tests, slow, samples, estimator, rates)
    else:
        chosen = choose_exchangeable(tests, samples, rates, rng)
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
        residuals=residuals,
    )


class _Clean(NamedTuple):
    """Clean samples, divided into those that are judged and those that are known.

    `table` and `known` hold numbers, `table` of all samples in the order of `order`, and `rows` of
    all samples in the order in which they were given. X are the samples of `table` from `half` on.
    `half` is zero if the known samples are others than these.
    """

    X: Any
    reference: Any
    known: np.ndarray
    table: np.ndarray
    rows: np.ndarray
    order: np.ndarray
    half: int


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
    has_categories, has_numbers = (statistics.any_feature(x) for x in (~numbers, numbers))
    return CategoryEvidence(unseen, has_categories, has_numbers)


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
