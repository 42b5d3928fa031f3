r"""Distinguish failures of single sensors from a change of the process.

The filter treats each modality separately. If many modalities differ from the clean samples at the
same time, a change of the process, with all sensors intact, is more likely than as many independent
failures. Let :math:`R_i` be the ratio of posterior to prior odds that modality i differs from clean
samples. There are two hypotheses. Either modalities fail independently, each with probability
:math:`\pi`, or the process has changed, and the change affects each modality with an unknown
probability :math:`\theta`, which is uniformly distributed from 0 to 1. The likelihoods are

.. math:: L_{separate} = \prod_i (1 - \pi + \pi R_i), \qquad
    L_{changed} = \int_0^1 \prod_i (1 - \theta + \theta R_i)\, d\theta .

The prior probability of a change is :math:`\pi^2`, the probability that two given modalities fail
at the same time. Thus a single failing modality is never mistaken for a change. About half of the
modalities have to differ.
"""

import numpy as np
from scipy.special import expit, logsumexp

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_SHARES, _LOG_WEIGHTS = (_NODES + 1) / 2, np.log(_WEIGHTS / 2)


def probability_of_change(clean: np.ndarray, unlike: np.ndarray, prior: float) -> np.ndarray:
    r"""Return the probability that the process has changed.

    Parameters
    ----------
    clean, unlike : ndarray of shape (n_samples, n_modalities)
        Probability from the filter that each modality is clean, and that it is in a failure state
        which a change of the process can be mistaken for.
    prior : float
        Prior probability :math:`\pi` that a modality fails.

    Returns
    -------
    ndarray of shape (n_samples,)
        Probabilities of a change. Zero if there are only one or two modalities, or if at most one
        has a probability `unlike` of more than one half.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.joint import probability_of_change
    >>> unlike = np.array([[0.0, 0.0, 0.0, 0.99], [0.99, 0.99, 0.99, 0.99]])
    >>> probability_of_change(1 - unlike, unlike, 0.1).round(2)
    array([0.  , 0.95])
    """
    found = np.zeros(len(clean))
    several = (unlike > 0.5).sum(axis=1) > 1
    if clean.shape[1] > 2 and several.any():
        found[several] = _posterior(clean[several], unlike[several], prior)
    return found


def _posterior(clean: np.ndarray, unlike: np.ndarray, prior: float) -> np.ndarray:
    """Return the probability of a change by the formula, for any number of modalities."""
    tiny = np.finfo(float).tiny
    log_ratio = np.log(np.maximum(unlike, tiny)) - np.log(np.maximum(clean, tiny))
    log_ratio -= np.log(prior) - np.log1p(-prior)
    separate = np.logaddexp(np.log1p(-prior), np.log(prior) + log_ratio).sum(axis=1)
    by_share = np.logaddexp(
        np.log1p(-_SHARES)[:, None, None], np.log(_SHARES)[:, None, None] + log_ratio
    ).sum(axis=2)
    changed = logsumexp(by_share + _LOG_WEIGHTS[:, None], axis=0)
    odds = 2 * np.log(prior) - np.log1p(-(prior**2)) + changed - separate
    return expit(odds)
