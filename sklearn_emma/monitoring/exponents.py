"""Choose exponents of e-values, since clean samples in temporal order are dependent."""

from collections.abc import Callable

import numpy as np

from sklearn_emma.monitoring.failures import SIMULATED_KINDS
from sklearn_emma.monitoring.filter import Switches, all_clean, forward, odds_of_failure
from sklearn_emma.monitoring.likelihoods import (
    Missing,
    combine,
    intermittent_failure,
    replace_missing,
)
from sklearn_emma.monitoring.run_lengths import Stuck

# Candidates, the largest first.
_EXPONENTS = 0.5 ** np.arange(8)


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
    return odds_of_failure(forward(start, transition, likelihoods, switches=switches)[..., 0])
