"""The unit of energies: the interquartile range of those of the training samples."""

import numpy as np


def interquartile_range(potentials: np.ndarray) -> np.ndarray:
    """Return the interquartile range of potentials, one where they are equal.

    Parameters
    ----------
    potentials : ndarray of shape (n_samples, ...)
        Of the training samples.

    Returns
    -------
    ndarray of shape (...)
        The ranges.
    """
    low, high = np.quantile(potentials, [0.25, 0.75], axis=0)
    return np.where(high - low > 1e-9, high - low, 1.0)
