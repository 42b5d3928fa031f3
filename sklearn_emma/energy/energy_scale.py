"""Scale of energies: median and interquartile range over the training samples."""

import numpy as np

from sklearn_emma.energy.column_scale import quantiles_of_columns


def median_and_range(potentials: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weighted median and interquartile range of potentials.

    Parameters
    ----------
    potentials : ndarray of shape (n_samples, n_energies)
        Potentials of the training samples.
    weight : ndarray of shape (n_samples,)
        Weights of the samples.

    Returns
    -------
    median, iqr : ndarray of shape (n_energies,)
        Medians and interquartile ranges. A range of zero is replaced by one.
    """
    low, median, high = quantiles_of_columns(potentials, weight, (0.25, 0.5, 0.75))
    return median, np.where(high - low > 1e-9, high - low, 1.0)
