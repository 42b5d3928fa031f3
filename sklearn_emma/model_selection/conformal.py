"""Prediction sets and intervals with valid coverage for any combination of closed modalities."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin, is_classifier
from sklearn.isotonic import IsotonicRegression
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.compat import StrOptions
from sklearn_emma.corruption import Corruption
from sklearn_emma.energy.p_values import raise_by_rounding
from sklearn_emma.engine.seeding import draw_seed
from sklearn_emma.lazy import is_lazy, map_chunks
from sklearn_emma.model_selection.conformal_base import BasePatternConformal
from sklearn_emma.model_selection.conformity import (
    aps_scores,
    interval_scores,
    lac_scores,
    uniform_of_samples,
)
from sklearn_emma.model_selection.patterns import CalibrationScores
from sklearn_emma.tables import add_missing_modalities, plain_table
from sklearn_emma.targets import check_labels, check_values, labeled_after_fit


class PatternConformalClassifier(ClassifierMixin, BasePatternConformal):
    r"""Prediction sets with valid coverage for any combination of closed modalities.

    A prediction set contains the true label with the probability `confidence_level`. If the
    threshold of the sets is calibrated on clean samples, the coverage is too low when a modality
    fails. If it is calibrated on clean and failing samples together, the coverage is only valid on
    average. Therefore samples are grouped by their pattern of closed modalities, and each pattern
    has its own threshold (Mondrian conformal prediction [1]_). The gate determines the pattern
    without knowing the label, so the coverage is valid for every pattern.

    Calibration needs clean samples that the estimator was not trained on. Each of them is used
    clean, and in corrupted copies: with each modality failing alone, and with several modalities
    failing together. In this way every pattern has samples. The weight of a copy is the probability
    that the sample occurs as this copy [2]_, which depends on `failure_rate`.

    There are two ways to get such samples. :meth:`fit` holds samples out by cross-validation, and
    then fits the estimator on all samples. :meth:`conformalize` calibrates an estimator that is
    already fitted, on samples that you pass.

    Read more in the :doc:`how-to guide </howto/prediction_sets>`.

    Parameters
    ----------
    estimator : classifier
        Classifier with ``predict_proba`` and a gate, such as :class:`~sklearn_emma.EMMAClassifier`
        or :class:`~sklearn_emma.GatedClassifier`. It is cloned before it is fitted.

    confidence_level : float, default=0.9
        Probability that a set contains the true label.

    conformity_score : {"lac", "aps"}, default="lac"
        How sets are built. "lac" takes all labels whose probability exceeds a threshold, which
        gives the smallest sets on average [3]_. "aps" adds labels in order of decreasing
        probability and uses a random number for each sample; its sets adapt more to the sample
        [4]_.

    allow_empty : bool, default=True
        Whether a set may be empty, if no label is probable enough. If False, an empty set is
        replaced by the most probable label. The coverage is then higher than `confidence_level`
        if the accuracy of the classifier exceeds `confidence_level`.

    corruption : Corruption or None, default=None
        How modalities fail in the corrupted copies. None means that they fail as in the training
        of the estimator.

    n_several : int, default=4
        Largest number of copies of a sample in which several modalities fail. The number of failing
        modalities varies from two to all of them.

    failure_rate : float, default=0.1
        Expected fraction of samples with a failure when the estimator is used, between 0 and 1. It
        is the total weight of the corrupted copies. It matters for patterns that both clean and
        corrupted samples have: some failures are not detected, and the gate closes modalities of
        some clean samples.

    threshold : float, default=0.5
        Modalities whose attention, from 0 to 1, is at most this threshold are closed.

    min_samples : int, default=100
        Smallest number of calibration samples for which a pattern has a threshold of its own.
        Patterns with fewer samples, or in which a few clean samples have most of the weight, are
        grouped by the number of closed modalities. If such a group is still too small, or if no
        calibration sample has the pattern or its number of closed modalities, the largest threshold
        is used.

    cv : int, cross-validation splitter, iterable, "prefit" or None, default=None
        Cross-validation strategy of :meth:`fit`. None means stratified 5-fold cross-validation.
        "prefit" means that the estimator is already fitted; :meth:`fit` then does the same as
        :meth:`conformalize`.

    n_jobs : int, default=None
        Number of folds that are fitted in parallel, as in joblib.

    random_state : int, RandomState instance or None, default=None
        Controls the failures and the random numbers of "aps". Pass an int for reproducible output
        across multiple function calls. In a fitted estimator, the random number of a sample depends
        only on its values, so its set is the same in every batch. Equal samples have the same
        number; if there are only a few different samples, the coverage of "aps" is only valid on
        average over seeds.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier.
    pattern_thresholds_ : PatternThresholds
        The threshold of each pattern. Its attribute ``table`` is a DataFrame with the columns
        ``closed`` (the closed modalities), ``n_samples`` and ``threshold``.
    conformity_score_, threshold_ : str, float
        The score and the threshold of the attention that the sets were calibrated with.
    classes_ : ndarray of shape (n_classes,)
        Class labels.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit. Defined only if all names are strings.

    See Also
    --------
    PatternConformalRegressor : Prediction intervals.
    AbstainingClassifier : Rejects uncertain samples.

    Notes
    -----
    If samples fail with the probability `failure_rate`, in the same way as the calibration copies,
    the coverage of each pattern, averaged over calibration sets, is `confidence_level`. This is
    exact if every calibration sample is in the pattern with the same probability, for instance by
    its copies with a certain failure, and otherwise approximate. With K calibration samples, the
    coverage varies by about :math:`\sqrt{0.9 \cdot 0.1 / K}` between calibration sets, which is
    0.017 for 300 samples, and by more if a few of them have most of the weight, as clean samples do
    in patterns with closed modalities. With :meth:`fit` and several folds, the coverage is also
    approximate, because the estimator that predicts is not one of those that were calibrated. For
    other failures the coverage may differ even for the same pattern, above all if the gate does not
    detect them. It may also differ for patterns without a threshold of their own.

    MAPIE offers split conformal prediction, and conditional coverage by an optimization for each
    sample, but no weights for copies of a sample. With one pattern and without copies, the sets are
    equal to those of MAPIE's ``SplitConformalClassifier``.

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
    >>> sets.pattern_thresholds_.table["closed"].tolist()[:3]
    ['none', 'modality2', 'modality1']
    >>> X_bad, _ = Missing(only="modality0").corrupt(X[1000:], "prefix")
    >>> mask = sets.predict_set(X_bad)
    >>> mask.shape
    (500, 3)
    >>> coverage = mask[range(500), y[1000:]].mean()
    >>> bool(0.85 < coverage < 0.97)
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
        scores = self._score_labels(
            estimator.predict_proba(X),
            self.conformity_score,
            lambda: random_state.uniform(size=len(y)),
        )
        # the training samples of a fold may not have all classes
        return np.where(classes[place] == y, scores[np.arange(len(y)), place], np.inf)

    def _has_target(self, estimator: Any, y: np.ndarray) -> np.ndarray:
        return labeled_after_fit(y, estimator.classes_)

    def _check_fitted_on(self, estimator: Any, y: np.ndarray) -> None:
        unknown = np.setdiff1d(y, estimator.classes_)
        if unknown.size:
            raise ValueError(
                f"y contains {unknown.tolist()}, but the classifier was only fitted with the "
                f"classes {np.asarray(estimator.classes_).tolist()}."
            )

    @staticmethod
    def _score_labels(
        probabilities: np.ndarray, conformity_score: str, draw: Callable[[], np.ndarray]
    ) -> np.ndarray:
        """Return the nonconformity scores of all labels, shape (n_samples, n_classes)."""
        if conformity_score == "lac":
            return lac_scores(probabilities)
        return aps_scores(probabilities, draw())

    def _store(self, calibration: CalibrationScores) -> Self:
        self._seed = draw_seed(self.random_state)
        return super()._store(calibration)

    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict class probabilities.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Class probabilities, in the order of ``classes_``.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    def predict_set(self, X: Any) -> np.ndarray:
        """Predict the set of possible labels of each sample.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of bool of shape (n_samples, n_classes)
            True if the set of the sample contains the label. Columns are in the order of
            ``classes_``. Sets contain all labels if there were too few calibration samples.
        """
        if is_lazy(X):
            return map_chunks(self.predict_set, X)
        check_is_fitted(self)
        probabilities = self.estimator_.predict_proba(X)
        threshold = self.pattern_thresholds_.of(self.closed(X))

        def uniform() -> np.ndarray:
            """Return a random number for each sample, which depends on its values alone."""
            complete = add_missing_modalities(self.estimator_, plain_table(X))
            return uniform_of_samples(complete, self._seed)

        scores = self._score_labels(probabilities, self.conformity_score_, uniform)
        sets = scores <= raise_by_rounding(threshold)[:, None]
        if not self.allow_empty:
            empty = ~sets.any(axis=1)
            sets[empty, probabilities[empty].argmax(axis=1)] = True
        return sets


class PatternConformalRegressor(RegressorMixin, BasePatternConformal):
    r"""Prediction intervals with valid coverage for any combination of closed modalities.

    Like :class:`PatternConformalClassifier`, this class calibrates each pattern of closed
    modalities separately, on clean and corrupted copies of held-out samples.

    Read more in the :doc:`how-to guide </howto/prediction_sets>`.

    Parameters
    ----------
    estimator : regressor
        Regressor with a gate and one output, such as :class:`~sklearn_emma.EMMARegressor` or
        :class:`~sklearn_emma.GatedRegressor`. It is cloned before it is fitted.

    confidence_level : float, default=0.9
        Probability that an interval contains the true value.

    conformity_score : {"absolute", "normalized", "quantile"}, default="absolute"
        Nonconformity score. "absolute" is the absolute residual [1]_; all intervals of a pattern
        have the same width. "normalized" divides the absolute residual by the residual that is
        expected for the total energy of the sample. This expectation is an increasing function of
        the energy, fitted on one half of the calibration samples; the other half is used for
        calibration. "quantile" adjusts the interval between the lowest and the highest quantile
        that ``predict_quantiles`` returns [2]_. It needs a regressor with this method, such as
        ``EMMARegressor(loss="quantile")``.

    corruption : Corruption or None, default=None
        How modalities fail in the corrupted copies. None means that they fail as in the training
        of the estimator.

    n_several : int, default=4
        Largest number of copies of a sample in which several modalities fail. The number of failing
        modalities varies from two to all of them.

    failure_rate : float, default=0.1
        Expected fraction of samples with a failure when the estimator is used, between 0 and 1. It
        is the total weight of the corrupted copies, as in :class:`PatternConformalClassifier`.

    threshold : float, default=0.5
        Modalities whose attention, from 0 to 1, is at most this threshold are closed.

    min_samples : int, default=100
        Smallest number of calibration samples for which a pattern has a threshold of its own, as in
        :class:`PatternConformalClassifier`.

    cv : int, cross-validation splitter, iterable, "prefit" or None, default=None
        Cross-validation strategy of :meth:`fit`. None means 5-fold cross-validation. "prefit" means
        that the estimator is already fitted; :meth:`fit` then does the same as
        :meth:`conformalize`.

    n_jobs : int, default=None
        Number of folds that are fitted in parallel, as in joblib.

    random_state : int, RandomState instance or None, default=None
        Controls the failures and, for "normalized", which half of the calibration samples the
        scale is fitted on. Pass an int for reproducible output across multiple function calls.

    Attributes
    ----------
    estimator_ : regressor
        The fitted regressor.
    pattern_thresholds_ : PatternThresholds
        The threshold of each pattern. Its attribute ``table`` is a DataFrame with the columns
        ``closed`` (the closed modalities), ``n_samples`` and ``threshold``. For "absolute", the
        threshold is half the width of the intervals.
    conformity_score_, threshold_ : str, float
        The score and the threshold of the attention that the intervals were calibrated with.
    scale_ : IsotonicRegression or None
        Expected absolute residual as a function of the total energy. None unless the score is
        "normalized".
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit. Defined only if all names are strings.

    See Also
    --------
    PatternConformalClassifier : Prediction sets, with a description of the calibration.

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

    @staticmethod
    def _interval(estimator: Any, X: Any, conformity_score: str) -> tuple[np.ndarray, np.ndarray]:
        """Return the bounds before calibration: two quantiles, or the predicted value twice."""
        if conformity_score == "quantile":
            quantiles = np.asarray(estimator.predict_quantiles(X))
            if quantiles.shape[1] < 2:
                raise ValueError(
                    'conformity_score="quantile" needs a regressor that predicts at least two '
                    'quantiles, such as EMMARegressor(loss="quantile", quantile=(0.05, 0.95)), '
                    f"but predict_quantiles of {type(estimator).__name__} returns one."
                )
            return quantiles[:, 0], quantiles[:, -1]
        predicted = np.asarray(estimator.predict(X), dtype=float)
        if predicted.ndim != 1:
            raise ValueError(
                f"PatternConformalRegressor needs a regressor with one output, but predict of "
                f"{type(estimator).__name__} returns an array of shape {predicted.shape}."
            )
        return predicted, predicted

    def _score(
        self, estimator: Any, X: Any, y: np.ndarray, random_state: np.random.RandomState
    ) -> np.ndarray:
        return interval_scores(y, *self._interval(estimator, X, self.conformity_score))

    def _check_estimator(self, estimator: Any) -> None:
        super()._check_estimator(estimator)
        if is_classifier(estimator):
            raise TypeError(
                "PatternConformalRegressor needs a regressor, but "
                f"{type(estimator).__name__} is a classifier. Use PatternConformalClassifier."
            )
        if self.conformity_score == "quantile" and not hasattr(estimator, "predict_quantiles"):
            raise TypeError(
                'conformity_score="quantile" needs a regressor with predict_quantiles, such as '
                f'EMMARegressor(loss="quantile"), got {type(estimator).__name__}.'
            )

    def _difficulty(self, estimator: Any, X: Any) -> np.ndarray:
        if self.conformity_score != "normalized":
            return super()._difficulty(estimator, X)
        return self._energy(estimator, X)

    @staticmethod
    def _energy(estimator: Any, X: Any) -> np.ndarray:
        """Return the total energy of samples, by which residuals are normalized."""
        return np.asarray(estimator.total_energy(X), dtype=float)

    def _store(self, calibration: CalibrationScores) -> Self:
        self.scale_ = None
        if self.conformity_score == "normalized":
            # the scale must not be fitted on the samples that are used for calibration
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
        """Return the expected residual, but at least a hundredth of its largest value."""
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
            Lower and upper bounds. They are infinite if there were too few calibration samples.
            Calibration can make the interval between two quantiles smaller. Where nothing of it
            would remain, both bounds are its midpoint.
        """
        if is_lazy(X):
            return map_chunks(self.predict_interval, X)
        check_is_fitted(self)
        lower, upper = self._interval(self.estimator_, X, self.conformity_score_)
        margin = self.pattern_thresholds_.of(self.closed(X))
        if self.scale_ is not None:
            margin = margin * self._scale(self._energy(self.estimator_, X))
        middle = (lower + upper) / 2
        return np.column_stack(
            [np.minimum(lower - margin, middle), np.maximum(upper + margin, middle)]
        )
