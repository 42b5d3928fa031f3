"""Clean samples that are made to fail: what failures look like, and whether they harm."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_emma.corruption.tables import replace_columns
from sklearn_emma.monitoring.failures import Failure
from sklearn_emma.monitoring.statistics import SampleStatistics, read_energies
from sklearn_emma.monitoring.tables import are_numbers, categories_of, read_codes, read_table

# Evidence that closes a modality for certain, in nats.
_CERTAIN = 10.0
# Standard errors by which the predictor has to do better without a modality to close it.
_ERRORS = 3.0


class Simulation:
    """Failures of single modalities of clean samples.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted.
    X : ndarray or DataFrame of shape (n_samples, n_features)
        Clean samples; of pandas if there are categorical columns.
    statistics : SampleStatistics
        Of clean samples.
    rng : RandomState
        For the failures.
    """

    def __init__(
        self, estimator: Any, X: Any, statistics: SampleStatistics, rng: np.random.RandomState
    ) -> None:
        self.estimator, self.X, self.statistics, self.rng = estimator, X, statistics, rng
        table = read_table(estimator, X)
        self.values = statistics.split(table)
        self.standard = statistics.split(statistics.standardise(table))
        self.numbers = [
            slice(None) if numbers.all() else np.flatnonzero(numbers)
            for numbers in statistics.split(are_numbers(estimator)[None])
        ]
        self.categories = [
            [column for column in columns if column in categories_of(estimator)]
            for columns in estimator.modality_columns_
        ]
        if any(self.categories):
            self.missing = np.isnan(read_codes(estimator, X))
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
        statistics, numbers, categories = self.statistics, self.numbers[i], self.categories[i]
        x, z = self.values[i][:, numbers], self.standard[i][:, numbers]
        mean, scale, varies = (
            statistics.split(values[None])[i][:, numbers]
            for values in (statistics.mean_, statistics.scale_, statistics.varies_)
        )
        X, columns = self.X, self.estimator.modality_columns_[i]
        if categories:
            failed, donors = failure.with_levels(z, len(categories), self.rng)
            X = self._take_levels(categories, donors)
        else:
            failed = failure.values(z, self.rng)
        failed = np.where(np.isnan(x) | ~varies, x, mean + scale * failed)
        return replace_columns(X, columns[~np.isin(columns, categories)], failed)

    def _take_levels(self, categories: Sequence[int], donors: np.ndarray) -> Any:
        """Return the samples with levels of others; what is missing of either stays."""
        X, own = self.X.copy(), np.arange(len(self.X))
        for column, donor in zip(categories, donors.T, strict=True):
            gap = self.missing[:, column]
            values = X.iloc[:, column].take(np.where(gap | gap[donor], own, donor))
            X.isetitem(column, values.array)
        return X

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
        z = self.statistics.standardise(read_table(self.estimator, X))
        return self.statistics(z, *read_energies(self.estimator, X))

    def harms(self, X: Any, i: int) -> bool:
        """Tell whether the predictor does better without a modality that fails.

        Better is closer to the predictions of the clean samples, in cross-entropy for a classifier
        and in squared error for a regressor, by more than three standard errors.

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
        closed = np.zeros((len(self.target), len(self.values)))
        closed[:, i] = _CERTAIN
        gain = self._losses(self._predict(X, None)) - self._losses(self._predict(X, closed))
        return gain.mean() > _ERRORS * gain.std() / np.sqrt(len(gain))

    def _predict(self, X: Any, evidence: np.ndarray | None) -> Any:
        """Return probabilities or values; None for an estimator that predicts neither."""
        for method in ("predict_proba", "readings"):
            if hasattr(self.estimator, method):
                found = getattr(self.estimator, method)(X, evidence=evidence)
                output = found if method == "predict_proba" else found.output
                return np.reshape(output, (len(output), -1))
        return None

    def _losses(self, predicted: np.ndarray) -> np.ndarray:
        """Return how far predictions are from those of the clean samples, sample by sample."""
        if hasattr(self.estimator, "predict_proba"):
            return -(self.target * np.log(np.maximum(predicted, 1e-12))).sum(axis=1)
        return ((predicted - self.target) ** 2).mean(axis=1)
