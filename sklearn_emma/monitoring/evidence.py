r"""Evidence of failure in one sample: e-values.

An e-value is a likelihood ratio whose mean over clean samples is at most one, so that large values
are as rare as they are large.

**Likelihood ratios.** A classifier that tells the simulated failures k from clean samples, by the
statistics :math:`\varphi` of a sample, estimates :math:`s_k = p_k(\varphi) / p_{clean}(\varphi)`
(Sugiyama, M. et al. (2012). Density ratio estimation in machine learning). N clean samples cannot
testify to ratios beyond N, whence

.. math:: e_k = \frac{(N + 1)\, s_k / N}{c_k\, (1 + \max_j s_j / N) + \max_j s_j / N}, \qquad
    c_k = \max(1, \overline{e'_k})

with the mean over clean samples of the same quantity before calibration: a conformal e-value
(Vovk, V. (2025). Conformal e-prediction. Pattern Recognition 166).

**Repeats.** A sensor that is stuck repeats itself. With :math:`h(r)` the probability, on clean
samples, that a run of r repeats goes on,

.. math:: e_{stuck} = \frac{1 - \epsilon}{h(r)} \text{ for a repeat}, \qquad
    \frac{\epsilon}{1 - h(r)} \text{ for a change.}

A repeated sample tells nothing else that its predecessor did not.
"""

from collections.abc import Sequence

import numpy as np

__all__ = ["RunLengths", "bound_ratios", "conformal_e_values"]


def bound_ratios(ratios: np.ndarray, n_clean: int) -> np.ndarray:
    r"""Bound likelihood ratios by the number of clean samples: :math:`s_k / (1 + \max_j s_j / N)`.

    Parameters
    ----------
    ratios : ndarray of shape (..., n_failures)
        :math:`s_k`.
    n_clean : int
        N.

    Returns
    -------
    ndarray of shape (..., n_failures)
        Bounded ratios, in the proportions of the given ones.
    """
    return ratios / (1.0 + ratios.max(axis=-1, keepdims=True) / n_clean)


def conformal_e_values(clean_mean: np.ndarray, n_clean: int, bounded: np.ndarray) -> np.ndarray:
    r"""Conformal e-values of bounded likelihood ratios.

    Parameters
    ----------
    clean_mean : ndarray of shape (n_modalities, n_failures)
        Mean of the bounded ratios over clean samples.
    n_clean : int
        Number N of clean samples.
    bounded : ndarray of shape (..., n_modalities, n_failures)
        Bounded ratios of the samples to judge.

    Returns
    -------
    ndarray of shape (..., n_modalities, n_failures)
        E-values, at most N + 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.evidence import conformal_e_values
    >>> conformal_e_values(np.array([[2.0]]), 99, np.array([[2.0]])).round(2)
    array([[1.]])
    """
    largest = bounded.max(axis=-1, keepdims=True)
    return (n_clean + 1) * bounded / (n_clean * np.maximum(clean_mean, 1.0) + largest)


class RunLengths:
    """Runs of repeated samples, and how unlikely they are on clean data.

    Parameters
    ----------
    modalities : list of ndarray of shape (n_samples, n_features)
        Standardised clean samples, in order.
    varies : list of ndarray of bool of shape (n_features,)
        False for constant features, which are left out.

    Attributes
    ----------
    tolerance_ : ndarray of shape (n_modalities,)
        Largest change of a feature, in standard deviations, that is still a repeat: half of the
        smallest change of a clean sample that changes at all.
    hazards_ : list of ndarray of shape (n_lengths,)
        :math:`h(r)` of each modality for r = 0, 1, ...; the last for all longer runs.
    """

    def __init__(self, modalities: Sequence[np.ndarray], varies: Sequence[np.ndarray]) -> None:
        self.varies_ = list(varies)
        steps = np.column_stack([self.changes(x[:-1], x[1:], i) for i, x in enumerate(modalities)])
        self.tolerance_ = np.array([min(s[s > 0], default=0.0) / 2 for s in steps.T])
        repeats = steps <= self.tolerance_
        self.hazards_ = [_hazard(repeat) for repeat in repeats.T]
        self.epsilon_ = 1.0 / (len(steps) + 2)

    def changes(self, before: np.ndarray, after: np.ndarray, i: int) -> np.ndarray:
        """Largest change of a feature of a modality; infinite where all features are constant.

        Parameters
        ----------
        before, after : ndarray of shape (n_samples, n_features)
            Standardised values of modality i.
        i : int
            The modality.

        Returns
        -------
        ndarray of shape (n_samples,)
            Changes.
        """
        moving = np.abs(after - before)[:, self.varies_[i]]
        return moving.max(axis=1) if moving.shape[1] else np.full(len(after), np.inf)

    def __call__(
        self, standard: Sequence[np.ndarray], last: Sequence[np.ndarray], runs: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Judge samples that follow others.

        Parameters
        ----------
        standard : list of ndarray of shape (n_samples, n_features)
            Standardised modalities.
        last : list of ndarray of shape (n_features,)
            Of the sample before; NaN where there is none.
        runs : ndarray of int of shape (n_modalities,)
            Repeats up to that sample.

        Returns
        -------
        e_values : ndarray of shape (n_samples, n_modalities)
            Evidence of being stuck.
        repeats : ndarray of bool of shape (n_samples, n_modalities)
            Whether a sample repeats the one before.
        runs : ndarray of int of shape (n_modalities,)
            Repeats up to the last sample.
        """
        e_values = np.empty((len(standard[0]), len(standard)))
        repeats = np.empty(e_values.shape, dtype=bool)
        ends = np.empty_like(runs)
        for i, z in enumerate(standard):
            changes = self.changes(np.vstack([last[i], z[:-1]]), z, i)
            repeats[:, i] = changes <= self.tolerance_[i]
            lengths = _lengths(repeats[:, i], runs[i])
            before = np.concatenate([[runs[i]], lengths[:-1]])
            hazard = self.hazards_[i][np.minimum(before, len(self.hazards_[i]) - 1)]
            e_values[:, i] = np.where(
                repeats[:, i], (1 - self.epsilon_) / hazard, self.epsilon_ / (1 - hazard)
            )
            e_values[np.isnan(changes), i] = 1.0
            ends[i] = lengths[-1]
        return e_values, repeats, ends


def _lengths(repeats: np.ndarray, start: int) -> np.ndarray:
    """Return the repeats up to each sample, `start` of them before the first."""
    position = np.arange(1, len(repeats) + 1)
    last_change = np.maximum.accumulate(np.where(repeats, -start, position))
    return position - last_change


def _hazard(repeats: np.ndarray) -> np.ndarray:
    """Return the probability that a run of r repeats goes on, from those of clean samples."""
    before = np.concatenate([[0], _lengths(repeats, 0)[:-1]])
    reached = np.bincount(before)
    went_on = np.bincount(before, repeats, minlength=len(reached))
    # of runs that are longer than any, few go on
    usual = min(0.5, (repeats.sum() + 1) / (len(repeats) + 2))
    return np.append((went_on + 1) / (reached + 1 / usual), usual)
