"""A classifier that abstains from predictions that are likely to be wrong."""

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import Tags, get_tags, indexable
from sklearn.utils.metaestimators import available_if
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
from sklearn_emma.energy.p_values import raise_by_rounding
from sklearn_emma.lazy import load
from sklearn_emma.metrics import risk_coverage_curve
from sklearn_emma.model_selection.routing import RoutesFit
from sklearn_emma.targets import check_labels, check_weights, labeled_after_fit, one_column
from sklearn_emma.user_warnings import stacklevel_of_user
from sklearn_emma.validation import all_or_nothing, copy_attributes


def rejection_score(estimator: Any, X: Any, reject_score: Any = "max_probability") -> np.ndarray:
    """Compute the rejection score of samples. Samples with the highest scores are rejected first.

    Parameters
    ----------
    estimator : classifier
        Fitted classifier.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.
    reject_score : "max_probability", "total_energy" or callable, default="max_probability"
        Definition of the score. "max_probability" is one minus the largest class probability.
        "total_energy" is the result of the method ``total_energy``, which
        :class:`~sklearn_emma.EMMAClassifier` has, and infinite if the attention to all modalities
        is zero, as in a sample without any value. A callable is called as
        ``reject_score(estimator, X)`` and returns an array of shape (n_samples,).

    Returns
    -------
    ndarray of shape (n_samples,)
        Rejection scores.

    Raises
    ------
    ValueError
        If `reject_score` is not one of these options, if the classifier does not have the method
        that it needs, or if the callable does not return one number per sample.

    See Also
    --------
    AbstainingClassifier : Refuses samples with a high score.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn_emma.model_selection.abstaining import rejection_score
    >>> X, y = [[0], [1], [2], [3]], [0, 0, 0, 1]
    >>> rejection_score(DummyClassifier().fit(X, y), X)
    array([0.25, 0.25, 0.25, 0.25])
    """
    if callable(reject_score):
        score = np.asarray(reject_score(estimator, X), dtype=float)
        if score.shape != (_num_samples(X),):
            raise ValueError(
                "reject_score must return one number per sample: expected shape "
                f"({_num_samples(X)},), got {score.shape}."
            )
        return score
    methods = {"max_probability": "predict_proba", "total_energy": "total_energy"}
    if reject_score not in methods:
        raise ValueError(
            f"reject_score={reject_score!r} must be {' or '.join(map(repr, methods))}, or a "
            "callable of the fitted classifier and X."
        )
    method = methods[reject_score]
    if not hasattr(estimator, method):
        raise ValueError(
            f"reject_score={reject_score!r} needs a classifier with {method}, but "
            f"{type(estimator).__name__} does not have this method. Pass another reject_score, for "
            "instance a callable of the fitted classifier and X."
        )
    values = getattr(estimator, method)(X)
    if method == "predict_proba":
        return 1 - values.max(axis=1)
    if hasattr(estimator, "attention"):
        closed = (estimator.attention(X) == 0).all(axis=1)
        return np.where(closed, np.inf, values)
    return values


def _estimator_has(method: str) -> Callable[[Any], bool]:
    """Return a function that checks if the classifier has a method.

    The fitted classifier is checked, or the one that was passed if there is no fitted one.
    """
    return lambda self: hasattr(getattr(self, "estimator_", self.estimator), method)


class AbstainingClassifier(RoutesFit, ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Classifier that rejects the samples about which it is least certain.

    A sample is accepted if its rejection score does not exceed a threshold. The threshold is chosen
    by cross-validation, on samples that the classifier was not trained on. Then the classifier is
    fitted on all samples. If the classifier is already fitted, wrap it in
    :class:`sklearn.frozen.FrozenEstimator` and pass samples that it has not seen to :meth:`fit`.

    Read more in the :doc:`how-to guide </howto/abstain>`.

    Parameters
    ----------
    estimator : classifier
        The classifier. It is cloned before it is fitted.

    reject_score : "max_probability", "total_energy" or callable, default="max_probability"
        Rejection score; samples with the highest scores are rejected first. "max_probability" is
        one minus the largest class probability. "total_energy" is the result of the method
        ``total_energy``, which :class:`~sklearn_emma.EMMAClassifier` has, and infinite for samples
        in which all gates are closed. A callable is called with the fitted classifier and X, and
        returns an array of shape (n_samples,).

    coverage : float, default=0.9
        Smallest fraction of the held-out samples that is accepted. If 1, every sample is accepted,
        no matter how high its score is.

    max_risk : float, default=None
        Largest error rate of the accepted held-out samples. As many held-out samples are accepted
        as this limit allows. If given, `coverage` is ignored.

    abstain_label : "auto", number or str, default="auto"
        Label that :meth:`predict` returns for rejected samples. It must not be a class. "auto" is
        "abstain" if the classes are strings. If they are numbers, it is the first of -1, 0 and the
        smallest class minus one that is not a class.

    cv : int, cross-validation splitter, iterable or None, default=None
        Cross-validation strategy, as in scikit-learn. None means stratified 5-fold
        cross-validation.

    n_jobs : int, default=None
        Number of folds that are fitted in parallel, as in joblib.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier.
    classes_ : ndarray of shape (n_classes,)
        Class labels, without `abstain_label`.
    threshold_ : float
        Largest score that is accepted.
    reject_score_ : str or callable
        The rejection score that the threshold was chosen for.
    coverage_, risk_ : float
        Fraction of the held-out samples that are accepted, and error rate of these samples. If no
        sample is accepted, `risk_` is NaN.
    abstain_label_ : number or str
        The label of rejected samples.
    n_features_in_ : int
        Number of features seen during fit, if the classifier has this attribute.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit, if the classifier has this attribute.

    See Also
    --------
    sklearn_emma.metrics.risk_coverage_curve : Coverage and risk at every threshold.
    sklearn.model_selection.TunedThresholdClassifierCV : Chooses between two classes by a threshold.

    Notes
    -----
    The scores of all folds are compared with the same threshold. The probabilities of
    classifiers fitted on different folds are comparable, but their energies are less so. For
    ``reject_score="total_energy"``, it is better to hold out samples yourself and to freeze the
    fitted classifier.

    `coverage_` and `risk_` are valid for samples from the same distribution as the held-out ones.
    The risk does not exceed `max_risk` on the held-out samples. On new samples it is slightly
    higher on average.

    Scorers of scikit-learn treat the label of rejected samples as another class, which is always
    wrong: ``f1_macro`` averages over it, and ``f1`` fails with more than two labels.
    To score the accepted samples only, select them by :meth:`accepts`. If the classes are boolean,
    `predict` returns integers.

    The total energy is high for out-of-distribution samples, such as those with a failing modality.
    For a clean sample, it does not depend on how close the sample is to another class. Pass a
    callable to reject out-of-distribution samples as well as ambiguous ones.

    The method ``score`` counts a rejected sample as an error.

    References
    ----------
    .. [1] Geifman, Y., & El-Yaniv, R. (2017). Selective classification for deep neural networks.
       Advances in Neural Information Processing Systems, 30.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_emma.model_selection import AbstainingClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> clf = AbstainingClassifier(make_pipeline(StandardScaler(), LogisticRegression()))
    >>> clf.fit(X[:400], y[:400]).predict(X[410:420])
    array([ 1,  1,  1, -1,  0,  1,  1,  0,  1,  1])
    >>> accepted = clf.accepts(X[400:])
    >>> errors = clf.predict(X[400:])[accepted] != y[400:][accepted]
    >>> f"{accepted.mean():.2f} accepted, of which {errors.mean():.2f} wrong"
    '0.85 accepted, of which 0.00 wrong'
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit", "predict"])],
        "reject_score": [StrOptions({"max_probability", "total_energy"}), callable],
        "coverage": [Interval(Real, 0, 1, closed="right")],
        "max_risk": [Interval(Real, 0, 1, closed="both"), None],
        "abstain_label": [Real, str],
        "cv": ["cv_object"],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        reject_score: Any = "max_probability",
        coverage: float = 0.9,
        max_risk: float | None = None,
        abstain_label: Any = "auto",
        cv: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        self.estimator = estimator
        self.reject_score = reject_score
        self.coverage = coverage
        self.max_risk = max_risk
        self.abstain_label = abstain_label
        self.cv = cv
        self.n_jobs = n_jobs

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, *, groups: Any = None, **fit_params: Any
    ) -> "AbstainingClassifier":
        """Fit the classifier on all samples, and choose the threshold on held-out samples.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Training samples. For a frozen classifier, pass samples that it has not seen.

        y : array-like of shape (n_samples,)
            Class labels.

        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights. They are passed to ``fit`` of the classifier, and used to compute
            coverage and risk.

        groups : array-like of shape (n_samples,), default=None
            Groups of the samples for the splitter `cv`, such as
            :class:`~sklearn.model_selection.GroupKFold`.

        **fit_params : dict
            Further parameters passed to ``fit`` of the classifier. Parameters with one value per
            sample are split like X.

        Returns
        -------
        AbstainingClassifier
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter is out of range, if the classifier does not have the method that
            `reject_score` needs, if `abstain_label` is a class, or if no held-out sample has a
            label.
        """
        X, y, groups = indexable(load(X), y, groups)
        if y is None:
            raise ValueError(
                "AbstainingClassifier requires y to be passed, but the target y is None."
            )
        y = one_column(y, warn=True)
        check_labels(y)
        weight = None
        if sample_weight is not None:
            positive, keep = check_weights(sample_weight, y[:, None])
            weight = np.zeros(len(y))
            weight[keep] = positive
        of_fit, of_split = self._route(X, sample_weight, groups, fit_params)
        estimator = clone(self.estimator).fit(X, y, **of_fit)
        folds = self._folds(X, y, of_split, labeled_after_fit(y, estimator.classes_))
        held_out = Parallel(n_jobs=self.n_jobs)(
            delayed(self._judge)(clone(self.estimator), X, y, of_fit, *fold) for fold in folds
        )
        y_true, y_pred, score, places = map(np.concatenate, zip(*held_out, strict=True))
        weight = None if weight is None else weight[places]
        with all_or_nothing(self):
            self.estimator_, self.reject_score_ = estimator, self.reject_score
            self.classes_ = self.estimator_.classes_
            self.abstain_label_ = self._check_abstain_label(self.classes_)
            self._choose(*risk_coverage_curve(y_true, y_pred, score, sample_weight=weight))
            copy_attributes(self.estimator_, self, ("n_features_in_", "feature_names_in_"))
        return self

    def _judge(
        self, estimator: Any, X: Any, y: Any, fit_params: dict, train: Any, test: Any
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Fit on the training samples of a fold, and evaluate the classifier on its test samples.

        Returns labels, predictions, rejection scores and positions of the test samples.
        """
        X_train, y_train = _safe_split(estimator, X, y, train)
        X_test, y_test = _safe_split(estimator, X, y, test, train)
        estimator.fit(X_train, y_train, **_check_method_params(X, fit_params, train))
        score = rejection_score(estimator, X_test, self.reject_score)
        return y_test, estimator.predict(X_test), score, test

    def _choose(self, coverage: np.ndarray, risk: np.ndarray, thresholds: np.ndarray) -> None:
        """Set the threshold, and its coverage and risk on the held-out samples."""
        if self.max_risk is not None:
            allowed = np.flatnonzero(risk <= self.max_risk)
        else:
            enough = np.searchsorted(coverage, self.coverage - 1e-12)
            allowed = np.array([min(enough, len(coverage) - 1)])
        if len(allowed) == 0:
            warnings.warn(
                f"No threshold keeps the risk on held-out samples within max_risk={self.max_risk}: "
                f"the lowest possible risk is {risk.min():.3g}. Every sample will be rejected.",
                UserWarning,
                stacklevel=stacklevel_of_user(),
            )
            self.threshold_, self.coverage_, self.risk_ = -np.inf, 0.0, np.nan
            return
        chosen = allowed[-1]
        self.threshold_ = float(thresholds[chosen])
        self.coverage_, self.risk_ = float(coverage[chosen]), float(risk[chosen])
        if self.max_risk is None and self.coverage == 1:
            self.threshold_ = np.inf

    def _check_abstain_label(self, classes: np.ndarray) -> Any:
        """Return the label of rejected samples. Raise ValueError if it is a class."""
        strings = all(isinstance(label, str) for label in classes)
        label = self.abstain_label
        if isinstance(label, str) and label == "auto":
            label = "abstain" if strings else _free_number(classes)
        elif isinstance(label, str) != strings:
            raise ValueError(
                f"abstain_label={label!r} must be {'a string' if strings else 'a number'}, like "
                f"the classes: {classes.tolist()}."
            )
        if label in classes:
            raise ValueError(
                f"abstain_label={self.abstain_label!r} stands for {label!r}, which is one of the "
                f"classes {classes.tolist()}. Choose another abstain_label."
            )
        return label

    def rejection_score(self, X: Any) -> np.ndarray:
        """Compute the rejection score of samples.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Rejection scores. Samples with the highest scores are rejected first.
        """
        check_is_fitted(self)
        return rejection_score(self.estimator_, X, self.reject_score_)

    def accepts(self, X: Any) -> np.ndarray:
        """Determine which samples are accepted.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of bool of shape (n_samples,)
            True if the rejection score of the sample does not exceed the threshold.
        """
        return self.rejection_score(X) <= raise_by_rounding(self.threshold_)

    def predict(self, X: Any) -> np.ndarray:
        """Predict the classes of the accepted samples.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Class labels, and `abstain_label_` for rejected samples.
        """
        accepted = self.accepts(X)
        labels = self.estimator_.predict(X)
        return np.where(accepted, labels, np.asarray(self.abstain_label_))

    @available_if(_estimator_has("predict_proba"))
    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict class probabilities for all samples, accepted or rejected.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Class probabilities of all samples.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    @available_if(_estimator_has("predict_log_proba"))
    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Predict the logarithm of the class probabilities for all samples, accepted or rejected.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Logarithms of the class probabilities of all samples.
        """
        check_is_fitted(self)
        return self.estimator_.predict_log_proba(X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.pairwise = inner.input_tags.pairwise
        tags.classifier_tags.multi_class = inner.classifier_tags.multi_class
        return tags


def _free_number(classes: np.ndarray) -> int:
    """Return a number that is not a class."""
    candidates = (-1, 0, int(np.min(classes)) - 1)
    return next(number for number in candidates if number not in classes)
