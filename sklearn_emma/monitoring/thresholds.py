"""What clean samples say of thresholds: exponents of e-values, and the odds of an alarm."""

from typing import NamedTuple

import numpy as np

from sklearn_emma.monitoring.evidence import RunLengths
from sklearn_emma.monitoring.filter import forward, hysteresis

_EXPONENTS = 0.5 ** np.arange(8)
# Streams of clean samples, drawn again and again.
_N_STREAMS, _LENGTH = 100, 2000
# Share of the allowed false alarms that these streams may have.
_SHARE = 0.5
# Odds of an alarm: the fewest, the most relative to those of the theory, and how many are tried.
_FEWEST_ODDS, _MOST_ODDS, _N_CANDIDATES = 1.0, 10.0, 24
_TINY = np.finfo(float).tiny


class Stuck(NamedTuple):
    """What clean samples, one after another, say of being stuck.

    Attributes
    ----------
    e_values : ndarray of shape (n_samples, n_modalities)
        E-values; zero for modalities that are not to be judged by them.
    repeats : ndarray of bool of shape (n_samples, n_modalities)
        Where a modality repeats the sample before.
    """

    e_values: np.ndarray
    repeats: np.ndarray


class StuckAfter:
    """What clean samples in any order say of being stuck, for modalities with steps.

    Parameters
    ----------
    run_lengths : RunLengths
        Of repeated samples.
    z : ndarray of shape (n_samples, n_features)
        Standardised clean samples.
    """

    def __init__(self, run_lengths: RunLengths, z: np.ndarray) -> None:
        self._run_lengths, self._z = run_lengths, z
        self._hazards = run_lengths.level_hazards(z)

    def __call__(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Judge samples after others.

        Parameters
        ----------
        before, after : ndarray of int of shape (n_samples,)
            Which clean samples.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            E-values; one for modalities without steps.
        """
        steps = self._run_lengths.steps_
        if not steps.any():
            return np.ones((len(after), len(steps)))
        repeats = self._run_lengths.repeats(self._z[after] - self._z[before])
        hazards = np.where(steps, self._hazards[before], 0.5)
        return np.where(steps, self._run_lengths.judge(repeats, hazards), 1.0)


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


def choose_exponents(e_values: np.ndarray, stuck: Stuck, transition: np.ndarray) -> np.ndarray:
    r"""Exponents of e-values that take the dependence of successive samples into account.

    Of n independent clean samples the odds of failing exceed n times the hazard rate once or less,
    by expectation (:mod:`sklearn_emma.monitoring.filter`). The exponent is the largest for which
    those of the clean samples in order do not.

    Parameters
    ----------
    e_values : ndarray of shape (n_samples, n_modalities, n_simulated_failures)
        Of clean samples in order.
    stuck : Stuck
        Of the same samples.
    transition : ndarray of shape (1 + n_failures, 1 + n_failures)
        Of the filter.

    Returns
    -------
    ndarray of shape (n_modalities,)
        Exponents, at most one.
    """
    n_samples, n_modalities, _ = e_values.shape
    start = np.tile(np.eye(1, len(transition)), (n_modalities, 1))
    chosen = np.zeros(n_modalities)
    for exponent in _EXPONENTS:
        likelihoods = combine(e_values**exponent, stuck.e_values**exponent, stuck.repeats)
        p = forward(start, transition, likelihoods)
        odds = (1.0 - p[..., 0]) / p[..., 0]
        calm = odds.max(axis=0) <= n_samples * (1.0 - transition[0, 0])
        chosen = np.where((chosen == 0) & calm, exponent, chosen)
    return chosen


def choose_alarm_odds(
    e_values: np.ndarray,
    stuck: StuckAfter,
    transition: np.ndarray,
    rate: float,
    limit: float,
    rng: np.random.RandomState,
) -> float:
    """Odds of failing at which an alarm goes up, for streams of exchangeable samples.

    At the limit that the theory gives (:mod:`sklearn_emma.monitoring.filter`) false alarms are far
    rarer than allowed. The odds are the lowest, but no less than even, at which 100 streams of
    2,000 clean samples have at most half of the allowed ones. What is usual is not known better
    than from the clean samples: every stream has its own probabilities of them, drawn from what
    they leave possible (the Bayesian bootstrap; Rubin, D. B. (1981). Annals of Statistics 9), and
    values beyond them.

    Parameters
    ----------
    e_values : ndarray of shape (n_draws, n_samples, n_modalities, n_simulated_failures)
        Of clean samples that they were not learned from, as :meth:`FailureRatios.possible` draws
        them.
    stuck : StuckAfter
        Of the same samples.
    transition : ndarray of shape (1 + n_failures, 1 + n_failures)
        Of the filter.
    rate : float
        Allowed false alarms per sample, over all modalities.
    limit : float
        Odds of the theory. The chosen ones are at most ten times as large.
    rng : RandomState
        Draws the streams.

    Returns
    -------
    float
        Odds.
    """
    n_draws, n_samples, n_modalities, _ = e_values.shape
    if limit <= _FEWEST_ODDS:
        return limit
    rows, draws = _draw_rows(n_samples, rng), rng.randint(n_draws, size=(_LENGTH, _N_STREAMS))
    start = np.tile(np.eye(1, len(transition)), (_N_STREAMS * n_modalities, 1))
    none = np.zeros((_N_STREAMS, n_modalities), dtype=bool)
    odds = np.empty((_LENGTH, len(start)))
    for t in range(_LENGTH):
        repeated = stuck(rows[max(t - 1, 0)], rows[t])
        likelihoods = combine(e_values[draws[t], rows[t]], repeated, none)
        start = forward(start, transition, likelihoods.reshape(1, len(start), -1))[0]
        odds[t] = (1.0 - start[:, 0]) / np.maximum(start[:, 0], _TINY)
    allowed = _SHARE * rate * _LENGTH * _N_STREAMS
    chosen = _MOST_ODDS * limit
    for candidate in np.geomspace(chosen, _FEWEST_ODDS, _N_CANDIDATES)[1:]:
        alarms = hysteresis(np.zeros(len(start), dtype=bool), odds >= candidate, odds > 1.0)
        if (alarms[1:] & ~alarms[:-1]).sum() > allowed:
            break
        chosen = candidate
    return float(chosen)


def _draw_rows(n_samples: int, rng: np.random.RandomState) -> np.ndarray:
    """Draw which samples the streams consist of, from probabilities of their own each."""
    weights = rng.dirichlet(np.ones(n_samples), size=_N_STREAMS).cumsum(axis=1)
    drawn = rng.uniform(size=(_N_STREAMS, _LENGTH)) * weights[:, -1:]
    return np.stack([np.searchsorted(*both) for both in zip(weights, drawn, strict=True)], axis=1)
