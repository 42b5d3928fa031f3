r"""Convert likelihood ratios of failures to e-values.

An e-value is a likelihood ratio whose mean over clean samples is at most one. By Markov's
inequality, a clean sample has an e-value of at least x with a probability of at most 1 / x.

A classifier is trained to distinguish the simulated failures k from clean samples, given the
statistics :math:`\varphi` of a sample. It estimates the likelihood ratios
:math:`s_k = p_k(\varphi) / p_{clean}(\varphi)` (Sugiyama, M. et al. (2012). Density ratio
estimation in machine learning). N clean samples alone do not show how rare ratios larger than N
are. This is extrapolated from the tail of their distribution
(:mod:`sklearn_emma.monitoring.tails`). With :math:`\hat p` the probability that the largest ratio
of a clean sample exceeds the observed one,

.. math:: s'_k = \frac{s_k}{1 + \max_j s_j \min(1 / N, \hat p)}, \qquad
    e_k = \frac{1}{1 + \varepsilon_k}\,
    \frac{(N + 1)\, s'_k}{N \max(1, \overline{s'_k}) + \min(N, \max_j s'_j)}

where the bar denotes the mean over clean samples. Without the first factor, and for ratios up to N,
:math:`e_k` is a conformal e-value (Vovk, V. (2025). Conformal e-prediction. Pattern Recognition
166). For larger ratios it is only as accurate as the extrapolation. The *allowance*
:math:`\varepsilon_k` keeps the mean of the e-values at one or less even if the distribution of
clean samples in the stream differs from that of the calibration samples, as long as the ratio of
the two densities is at most :math:`1 + \varepsilon_k`. The default allowance is 0.5, which costs
0.4 nats of evidence per sample. This is negligible for failures for which one sample gives several
nats. It is half of the evidence of noise with a standard deviation of one, and more than that of a
mismatch of two modalities that are only weakly dependent. These two have an allowance of 0.1 if
samples are independent.
"""

import numpy as np

from sklearn_emma.monitoring.failures import ALLOWANCE


def bound_ratios(log_ratios: np.ndarray, log_bound: np.ndarray | float) -> np.ndarray:
    r"""Bound likelihood ratios: :math:`s_k / (1 + \max_j s_j / b)`.

    Parameters
    ----------
    log_ratios : ndarray of shape (..., n_failures)
        :math:`\log s_k`.
    log_bound : float or ndarray of shape (...,)
        :math:`\log b`.

    Returns
    -------
    ndarray of shape (..., n_failures)
        Bounded ratios. The ratios of one sample to each other are unchanged.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.e_values import bound_ratios
    >>> bound_ratios(np.log([[1.0, 4.0], [1e6, 1e3]]), np.log(100)).round(2)
    array([[ 0.96,  3.85],
           [99.99,  0.1 ]])
    """
    beyond = log_ratios.max(axis=-1, keepdims=True) - np.expand_dims(log_bound, -1)
    return np.exp(log_ratios - np.logaddexp(0.0, beyond))


def conformal_e_values(
    clean_mean: np.ndarray,
    n_clean: int,
    bounded: np.ndarray,
    allowance: np.ndarray | float = ALLOWANCE,
) -> np.ndarray:
    r"""Convert bounded likelihood ratios to conformal e-values.

    Parameters
    ----------
    clean_mean : ndarray of shape (n_modalities, n_failures)
        Mean of the bounded ratios over clean samples.
    n_clean : int
        Number N of clean samples.
    bounded : ndarray of shape (..., n_modalities, n_failures)
        Bounded ratios of the samples to be judged.
    allowance : float or ndarray of shape (n_failures,), default=0.5
        Allowance :math:`\varepsilon_k` of each failure.

    Returns
    -------
    ndarray of shape (..., n_modalities, n_failures)
        E-values. If no bounded ratio exceeds N, they are at most :func:`largest_e_value`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.e_values import conformal_e_values
    >>> conformal_e_values(np.array([[2.0]]), 99, np.array([[2.0]])).round(2)
    array([[0.67]])
    """
    largest = np.minimum(bounded.max(axis=-1, keepdims=True), n_clean)
    e_values = (n_clean + 1) * bounded / (n_clean * np.maximum(clean_mean, 1.0) + largest)
    return e_values / (1.0 + allowance)


def largest_e_value(n_clean: int, allowance: float = ALLOWANCE) -> float:
    r"""Return the largest e-value of ratios that do not exceed N.

    Parameters
    ----------
    n_clean : int
        Number N of clean samples.
    allowance : float, default=0.5
        Allowance :math:`\varepsilon_k`.

    Returns
    -------
    float
        :math:`(N + 1) / (2 + 2 \varepsilon_k)`.

    Examples
    --------
    >>> from sklearn_emma.monitoring.e_values import largest_e_value
    >>> largest_e_value(299)
    100.0
    """
    return (n_clean + 1) / (2.0 + 2.0 * allowance)
