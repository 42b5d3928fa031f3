r"""Adapt e-values to modalities with categorical columns.

A modality without numerical columns cannot have an offset or a gain, so the e-values of these
failures are zero.

A level that does not occur in the training data, an unseen level, is not represented in the samples
from which the likelihood ratios are learned. It is rare in clean samples, with probability f, and
assumed to have the probability q = 0.2 in noisy ones (:mod:`sklearn_emma.monitoring.rare_events`).
The e-value of noise is

.. math:: e = \frac{q}{f} \text{ for an unseen level}, \qquad
    \frac{1 - q}{1 - f}\, e_k \text{ for others.}

The e-values of other failures are one for an unseen level and unchanged for others.
"""

import numpy as np

from sklearn_emma.monitoring.failures import SIMULATED_KINDS
from sklearn_emma.monitoring.rare_events import EXPECTED_RATE, e_value_of_event, upper_rate

__all__ = ["CategoryEvidence"]


class CategoryEvidence:
    """Corrections of the e-values of modalities with categorical columns.

    Parameters
    ----------
    unseen : ndarray of bool of shape (n_samples, n_modalities)
        Whether a clean sample has an unseen level in the modality.
    categories, numbers : ndarray of bool of shape (n_modalities,)
        Whether each modality has categorical columns, and whether it has numerical columns.

    Attributes
    ----------
    rates_ : ndarray of shape (n_modalities,)
        Upper bound f of the probability of an unseen level in a clean sample.
    applies_ : ndarray of shape (n_modalities, n_simulated_failures)
        0 for offset and gain of modalities without numerical columns, else 1.

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
        rates = np.minimum(upper_rate(unseen.sum(axis=0), len(unseen)), EXPECTED_RATE)
        self.rates_ = np.where(categories, rates, EXPECTED_RATE)
        of_numbers = np.isin(SIMULATED_KINDS, ("offset", "gain"))
        self.applies_ = np.where(numbers[:, None] | ~of_numbers, 1.0, 0.0)

    def __call__(self, e_values: np.ndarray, unseen: np.ndarray) -> np.ndarray:
        """Return the corrected e-values of samples.

        Parameters
        ----------
        e_values : ndarray of shape (..., n_samples, n_modalities, n_simulated_failures)
            E-values of the simulated failures.
        unseen : ndarray of bool of shape (n_samples, n_modalities)
            Whether a sample has an unseen level in the modality.

        Returns
        -------
        ndarray of shape (..., n_samples, n_modalities, n_simulated_failures)
            Corrected e-values.
        """
        known = np.where(unseen[..., None], 1.0, e_values)
        of_noise = e_value_of_event(unseen, self.rates_)[..., None] * known
        return self.applies_ * np.where(np.isin(SIMULATED_KINDS, "noise"), of_noise, known)
