"""Simulate failures on clean samples, and measure whether they harm the predictions."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sklearn_emma.corruption.tables import replace_columns
from sklearn_emma.monitoring.failures import Failure
from sklearn_emma.monitoring.statistics import SampleStatistics, read_energies
from sklearn_emma.monitoring.tables import are_numbers, categories_of, read_codes, read_table

# Evidence, in nats, that is large enough to close the gate of a modality.
_CERTAIN = 10.0
# A modality is closed if that improves the predictions by more than this many standard errors.
_ERRORS = 3.0


class Simulation:
    """Simulate failures of single modalities on clean samples.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted estimator.
    X : ndarray or DataFrame of shape (n_samples, n_features)
        Clean samples. A pandas DataFrame if there are categorical columns.
    statistics : SampleStatistics
        Statistics fitted to clean samples.
    rng : RandomState
        Random number generator of the failures.
    """

    def __init__(
        self, estimator: Any, X: Any, statistics: SampleStatistics, rng: np.random.RandomState
    ) -> None:
        self.estimator, self.X, self.statistics, self.rng = estimator, X, statistics, rng
        table = read_table(estimator, X)
        self.values = statistics.split(table)
        self.standard = statistics.split(statistics.filled(statistics.relative(table)))
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
        """Simulate the failure of one modality in all samples.

        Parameters
        ----------
        i : int
            Position of the failing modality.
        failure : Failure
            Kind and severity of the failure.

        Returns
        -------
        ndarray or DataFrame of shape (n_samples, n_features)
            Samples in which modality i fails. Missing values and constant features are unchanged.
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
        """Replace levels by those of donor samples, unless one of the two is missing."""
        X, own = self.X.copy(), np.arange(len(self.X))
        for column, donor in zip(categories, donors.T, strict=True):
            gap = self.missing[:, column]
            values = X.iloc[:, column].take(np.where(gap | gap[donor], own, donor))
            X.isetitem(column, values.array)
        return X

    def statistics_of(self, X: Any) -> np.ndarray:
        """Return the statistics of samples.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities, n_statistics)
            Statistics, as computed by :class:`SampleStatistics`.
        """
        table = read_table(self.estimator, X)
        energies = read_energies(self.estimator, X, table, self.statistics)
        return self.statistics(self.statistics.relative(table), *energies)

    def harms(self, X: Any, i: int) -> bool:
        """Return whether predictions are better without a failing modality.

        They are better if they are closer to the predictions for the clean samples by more than
        three standard errors. The distance is the cross-entropy for a classifier and the squared
        error for a regressor.

        Parameters
        ----------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Samples in which modality i fails.
        i : int
            Position of the failing modality.

        Returns
        -------
        bool
            True if predictions are better without the modality, or if the estimator does not
            predict.
        """
        if self.target is None:
            return True
        closed = np.zeros((len(self.target), len(self.values)))
        closed[:, i] = _CERTAIN
        gain = self._losses(self._predict(X, None)) - self._losses(self._predict(X, closed))
        return gain.mean() > _ERRORS * gain.std() / np.sqrt(len(gain))

    def _predict(self, X: Any, evidence: np.ndarray | None) -> Any:
        """Return class probabilities or predicted values, or None if the estimator has neither."""
        for method in ("predict_proba", "readings"):
            if hasattr(self.estimator, method):
                found = getattr(self.estimator, method)(X, evidence=evidence)
                output = found if method == "predict_proba" else found.output
                return np.reshape(output, (len(output), -1))
        return None

    def _losses(self, predicted: np.ndarray) -> np.ndarray:
        """Return the loss of each sample, relative to the predictions for the clean samples."""
        if hasattr(self.estimator, "predict_proba"):
            return -(self.target * np.log(np.maximum(predicted, 1e-12))).sum(axis=1)
        return ((predicted - self.target) ** 2).mean(axis=1)
