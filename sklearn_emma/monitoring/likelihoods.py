r"""Combine the evidence of all failures to the likelihoods of the states of the filter.

The states are clean, the simulated failures (:mod:`sklearn_emma.monitoring.failures`),
*intermittent*, *stuck* and *missing*. In an intermittent failure, such as a loose contact, samples
are independently wrong with probability q = 0.1, and look like those of the largest simulated
noise. With the e-value :math:`e_k` of that noise, its e-value is

.. math:: e = 1 - q + q \min(e_k, 1 / f),

so its mean over clean samples is at most one if that of :math:`e_k` is. Clean samples between wrong
ones are evidence against all other failures, but hardly against this one, so the evidence of single
samples adds up. Therefore it is limited more strictly: f is an upper bound of the probability of an
event that occurs in one of the clean calibration samples. The evidence of an intermittent failure
does not close the gate: the energy of each sample shows whether it is wrong.
"""

from typing import NamedTuple

import numpy as np

from sklearn_emma.monitoring.categories import CategoryEvidence
from sklearn_emma.monitoring.failures import LARGEST_NOISE, SIMULATED_KINDS
from sklearn_emma.monitoring.filter import Switches
from sklearn_emma.monitoring.innovations import Evidence
from sklearn_emma.monitoring.recurrence import upper_rate

#: Kind of each failure state.
STATE_KINDS = (*SIMULATED_KINDS, "intermittent", "stuck", "missing")
# Fraction of wrong samples in an intermittent failure.
_WRONG = 0.1
# States whose end leaves no trace in a sample.
_NOT_SEEN_TO_END = [STATE_KINDS.index(kind) for kind in ("intermittent", "missing")]


class Missing(NamedTuple):
    """Missing modalities in clean samples.

    Attributes
    ----------
    absent : ndarray of bool of shape (n_samples, n_modalities)
        Whether the modality is missing.
    rate : ndarray of shape (n_modalities,)
        Upper bound of the probability that it is missing.
    """

    absent: np.ndarray
    rate: np.ndarray


def replace_missing(found: np.ndarray, absent: np.ndarray, rate: np.ndarray) -> np.ndarray:
    """Replace the likelihoods of missing modalities.

    Parameters
    ----------
    found : ndarray of shape (n_samples, n_modalities, 1 + n_failures)
        Likelihoods of the states for modalities that are not missing.
    absent : ndarray of bool of shape (n_samples, n_modalities)
        Whether the modality is missing.
    rate : ndarray of shape (n_modalities,)
        Probability that it is missing in a clean sample.

    Returns
    -------
    ndarray of shape (n_samples, n_modalities, 1 + n_failures)
        For missing modalities, one for the state "missing", and `rate` for all other states.
    """
    replaced = np.empty_like(found)
    replaced[...] = rate[:, None]
    replaced[..., -1] = 1.0
    return np.where(absent[..., None], replaced, found)


def missing_in(absent: np.ndarray) -> Missing:
    """Estimate how often modalities are missing in clean samples.

    Parameters
    ----------
    absent : ndarray of bool of shape (n_samples, n_modalities)
        Whether the modality is missing in each clean sample.

    Returns
    -------
    Missing
        With upper bounds of the rates, two standard errors above the estimates. The rate is zero
        for a modality that is never missing: then each missing sample is a failure.
    """
    count = absent.sum(axis=0)
    bound = np.minimum(upper_rate(count, len(absent)), 1.0)
    return Missing(absent, np.where(count > 0, bound, 0.0))


def simulated_failures(
    ratios: np.ndarray,
    saturation: np.ndarray,
    categories: CategoryEvidence | None,
    unseen: np.ndarray | None,
) -> np.ndarray:
    """Return the e-values of all simulated failures.

    Parameters
    ----------
    ratios : ndarray of shape (..., n_samples, n_modalities, n_failures)
        E-values of the failures that are detected by learned likelihood ratios.
    saturation : ndarray of shape (n_samples, n_modalities)
        E-values of saturation, from recurring values.
    categories : CategoryEvidence or None
        Changes of the e-values of modalities with categories. None if no column is categorical.
    unseen : ndarray of bool of shape (n_samples, n_modalities) or None
        Whether a sample has an unseen level in the modality. Only `categories` needs it.

    Returns
    -------
    ndarray of shape (..., n_samples, n_modalities, n_failures + 1)
        E-values, the last of which is that of saturation.
    """
    last = np.broadcast_to(saturation[..., None], (*ratios.shape[:-1], 1))
    found = np.concatenate([ratios, last], axis=-1)
    return found if categories is None or unseen is None else categories(found, unseen)


def combine(ratios: np.ndarray, stuck: np.ndarray, repeats: np.ndarray, n_clean: int) -> np.ndarray:
    """Combine e-values to the likelihoods of all states, for modalities that are not missing.

    Parameters
    ----------
    ratios : ndarray of shape (n_samples, n_modalities, n_simulated_failures)
        E-values of the simulated failures. They are set to one for repeated samples, which hold
        no new information.
    stuck : ndarray of shape (n_samples, n_modalities)
        E-values of a stuck sensor.
    repeats : ndarray of bool of shape (n_samples, n_modalities)
        Whether each sample repeats the one before.
    n_clean : int
        Number of clean samples on which the e-values of the simulated failures are calibrated.

    Returns
    -------
    ndarray of shape (n_samples, n_modalities, 1 + n_failures)
        Likelihood of each state relative to the clean state. It is one for the clean state and
        zero for the state "missing".
    """
    ratios = np.where(repeats[..., None], 1.0, ratios)
    ones = np.ones((*stuck.shape, 1))
    wrong = np.minimum(ratios[..., LARGEST_NOISE, None], 1.0 / upper_rate(np.ones(1), n_clean))
    intermittent = 1.0 - _WRONG + _WRONG * wrong
    return np.concatenate([ones, ratios, intermittent, stuck[..., None], 0.0 * ones], axis=-1)


def switches_of(
    evidence: Evidence, stuck: np.ndarray, repeats: np.ndarray, n_clean: int, missing: Missing
) -> Switches:
    """Combine e-values to the likelihoods of states that start or end.

    Parameters
    ----------
    evidence : Evidence
        E-values of the simulated failures.
    stuck, repeats, n_clean : objects
        As :func:`combine` takes them.
    missing : Missing
        Missing modalities in these samples, and how often they are missing in clean ones.

    Returns
    -------
    Switches
        Likelihoods relative to the clean state.
    """
    starting = replace_missing(combine(evidence.starts, stuck, repeats, n_clean), *missing)
    ending = combine(evidence.ends, np.ones_like(stuck), repeats, n_clean)[..., 1:]
    ending[..., _NOT_SEEN_TO_END] = 1.0
    ending = np.where(missing.absent[..., None], missing.rate[:, None], ending)
    return Switches(starting, ending)
