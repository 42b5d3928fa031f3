r"""Accumulate evidence over time with the forward filter of a hidden Markov model.

Each modality is either clean (state 0) or fails in one of K ways (states 1 to K). At every sample,
a clean modality starts to fail with probability h, the hazard rate, and the failure is of kind k
with probability :math:`\pi_k`. A failing modality recovers with probability r. Then the probability
of each state is multiplied by its likelihood ratio :math:`e_k` against the clean state:

.. math::

    p_k \leftarrow \frac{e_k}{Z} \sum_j p_j A_{jk}, \qquad
    A = \begin{pmatrix} 1 - h & h \pi^T \\ r\, 1 & (1 - r)\, I \end{pmatrix}

(Rabiner, L. R. (1989). A tutorial on hidden Markov models. Proceedings of the IEEE 77.) If
:math:`r \ge h`, the odds of a failure are at most :math:`h / (1 - h) \sum_k \pi_k R_k`, with the
Shiryaev-Roberts statistics :math:`R_k \leftarrow (R_k + 1)\, e_k`. Therefore, if the :math:`e_k` of
clean samples have a mean of at most one given the past, an alarm that is raised at odds of
:math:`h / \alpha` occurs after at least :math:`(1 - h) / \alpha` clean samples on average (Shin,
J., Ramdas, A. and Rinaldo, A. (2023). E-detectors. New England Journal of Statistics in Data
Science).

**Slow processes.** If successive samples are dependent, their likelihood ratios are raised to a
power :math:`\gamma < 1`, since each is worth only :math:`\gamma` independent samples. Then the
recovery rate is :math:`\max(h, \gamma r)`, so that it, too, counts independent samples. Otherwise
the evidence would fade faster than it accumulates. If every sample has the likelihood ratio e, the
odds O approach the solution of

.. math:: r O^2 + \bigl(1 - h - e (1 - r)\bigr) O - e h = 0 .

**Switches.** The likelihood ratio of a state may also depend on the transition into it: on whether
a failure starts, lasts or ends (:mod:`sklearn_emma.monitoring.innovations`), and failures may turn
into others. The bound holds then, too. If the ratios of starting and of lasting failures have a
mean of at most one, the odds are at most those above. Likelihood ratios of failures that end only
lower them.

**Comparison.** A mismatch means that the values of a modality do not fit those of the other
modalities. It is evidence against the modality only if the others are themselves reliable. A stuck
modality is not, although its values look ordinary. With :math:`q_i` the
probability that modality i was stuck at the previous sample, the e-value of a mismatch of modality
j becomes

.. math:: e'_j = 1 - w_j + w_j e_j, \qquad w_j = \prod_{i \ne j} (1 - q_i).

The weight :math:`w_j` depends on earlier samples only, so the mean of :math:`e'_j` is at most one
if that of :math:`e_j` is. No weight is needed for noise, offset and gain of other modalities:
clean modalities next to failing ones are among the examples from which e-values are learned.
"""

from typing import Any, NamedTuple

import numpy as np

# Lower bounds of probabilities that are divided by.
_SMALLEST, _TINY = 1e-100, np.finfo(float).tiny


class Rates(NamedTuple):
    """Rates per sample.

    Attributes
    ----------
    hazard : float
        Probability h that a clean modality starts to fail.
    recovery : float
        Probability r that a failing modality recovers, if samples are independent.
    false_alarms : float
        Allowed number of false alarms, of all modalities together.
    """

    hazard: float
    recovery: float
    false_alarms: float

    def highest_alarm_odds(self, n_modalities: int) -> float:
        r"""Return the odds at which false alarms are guaranteed to be rare enough.

        Parameters
        ----------
        n_modalities : int
            Number of modalities, among which false alarms are divided equally.

        Returns
        -------
        float
            Odds :math:`h / \alpha`, with the allowed rate :math:`\alpha` of each modality.
        """
        return self.hazard / self.false_alarms * n_modalities


class Comparison(NamedTuple):
    """States that are judged by comparison with other modalities.

    Attributes
    ----------
    compared : ndarray of bool of shape (1 + n_failures,)
        True for states whose likelihoods measure how well a modality fits the others.
    unreliable : ndarray of bool of shape (1 + n_failures,)
        True for states in which a modality cannot be compared with.
    """

    compared: np.ndarray
    unreliable: np.ndarray

    def weigh(self, p: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
        """Weight likelihoods by the probability that the other modalities are reliable.

        Parameters
        ----------
        p : ndarray of shape (n_modalities, 1 + n_failures)
            Probabilities of the states after the previous sample.
        likelihood : ndarray of shape (n_modalities, 1 + n_failures)
            Likelihoods of the states.

        Returns
        -------
        ndarray of shape (n_modalities, 1 + n_failures)
            Weighted likelihoods. For compared states they lie between the given likelihood and
            that of the clean state, for others they are unchanged.
        """
        reliable = np.maximum(p @ ~self.unreliable, _SMALLEST)
        weight = np.where(self.compared, (reliable.prod() / reliable)[:, None], 1.0)
        return weight * likelihood + (1.0 - weight) * likelihood[:, :1]


class Switches(NamedTuple):
    """Likelihoods of states that start or end at a sample, if they differ from those that last.

    Attributes
    ----------
    starting : ndarray of shape (n_samples, n_modalities, 1 + n_failures)
        Likelihoods of the states of a modality that was clean at the sample before.
    ending : ndarray of shape (n_samples, n_modalities, n_failures)
        Likelihood of the clean state of a modality that was in each failure state before.
    """

    starting: np.ndarray
    ending: np.ndarray


def slow_recovery(recovery_rate: float, hazard_rate: float, exponents: np.ndarray) -> np.ndarray:
    r"""Return the recovery rates for dependent samples, :math:`\max(h, \gamma r)`.

    Parameters
    ----------
    recovery_rate, hazard_rate : float
        Rates r and h per independent sample.
    exponents : ndarray of shape (n_modalities,)
        Number of independent samples :math:`\gamma` that a sample is worth.

    Returns
    -------
    ndarray of shape (n_modalities,)
        Recovery rate per sample of each modality.
    """
    return np.maximum(hazard_rate, recovery_rate * exponents)


def highest_odds(e_value: np.ndarray, hazard_rate: float, recovery_rate: np.ndarray) -> np.ndarray:
    """Return the odds of a failure that the filter approaches if all samples are alike.

    Parameters
    ----------
    e_value : ndarray of shape (n_modalities,)
        Likelihood ratio of the failure in every sample.
    hazard_rate : float
        Rate at which failures of this kind start.
    recovery_rate : ndarray of shape (n_modalities,)
        Recovery rate per sample.

    Returns
    -------
    ndarray of shape (n_modalities,)
        Odds.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.filter import highest_odds
    >>> highest_odds(np.array([1.05, 2.0]), 0.001, np.array([0.01, 0.01])).round(1)
    array([ 4.1, 98.1])
    """
    b = 1.0 - hazard_rate - e_value * (1.0 - recovery_rate)
    root = np.sqrt(b**2 + 4.0 * recovery_rate * e_value * hazard_rate)
    return (root - b) / (2.0 * recovery_rate)


def transitions(hazard_rate: float, recovery_rate: float, prior: np.ndarray) -> np.ndarray:
    """Return the transition matrix A of the filter.

    Parameters
    ----------
    hazard_rate, recovery_rate : float
        Probability per sample that a clean modality starts to fail, and that a failing one
        recovers.
    prior : ndarray of shape (n_failures,)
        Probability of each kind of failure when a failure starts. The sum is one.

    Returns
    -------
    ndarray of shape (1 + n_failures, 1 + n_failures)
        Transition probabilities. Row j holds the probabilities of the next state, given state j.
    """
    matrix = np.diag(np.full(len(prior) + 1, 1.0 - recovery_rate))
    matrix[1:, 0] = recovery_rate
    matrix[0] = 1.0 - hazard_rate, *(hazard_rate * prior)
    return matrix


def let_change(
    matrix: np.ndarray, sources: np.ndarray, targets: np.ndarray, rate: float
) -> np.ndarray:
    """Let some failures turn into others.

    Parameters
    ----------
    matrix : ndarray of shape (1 + n_failures, 1 + n_failures)
        Transition matrix.
    sources, targets : ndarray of int
        Failures that may change, and those into which they do, each with equal probability.
    rate : float
        Probability per sample that a failure changes.

    Returns
    -------
    ndarray of shape (1 + n_failures, 1 + n_failures)
        Transition matrix. The recovery rates are unchanged.
    """
    changed = matrix.copy()
    stay = matrix[1 + sources, 1 + sources]
    changed[1 + sources, 1 + sources] = (1.0 - rate) * stay
    changed[np.ix_(1 + sources, 1 + targets)] = (rate * stay / len(targets))[:, None]
    return changed


def all_clean(n_states: int, n_modalities: int) -> np.ndarray:
    """Return the probabilities of the states if all modalities are clean.

    Parameters
    ----------
    n_states : int
        Number of states. The first one is clean.
    n_modalities : int
        Number of modalities.

    Returns
    -------
    ndarray of shape (n_modalities, n_states)
        One for the first state, zero for all others.
    """
    return np.tile(np.eye(1, n_states), (n_modalities, 1))


def odds_of_failure(clean: np.ndarray) -> np.ndarray:
    """Return the odds of a failure.

    Parameters
    ----------
    clean : ndarray of shape (...)
        Probability of the clean state.

    Returns
    -------
    ndarray of shape (...)
        Odds, which are finite.
    """
    return (1.0 - clean) / np.maximum(clean, _TINY)


def usual_share(transition: np.ndarray) -> Any:
    r"""Return the stationary probability that a modality fails, :math:`\pi = h / (h + r)`.

    Parameters
    ----------
    transition : ndarray of shape ([n_modalities,] 1 + n_failures, 1 + n_failures)
        Transition matrix A, of all modalities or of each of them.

    Returns
    -------
    float or ndarray of shape (n_modalities,)
        Long-term fraction of samples in which a modality fails.
    """
    hazard_rate, recovery_rate = 1.0 - transition[..., 0, 0], transition[..., 1, 0]
    return hazard_rate / (hazard_rate + recovery_rate)


def forward(
    start: np.ndarray,
    transition: np.ndarray,
    likelihoods: np.ndarray,
    comparison: Comparison | None = None,
    switches: Switches | None = None,
) -> np.ndarray:
    """Run the forward filter: return the probabilities of the states after each sample.

    Parameters
    ----------
    start : ndarray of shape (n_modalities, 1 + n_failures)
        Probabilities of the states after the sample before the first.
    transition : ndarray of shape ([n_modalities,] 1 + n_failures, 1 + n_failures)
        Transition matrix A, of all modalities or of each of them.
    likelihoods : ndarray of shape (n_samples, n_modalities, 1 + n_failures)
        Likelihoods of the states, up to a factor for each sample and modality.
    comparison : Comparison, default=None
        States that are judged by comparison with the other modalities. None weights no state.
    switches : Switches, default=None
        Likelihoods of states that start or end. None uses `likelihoods`. Otherwise, `transition`
        must be that of each modality.

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
    p, own = start, transition.ndim == 3
    weigh = comparison.weigh if comparison is not None else _unweighted
    for t, likelihood in enumerate(likelihoods):
        if switches is not None:
            starting = weigh(p, switches.starting[t])
            p = _switch(p, transition, weigh(p, likelihood), starting, switches.ending[t])
        else:
            moved = (p[:, None] @ transition)[:, 0] if own else p @ transition
            p = moved * weigh(p, likelihood)
        p = p / p.sum(axis=1, keepdims=True)
        found[t] = p
    return found


def _unweighted(p: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    """Return likelihoods without a change."""
    return likelihood


def _switch(
    p: np.ndarray,
    transition: np.ndarray,
    lasting: np.ndarray,
    starting: np.ndarray,
    ending: np.ndarray,
) -> np.ndarray:
    """Return the probabilities of the states, up to a factor, from likelihoods of transitions."""
    failing = p[:, 1:]
    moved = p[:, :1] * transition[:, 0] * starting
    moved[:, 0] += (failing * transition[:, 1:, 0] * ending).sum(axis=1)
    moved[:, 1:] += (failing[:, None] @ transition[:, 1:, 1:])[:, 0] * lasting[:, 1:]
    return moved


def hysteresis(up: np.ndarray, rise: np.ndarray, hold: np.ndarray) -> np.ndarray:
    """Raise alarms on one condition and keep them active on a weaker one.

    Parameters
    ----------
    up : ndarray of bool of shape (n_modalities,)
        Whether an alarm was active before the first sample.
    rise, hold : ndarray of bool of shape (n_samples, n_modalities)
        Where alarms are raised, and where an active alarm stays active.

    Returns
    -------
    ndarray of bool of shape (n_samples, n_modalities)
        Whether an alarm is active after each sample.
    """
    alarms = np.empty_like(rise)
    for t in range(len(rise)):
        up = rise[t] | (up & hold[t])
        alarms[t] = up
    return alarms
