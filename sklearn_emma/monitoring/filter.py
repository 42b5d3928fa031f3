r"""Evidence over time: the forward filter of a hidden Markov model.

Each modality is clean, state 0, or fails in one of K ways. A clean modality starts to fail with
probability h, the hazard rate, in the way k with probability :math:`\pi_k`; a failing one recovers
with probability r; and a sample multiplies the probability of each state by its likelihood,
relative to clean:

.. math::

    p_k \leftarrow \frac{e_k}{Z} \sum_j p_j A_{jk}, \qquad
    A = \begin{pmatrix} 1 - h & h \pi^T \\ r\, 1 & (1 - r)\, I \end{pmatrix}

(Rabiner, L. R. (1989). A tutorial on hidden Markov models. Proceedings of the IEEE 77.) With
:math:`r \ge h` the odds of failing are at most :math:`h / (1 - h) \sum_k \pi_k R_k`, with the
Shiryaev-Roberts statistics :math:`R_k \leftarrow (R_k + 1)\, e_k`. So where the :math:`e_k` of
clean samples have a mean of at most one given the past, an alarm at odds of :math:`h / \alpha`
comes after no less than :math:`(1 - h) / \alpha` clean samples on average (Shin, J., Ramdas, A. and
Rinaldo, A. (2023). E-detectors. New England Journal of Statistics in Data Science).

**Witnesses.** That values do not fit those of the other modalities, a mismatch, is only known as
far as the others can be believed. A stuck modality cannot, although its values are ordinary. With
:math:`q_i` the probability, after the sample before, that modality i is stuck, the e-value of a
mismatch of modality j becomes

.. math:: e'_j = 1 - w_j + w_j e_j, \qquad w_j = \prod_{i \ne j} (1 - q_i).

:math:`w_j` is known beforehand, so the mean of :math:`e'_j` is at most one where that of
:math:`e_j` is. Noise, offset and gain of others need no such weight: the e-values are learned with
clean modalities beside them.
"""

from typing import NamedTuple

import numpy as np

# Of probabilities that are divided by.
_SMALLEST = 1e-100


class Witnesses(NamedTuple):
    """Which states of a modality rest on the others, and in which it misleads about them.

    Attributes
    ----------
    needed : ndarray of bool of shape (1 + n_failures,)
        States whose likelihoods say how well a modality fits the others.
    misleading : ndarray of bool of shape (1 + n_failures,)
        States in which a modality is no witness.
    """

    needed: np.ndarray
    misleading: np.ndarray

    def weigh(self, p: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
        """Weigh likelihoods by what the other modalities are worth as witnesses.

        Parameters
        ----------
        p : ndarray of shape (n_modalities, 1 + n_failures)
            Probabilities of the states after the sample before.
        likelihood : ndarray of shape (n_modalities, 1 + n_failures)
            Likelihoods of the states.

        Returns
        -------
        ndarray of shape (n_modalities, 1 + n_failures)
            Those of states that need witnesses lie between the given ones and those of clean.
        """
        believed = np.maximum(p @ ~self.misleading, _SMALLEST)
        weight = np.where(self.needed, (believed.prod() / believed)[:, None], 1.0)
        return weight * likelihood + (1.0 - weight) * likelihood[:, :1]


def transitions(hazard_rate: float, recovery_rate: float, prior: np.ndarray) -> np.ndarray:
    """Transition probabilities A.

    Parameters
    ----------
    hazard_rate, recovery_rate : float
        Probability, per sample, that a modality starts to fail, and that it recovers.
    prior : ndarray of shape (n_failures,)
        Probability of each way to fail, summing to one.

    Returns
    -------
    ndarray of shape (1 + n_failures, 1 + n_failures)
        Row by row, probabilities of the next state.
    """
    matrix = np.diag(np.full(len(prior) + 1, 1.0 - recovery_rate))
    matrix[1:, 0] = recovery_rate
    matrix[0] = 1.0 - hazard_rate, *(hazard_rate * prior)
    return matrix


def usual_share(transition: np.ndarray) -> float:
    r"""Share of time in which a modality fails, :math:`\pi = h / (h + r)`.

    Parameters
    ----------
    transition : ndarray of shape (1 + n_failures, 1 + n_failures)
        A.

    Returns
    -------
    float
        The share.
    """
    hazard_rate, recovery_rate = 1.0 - transition[0, 0], transition[1, 0]
    return hazard_rate / (hazard_rate + recovery_rate)


def forward(
    start: np.ndarray,
    transition: np.ndarray,
    likelihoods: np.ndarray,
    witnesses: Witnesses | None = None,
) -> np.ndarray:
    """Filter samples.

    Parameters
    ----------
    start : ndarray of shape (n_modalities, 1 + n_failures)
        Probabilities of the states after the sample before.
    transition : ndarray of shape (1 + n_failures, 1 + n_failures)
        A.
    likelihoods : ndarray of shape (n_samples, n_modalities, 1 + n_failures)
        Likelihoods of the states.
    witnesses : Witnesses, default=None
        Which states rest on the other modalities. None stands for none.

    Returns
    -------
    ndarray of shape (n_samples, n_modalities, 1 + n_failures)
        Probabilities of the states after each sample.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.filter import forward, transitions
    >>> A = transitions(0.01, 0.1, np.array([1.0]))
    >>> forward(np.array([[1.0, 0.0]]), A, np.array([[[1, 9]], [[1, 9]]]))[:, 0, 1].round(2)
    array([0.08, 0.45])
    """
    found = np.empty(likelihoods.shape)
    p = start
    for t, likelihood in enumerate(likelihoods):
        if witnesses is not None:
            likelihood = witnesses.weigh(p, likelihood)
        p = (p @ transition) * likelihood
        p = p / p.sum(axis=1, keepdims=True)
        found[t] = p
    return found


def hysteresis(up: np.ndarray, rise: np.ndarray, hold: np.ndarray) -> np.ndarray:
    """Alarms that go up where they rise, and stay up as long as they hold.

    Parameters
    ----------
    up : ndarray of bool of shape (n_modalities,)
        Whether an alarm was up before the first sample.
    rise, hold : ndarray of bool of shape (n_samples, n_modalities)
        Where alarms go up, and where one that is up may stay.

    Returns
    -------
    ndarray of bool of shape (n_samples, n_modalities)
        Whether an alarm is up.
    """
    alarms = np.empty_like(rise)
    for t in range(len(rise)):
        up = rise[t] | (up & hold[t])
        alarms[t] = up
    return alarms
