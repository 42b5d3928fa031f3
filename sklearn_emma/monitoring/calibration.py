"""What a monitor learns from clean samples."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils import check_array

from sklearn_emma.compat import _safe_indexing
from sklearn_emma.corruption.tables import is_frame
from sklearn_emma.monitoring.evidence import RunLengths
from sklearn_emma.monitoring.failures import FAILURES, KINDS, Failure
from sklearn_emma.monitoring.filter import forward, transitions
from sklearn_emma.monitoring.ratios import FailureRatios, gather_examples
from sklearn_emma.monitoring.simulation import Simulation
from sklearn_emma.monitoring.statistics import SampleStatistics, read_energies, read_table

# Samples that are made to fail, for each failure and modality.
_N_SIMULATED = 500
_EXPONENTS = 0.5 ** np.arange(8)

#: Kind of each state of failure; the last two are seen in the values themselves.
STATE_KINDS = (*(failure.kind for failure in FAILURES), "stuck", "missing")
_N_RATIOS = len(FAILURES)


def state_prior() -> np.ndarray:
    """Probability of each state of failure: all kinds are as likely, and all severities of one.

    Returns
    -------
    ndarray of shape (n_failures,)
        Sums to one.
    """
    return np.array([1.0 / STATE_KINDS.count(kind) for kind in STATE_KINDS]) / len(KINDS)


@dataclass(frozen=True)
class Calibration:
    """Everything that a monitor knows of clean samples.

    Attributes
    ----------
    statistics : SampleStatistics
        Of single samples.
    run_lengths : RunLengths
        Of repeated samples.
    ratios : FailureRatios
        E-values of the failures.
    exponents : ndarray of shape (n_modalities,)
        Of these e-values: below one where successive samples have much in common.
    missing : ndarray of shape (n_modalities,)
        Share of clean samples in which the modality is missing.
    unusable : ndarray of shape (n_modalities, n_failures)
        1 where the predictor does better without the modality, else 0.
    transition : ndarray of shape (1 + n_failures, 1 + n_failures)
        Of the filter.
    """

    statistics: SampleStatistics
    run_lengths: RunLengths
    ratios: FailureRatios
    exponents: np.ndarray
    missing: np.ndarray
    unusable: np.ndarray
    transition: np.ndarray

    def likelihoods(
        self, estimator: Any, X: Any, last: np.ndarray, runs: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Likelihoods of the states of the filter, for samples that follow others.

        Parameters
        ----------
        estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
            Fitted.
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.
        last : ndarray of shape (n_features,)
            Standardised values of the sample before; NaN where there is none.
        runs : ndarray of int of shape (n_modalities,)
            Repeats up to that sample.

        Returns
        -------
        likelihoods : ndarray of shape (n_samples, n_modalities, 1 + n_failures)
            Relative to clean, unless missing.
        last : ndarray of shape (n_features,)
            Of the last sample.
        runs : ndarray of int of shape (n_modalities,)
            Repeats up to the last sample.
        """
        energies = read_energies(estimator, X)
        table = read_table(estimator, X)
        z = self.statistics.standardise(table)
        ratios = self.ratios(self.statistics(z, *energies)) ** self.exponents[:, None]
        stuck, repeats, runs = self.run_lengths(z, last, runs)
        found = combine(ratios, stuck, repeats)
        absent = self.statistics.over_modalities(np.logical_and, np.isnan(table))
        # a missing modality is missing, unless that is usual
        found[..., -1] = absent
        found[..., :-1][absent] = np.broadcast_to(self.missing, absent.shape)[absent][:, None]
        return found, z[-1], runs

    def evidence(self, probabilities: np.ndarray) -> np.ndarray:
        """Evidence against modalities: minus the log probability that values can be used.

        Parameters
        ----------
        probabilities : ndarray of shape (n_samples, n_modalities, 1 + n_failures)
            Of the states of the filter.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            In nats.
        """
        usable = probabilities[..., 0] + (probabilities[..., 1:] * (1 - self.unusable)).sum(axis=-1)
        return -np.log(np.clip(usable, np.finfo(float).tiny, 1.0))


def combine(ratios: np.ndarray, stuck: np.ndarray, repeats: np.ndarray) -> np.ndarray:
    """Likelihoods of all states for modalities that are not missing.

    Parameters
    ----------
    ratios : ndarray of shape (n_samples, n_modalities, n_simulated_failures)
        E-values of the simulated failures. Those of a repeated sample do not count: it tells
        nothing that its predecessor did not.
    stuck : ndarray of shape (n_samples, n_modalities)
        E-values of being stuck.
    repeats : ndarray of bool of shape (n_samples, n_modalities)
        Where a modality repeats the sample before.

    Returns
    -------
    ndarray of shape (n_samples, n_modalities, 1 + n_failures)
        Relative to clean.
    """
    ratios = np.where(repeats[..., None], 1.0, ratios)
    ones = np.ones((*stuck.shape, 1))
    return np.concatenate([ones, ratios, stuck[..., None], 0.0 * ones], axis=-1)


def calibrate(
    estimator: Any,
    X: Any,
    reference: Any,
    rates: tuple[float, float],
    ordered: bool,
    rng: np.random.RandomState,
) -> Calibration:
    """Learn what a monitor has to know of clean samples.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Clean samples.
    reference : array-like or DataFrame of shape (n_reference, n_features) or None
        Other clean samples, which give means, covariances and regressions. None takes the first
        half of X for that.
    rates : tuple of float
        Hazard rate and recovery rate.
    ordered : bool
        Whether the samples are in the order of time.
    rng : RandomState
        For the simulated failures.

    Returns
    -------
    Calibration
        What was learned.

    Raises
    ------
    ValueError
        If the estimator has categorical columns.
    """
    if getattr(estimator, "categories_", None):
        raise ValueError(
            "A monitor reads numbers, but the estimator has categorical columns. Encode them "
            "before the estimator, for instance with sklearn.preprocessing.OneHotEncoder."
        )
    if not is_frame(X):
        X = check_array(X, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")
    table = read_table(estimator, X)
    half = 0 if reference is not None else len(table) // 2
    statistics = SampleStatistics(
        table[:half] if reference is None else read_table(estimator, reference),
        [len(columns) for columns in estimator.modality_columns_],
    )
    X = _safe_indexing(X, np.arange(half, len(table)))
    n_samples = len(table) - half
    origin = np.linspace(0, n_samples - 1, min(n_samples, _N_SIMULATED)).astype(int)
    simulation = Simulation(estimator, _safe_indexing(X, origin), statistics, rng)
    modalities = range(len(statistics.sizes_))
    unusable = np.ones((len(modalities), len(STATE_KINDS)))
    failing: dict[Failure, list[np.ndarray]] = {}
    for k, failure in enumerate(FAILURES):
        tables = [simulation.fail(i, failure) for i in modalities]
        failing[failure] = [simulation.statistics_of(failed) for failed in tables]
        # values of another sample, like those of a stuck sensor, are of no use at all
        if failure.kind != "mismatch":
            unusable[:, k] = [simulation.harms(failed, i) for i, failed in enumerate(tables)]
    clean = simulation.statistics_of(X)
    examples = gather_examples(clean, failing, origin)
    ratios = FailureRatios(clean, examples, rng.randint(2**31 - 1))
    transition = transitions(*rates, state_prior())
    exponents = np.ones(len(modalities))
    if ordered:
        exponents = choose_exponents(out_of_block(ratios, clean), transition)
    return Calibration(
        statistics=statistics,
        run_lengths=RunLengths(statistics.standardise(table), statistics),
        ratios=ratios,
        exponents=exponents,
        missing=statistics.over_modalities(np.logical_and, np.isnan(table)).mean(axis=0),
        unusable=unusable,
        transition=transition,
    )


def out_of_block(ratios: FailureRatios, clean: np.ndarray) -> np.ndarray:
    """E-values of the clean samples, by the network that was not trained on them.

    Parameters
    ----------
    ratios : FailureRatios
        Learned from these samples.
    clean : ndarray of shape (n_samples, n_modalities, n_statistics)
        Statistics of clean samples, in order.

    Returns
    -------
    ndarray of shape (n_samples, n_modalities, n_simulated_failures)
        E-values.
    """
    first, second = ratios.by_block(clean)
    half = len(clean) // 2
    return np.concatenate([first[:half], second[half:]])


def choose_exponents(e_values: np.ndarray, transition: np.ndarray) -> np.ndarray:
    r"""Exponents of e-values that take the dependence of successive samples into account.

    Of n independent clean samples the odds of failing exceed n times the hazard rate once or less,
    by expectation (:mod:`sklearn_emma.monitoring.filter`). The exponent is the largest for which
    those of the clean samples in order do not.

    Parameters
    ----------
    e_values : ndarray of shape (n_samples, n_modalities, n_simulated_failures)
        Of clean samples in order.
    transition : ndarray of shape (1 + n_failures, 1 + n_failures)
        Of the filter.

    Returns
    -------
    ndarray of shape (n_modalities,)
        Exponents, at most one.
    """
    n_samples, n_modalities, _ = e_values.shape
    start = np.tile(np.eye(1, len(transition)), (n_modalities, 1))
    none = np.zeros((n_samples, n_modalities))
    chosen = np.zeros(n_modalities)
    for exponent in _EXPONENTS:
        likelihoods = combine(e_values**exponent, none, none.astype(bool))
        p = forward(start, transition, likelihoods)
        odds = (1.0 - p[..., 0]) / p[..., 0]
        calm = odds.max(axis=0) <= n_samples * (1.0 - transition[0, 0])
        chosen = np.where((chosen == 0) & calm, exponent, chosen)
    return chosen
