"""Choose the exponents of e-values and the alarm threshold on clean samples."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sklearn_emma.monitoring.failures import LARGEST_NOISE, SIMULATED_KINDS
from sklearn_emma.monitoring.filter import Switches, all_clean, forward, hysteresis
from sklearn_emma.monitoring.likelihoods import (
    Missing,
    combine,
    intermittent_failure,
    replace_missing,
)
from sklearn_emma.monitoring.run_lengths import RunLengths

_EXPONENTS = 0.5 ** np.arange(8)
# Number and length of the streams that are resampled from clean samples.
_N_STREAMS, _LENGTH = 100, 2000
# Fraction of the allowed false alarms that may occur in these streams.
_SHARE = 0.5
# Alarm odds: smallest value, largest value relative to the theoretical limit, size of the grid.
_FEWEST_ODDS, _MOST_ODDS, _N_CANDIDATES = 1.0, 10.0, 24
_TINY = np.finfo(float).tiny


class Stuck(NamedTuple):
    """Evidence of stuck sensors in successive clean samples.

    Attributes
    ----------
    e_values : ndarray of shape (n_samples, n_modalities)
        E-values of a stuck sensor, zero for modalities to which this failure is not applied.
    repeats : ndarray of bool of shape (n_samples, n_modalities)
        Whether each sample repeats the one before.
    """

    e_values: np.ndarray
    repeats: np.ndarray


class StuckAfter:
    """Evidence of stuck sensors for arbitrary pairs of clean samples.

    It covers the modalities with frequent values (``run_lengths.by_level_``).

    Parameters
    ----------
    run_lengths : RunLengths
        Calibrated e-values of stuck sensors.
    z : ndarray of shape (n_samples, n_features)
        Standardized clean samples.
    """

    def __init__(self, run_lengths: RunLengths, z: np.ndarray) -> None:
        self._run_lengths, self._z = run_lengths, z
        self._hazards = run_lengths.level_hazards(z)

    def __call__(self, before: np.ndarray, after: np.ndarray) -> Stuck:
        """Return the evidence of a stuck sensor if one clean sample follows another.

        Parameters
        ----------
        before, after : ndarray of int of shape (n_pairs,)
            Positions of the earlier and of the later clean sample of each pair.

        Returns
        -------
        Stuck
            E-values are one, and repeats False, for modalities that are not in
            ``run_lengths.by_level_``. Repeats that are as informative as other samples do not
            count.
        """
        frequent = self._run_lengths.by_level_
        shape = len(after), len(frequent)
        if not frequent.any():
            return Stuck(np.ones(shape), np.zeros(shape, dtype=bool))
        repeats = self._run_lengths.repeats(self._z[after] - self._z[before])
        hazards = np.where(frequent, self._hazards[before], 0.5)
        e_values = np.where(frequent, self._run_lengths.judge(repeats, hazards), 1.0)
        return Stuck(e_values, repeats & frequent & ~self._run_lengths.steps_)


def choose_exponents(
    likelihoods: Callable[[float], tuple[np.ndarray, Switches | None]],
    limit: np.ndarray | float,
    transition: np.ndarray,
) -> np.ndarray:
    r"""Choose exponents of e-values that account for the dependence of successive samples.

    For n independent clean samples, the odds of a failure are expected to exceed n times the hazard
    rate at most once (:mod:`sklearn_emma.monitoring.filter`). The exponent of a modality is the
    largest of 1, 1/2, ..., 1/128 for which the odds of the clean samples in temporal order never
    exceed such a limit.

    Parameters
    ----------
    likelihoods : callable
        Function that takes an exponent and returns the likelihoods of the states in clean samples
        in temporal order, of shape (n_samples, n_modalities, 1 + n_failures), and the switches.
    limit : float or ndarray of shape (n_modalities,)
        Largest odds of a failure.
    transition : ndarray of shape ([n_modalities,] 1 + n_failures, 1 + n_failures)
        Transition matrix of the filter, of all modalities or of each of them.

    Returns
    -------
    ndarray of shape (n_modalities,)
        Exponents, at most one. An exponent is zero if the limit is exceeded at all values.
    """
    chosen = np.zeros(())
    for exponent in _EXPONENTS:
        odds = clean_odds(*likelihoods(exponent), transition)
        calm = odds.max(axis=0) <= limit
        chosen = np.where((chosen == 0) & calm, exponent, chosen)
        if chosen.all():
            break
    return chosen


def exponents_of_stuck(
    stuck: Stuck, tied: np.ndarray, hazard_rate: float, transition: np.ndarray
) -> np.ndarray:
    """Choose the exponents of the e-values of stuck sensors.

    Parameters
    ----------
    stuck : Stuck
        Evidence of stuck sensors in clean samples in temporal order.
    tied : ndarray of bool of shape (n_modalities,)
        Whether some clean samples of the modality are equal. Others have an exponent of one.
    hazard_rate : float
        Probability, per sample, that a clean modality starts to fail.
    transition : ndarray of shape (n_modalities, 1 + n_failures, 1 + n_failures)
        Transition matrix of the filter, of each modality.

    Returns
    -------
    ndarray of shape (n_modalities,)
        Exponents.
    """
    e_values, n_samples = np.where(tied, stuck.e_values, 0.0), len(stuck.repeats)
    none = np.zeros((*e_values.shape, len(SIMULATED_KINDS)))
    return choose_exponents(
        lambda power: (combine(none, none[..., 0], e_values**power, stuck.repeats), None),
        n_samples * hazard_rate,
        transition,
    )


def exponents_of_intermittent(
    wrong: np.ndarray, repeats: np.ndarray, limit: float, transition: np.ndarray
) -> np.ndarray:
    """Choose the exponents of the e-values of wrong samples.

    Parameters
    ----------
    wrong : ndarray of shape (n_samples, n_modalities)
        E-values of a wrong sample, of clean samples in temporal order.
    repeats : ndarray of bool of shape (n_samples, n_modalities)
        Whether each sample repeats the one before.
    limit : float
        Largest odds of a failure.
    transition : ndarray of shape (n_modalities, 1 + n_failures, 1 + n_failures)
        Transition matrix of the filter, of each modality.

    Returns
    -------
    ndarray of shape (n_modalities,)
        Exponents.
    """
    none = np.zeros((*wrong.shape, len(SIMULATED_KINDS)))

    def likelihoods(power: float) -> tuple[np.ndarray, None]:
        """Return the likelihoods of an intermittent failure only, given the exponent."""
        found = intermittent_failure(wrong**power, len(wrong))
        return combine(none, found, none[..., 0], repeats), None

    return choose_exponents(likelihoods, limit, transition)


def exponents_of_missing(missing: Missing, limit: float, transition: np.ndarray) -> np.ndarray:
    """Choose the exponents of the e-values of missing modalities.

    Parameters
    ----------
    missing : Missing
        Missing modalities in clean samples in temporal order.
    limit : float
        Largest odds of a failure.
    transition : ndarray of shape (n_modalities, 1 + n_failures, 1 + n_failures)
        Transition matrix of the filter, of each modality.

    Returns
    -------
    ndarray of shape (n_modalities,)
        Exponents.
    """
    absent, rate = missing.absent, np.where(missing.rate > 0, missing.rate, 1.0)
    present = np.zeros((*absent.shape, transition.shape[-1]))
    present[..., 0] = 1.0
    return choose_exponents(
        lambda power: (replace_missing(present, absent, rate**power), None), limit, transition
    )


def clean_odds(
    likelihoods: np.ndarray, switches: Switches | None, transition: np.ndarray
) -> np.ndarray:
    """Return the odds of a failure in successive samples, of which the first is that of a stream.

    Parameters
    ----------
    likelihoods : ndarray of shape (n_samples, n_modalities, 1 + n_failures)
        Likelihoods of the states.
    switches : Switches or None
        Likelihoods of states that start or end. None uses `likelihoods`.
    transition : ndarray of shape ([n_modalities,] 1 + n_failures, 1 + n_failures)
        Transition matrix of the filter, of all modalities or of each of them.

    Returns
    -------
    ndarray of shape (n_samples, n_modalities)
        Odds.
    """
    start = all_clean(transition.shape[-1], likelihoods.shape[1])
    return _odds(forward(start, transition, likelihoods, switches=switches)[..., 0])


def _odds(clean: np.ndarray) -> np.ndarray:
    """Return the odds of a failure, given the probability of the clean state."""
    return (1.0 - clean) / np.maximum(clean, _TINY)


def choose_alarm_odds(
    e_values: np.ndarray,
    stuck: StuckAfter,
    missing: Missing,
    transition: np.ndarray,
    rate: float,
    limit: float,
    rng: np.random.RandomState,
) -> float:
    """Choose the odds of a failure at which an alarm is raised, for exchangeable samples.

    At the theoretical limit (:mod:`sklearn_emma.monitoring.filter`), false alarms are far rarer
    than allowed. The chosen odds are therefore the lowest, but at least one, at which 100 streams
    of 2,000 resampled clean samples cause at most half of the allowed number of false alarms. To
    account for the limited number of clean samples, each stream draws them with its own
    probabilities (the Bayesian bootstrap; Rubin, D. B. (1981). Annals of Statistics 9), and large
    e-values are drawn from the fitted tail.

    Parameters
    ----------
    e_values : ndarray of shape (n_draws, n_samples, n_modalities, n_simulated_failures)
        E-values of clean samples that were not used to learn the likelihood ratios, as drawn by
        :meth:`FailureRatios.possible`.
    stuck : StuckAfter
        Evidence of stuck sensors for pairs of the same samples.
    missing : Missing
        Missing modalities in the same samples.
    transition : ndarray of shape (1 + n_failures, 1 + n_failures)
        Transition matrix of the filter.
    rate : float
        Allowed number of false alarms per sample, over all modalities together.
    limit : float
        Theoretical limit of the odds. The chosen odds are at most ten times this value. A limit of
        one or less is returned unchanged.
    rng : RandomState
        Generator that draws the streams.

    Returns
    -------
    float
        Odds at which an alarm is raised.
    """
    n_draws, n_samples, n_modalities, _ = e_values.shape
    if limit <= _FEWEST_ODDS:
        return limit
    rows, draws = _draw_rows(n_samples, rng), rng.randint(n_draws, size=(_LENGTH, _N_STREAMS))
    start = all_clean(len(transition), _N_STREAMS * n_modalities)
    odds = np.empty((_LENGTH, len(start)))
    for t in range(_LENGTH):
        of_stuck = stuck(rows[max(t - 1, 0)], rows[t])
        drawn = e_values[draws[t], rows[t]]
        intermittent = intermittent_failure(drawn[..., LARGEST_NOISE], n_samples)
        likelihoods = combine(drawn, intermittent, *of_stuck)
        likelihoods = replace_missing(likelihoods, missing.absent[rows[t]], missing.rate)
        start = forward(start, transition, likelihoods.reshape(1, len(start), -1))[0]
        odds[t] = _odds(start[:, 0])
    allowed = _SHARE * rate * _LENGTH * _N_STREAMS
    chosen = _MOST_ODDS * limit
    for candidate in np.geomspace(chosen, _FEWEST_ODDS, _N_CANDIDATES)[1:]:
        alarms = hysteresis(np.zeros(len(start), dtype=bool), odds >= candidate, odds > 1.0)
        if (alarms[1:] & ~alarms[:-1]).sum() > allowed:
            break
        chosen = candidate
    return float(chosen)


def _draw_rows(n_samples: int, rng: np.random.RandomState) -> np.ndarray:
    """Draw the positions of the samples of all streams, by the Bayesian bootstrap."""
    weights = rng.dirichlet(np.ones(n_samples), size=_N_STREAMS).cumsum(axis=1)
    drawn = rng.uniform(size=(_N_STREAMS, _LENGTH)) * weights[:, -1:]
    return np.stack([np.searchsorted(*both) for both in zip(weights, drawn, strict=True)], axis=1)
