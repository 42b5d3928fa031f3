"""The score below which samples are outliers, and the verdict by it."""

from abc import abstractmethod
from typing import Any

import numpy as np
from sklearn.base import OutlierMixin

from sklearn_emma.lazy import is_lazy, map_chunks


def outlier_threshold(scores: np.ndarray, contamination: float | str) -> float:
    """Return the score that separates outliers from the other training samples.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Of the training samples; high is normal.
    contamination : float or "auto"
        Fraction of outliers among them. "auto" takes what lies more than 1.5 interquartile ranges
        below the first quartile, but at least the lowest score in a hundred.

    Returns
    -------
    float
        The threshold.
    """
    if isinstance(contamination, str):
        low, high = np.quantile(scores, [0.25, 0.75])
        return float(max(low - 1.5 * (high - low), np.quantile(scores, 0.01)))
    return float(np.percentile(scores, 100.0 * contamination))


class ThresholdMixin(OutlierMixin):
    """Outliers are samples whose score is below the fitted ``offset_``."""

    offset_: float

    @abstractmethod
    def score_samples(self, X: Any) -> np.ndarray:
        """Return the score of each sample: high is normal."""

    def decision_function(self, X: Any) -> np.ndarray:
        """Score above the threshold: negative for outliers.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            ``score_samples(X) - offset_``.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Tell outliers.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            +1 for inliers, -1 for outliers.
        """
        if is_lazy(X):
            return map_chunks(self.predict, X)
        return np.where(self.decision_function(X) >= 0, 1, -1)
