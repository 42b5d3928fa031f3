r"""Whether one sensor has failed, or the process has changed.

The filter follows each modality by itself. If many of them turn out to be unlike the clean samples
at the same time, it is more likely that the process has changed, with all sensors intact, than that
as many failed. Let :math:`R_i` be the ratio of posterior to prior odds that modality i is unlike
clean samples. If modalities fail independently, with probability :math:`\pi` each, or if the
process has changed and shows in an unknown share :math:`\theta` of them, uniform from 0 to 1, the
evidence has the likelihoods

.. math:: L_{separate} = \prod_i (1 - \pi + \pi R_i), \qquad
    L_{changed} = \int_0^1 \prod_i (1 - \theta + \theta R_i)\, d\theta .

A change is as likely beforehand as that two given modalities fail at the same time, :math:`\pi^2`.
So one failing modality is never taken for a change, and about half of them are needed.
"""

import numpy as np
from scipy.special import expit, logsumexp

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(24)
_SHARES, _LOG_WEIGHTS = (_NODES + 1) / 2, np.log(_WEIGHTS / 2)


def probability_of_change(clean: np.ndarray, unlike: np.ndarray, prior: float) -> np.ndarray:
    r"""Probability that the process has changed.

    Parameters
    ----------
    clean, unlike : ndarray of shape (n_samples, n_modalities)
        Probabilities that each modality, by itself, is clean, and that it is unlike clean samples
        in a way that a changed process can be as well.
    prior : float
        :math:`\pi`, the share of time in which a modality fails.

    Returns
    -------
    ndarray of shape (n_samples,)
        Probabilities; zero for one or two modalities, of which one is no majority.

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
    """Return the probability of a change where several modalities are unlike clean samples."""
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
