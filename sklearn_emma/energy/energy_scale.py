"""Scale of energies: median and interquartile range over the training samples."""

import numpy as np

from sklearn_emma.energy.column_scale import quantiles_of_columns


def interquartile_range(potentials: np.ndarray, weight: np.ndarray | None = None) -> np.ndarray:
    """Return the interquartile range of potentials, or one if it is zero.

    Parameters
    ----------
    potentials : ndarray of shape (n_samples, ...)
        Potentials of the training samples, of shape (n_samples, n_features) if there are weights.
    weight : ndarray of shape (n_samples,), default=None
        Weights of the samples.

    Returns
    -------
    ndarray of shape (...)
        Interquartile ranges.
    """
    if weight is None:
        low, high = np.quantile(potentials, [0.25, 0.75], axis=0)
    else:
        low, high = quantiles_of_columns(potentials, weight, (0.25, 0.75))
    return np.where(high - low > 1e-9, high - low, 1.0)
