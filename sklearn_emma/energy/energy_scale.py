"""Scale of energies: the interquartile range over the training samples."""

import numpy as np


def interquartile_range(potentials: np.ndarray) -> np.ndarray:
    """Return the interquartile range of potentials, or one if it is zero.

    Parameters
    ----------
    potentials : ndarray of shape (n_samples, ...)
        Potentials of the training samples.

    Returns
    -------
    ndarray of shape (...)
        Interquartile ranges.
    """
    low, high = np.quantile(potentials, [0.25, 0.75], axis=0)
    return np.where(high - low > 1e-9, high - low, 1.0)
