"""Base class of conformal estimators: calibration on held-out samples, one group per pattern."""

from abc import abstractmethod
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import Tags, get_tags, indexable
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.compat import (
    HasMethods,
    Interval,
    StrOptions,
    _check_method_params,
    _fit_context,
    _num_samples,
    _safe_indexing,
    _safe_split,
)
from sklearn_emma.corruption import Corruption
from sklearn_emma.engine.seeding import draw_seed, draw_seeds
from sklearn_emma.lazy import is_lazy, load, map_chunks
from sklearn_emma.model_selection.failing_copies import failing_copies
from sklearn_emma.model_selection.patterns import CalibrationScores, PatternThresholds
from sklearn_emma.model_selection.routing import RoutesFit
from sklearn_emma.targets import check_weights, one_column
from sklearn_emma.validation import all_or_nothing, copy_attributes


class BasePatternConformal(RoutesFit, MetaEstimatorMixin, BaseEstimator):
    """Base class of conformal prediction with one threshold per pattern of closed modalities.

    Subclasses define the nonconformity score and the prediction of sets or intervals.
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"])],
        "confidence_level": [Interval(Real, 0, 1, closed="neither")],
        "corruption": [Corruption, None],
        "n_several": [Interval(Integral, 0, None, closed="left")],
        "failure_rate": [Interval(Real, 0, 1, closed="neither")],
        "threshold": [Interval(Real, 0, 1, closed="left")],
        "min_samples": [Interval(Integral, 1, None, closed="left")],
        "cv": ["cv_object", StrOptions({"prefit"})],
        "n_jobs": [Integral, None],
        "random_state": ["random_state"],
    }

    #: Methods that the estimator must have, besides those of an estimator with a gate.
    _needed: tuple[str, ...] = ()

    @abstractmethod
    def _check_target(self, y: Any) -> np.ndarray:
        """Return y in the form that calibration needs. Raise ValueError if y is not valid."""

    @abstractmethod
    def _score(
        self, estimator: Any, X: Any, y: np.ndarray, random_state: np.random.RandomState
    ) -> np.ndarray:
        """Return the nonconformity scores of samples, given their true labels or values."""

    def _check_fitted_on(self, estimator: Any, y: np.ndarray) -> None:
        """Raise ValueError if a fitted estimator cannot predict some values of y."""

    def _has_target(self, estimator: Any, y: np.ndarray) -> np.ndarray:
        """Return which of the samples that an estimator was fitted on can be used to calibrate."""
        return np.ones(len(y), dtype=bool)

    def _difficulty(self, estimator: Any, X: Any) -> np.ndarray:
        """Return the energy that scores are normalized by; zeros if they are not normalized."""
        return np.zeros(_num_samples(X))

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None, **fit_params: Any
    ) -> Self:
        """Fit the estimator on all samples, and calibrate on the held-out samples of each fold.

        With ``cv="prefit"``, this method does the same as :meth:`conformalize`.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Clean training samples.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights, which are passed to ``fit`` of the estimator. Samples with zero weight
            are not used for calibration. Among the others, calibration ignores the weights: the
            coverage is that for samples drawn like them.
        groups : array-like of shape (n_samples,), default=None
            Groups of the samples for the splitter `cv`, such as
            :class:`~sklearn.model_selection.GroupKFold`.
        **fit_params : dict
            Further parameters passed to ``fit`` of the estimator. Parameters with one value per
            sample are split like X.

        Returns
        -------
        PatternConformalClassifier or PatternConformalRegressor
            The fitted estimator.

        Raises
        ------
        TypeError
            If the estimator has no gate, or if ``cv="prefit"`` and parameters are passed that only
            a fit or a splitter can use.
        ValueError
            If a parameter, y or a weight is not valid, or if no held-out sample has a label.
        """
        if isinstance(self.cv, str):
            unused = [*fit_params, *(["groups"] if groups is not None else [])]
            if unused:
                raise TypeError(
                    f"{', '.join(unused)}: with cv='prefit' nothing is fitted or split, so this "
                    "has no effect. Do not pass it, or use another cv."
                )
            return self.conformalize(X, y, sample_weight)
        X, y = self._check(X, y)
        of_fit, of_split = self._route(X, sample_weight, groups, fit_params)
        estimator = clone(self.estimator).fit(X, y, **of_fit)
        self._check_estimator(estimator)
        counts = _counting(sample_weight, X) & self._has_target(estimator, y)
        folds = self._folds(X, y, of_split, counts)
        seeds = draw_seeds(self.random_state, len(folds))
        parts = Parallel(n_jobs=self.n_jobs)(
            delayed(self._hold_out)(clone(self.estimator), X, y, of_fit, fold, seed)
            for fold, seed in zip(folds, seeds, strict=True)
        )
        joined = [np.concatenate(values) for values in zip(*parts, strict=True)]
        with all_or_nothing(self):
            self.estimator_, self._fitted_from = estimator, self.estimator
            return self._store(CalibrationScores(*joined))

    @_fit_context(prefer_skip_nested_validation=False)
    def conformalize(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Calibrate a fitted estimator on samples that it has not seen.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Clean samples.
        y : array-like of shape (n_samples,)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights. Samples with zero weight are not used; otherwise, weights are ignored.

        Returns
        -------
        PatternConformalClassifier or PatternConformalRegressor
            The calibrated estimator.

        Raises
        ------
        NotFittedError
            If neither this object nor the estimator that was passed to it is fitted.
        TypeError
            If the estimator has no gate.
        ValueError
            If a parameter, y or a weight is not valid.
        """
        X, y = self._check(X, y)
        counts = _counting(sample_weight, X)
        if not counts.all():
            X, y = _safe_indexing(X, np.flatnonzero(counts)), y[counts]
        if len(y) < 2:
            raise ValueError(f"Calibration needs at least 2 samples, got {len(y)}.")
        # `estimator` may have been replaced since the last fit
        same = getattr(self, "_fitted_from", None) is self.estimator
        estimator = self.estimator_ if same else self.estimator
        check_is_fitted(estimator)
        self._check_estimator(estimator)
        self._check_fitted_on(estimator, y)
        seed = draw_seed(self.random_state)
        calibration = self._calibrate(estimator, X, y, np.arange(len(y)), seed)
        with all_or_nothing(self):
            self.estimator_, self._fitted_from = estimator, self.estimator
            return self._store(calibration)

    def _check(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        """Check that X and y have the same length, and return them validated."""
        X, y = indexable(load(X), y)
        if y is None:
            name = type(self).__name__
            raise ValueError(f"{name} requires y to be passed, but the target y is None.")
        y = one_column(y, warn=True)
        return X, self._check_target(y)

    def _hold_out(
        self, estimator: Any, X: Any, y: np.ndarray, fit_params: dict, fold: tuple, seed: int
    ) -> CalibrationScores:
        """Fit on the training samples of a fold; score its test samples and their copies."""
        train, test = fold
        X_train, y_train = _safe_split(estimator, X, y, train)
        X_test, y_test = _safe_split(estimator, X, y, test, train)
        estimator.fit(X_train, y_train, **_check_method_params(X, fit_params, train))
        return self._calibrate(estimator, X_test, y_test, np.asarray(test), seed)

    def _calibrate(
        self, estimator: Any, X: Any, y: np.ndarray, sample: np.ndarray, seed: int
    ) -> CalibrationScores:
        """Score samples and their corrupted copies."""
        self._check_estimator(estimator)
        random_state = np.random.RandomState(seed)
        copies = failing_copies(
            estimator,
            X,
            y,
            corruption=self.corruption,
            n_several=self.n_several,
            failure_rate=self.failure_rate,
            seed=seed,
        )
        parts = []
        for weight, table in copies:
            score = self._score(estimator, table, y, random_state)
            closed = self._closed(estimator, table, self.threshold)
            weights = np.full(len(y), weight)
            energy = self._difficulty(estimator, table)
            parts.append(CalibrationScores(score, closed, sample, weights, energy))
        return CalibrationScores(*map(np.concatenate, zip(*parts, strict=True)))

    def _check_estimator(self, estimator: Any) -> None:
        """Raise TypeError unless the fitted estimator has a gate and all methods in `_needed`."""
        for needed in ("attention", "modality_names_", "modality_columns_", *self._needed):
            if not hasattr(estimator, needed):
                name, advice = type(self).__name__, ""
                if isinstance(estimator, Pipeline):
                    advice = f" In a Pipeline, wrap its last step with {name}."
                raise TypeError(
                    f"{name} needs a fitted estimator with a gate, such as an EMMA or gated "
                    f"classifier or regressor, but {type(estimator).__name__} has no attribute "
                    f"{needed}.{advice}"
                )

    def _closed(self, estimator: Any, X: Any, threshold: float) -> np.ndarray:
        return np.asarray(estimator.attention(X)) <= threshold

    def _store(self, calibration: CalibrationScores) -> Self:
        """Compute the thresholds, and set the fitted attributes."""
        self.pattern_thresholds_ = PatternThresholds(
            calibration, self.confidence_level, self.min_samples, self.estimator_.modality_names_
        )
        # thresholds are only valid for the score and the patterns that they were computed from
        self.conformity_score_, self.threshold_ = self.conformity_score, self.threshold
        names = ("n_features_in_", "feature_names_in_", "classes_")
        copy_attributes(self.estimator_, self, names)
        return self

    def closed(self, X: Any) -> np.ndarray:
        """Return the pattern of each sample: which of its modalities are closed.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of bool of shape (n_samples, n_modalities)
            True if the attention to the modality is at most `threshold_`.
        """
        if is_lazy(X):
            return map_chunks(self.closed, X)
        check_is_fitted(self)
        return self._closed(self.estimator_, X, self.threshold_)

    def predict(self, X: Any) -> np.ndarray:
        """Predict with the fitted estimator.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Class labels or values.
        """
        check_is_fitted(self)
        return self.estimator_.predict(X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        return tags


def _counting(sample_weight: Any, X: Any) -> np.ndarray:
    """Return which samples have a positive weight, as a mask of shape (n_samples,)."""
    counts = np.zeros(_num_samples(X), dtype=bool)
    counts[check_weights(sample_weight, X)[1]] = True
    return counts
