"""Choose exponents of e-values, since clean samples in temporal order are dependent."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from sklearn_emma.monitoring.autocorrelation import autocorrelation_time
from sklearn_emma.monitoring.failures import SIMULATED_KINDS
from sklearn_emma.monitoring.filter import Switches, all_clean, forward, odds_of_failure
from sklearn_emma.monitoring.likelihoods import (
    EvidenceInOrder,
    Missing,
    combine,
    intermittent_failure,
    likelihoods_in_order,
    replace_missing,
)
from sklearn_emma.monitoring.residuals import combine_with_residuals
from sklearn_emma.monitoring.run_lengths import Stuck

# Candidates, the largest first.
_EXPONENTS = 0.5 ** np.arange(8)
# Highest odds of an intermittent failure in clean samples, relative to those of other failures.
_OF_INTERMITTENT = 0.01


class SlowProcess(NamedTuple):
    """How clean samples of a slow process are filtered.

    Attributes
    ----------
    n_clean : int
        Number of samples.
    limit : float
        Largest odds of a failure that they may reach.
    worth : ndarray of shape (n_modalities,)
        Number of independent samples that a sample is usually worth.
    recovery : ndarray of shape (n_modalities,)
        Recovery rates that follow from it.
    transition : ndarray of shape (n_modalities, 1 + n_failures, 1 + n_failures)
        Transition matrices that follow from it.
    """

    n_clean: int
    limit: float
    worth: np.ndarray
    recovery: np.ndarray
    transition: np.ndarray


class Powers(NamedTuple):
    """Powers to which the e-values of each modality are raised, by what they are evidence of.

    Attributes
    ----------
    values, innovations, residuals, wrong : ndarray of shape (n_modalities,)
        Powers. Those of innovations come on top of the exponents that
        :class:`~sklearn_emma.monitoring.innovations.Innovations` estimates.
    """

    values: np.ndarray
    innovations: np.ndarray
    residuals: np.ndarray
    wrong: np.ndarray


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


def choose_powers(judged: EvidenceInOrder, process: SlowProcess) -> tuple[EvidenceInOrder, Powers]:
    """Choose the powers of e-values, one after the other, and raise the e-values to them.

    Parameters
    ----------
    judged : EvidenceInOrder
        E-values of clean samples in temporal order.
    process : SlowProcess
        How the samples are filtered.

    Returns
    -------
    counted : EvidenceInOrder
        E-values, raised to the powers.
    powers : Powers
        The powers.
    """
    of_values = _power_of_values(judged, process)
    counted = judged._replace(values=judged.values ** of_values[:, None])
    of_residuals = _exponents_of_residuals(counted, process)
    of_wrong, wrong = _exponents_of_wrong(judged, process)
    counted = counted._replace(residual_exponents=of_residuals, wrong=wrong)
    of_innovations = _power_of_innovations(counted, process)
    counted = counted._replace(innovations=judged.innovations ** of_innovations[:, None])
    return counted, Powers(of_values, of_innovations, of_residuals, of_wrong)


def _power_of_values(judged: EvidenceInOrder, process: SlowProcess) -> np.ndarray:
    """Choose the powers of the e-values of values."""
    return choose_exponents(
        lambda power: _only_simulated(judged.values**power, judged.repeats),
        process.limit,
        process.transition,
    )


def _exponents_of_residuals(judged: EvidenceInOrder, process: SlowProcess) -> np.ndarray:
    """Choose the exponents of residuals, at most those of `judged`, next to its values."""
    values, residuals, exponents = judged.values, judged.residuals, judged.residual_exponents
    assert residuals is not None
    powers = choose_exponents(
        lambda power: _only_simulated(
            combine_with_residuals(values, residuals, judged.worth, power * exponents),
            judged.repeats,
        ),
        process.limit,
        process.transition,
    )
    return powers * exponents


def _exponents_of_wrong(
    judged: EvidenceInOrder, process: SlowProcess
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the exponents of wrong samples, and return them and the resulting e-values.

    The evidence of single samples adds up, and unusual samples of a process come in clusters. So
    their autocorrelation time is taken into account first.
    """
    times = np.array([autocorrelation_time(np.maximum(x, 1.0)) for x in judged.wrong.T])
    wrong = judged.wrong ** (1.0 / times)
    limit = _OF_INTERMITTENT * process.limit
    powers = exponents_of_intermittent(wrong, judged.repeats, limit, process.transition)
    return powers / times, wrong**powers


def _power_of_innovations(judged: EvidenceInOrder, process: SlowProcess) -> np.ndarray:
    """Choose the powers of the e-values of innovations, next to all others."""
    return choose_exponents(
        lambda power: clean_likelihoods(
            judged._replace(innovations=judged.innovations ** np.expand_dims(power, -1))
        ),
        process.limit,
        process.transition,
    )


def _only_simulated(e_values: np.ndarray, repeats: np.ndarray) -> tuple[np.ndarray, None]:
    """Return the likelihoods of simulated failures only, without switches."""
    none = np.zeros(repeats.shape)
    return combine(e_values, none, none, repeats), None


def clean_likelihoods(evidence: EvidenceInOrder) -> tuple[np.ndarray, Switches]:
    """Return the likelihoods of the states in clean samples, none of which is missing.

    Parameters
    ----------
    evidence : EvidenceInOrder
        E-values of clean samples in temporal order.

    Returns
    -------
    likelihoods : ndarray of shape (n_samples, n_modalities, 1 + n_failures)
        Likelihoods of the states.
    switches : Switches
        Likelihoods of states that start or end.
    """
    n_clean, n_modalities = evidence.repeats.shape
    none = Missing(np.zeros((n_clean, n_modalities), dtype=bool), np.zeros(n_modalities))
    return likelihoods_in_order(evidence, none, n_clean)
