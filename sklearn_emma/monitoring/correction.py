"""Linear correction of features with an offset or gain."""

from typing import NamedTuple

import numpy as np

from sklearn_emma.monitoring.statistics import SampleStatistics

# Standard deviation of a normal distribution, in median absolute deviations.
_MAD = 1.4826


class Correction(NamedTuple):
    """Linear correction of standardized values: multiply by `factor`, then add `shift`.

    Attributes
    ----------
    factor, shift : ndarray of shape (n_features,)
        Factor and shift of each feature.
    """

    factor: np.ndarray
    shift: np.ndarray

    @classmethod
    def none(cls, statistics: SampleStatistics) -> "Correction":
        """Return the correction that changes nothing."""
        return cls(np.ones(len(statistics.mean_)), np.zeros(len(statistics.mean_)))

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """Return the corrected values, of shape (n_samples, n_features)."""
        return self.factor * z + self.shift

    def then(self, other: "Correction") -> "Correction":
        """Return the composition of this correction and another one that is applied after it."""
        return Correction(other.factor * self.factor, other.factor * self.shift + other.shift)

    def modalities(self, statistics: SampleStatistics) -> np.ndarray:
        """Return which modalities are corrected: an ndarray of bool of shape (n_modalities,)."""
        corrected = (self.factor != 1) | (self.shift != 0)
        return statistics.any_feature(corrected)


def location_and_spread(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the median and the scaled median absolute deviation of each feature.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_features)
        Standardized values. NaN marks missing values.

    Returns
    -------
    location, spread : ndarray of shape (n_features,)
        Robust estimates of the mean and of the standard deviation.
    """
    z = np.where(np.isnan(z).all(axis=0), 0.0, z)
    location = np.nanmedian(z, axis=0)
    return location, _MAD * np.nanmedian(np.abs(z - location), axis=0)
