"""Choose the odds of an alarm, on streams that are resampled from exchangeable clean samples."""

import numpy as np

from sklearn_emma.monitoring.failures import LARGEST_NOISE
from sklearn_emma.monitoring.filter import all_clean, forward, hysteresis, odds_of_failure
from sklearn_emma.monitoring.likelihoods import (
    Missing,
    combine,
    intermittent_failure,
    replace_missing,
)
from sklearn_emma.monitoring.run_lengths import RunLengths, Stuck

# Number and length of the streams.
_N_STREAMS, _LENGTH = 100, 2000
# Fraction of the allowed false alarms that may occur in these streams.
_SHARE = 0.5
# Alarm odds: smallest value, largest value relative to the theoretical limit, size of the grid.
_FEWEST_ODDS, _MOST_ODDS, _N_CANDIDATES = 1.0, 10.0, 24


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
        odds[t] = odds_of_failure(start[:, 0])
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
