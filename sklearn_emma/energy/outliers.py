"""Threshold of outlier scores, and predictions of outliers."""

from abc import abstractmethod
from typing import Any

import numpy as np
from sklearn.base import OutlierMixin

from sklearn_emma.energy.column_scale import quantiles_of_columns
from sklearn_emma.energy.p_values import raise_by_rounding
from sklearn_emma.lazy import is_lazy, map_chunks


def outlier_threshold(scores: np.ndarray, contamination: float | str, weight: np.ndarray) -> float:
    """Return the score that separates outliers from the other training samples.

    Parameters
    ----------
    scores : ndarray of shape (n_samples,)
        Scores of the training samples. High scores are normal.
    contamination : float or "auto"
        Fraction of outliers among them. With "auto", outliers are samples whose scores are more
        than 1.5 interquartile ranges below the first quartile, but at least the lowest 1 % of all
        samples.
    weight : ndarray of shape (n_samples,)
        Weights of the samples.

    Returns
    -------
    float
        Threshold.
    """
    if isinstance(contamination, str):
        least, low, high = quantiles_of_columns(scores[:, None], weight, (0.01, 0.25, 0.75))[:, 0]
        threshold = max(low - 1.5 * (high - low), least)
    else:
        threshold = quantiles_of_columns(scores[:, None], weight, (float(contamination),))[0, 0]
    # a sample that equals one of the threshold is no outlier
    return -float(raise_by_rounding(-threshold))


class ThresholdMixin(OutlierMixin):
    """Mixin for outlier detection. Outliers have a score below the fitted ``offset_``."""

    offset_: float

    @abstractmethod
    def score_samples(self, X: Any) -> np.ndarray:
        """Return the score of each sample. High scores are normal."""

    def decision_function(self, X: Any) -> np.ndarray:
        """Return the score relative to the threshold, which is negative for outliers.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Relative scores ``score_samples(X) - offset_``.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> np.ndarray:
        """Predict which samples are outliers.

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
