r"""Combine the evidence of all failures to the likelihoods of the states of the filter.

The states are clean, the simulated failures (:mod:`sklearn_emma.monitoring.failures`),
*intermittent*, *stuck* and *missing*. In an intermittent failure, such as a loose contact, samples
are independently wrong with probability q = 0.07. With the e-value w of a wrong sample, its e-value
is

.. math:: e = 1 - q + q \min(w, 1 / f),

so its mean over clean samples is at most one if that of w is. Wrong samples look like those of the
largest simulated noise, whose e-value is w unless there are innovations
(:func:`~sklearn_emma.monitoring.innovations.wrong_samples`). Clean samples between wrong
ones are evidence against all other failures, but hardly against this one, so the evidence of single
samples adds up. Therefore it is limited more strictly: f is an upper bound of the probability of an
event that occurs in one of the clean calibration samples. The evidence of an intermittent failure
does not close the gate: the energy of each sample shows whether it is wrong.
"""

from typing import NamedTuple

import numpy as np

from sklearn_emma.monitoring.categories import CategoryEvidence
from sklearn_emma.monitoring.failures import SIMULATED_KINDS
from sklearn_emma.monitoring.filter import Switches
from sklearn_emma.monitoring.innovations import EValuesByPhase, combine_with_innovations
from sklearn_emma.monitoring.rare_events import upper_rate
from sklearn_emma.monitoring.residuals import combine_with_residuals

#: Kind of each failure state.
STATE_KINDS = (*SIMULATED_KINDS, "intermittent", "stuck", "missing")
# Fraction of wrong samples in an intermittent failure.
_WRONG = 0.07
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


class EvidenceInOrder(NamedTuple):
    """E-values of samples in temporal order.

    Those that are combined are raised to the power with which they count.

    Attributes
    ----------
    values : ndarray of shape (n_samples, n_modalities, n_simulated_failures)
        E-values of the values.
    innovations : ndarray of shape (n_samples, n_modalities, n_failures + 1)
        E-values of the innovations, the last one that of a jump.
    residuals : ndarray of shape (n_samples, n_modalities, n_offsets) or None
        E-values of the residuals, NaN where nothing is known. They are not raised to a power. None
        leaves them out.
    residual_exponents : ndarray of shape (n_modalities,)
        Exponents of the residuals.
    wrong, stuck : ndarray of shape (n_samples, n_modalities)
        E-values of a wrong sample, and of a stuck sensor.
    repeats : ndarray of bool of shape (n_samples, n_modalities)
        Whether each sample repeats the one before.
    worth : ndarray of shape (n_samples, n_modalities)
        Number of independent samples that a sample is worth.
    """

    values: np.ndarray
    innovations: np.ndarray
    residuals: np.ndarray | None
    residual_exponents: np.ndarray
    wrong: np.ndarray
    stuck: np.ndarray
    repeats: np.ndarray
    worth: np.ndarray


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


def intermittent_failure(wrong: np.ndarray, n_clean: int) -> np.ndarray:
    """Return the e-values of an intermittent failure.

    Parameters
    ----------
    wrong : ndarray of shape (...)
        E-values w of a wrong sample.
    n_clean : int
        Number of clean samples on which they are calibrated.

    Returns
    -------
    ndarray of shape (...)
        E-values.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.likelihoods import intermittent_failure
    >>> intermittent_failure(np.array([0.0, 1.0, 101.0]), n_clean=1000).round(6)
    array([0.93, 1.  , 8.  ])
    """
    return 1.0 - _WRONG + _WRONG * np.minimum(wrong, 1.0 / upper_rate(np.ones(1), n_clean))


def combine(
    ratios: np.ndarray, intermittent: np.ndarray, stuck: np.ndarray, repeats: np.ndarray
) -> np.ndarray:
    """Combine e-values to the likelihoods of all states, for modalities that are not missing.

    Parameters
    ----------
    ratios : ndarray of shape (n_samples, n_modalities, n_simulated_failures)
        E-values of the simulated failures. They are set to one for repeated samples, which hold
        no new information.
    intermittent : ndarray of shape (n_samples, n_modalities)
        E-values of an intermittent failure, which are also set to one for repeated samples.
    stuck : ndarray of shape (n_samples, n_modalities)
        E-values of a stuck sensor.
    repeats : ndarray of bool of shape (n_samples, n_modalities)
        Whether each sample repeats the one before.

    Returns
    -------
    ndarray of shape (n_samples, n_modalities, 1 + n_failures)
        Likelihood of each state relative to the clean state. It is one for the clean state and
        zero for the state "missing".
    """
    ones = np.ones((*stuck.shape, 1))
    found = np.concatenate([ratios, intermittent[..., None]], axis=-1)
    found = np.where(repeats[..., None], 1.0, found)
    return np.concatenate([ones, found, stuck[..., None], 0.0 * ones], axis=-1)


def switches_of(
    evidence: EValuesByPhase,
    intermittent: np.ndarray,
    stuck: np.ndarray,
    repeats: np.ndarray,
    missing: Missing,
) -> Switches:
    """Combine e-values to the likelihoods of states that start or end.

    Parameters
    ----------
    evidence : EValuesByPhase
        E-values of the simulated failures.
    intermittent, stuck, repeats : ndarray of shape (n_samples, n_modalities)
        As :func:`combine` takes them.
    missing : Missing
        Missing modalities in these samples, and how often they are missing in clean ones.

    Returns
    -------
    Switches
        Likelihoods relative to the clean state.
    """
    starting = replace_missing(combine(evidence.starts, intermittent, stuck, repeats), *missing)
    ending = combine(evidence.ends, intermittent, np.ones_like(stuck), repeats)[..., 1:]
    ending[..., _NOT_SEEN_TO_END] = 1.0
    ending = np.where(missing.absent[..., None], missing.rate[:, None], ending)
    return Switches(starting, ending)


def likelihoods_in_order(
    evidence: EvidenceInOrder, missing: Missing, n_clean: int
) -> tuple[np.ndarray, Switches]:
    """Combine all e-values of samples in temporal order.

    Parameters
    ----------
    evidence : EvidenceInOrder
        E-values.
    missing : Missing
        Missing modalities in these samples, and how often they are missing in clean ones.
    n_clean : int
        Number of clean samples on which the e-values are calibrated.

    Returns
    -------
    likelihoods : ndarray of shape (n_samples, n_modalities, 1 + n_failures)
        Likelihoods of the states relative to the clean state.
    switches : Switches
        Likelihoods of states that start or end.
    """
    worth, simulated = evidence.worth, evidence.values
    if evidence.residuals is not None:
        exponents = evidence.residual_exponents
        simulated = combine_with_residuals(simulated, evidence.residuals, worth, exponents)
    found = combine_with_innovations(simulated, evidence.innovations, worth)
    others = intermittent_failure(evidence.wrong, n_clean), evidence.stuck, evidence.repeats
    lasting = replace_missing(combine(found.lasts, *others), *missing)
    return lasting, switches_of(found, *others, missing)
