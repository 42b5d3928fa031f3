"""Prediction sets and intervals that keep their coverage whichever modalities are shut."""

from abc import abstractmethod
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    MetaEstimatorMixin,
    RegressorMixin,
    clone,
    is_classifier,
)
from sklearn.isotonic import IsotonicRegression
from sklearn.model_selection import check_cv
from sklearn.utils import (
    Tags,
    assert_all_finite,
    check_random_state,
    column_or_1d,
    get_tags,
    indexable,
)
from sklearn.utils.parallel import Parallel, delayed
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.compat import (
    HasMethods,
    Interval,
    StrOptions,
    _check_method_params,
    _fit_context,
    _num_samples,
    _safe_split,
)
from sklearn_emma.corruption import Corruption
from sklearn_emma.model_selection.conformity import aps_scores, interval_scores, lac_scores
from sklearn_emma.model_selection.failing_copies import failing_copies
from sklearn_emma.model_selection.failure_scorer import draw_seeds
from sklearn_emma.model_selection.patterns import CalibrationScores, PatternThresholds
from sklearn_emma.validation import check_labels, check_values


class BasePatternConformal(MetaEstimatorMixin, BaseEstimator):
    """Conformal prediction by patterns of shut modalities; a subclass scores and predicts."""

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

    #: What the estimator needs besides a gate.
    _needed: tuple[str, ...] = ()

    @abstractmethod
    def _check_target(self, y: Any) -> np.ndarray:
        """Return y as it is calibrated with; raise ValueError for what cannot be."""

    @abstractmethod
    def _score(
        self, estimator: Any, X: Any, y: np.ndarray, random_state: np.random.RandomState
    ) -> np.ndarray:
        """Return the nonconformity of samples with their true values."""

    def _check_fitted_on(self, estimator: Any, y: np.ndarray) -> None:
        """Raise ValueError if a fitted estimator cannot predict some of these."""

    def _difficulty(self, estimator: Any, X: Any) -> np.ndarray:
        """Return what scores are normalised by, if at all."""
        return np.zeros(_num_samples(X))

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any, **fit_params: Any) -> Self:
        """Calibrate on held-out samples of each fold, then fit the estimator on all.

        With ``cv="prefit"`` it is :meth:`conformalize`.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Clean training samples.
        y : array-like of shape (n_samples,)
            What is predicted.
        **fit_params : dict
            Passed to ``fit`` of the estimator, cut to the samples of each fold where they are as
            long as X.

        Returns
        -------
        PatternConformalClassifier or PatternConformalRegressor
            The estimator itself.

        Raises
        ------
        TypeError
            If the estimator has no gate.
        ValueError
            If a parameter or y is not valid.
        """
        if isinstance(self.cv, str):
            return self.conformalize(X, y)
        X, y = self._check(X, y)
        fit_params = _check_method_params(X, fit_params)
        folds = list(check_cv(self.cv, y, classifier=is_classifier(self)).split(X, y))
        seeds = draw_seeds(self.random_state, len(folds))
        parts = Parallel(n_jobs=self.n_jobs)(
            delayed(self._hold_out)(clone(self.estimator), X, y, fit_params, fold, seed)
            for fold, seed in zip(folds, seeds, strict=True)
        )
        self.estimator_ = clone(self.estimator).fit(X, y, **fit_params)
        joined = [np.concatenate(values) for values in zip(*parts, strict=True)]
        return self._store(CalibrationScores(*joined))

    @_fit_context(prefer_skip_nested_validation=False)
    def conformalize(self, X: Any, y: Any) -> Self:
        """Calibrate a fitted estimator on samples that it has not seen.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Clean samples.
        y : array-like of shape (n_samples,)
            What is predicted.

        Returns
        -------
        PatternConformalClassifier or PatternConformalRegressor
            The estimator itself.

        Raises
        ------
        NotFittedError
            If neither this estimator nor the one inside is fitted.
        TypeError
            If the estimator has no gate.
        ValueError
            If a parameter or y is not valid.
        """
        X, y = self._check(X, y)
        estimator = getattr(self, "estimator_", self.estimator)
        check_is_fitted(estimator)
        self._check_estimator(estimator)
        self._check_fitted_on(estimator, y)
        self.estimator_ = estimator
        seed = int(draw_seeds(self.random_state, 1)[0])
        return self._store(self._calibrate(estimator, X, y, np.arange(len(y)), seed))

    def _check(self, X: Any, y: Any) -> tuple[Any, np.ndarray]:
        """Return samples of equal number."""
        X, y = indexable(X, y)
        if y is None:
            name = type(self).__name__
            raise ValueError(f"{name} requires y to be passed, but the target y is None.")
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        return X, self._check_target(y)

    def _hold_out(
        self, estimator: Any, X: Any, y: np.ndarray, fit_params: dict, fold: tuple, seed: int
    ) -> CalibrationScores:
        """Fit on some samples, and score the others and their copies."""
        train, test = fold
        X_train, y_train = _safe_split(estimator, X, y, train)
        X_test, y_test = _safe_split(estimator, X, y, test, train)
        estimator.fit(X_train, y_train, **_check_method_params(X, fit_params, train))
        return self._calibrate(estimator, X_test, y_test, np.asarray(test), seed)

    def _calibrate(
        self, estimator: Any, X: Any, y: np.ndarray, sample: np.ndarray, seed: int
    ) -> CalibrationScores:
        """Score clean and failing copies of samples."""
        self._check_estimator(estimator)
        random_state = np.random.RandomState(seed)
        copies = failing_copies(
            estimator,
            X,
            corruption=self.corruption,
            n_several=self.n_several,
            failure_rate=self.failure_rate,
            seed=seed,
        )
        parts = []
        for weight, table in copies:
            score = self._score(estimator, table, y, random_state)
            shut, weights = self._shut(estimator, table), np.full(len(y), weight)
            energy = self._difficulty(estimator, table)
            parts.append(CalibrationScores(score, shut, sample, weights, energy))
        return CalibrationScores(*map(np.concatenate, zip(*parts, strict=True)))

    def _check_estimator(self, estimator: Any) -> None:
        """Raise TypeError unless the fitted estimator has a gate and what is needed besides."""
        for needed in ("attention", "modality_names_", "modality_columns_", *self._needed):
            if not hasattr(estimator, needed):
                raise TypeError(
                    f"{type(self).__name__} needs a fitted estimator with a gate, such as "
                    f"EMMAClassifier or GatedClassifier, but {type(estimator).__name__} has no "
                    f"{needed}."
                )

    def _shut(self, estimator: Any, X: Any) -> np.ndarray:
        return np.asarray(estimator.attention(X)) <= self.threshold

    def _store(self, calibration: CalibrationScores) -> Self:
        """Find the thresholds."""
        self.pattern_thresholds_ = PatternThresholds(
            calibration, self.confidence_level, self.min_samples, self.estimator_.modality_names_
        )
        for name in ("n_features_in_", "feature_names_in_", "classes_"):
            if hasattr(self.estimator_, name):
                setattr(self, name, getattr(self.estimator_, name))
        return self

    def shut(self, X: Any) -> np.ndarray:
        """Tell which modalities are shut: the pattern of each sample.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of bool of shape (n_samples, n_modalities)
            True where the attention is at most `threshold`.
        """
        check_is_fitted(self)
        return self._shut(self.estimator_, X)

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


class PatternConformalClassifier(ClassifierMixin, BasePatternConformal):
    r"""Prediction sets that keep their coverage whichever modalities are shut.

    A prediction set holds the true label with the probability `confidence_level`. Calibrated on
    clean samples, it no longer does so when a modality fails; calibrated on clean and failing
    samples alike, it does so on average only. Here the samples are divided by the pattern of shut
    modalities, which the gate finds without knowing the label, and each pattern has its own
    threshold (Mondrian conformal prediction [1]_). So the coverage holds for every pattern.

    Calibration takes clean samples that the estimator was not trained on. They are copied as they
    are, with each modality failing alone, and with several failing together, such that every
    pattern has samples. A sample counts once in a pattern, and the copies of it that have this
    pattern share that [2]_, weighted by `failure_rate`.

    There are two ways to hold samples out: :meth:`fit` does so by cross-validation, and then fits
    the estimator on all samples. :meth:`conformalize` takes samples of your own, for an estimator
    that is fitted already.

    Parameters
    ----------
    estimator : classifier
        With ``predict_proba`` and a gate, such as :class:`~sklearn_emma.EMMAClassifier` or
        :class:`~sklearn_emma.GatedClassifier`; cloned before it is fitted.

    confidence_level : float, default=0.9
        Probability that a set holds the true label.

    conformity_score : {"lac", "aps"}, default="lac"
        "lac" makes sets of all labels above a probability, which are the smallest [3]_; "aps" adds
        labels from the most probable one on, which adapts more to the sample [4]_, with a random
        number for each sample.

    allow_empty : bool, default=True
        Whether a set may be empty: no label is probable enough. If not, such a set gets the most
        probable label, and the coverage is higher than `confidence_level` where the classifier is
        right more often than that.

    corruption : Corruption or None, default=None
        How modalities fail in the copies. None stands for the failures that the estimator was
        trained with.

    n_several : int, default=4
        Copies in which several modalities fail, from two to all but one.

    failure_rate : float, default=0.1
        Share of samples with a failure that is expected in use, between 0 and 1: the weight of the
        failing copies. It matters for patterns that clean samples have too: with a higher one, sets
        are larger where nothing is shut, since some failures are not detected.

    threshold : float, default=0.5
        Modalities of at most this attention, from 0 to 1, are shut.

    min_samples : int, default=100
        Calibration samples that a pattern needs for a threshold of its own. Other patterns are put
        together by the number of modalities that are shut. Where that is not enough either, and for
        patterns that no calibration sample has, the threshold is that of all samples.

    cv : int, cross-validation splitter, iterable, "prefit" or None, default=None
        How :meth:`fit` holds samples out: None stands for five stratified folds. With "prefit" the
        estimator has to be fitted, and :meth:`fit` does the same as :meth:`conformalize`.

    n_jobs : int, default=None
        Folds fitted at the same time, as in joblib.

    random_state : int, RandomState instance or None, default=None
        Determines failures and the random numbers of "aps". Pass an int for the same result in
        every call.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier.
    pattern_thresholds_ : PatternThresholds
        The threshold of each pattern. Its ``table`` is a DataFrame: what is ``shut``, ``n_samples``
        and ``threshold``.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, when all are strings.

    See Also
    --------
    PatternConformalRegressor : Prediction intervals.
    AbstainingClassifier : Refuses uncertain samples.

    Notes
    -----
    The coverage of a pattern is exact for samples whose failures are those of the calibration, and
    on average over calibration samples: with K of them it varies by about
    :math:`\sqrt{0.9 \cdot 0.1 / K}` from one calibration to another, which is 0.017 for 300. With
    the held-out samples of several folds it is approximate, since the estimator that predicts is
    not the one that was calibrated. Other failures may have another coverage, even with the same
    pattern: failures that the gate does not detect above all.

    MAPIE has split conformal prediction, and conditional coverage by optimization for every single
    sample, but no weights of copies; for one pattern and no copies the sets are those of its
    ``SplitConformalClassifier``.

    References
    ----------
    .. [1] Vovk, V., Lindsay, D., Nouretdinov, I., & Gammerman, A. (2003). Mondrian confidence
       machine. Technical report, Royal Holloway, University of London.
    .. [2] Lee, Y., Barber, R. F., & Willett, R. (2023). Distribution-free inference with
       hierarchical data. arXiv:2306.06342.
    .. [3] Sadinle, M., Lei, J., & Wasserman, L. (2019). Least ambiguous set-valued classifiers with
       bounded error levels. Journal of the American Statistical Association 114(525), 223-234.
    .. [4] Romano, Y., Sesia, M., & Candès, E. (2020). Classification with valid and adaptive
       coverage. Advances in Neural Information Processing Systems 33.

    Examples
    --------
    >>> from sklearn_emma import EMMAClassifier
    >>> from sklearn_emma.corruption import Missing
    >>> from sklearn_emma.datasets import make_multimodal_classification
    >>> from sklearn_emma.model_selection import PatternConformalClassifier
    >>> X, y = make_multimodal_classification(1500, n_classes=3, random_state=0, return_X_y=True)
    >>> clf = EMMAClassifier("prefix", max_epochs=10, random_state=0).fit(X[:500], y[:500])
    >>> sets = PatternConformalClassifier(clf, random_state=0)
    >>> sets = sets.conformalize(X[500:1000], y[500:1000])
    >>> sets.pattern_thresholds_.table["shut"].tolist()[:4]
    ['none', 'modality2', 'modality1', 'modality0']
    >>> X_bad, _ = Missing(only="modality0").corrupt(X[1000:], "prefix")
    >>> mask = sets.predict_set(X_bad)
    >>> mask.shape
    (500, 3)
    >>> coverage = mask[range(500), y[1000:]].mean()
    >>> bool(0.85 < coverage < 0.95)
    True
    """

    _needed = ("predict_proba",)
    _parameter_constraints: dict = BasePatternConformal._parameter_constraints | {
        "conformity_score": [StrOptions({"lac", "aps"})],
        "allow_empty": ["boolean"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        confidence_level: float = 0.9,
        conformity_score: str = "lac",
        allow_empty: bool = True,
        corruption: Corruption | None = None,
        n_several: int = 4,
        failure_rate: float = 0.1,
        threshold: float = 0.5,
        min_samples: int = 100,
        cv: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.confidence_level = confidence_level
        self.conformity_score = conformity_score
        self.allow_empty = allow_empty
        self.corruption = corruption
        self.n_several = n_several
        self.failure_rate = failure_rate
        self.threshold = threshold
        self.min_samples = min_samples
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _check_target(self, y: Any) -> np.ndarray:
        check_labels(y)
        return y

    def _score(
        self, estimator: Any, X: Any, y: np.ndarray, random_state: np.random.RandomState
    ) -> np.ndarray:
        classes = np.asarray(estimator.classes_)
        place = np.searchsorted(classes, y).clip(max=len(classes) - 1)
        scores = self._score_labels(estimator.predict_proba(X), random_state)
        # the classifier of a fold may not know all labels
        return np.where(classes[place] == y, scores[np.arange(len(y)), place], np.inf)

    def _check_fitted_on(self, estimator: Any, y: np.ndarray) -> None:
        unknown = np.setdiff1d(y, estimator.classes_)
        if unknown.size:
            raise ValueError(
                f"y holds {unknown.tolist()}, but the classifier was fitted with the classes "
                f"{np.asarray(estimator.classes_).tolist()} only."
            )

    def _score_labels(
        self, probabilities: np.ndarray, random_state: np.random.RandomState
    ) -> np.ndarray:
        """Return the scores of all labels."""
        if self.conformity_score == "lac":
            return lac_scores(probabilities)
        return aps_scores(probabilities, random_state.uniform(size=len(probabilities)))

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``classes_``.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    def predict_set(self, X: Any) -> np.ndarray:
        """Predict the set of labels of each sample.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of bool of shape (n_samples, n_classes)
            True where the set holds the label, in the order of ``classes_``.
        """
        check_is_fitted(self)
        probabilities = self.estimator_.predict_proba(X)
        threshold = self.pattern_thresholds_.of(self.shut(X))
        scores = self._score_labels(probabilities, check_random_state(self.random_state))
        sets = scores <= threshold[:, None]
        if not self.allow_empty:
            empty = ~sets.any(axis=1)
            sets[empty, probabilities[empty].argmax(axis=1)] = True
        return sets


class PatternConformalRegressor(RegressorMixin, BasePatternConformal):
    r"""Prediction intervals that keep their coverage whichever modalities are shut.

    As :class:`PatternConformalClassifier`: calibrated by the pattern of shut modalities, on clean
    and failing copies of held-out samples.

    Parameters
    ----------
    estimator : regressor
        With a gate, such as :class:`~sklearn_emma.EMMARegressor` or
        :class:`~sklearn_emma.GatedRegressor`; predicts one number. Cloned before it is fitted.

    confidence_level : float, default=0.9
        Probability that an interval holds the true value.

    conformity_score : {"absolute", "normalized", "quantile"}, default="absolute"
        "absolute" is the absolute residual [1]_: within a pattern all intervals are equally wide.
        "normalized" divides it by its mean at the sample's total energy, an increasing function
        that is fitted to half of the calibration samples; the other half calibrates. "quantile"
        widens the interval from the lowest to the highest of ``predict_quantiles`` [2]_, as
        ``EMMARegressor(loss="quantile")`` has it.

    corruption : Corruption or None, default=None
        How modalities fail in the copies. None stands for the failures that the estimator was
        trained with.

    n_several : int, default=4
        Copies in which several modalities fail, from two to all but one.

    failure_rate : float, default=0.1
        Share of samples with a failure that is expected in use, between 0 and 1: the weight of the
        failing copies. It matters for patterns that clean samples have too: with a higher one, sets
        are larger where nothing is shut, since some failures are not detected.

    threshold : float, default=0.5
        Modalities of at most this attention, from 0 to 1, are shut.

    min_samples : int, default=100
        Calibration samples that a pattern needs for a threshold of its own, as in
        :class:`PatternConformalClassifier`.

    cv : int, cross-validation splitter, iterable, "prefit" or None, default=None
        How :meth:`fit` holds samples out: None stands for five folds. With "prefit" the estimator
        has to be fitted, and :meth:`fit` does the same as :meth:`conformalize`.

    n_jobs : int, default=None
        Folds fitted at the same time, as in joblib.

    random_state : int, RandomState instance or None, default=None
        Determines the failures. Pass an int for the same result in every call.

    Attributes
    ----------
    estimator_ : regressor
        The fitted regressor.
    pattern_thresholds_ : PatternThresholds
        The threshold of each pattern. Its ``table`` is a DataFrame: what is ``shut``, ``n_samples``
        and ``threshold``, which is half of the width of the intervals for "absolute".
    scale_ : IsotonicRegression or None
        Mean absolute residual against the total energy, for "normalized".
    n_features_in_ : int
        Number of columns seen at fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Their names, when all are strings.

    See Also
    --------
    PatternConformalClassifier : Prediction sets; more about calibration.

    References
    ----------
    .. [1] Lei, J., G'Sell, M., Rinaldo, A., Tibshirani, R. J., & Wasserman, L. (2018).
       Distribution-free predictive inference for regression. Journal of the American Statistical
       Association 113(523), 1094-1111.
    .. [2] Romano, Y., Patterson, E., & Candès, E. (2019). Conformalized quantile regression.
       Advances in Neural Information Processing Systems 32.

    Examples
    --------
    >>> from sklearn.datasets import make_regression
    >>> from sklearn_emma import EMMARegressor
    >>> from sklearn_emma.model_selection import PatternConformalRegressor
    >>> X, y = make_regression(1200, n_features=6, effective_rank=3, noise=2, random_state=0)
    >>> modalities = {"radar": [0, 1, 2], "camera": [3, 4, 5]}
    >>> reg = EMMARegressor(modalities, max_epochs=10, random_state=0).fit(X[:500], y[:500])
    >>> intervals = PatternConformalRegressor(reg, random_state=0)
    >>> intervals = intervals.conformalize(X[500:900], y[500:900])
    >>> lower, upper = intervals.predict_interval(X[900:]).T
    >>> bool(0.84 < ((lower <= y[900:]) & (y[900:] <= upper)).mean() < 0.96)
    True
    """

    _parameter_constraints: dict = BasePatternConformal._parameter_constraints | {
        "conformity_score": [StrOptions({"absolute", "normalized", "quantile"})],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        confidence_level: float = 0.9,
        conformity_score: str = "absolute",
        corruption: Corruption | None = None,
        n_several: int = 4,
        failure_rate: float = 0.1,
        threshold: float = 0.5,
        min_samples: int = 100,
        cv: Any = None,
        n_jobs: int | None = None,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.confidence_level = confidence_level
        self.conformity_score = conformity_score
        self.corruption = corruption
        self.n_several = n_several
        self.failure_rate = failure_rate
        self.threshold = threshold
        self.min_samples = min_samples
        self.cv = cv
        self.n_jobs = n_jobs
        self.random_state = random_state

    def _check_target(self, y: Any) -> np.ndarray:
        return np.asarray(check_values(y), dtype=float)

    def _interval(self, estimator: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return what is widened: two quantiles, or twice the predicted value."""
        if self.conformity_score == "quantile":
            quantiles = np.asarray(estimator.predict_quantiles(X))
            return quantiles[:, 0], quantiles[:, -1]
        predicted = np.asarray(estimator.predict(X), dtype=float)
        if predicted.ndim != 1:
            raise ValueError(
                f"PatternConformalRegressor needs a regressor of one output, but predict of "
                f"{type(estimator).__name__} gives an array of shape {predicted.shape}."
            )
        return predicted, predicted

    def _score(
        self, estimator: Any, X: Any, y: np.ndarray, random_state: np.random.RandomState
    ) -> np.ndarray:
        return interval_scores(y, *self._interval(estimator, X))

    def _check_estimator(self, estimator: Any) -> None:
        super()._check_estimator(estimator)
        if self.conformity_score == "quantile" and not hasattr(estimator, "predict_quantiles"):
            raise TypeError(
                'conformity_score="quantile" needs a regressor with predict_quantiles, such as '
                f'EMMARegressor(loss="quantile"), got {type(estimator).__name__}.'
            )

    def _difficulty(self, estimator: Any, X: Any) -> np.ndarray:
        if self.conformity_score != "normalized":
            return super()._difficulty(estimator, X)
        return np.asarray(estimator.total_energy(X), dtype=float)

    def _store(self, calibration: CalibrationScores) -> Self:
        self.scale_ = None
        if self.conformity_score == "normalized":
            # the scale must not be learned from the samples that calibrate
            samples = np.unique(calibration.sample)
            chosen = check_random_state(self.random_state).permutation(samples)[: len(samples) // 2]
            learns = np.isin(calibration.sample, chosen)
            self.scale_ = IsotonicRegression(out_of_bounds="clip").fit(
                calibration.energy[learns],
                calibration.score[learns],
                calibration.weight[learns],
            )
            calibration = CalibrationScores(*(values[~learns] for values in calibration))
            scale = self._scale(calibration.energy)
            calibration = calibration._replace(score=calibration.score / scale)
        return super()._store(calibration)

    def _scale(self, energy: np.ndarray) -> np.ndarray:
        """Return the expected residual, at least a hundredth of the largest."""
        assert self.scale_ is not None
        least = 0.01 * self.scale_.y_thresholds_.max()
        return np.maximum(self.scale_.predict(energy), least) if least > 0 else np.ones(len(energy))

    def predict_interval(self, X: Any) -> np.ndarray:
        """Predict the interval of each sample.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, 2)
            Lower and upper bounds; infinite where there were too few calibration samples.
        """
        check_is_fitted(self)
        lower, upper = self._interval(self.estimator_, X)
        margin = self.pattern_thresholds_.of(self.shut(X))
        if self.scale_ is not None:
            margin = margin * self._scale(self._difficulty(self.estimator_, X))
        return np.column_stack([lower - margin, upper + margin])
