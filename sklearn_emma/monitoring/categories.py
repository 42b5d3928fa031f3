r"""What categories change in the evidence of failures.

Without numbers there is neither offset nor gain: the e-values are zero.

A level that was never seen is like none of the clean samples from which likelihood ratios are
learned. A noisy sensor is expected to give one with probability q; with h the probability that a
clean sample has one, the e-value of noise is

.. math:: e = \frac{q}{h} \text{ for a level never seen}, \qquad
    \frac{1 - q}{1 - h}\, e_k \text{ for others,}

and that of other failures is one. Where c of n clean samples have one, h is two standard errors
above, as that of recurring values (:mod:`sklearn_emma.monitoring.recurrence`).
"""

import numpy as np

from sklearn_emma.monitoring.failures import SIMULATED_KINDS
from sklearn_emma.monitoring.recurrence import upper_rate

__all__ = ["CategoryEvidence"]

# q
_EXPECTED = 0.2


class CategoryEvidence:
    """E-values of failures, of modalities with categories.

    Parameters
    ----------
    unseen : ndarray of bool of shape (n_samples, n_modalities)
        Which clean samples have a level that was never seen.
    categories, numbers : ndarray of bool of shape (n_modalities,)
        Which modalities have categories, and which have numbers.

    Attributes
    ----------
    rates_ : ndarray of shape (n_modalities,)
        h.
    applies_ : ndarray of shape (n_modalities, n_simulated_failures)
        0 for an offset or gain of a modality without numbers, else 1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.categories import CategoryEvidence
    >>> evidence = CategoryEvidence(np.zeros((298, 1), bool), np.array([True]), np.array([False]))
    >>> e_values = np.ones((2, 1, 14))
    >>> evidence(e_values, np.array([[True], [False]]))[:, 0, :5].round(1)
    array([[20. , 20. , 20. , 20. ,  0. ],
           [ 0.8,  0.8,  0.8,  0.8,  0. ]])
    """

    def __init__(self, unseen: np.ndarray, categories: np.ndarray, numbers: np.ndarray) -> None:
        rates = np.minimum(upper_rate(unseen.sum(axis=0), len(unseen)), _EXPECTED)
        self.rates_ = np.where(categories, rates, _EXPECTED)
        of_numbers = np.isin(SIMULATED_KINDS, ("offset", "gain"))
        self.applies_ = np.where(numbers[:, None] | ~of_numbers, 1.0, 0.0)

    def __call__(self, e_values: np.ndarray, unseen: np.ndarray) -> np.ndarray:
        """Return the e-values of samples.

        Parameters
        ----------
        e_values : ndarray of shape (..., n_samples, n_modalities, n_simulated_failures)
            As learned from simulated failures.
        unseen : ndarray of bool of shape (n_samples, n_modalities)
            Which samples have a level that was never seen.

        Returns
        -------
        ndarray of shape (..., n_samples, n_modalities, n_simulated_failures)
            E-values.
        """
        rates, noise = self.rates_[:, None], np.isin(SIMULATED_KINDS, "noise")
        seen = np.where(noise, (1.0 - _EXPECTED) / (1.0 - rates), 1.0) * e_values
        never = np.where(noise, _EXPECTED / rates, 1.0)
        return self.applies_ * np.where(unseen[..., None], never, seen)
