"""Clean samples that are made to fail: what failures look like, and whether they harm."""

from typing import Any

import numpy as np
from sklearn.utils import check_array

from sklearn_emma.corruption.tables import replace_columns
from sklearn_emma.monitoring.failures import Failure
from sklearn_emma.monitoring.statistics import SampleStatistics, read_energies

# Evidence that shuts a modality for certain, in nats.
_CERTAIN = 10.0


def read_table(estimator: Any, X: Any) -> list[np.ndarray]:
    """Read the modalities of a table.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted.
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table.

    Returns
    -------
    list of ndarray of shape (n_samples, n_features)
        One array per modality.
    """
    # all columns at once: a selection of columns of a DataFrame takes longer than all the rest
    table = check_array(X, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan")
    return [table[:, columns] for columns in estimator.modality_columns_]


class Simulation:
    """Failures of single modalities of clean samples.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted.
    X : ndarray or DataFrame of shape (n_samples, n_features)
        Clean samples.
    statistics : SampleStatistics
        Of clean samples.
    rng : RandomState
        For the failures.
    """

    def __init__(
        self, estimator: Any, X: Any, statistics: SampleStatistics, rng: np.random.RandomState
    ) -> None:
        self.estimator, self.X, self.statistics, self.rng = estimator, X, statistics, rng
        self.modalities = read_table(estimator, X)
        self.standard = statistics.standardise(self.modalities)
        self.target = self._predict(X, None)

    def fail(self, i: int, failure: Failure) -> Any:
        """Make a modality fail.

        Parameters
        ----------
        i : int
            The modality.
        failure : Failure
            How it fails.

        Returns
        -------
        ndarray or DataFrame of shape (n_samples, n_features)
            The samples; gaps and constant features stay as they are.
        """
        x, statistics = self.modalities[i], self.statistics
        failed = failure.values(self.standard[i], self.rng)
        failed = statistics.means_[i] + statistics.scales_[i] * failed
        failed = np.where(np.isnan(x) | ~statistics.varies_[i], x, failed)
        return replace_columns(self.X, self.estimator.modality_columns_[i], failed)

    def statistics_of(self, X: Any) -> np.ndarray:
        """Statistics of samples.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            The samples.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities, n_statistics)
            The statistics.
        """
        standard = self.statistics.standardise(read_table(self.estimator, X))
        return self.statistics(standard, *read_energies(self.estimator, X))

    def harms(self, X: Any, i: int) -> bool:
        """Tell whether the predictor does better without a modality that fails.

        Better is closer to the predictions of the clean samples: in cross-entropy for a
        classifier, in squared error for a regressor.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            The samples, of which modality i fails.
        i : int
            The modality.

        Returns
        -------
        bool
            True also where nothing is predicted.
        """
        if self.target is None:
            return True
        shut = np.zeros((len(self.target), len(self.modalities)))
        shut[:, i] = _CERTAIN
        return self._loss(self._predict(X, shut)) < self._loss(self._predict(X, None))

    def _predict(self, X: Any, evidence: np.ndarray | None) -> Any:
        """Return probabilities or values; None for an estimator that predicts neither."""
        for method in ("predict_proba", "readings"):
            if hasattr(self.estimator, method):
                found = getattr(self.estimator, method)(X, evidence=evidence)
                return found if method == "predict_proba" else found.output
        return None

    def _loss(self, predicted: np.ndarray) -> float:
        """Return how far predictions are from those of the clean samples."""
        if hasattr(self.estimator, "predict_proba"):
            return -(self.target * np.log(np.maximum(predicted, 1e-12))).sum(axis=1).mean()
        return ((predicted - self.target) ** 2).mean()
