"""Effects of failures: scores of an estimator on clean and on corrupted test samples."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_classifier

from sklearn_emma.corruption import Corruption
from sklearn_emma.folds import check_score
from sklearn_emma.metrics import expected_calibration_error
from sklearn_emma.model_selection.failing import break_modality
from sklearn_emma.model_selection.inside import gated_inside, unwrap


class Bootstrap(NamedTuple):
    """Bootstrap samples of the test samples, which are the same for all failures.

    Parameters
    ----------
    draws : ndarray of int of shape (n_bootstrap, n_samples)
        Positions of the test samples in each bootstrap sample.
    repeats : ndarray of int of shape (n_bootstrap, n_repeats)
        Positions of the repeats of a failure in each bootstrap sample.
    confidence_level : float
        Confidence level of the intervals.
    """

    draws: np.ndarray
    repeats: np.ndarray
    confidence_level: float

    def mean_over_repeats(self, by_repeat: np.ndarray) -> np.ndarray:
        """Return the mean over the repeats that were drawn for each bootstrap sample.

        Its deviation from the mean over all repeats is multiplied by sqrt(R / (R - 1)), since the
        variance of R draws with replacement is too small by the factor (R - 1) / R.

        Parameters
        ----------
        by_repeat : ndarray of shape (n_repeats, n_bootstrap)
            A statistic of each repeat. There may be only one, of what does not depend on chance.

        Returns
        -------
        ndarray of shape (n_bootstrap,)
            Means.
        """
        n, mean = len(by_repeat), by_repeat.mean(axis=0)
        if n == 1:
            return mean
        drawn = np.take_along_axis(by_repeat, self.repeats.T, axis=0).mean(axis=0)
        return mean + np.sqrt(n / (n - 1)) * (drawn - mean)

    def interval(self, by_draw: np.ndarray) -> tuple[float, float]:
        """Return the percentile interval of a statistic.

        Parameters
        ----------
        by_draw : ndarray of shape (n_bootstrap,)
            The statistic of each bootstrap sample. NaN is ignored, as some metrics are not defined
            for all bootstrap samples.

        Returns
        -------
        low, high : float
            Bounds of the interval.
        """
        if np.isnan(by_draw).all():
            return np.nan, np.nan
        tail = (1 - self.confidence_level) / 2
        low, high = np.nanquantile(by_draw, [tail, 1 - tail])
        return float(low), float(high)


class Measured(NamedTuple):
    """Scores and other measures of an estimator under one failure.

    Parameters
    ----------
    score : float
        Mean score over the repeats of the failure.
    by_draw : ndarray of shape (n_bootstrap,)
        Mean score of each bootstrap sample.
    measures : dict of str to float
        Further measures: calibration error, coverage, and so on.
    """

    score: float
    by_draw: np.ndarray
    measures: dict[str, float]


@dataclass(frozen=True)
class FailureCosts:
    """Scores of an estimator on clean samples, and on the same samples with failures.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Clean samples.
    y : ndarray of shape (n_samples,)
        Targets.
    modalities : dict, list of (name, columns), callable or "prefix"
        The groups of columns.
    metric : callable
        Score function ``metric(y_true, y_pred)``.
    method : str
        Method of the estimator that computes `y_pred`.
    bootstrap : Bootstrap
        Bootstrap samples.
    """

    estimator: Any
    X: Any
    y: np.ndarray
    modalities: Any
    metric: Callable[..., float]
    method: str
    bootstrap: Bootstrap

    @cached_property
    def clean(self) -> Measured:
        """Scores and other measures on the clean samples."""
        return self._measure([self.X])

    def of(
        self,
        corruption: Corruption,
        failing: str | tuple[str, ...],
        seeds: Iterable[int],
        reference: Any,
    ) -> dict[str, float]:
        """Measure the effect of a failure.

        Parameters
        ----------
        corruption : Corruption
            How modalities fail.
        failing : str or tuple of str
            The modality that fails, or those that fail together.
        seeds : iterable of int
            Seeds of the failures, one for each repeat.
        reference : array-like or DataFrame of shape (n_reference, n_features)
            Reference samples of the corruption.

        Returns
        -------
        dict of str to float
            ``score``, ``drop`` with its interval from ``low`` to ``high``, and further measures.
        """
        tables = break_modality(corruption, self.X, self.modalities, failing, seeds, reference)
        failed = self._measure(tables, failing if isinstance(failing, str) else None)
        low, high = self.bootstrap.interval(self.clean.by_draw - failed.by_draw)
        drop = self.clean.score - failed.score
        return {"score": failed.score, "drop": drop, "low": low, "high": high} | failed.measures

    def loss_by_exchange(self) -> float:
        """Return the loss of score if all predictions are those of other samples.

        The samples are sorted by their targets, and each gets the prediction of the sample that is
        half the table away.

        Returns
        -------
        float
            The loss, in the unit of the score.
        """
        order = np.argsort(self.y, kind="stable")
        predicted = self._predict(self.X)
        exchanged = predicted.copy()
        exchanged[order] = predicted[np.roll(order, len(order) // 2)]
        return self.clean.score - self._score(self.y, exchanged)

    def _score(self, y: np.ndarray, predicted: np.ndarray) -> float:
        """Return the metric. Raise ValueError if it is not a number."""
        return check_score(self.metric(y, predicted), "metric")

    def _predict(self, table: Any) -> np.ndarray:
        """Return predictions."""
        predicted = np.asarray(getattr(self.estimator, self.method)(table))
        if self.method == "predict" and predicted.shape == (len(self.y), 1):
            return predicted[:, 0]
        return predicted

    def _measure(self, tables: Iterable[Any], failing: str | None = None) -> Measured:
        """Return scores and other measures, averaged over tables."""
        y, scores, by_draw, measures = self.y, [], [], []
        for table in tables:
            predicted = self._predict(table)
            scores.append(self._score(y, predicted))
            by_draw.append([self._score(y[d], predicted[d]) for d in self.bootstrap.draws])
            found = _calibration(self.estimator, table, y) | _sets(self.estimator, table, y)
            measures.append(found | _closed(self.estimator, table, failing))
        mean = {k: float(np.mean([m[k] for m in measures])) for k in measures[0]}
        drawn = self.bootstrap.mean_over_repeats(np.array(by_draw))
        return Measured(float(np.mean(scores)), drawn, mean)


def _calibration(estimator: Any, X: Any, y: np.ndarray) -> dict[str, float]:
    """Return the calibration error of a classifier with predict_proba, otherwise nothing."""
    if not (is_classifier(estimator) and hasattr(estimator, "predict_proba")):
        return {}
    probabilities = np.clip(estimator.predict_proba(X), 0, 1)
    error = expected_calibration_error(y, probabilities, labels=estimator.classes_)
    return {"calibration_error": error}


def _sets(estimator: Any, X: Any, y: np.ndarray) -> dict[str, float]:
    """Return coverage and mean size of prediction sets or intervals, if the estimator has them."""
    if hasattr(estimator, "predict_set"):
        sets = estimator.predict_set(X)
        covered = sets[np.arange(len(y)), np.searchsorted(estimator.classes_, y)]
        sizes = sets.sum(axis=1)
    elif hasattr(estimator, "predict_interval"):
        lower, upper = np.asarray(estimator.predict_interval(X)).T
        covered, sizes = (lower <= y) & (y <= upper), upper - lower
    else:
        return {}
    return {"coverage": float(covered.mean()), "set_size": float(sizes.mean())}


def _closed(estimator: Any, X: Any, failing: str | None) -> dict[str, float]:
    """Return the fraction of samples in which the gate closes the failing modality."""
    gated = gated_inside(unwrap(estimator)[0])
    if gated is None or failing not in gated.modality_names_:
        return {}
    estimator, X = unwrap(estimator, X)
    if hasattr(estimator, "closed"):
        closed = estimator.closed(X)
    else:
        threshold = getattr(gated, "threshold_", 0.5)
        threshold = 0.5 if isinstance(threshold, str) else threshold  # "mean"
        closed = gated.attention(X) <= threshold
    return {"closed": float(closed[:, gated.modality_names_.index(failing)].mean())}
