"""A linear correction of every feature, in place of a sensor that is closed."""

from typing import NamedTuple

import numpy as np

from sklearn_emma.monitoring.statistics import SampleStatistics

# Median absolute deviations of a normal distribution in a standard deviation.
_MAD = 1.4826


class Correction(NamedTuple):
    """What standardised values are multiplied by, and what is then added.

    Attributes
    ----------
    factor, shift : ndarray of shape (n_features,)
        Of each feature.
    """

    factor: np.ndarray
    shift: np.ndarray

    @classmethod
    def none(cls, statistics: SampleStatistics) -> "Correction":
        """Return the correction that changes nothing."""
        return cls(np.ones(len(statistics.mean_)), np.zeros(len(statistics.mean_)))

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """Return corrected values (n_samples, n_features)."""
        return self.factor * z + self.shift

    def then(self, other: "Correction") -> "Correction":
        """Return this correction followed by another one."""
        return Correction(other.factor * self.factor, other.factor * self.shift + other.shift)

    def modalities(self, statistics: SampleStatistics) -> np.ndarray:
        """Return which modalities are corrected, a ndarray of bool of shape (n_modalities,)."""
        corrected = (self.factor != 1) | (self.shift != 0)
        return statistics.over_modalities(np.logical_or, corrected[None])[0]


def location_and_spread(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Robust location and spread: the median, and the scaled median absolute deviation.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_features)
        Standardised values.

    Returns
    -------
    location, spread : ndarray of shape (n_features,)
        Of each feature.
    """
    location = np.median(z, axis=0)
    return location, _MAD * np.median(np.abs(z - location), axis=0)
