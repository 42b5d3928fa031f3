"""ModalityMonitor detects failing modalities in a data stream."""

import warnings
from numbers import Real
from typing import Any, Self

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags, check_consistent_length, check_random_state, get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.compat import HasMethods, Interval, _fit_context, _safe_split
from sklearn_emma.engine.seeding import draw_seed, seeded
from sklearn_emma.lazy import LazyScore
from sklearn_emma.monitoring.calibration import Calibration
from sklearn_emma.monitoring.exchangeability import is_long_enough, warn_of_dependent_stream
from sklearn_emma.monitoring.filter import Rates
from sklearn_emma.monitoring.fit_calibration import calibrate_monitor
from sklearn_emma.monitoring.health import ModalityHealth, StreamState, follow, start_of_stream
from sklearn_emma.monitoring.recalibration import follow_and_correct
from sklearn_emma.monitoring.tables import read_codes
from sklearn_emma.tables import add_missing_modalities, plain_table, refuse_non_tables
from sklearn_emma.user_warnings import stacklevel_of_user
from sklearn_emma.validation import check_refits

# Smallest number of clean samples to calibrate on.
_FEWEST = 20


def _predicts(method: str) -> Any:
    # a DAEEnergyScorer also has a predict method (for outliers), but no gate
    return available_if(
        lambda monitor: (
            hasattr(monitor.estimator, method) and hasattr(monitor.estimator, "readings")
        )
    )


class ModalityMonitor(LazyScore, BaseEstimator):
    r"""Detect which modality of a data stream fails, since when, and how.

    A gate that sees one sample at a time can hardly detect a sensor stuck at an ordinary value.
    The monitor reads samples in temporal order. Each sample gives evidence, as e-values, for each
    kind of failure of each modality, and the filter of a hidden Markov model accumulates it. The
    equations are in the :ref:`user guide <monitoring>`. The probability that the values of modality
    i are unusable is passed to the gate as evidence in nats,

    .. math:: a_i = \max\Bigl(0, \log(1 - \pi) - \log\Bigl(1 - \sum_k u_{ik}\, p_{ik}\Bigr)\Bigr),

    like the evidence of missing values. :math:`\pi` is the prior probability that a modality fails,
    and :math:`p_{ik}` is the probability that modality i fails in the way k, given the samples so
    far. :math:`u_{ik}` is 1 if the values do not belong to the sample (stuck, mismatch, missing).
    It is also 1 if, on simulated failures, the predictions are closer to those of the clean samples
    with the gate of modality i closed than with it open. Otherwise it is 0. Therefore, mild noise
    that the predictor can tolerate does not close a gate, nor does an intermittent failure, in
    which the energy of each sample shows whether it is wrong.

    Read more in the :doc:`how-to guide </howto/stream>`.

    Parameters
    ----------
    estimator : estimator of this package with modalities
        An :class:`~sklearn_emma.EMMAClassifier`, :class:`~sklearn_emma.EMMAClassifierCV`,
        :class:`~sklearn_emma.EMMARegressor`, :class:`~sklearn_emma.GatedClassifier`,
        :class:`~sklearn_emma.GatedRegressor` or :class:`~sklearn_emma.DAEEnergyScorer`. If it is
        not fitted, :meth:`fit` fits it. Categorical columns are supported if the estimator supports
        them.

    false_alarms : float, default=1.0
        Largest expected number of false alarms in 10,000 clean samples, of all modalities together.
        It holds, up to errors in the estimated e-values, if the samples of the stream are
        exchangeable with the calibration samples. Extremely heavy tails cause more false alarms.
        Alarms of a missing modality that is never missing in the clean samples are not counted. For
        autocorrelated streams, use `ordered`; the bound then depends on how well the calibration
        samples represent the autocorrelation. There is a warning if samples are clearly not
        exchangeable.

    ordered : bool, default=False
        Whether the samples given to :meth:`fit` are in temporal order. If True, the e-values are
        raised to a power of at most one that accounts for the autocorrelation of the samples: the
        largest power at which the odds of a failure, on the clean samples, stay below a limit that
        independent samples are expected to exceed at most once. In addition, each feature is
        compared with its prediction from its own last values. This detects noise and sudden changes
        of slow processes within a few samples, if the stream is sampled like the clean samples.
        Each modality is also compared with its prediction from the others at the same time. This
        detects offsets and drifts sooner if three or more modalities see the same slow process, and
        there are at least 2,000 clean samples. There is a warning if the samples depend so strongly
        on each other that hardly any failure can raise an alarm. If False, the samples are
        shuffled, and their order is used only for a weak initial estimate of the autocorrelation of
        a stream.

    hazard_rate : float, default=0.001
        Probability, per sample, that a clean modality starts to fail.

    recovery_rate : float, default=0.01
        Probability, per independent sample, that a failing modality recovers; at least
        `hazard_rate`. If `ordered` is True, it is lowered for slow processes, to `hazard_rate` at
        the lowest.

    recalibrate : bool, default=False
        Whether a modality with an alarm of kind offset, gain, noise or unknown is corrected instead
        of closed. The offset, and for an alarm of kind gain also the gain, is estimated from robust
        location and scale of its last 32 samples. The correction is applied only if the monitor
        judges the corrected samples as clean, also in comparison with the other modalities. The
        alarm is then cleared. This helps against slow drift of an important sensor. It assumes that
        the distribution of the observed process, such as the class frequencies, is the same as in
        the clean samples.

    calibration_fraction : float, default=0.3
        Fraction of the samples on which the monitor is calibrated if :meth:`fit` fits the
        estimator: the last samples if `ordered` is True, else random ones.

    refit : bool, default=True
        Whether an estimator that :meth:`fit` fits is fitted a second time, on all samples, for the
        predictions. The monitor still detects failures with the first fit, whose energies of the
        calibration samples are those of unseen samples. If False, the predictions do not learn from
        the samples that the monitor is calibrated on, and fitting takes about half the time. It has
        no effect on an estimator without predictions, or one that is already fitted.

    random_state : int, RandomState instance or None, default=None
        Controls the random splits, the simulated failures, and the estimator if :meth:`fit` fits it
        and its `random_state` is None. Pass an int for reproducible results.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator, which predicts.
    calibrated_estimator_ : estimator
        The fitted estimator whose energies detect failures. It is ``estimator_`` itself, unless
        `refit` has an effect.
    modality_names_ : list of str
        Names of the modalities.
    classes_ : ndarray of shape (n_classes,)
        Class labels. Defined only if the estimator is a classifier.
    n_features_in_ : int
        Number of features seen during fit.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of features seen during fit. Defined only if all names are strings.
    calibration_ : Calibration
        Parameters estimated from clean samples.
    alarm_odds_ : float
        Odds of a failure at which an alarm is raised. It is cleared at even odds.
    state_ : StreamState
        Summary of the stream so far. Its size does not depend on the number of samples.

    See Also
    --------
    sklearn_emma.corruption.Episodes : Simulate failures that last for many samples.
    sklearn_emma.model_selection.stream_curve : Evaluate a monitor.
    sklearn_emma.inspection.MonitorDisplay : Plot the health of the modalities.
    sklearn_emma.inspection.modality_report : List the alarms.

    Notes
    -----
    A monitor of a classifier counts as a classifier, so scikit-learn divides the samples by class
    if `cv` is an integer. For samples in temporal order, pass a
    :class:`~sklearn.model_selection.TimeSeriesSplit`.

    Examples
    --------
    >>> from sklearn_emma import DAEEnergyScorer, EMMAClassifier
    >>> from sklearn_emma.datasets import make_multimodal_classification
    >>> from sklearn_emma.monitoring import ModalityMonitor
    >>> X, y = make_multimodal_classification(1000, random_state=0, return_X_y=True)
    >>> clf = EMMAClassifier(
    ...     "prefix", energy=DAEEnergyScorer(max_epochs=10), max_epochs=10, random_state=0
    ... )
    >>> monitor = ModalityMonitor(clf, random_state=0).fit(X[:800], y[:800])
    >>> stream = X[800:].copy()
    >>> stream.iloc[100:, :5] = stream.iloc[100, :5]
    >>> health = monitor.update(stream)
    >>> health.kind[-1].tolist(), bool(100 <= health.since[-1, 0] < 105)
    (['stuck', '', ''], True)
    """

    _parameter_constraints: dict = {
        "estimator": [HasMethods(["fit"])],
        "false_alarms": [Interval(Real, 0, 10_000, closed="neither")],
        "ordered": ["boolean"],
        "hazard_rate": [Interval(Real, 0, 1, closed="neither")],
        "recovery_rate": [Interval(Real, 0, 1, closed="neither")],
        "recalibrate": ["boolean"],
        "calibration_fraction": [Interval(Real, 0, 1, closed="neither")],
        "refit": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator: Any,
        *,
        false_alarms: float = 1.0,
        ordered: bool = False,
        hazard_rate: float = 0.001,
        recovery_rate: float = 0.01,
        recalibrate: bool = False,
        calibration_fraction: float = 0.3,
        refit: bool = True,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.false_alarms = false_alarms
        self.ordered = ordered
        self.hazard_rate = hazard_rate
        self.recovery_rate = recovery_rate
        self.recalibrate = recalibrate
        self.calibration_fraction = calibration_fraction
        self.refit = refit
        self.random_state = random_state

    @property
    def classes_(self) -> np.ndarray:
        """Class labels of the fitted classifier."""
        return self.estimator_.classes_

    @property
    def n_features_in_(self) -> int:
        """Number of features seen during fit."""
        return self.estimator_.n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Names of features seen during fit."""
        return self.estimator_.feature_names_in_

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        if not hasattr(self.estimator, "__sklearn_tags__"):
            return tags
        inner = get_tags(self.estimator)
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        if hasattr(self.estimator, "readings"):
            tags.estimator_type = inner.estimator_type
            tags.classifier_tags, tags.regressor_tags = inner.classifier_tags, inner.regressor_tags
        return tags

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, reference: Any = None) -> Self:
        """Fit the estimator if it is not fitted, and calibrate the monitor on clean samples.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Clean samples. If the estimator is already fitted, all of them are used for calibration,
            and they should not be samples that it was trained on.
        y : array-like of shape (n_samples,), default=None
            Target. Only needed if the estimator is not fitted.
        reference : array-like or DataFrame of shape (n_reference, n_features), default=None
            Other clean samples, usually those that the estimator was trained on. Means,
            covariances, regressions, and the likelihood ratios of failures are estimated from them,
            and they show which modalities are missing now and then. If `ordered` is True, they
            should be in temporal order, too.
            None uses the samples that this method trains the estimator on, or half of X if the
            estimator is already fitted.

        Returns
        -------
        ModalityMonitor
            The monitor, at the start of a stream.

        Raises
        ------
        TypeError
            If the estimator has no modalities.
        ValueError
            If there are fewer than 20 samples to calibrate on or fewer than 2 in `reference`, if a
            modality has only missing values in them, if classes occur only among the calibration
            samples, or if `recovery_rate` is less than `hazard_rate`.

        Warns
        -----
        UserWarning
            If `ordered` is False but neighboring rows are significantly similar, by a test at a
            level of 1 / 500 (:ref:`user guide <monitoring>`). Rows in temporal order need
            ``ordered=True``. Rows in any other order should be shuffled. If `ordered` is True but
            there are fewer than 100 clean samples to calibrate on. Also if a class does not occur
            among the samples that are held out for the calibration.
        """
        if self.recovery_rate < self.hazard_rate:
            raise ValueError(
                f"recovery_rate={self.recovery_rate!r} must be at least hazard_rate="
                f"{self.hazard_rate!r}, otherwise failures would last longer than clean periods."
            )
        if not hasattr(self.estimator, "modalities"):
            raise TypeError(
                f"estimator={self.estimator!r} has no modalities to monitor. Pass an "
                "EMMAClassifier, an EMMARegressor, a GatedClassifier or a DAEEnergyScorer. Instead "
                "of a Pipeline, pass its last step, and samples transformed by the steps before."
            )
        check_refits(self.estimator, "estimator")
        seed, rng = draw_seed(self.random_state), check_random_state(self.random_state)
        refuse_non_tables(X)
        X, reference = plain_table(X), plain_table(reference)
        check_consistent_length(X, y)
        n_samples = len(X)
        order = np.arange(n_samples) if self.ordered else rng.permutation(n_samples)
        fitted = _is_fitted(self.estimator)
        n_training = 0 if fitted else round((1 - self.calibration_fraction) * n_samples)
        if n_samples - n_training < _FEWEST:
            raise ValueError(
                f"A monitor needs at least {_FEWEST} clean samples to calibrate on, got "
                f"{n_samples - n_training}."
            )
        calibrated = self.estimator
        again = not fitted and self.refit and hasattr(self.estimator, "readings")
        if not fitted:
            if y is not None:
                _check_classes(self.estimator, y, order[:n_training], all_needed=not again)
            calibrated = seeded(self.estimator, seed, deep=False)
            X_training, y_training = _safe_split(calibrated, X, y, order[:n_training])
            with warnings.catch_warnings():
                if again:
                    warnings.simplefilter("ignore")  # the second fit warns
                calibrated.fit(X_training, y_training)
            reference = X_training if reference is None else reference
            if y is not None:
                _warn_of_absent_classes(calibrated, y, order[n_training:])
        rest, _ = _safe_split(calibrated, X, None, np.sort(order[n_training:]))
        rates = Rates(self.hazard_rate, self.recovery_rate, self.false_alarms / 10_000)
        calibration = calibrate_monitor(calibrated, rest, reference, rates, self.ordered, rng)
        estimator = seeded(self.estimator, seed, deep=False).fit(X, y) if again else calibrated
        self.calibration_: Calibration = calibration
        self.estimator_, self.calibrated_estimator_ = estimator, calibrated
        self.modality_names_ = list(estimator.modality_names_)
        self.alarm_odds_ = self.calibration_.alarm_odds
        return self.reset()

    def reset(self) -> Self:
        """Forget the samples so far, so that the next one is the first of a new stream.

        Returns
        -------
        ModalityMonitor
            The monitor.
        """
        check_is_fitted(self, "calibration_")
        self.state_ = start_of_stream(self.calibration_)
        return self

    def update(self, X: Any) -> ModalityHealth:
        """Read the next samples of the stream.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            One or more samples in temporal order. NaN marks missing values. The results do not
            depend on how a stream is split into calls.

        Returns
        -------
        ModalityHealth
            The health of every modality after each sample.

        Warns
        -----
        UserWarning
            If `ordered` is False, but successive samples among the first 100 of the stream are
            clearly more similar, in most modalities, than random pairs of clean samples.
        """
        check_is_fitted(self, "calibration_")
        n_before = self.state_.n_samples
        health, self.state_, _ = self._read(X)
        if not self.ordered and is_long_enough(n_before, self.state_.n_samples):
            counts = self.state_.past.changes.counts
            autocorrelation = self.calibration_.dependence.autocorrelations(counts)[0]
            warn_of_dependent_stream(autocorrelation, self.modality_names_)
        return health

    def correct(self, X: Any) -> Any:
        """Return the next samples with the corrections of ``recalibrate=True``.

        These are the values that :meth:`predict` uses. This does not advance the stream.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The next samples, in temporal order.

        Returns
        -------
        ndarray or DataFrame of shape (n_samples, n_features)
            Corrected samples. With ``recalibrate=False``, they are unchanged, and may be X itself.
        """
        check_is_fitted(self, "calibration_")
        if self.recalibrate:
            return self._read(X)[2]
        X = add_missing_modalities(self.estimator_, plain_table(X))
        read_codes(self.estimator_, X)  # validates X
        return X

    def _read(self, X: Any) -> tuple[ModalityHealth, StreamState, Any]:
        """Return the health after each sample, the state after the last, and the corrected X."""
        check_is_fitted(self, "calibration_")
        X = add_missing_modalities(self.estimator_, plain_table(X))
        estimator = self.calibrated_estimator_
        if not self.recalibrate:
            return *follow(self.calibration_, estimator, X, self.state_), X
        return follow_and_correct(self.calibration_, estimator, X, self.state_)

    @_predicts("predict")
    def predict(self, X: Any) -> np.ndarray:
        """Predict the next samples of the stream, using the evidence accumulated so far.

        This does not advance the stream: call :meth:`update` with the same samples for that.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The next samples, in temporal order.

        Returns
        -------
        ndarray of shape (n_samples, ...)
            Predictions of the estimator.
        """
        return self._with_evidence("predict", X)

    @_predicts("predict_proba")
    def predict_proba(self, X: Any) -> np.ndarray:
        """Predict class probabilities of the next samples, using the evidence accumulated so far.

        This does not advance the stream: call :meth:`update` with the same samples for that.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The next samples, in temporal order.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Class probabilities, in the order of ``classes_``.
        """
        return self._with_evidence("predict_proba", X)

    @_predicts("predict")
    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Score the predictions of the next samples: accuracy, or R2 of a regressor.

        This does not advance the stream: call :meth:`update` with the same samples for that.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            The next samples, in temporal order.
        y : array-like of shape (n_samples,)
            True labels or values.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        float
            Accuracy or R2.
        """
        return super().score(X, y, sample_weight)

    def _with_evidence(self, method: str, X: Any) -> np.ndarray:
        """Call a method of the estimator with the evidence of the stream."""
        health, _, corrected = self._read(X)
        return getattr(self.estimator_, method)(corrected, evidence=health.evidence)


def _is_fitted(estimator: Any) -> bool:
    """Return whether an estimator is fitted."""
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    return True


def _check_classes(estimator: Any, y: Any, training: np.ndarray, all_needed: bool) -> None:
    """Raise ValueError if too few classes occur among the training samples."""
    if not is_classifier(estimator):
        return
    labels = np.asarray(y).ravel()
    every, found = pd.unique(labels), pd.unique(labels[training])
    if len(found) < (len(every) if all_needed else min(2, len(every))):
        raise ValueError(
            f"Of the classes {every.tolist()}, only {found.tolist()} occur among the samples that "
            "are not held out for the calibration. Pass a classifier that is fitted on samples of "
            "all classes, and other clean samples to calibrate on, or set refit=True."
        )


def _warn_of_absent_classes(classifier: Any, y: Any, held_out: np.ndarray) -> None:
    """Warn if there are classes without a sample to calibrate on."""
    if not is_classifier(classifier):
        return
    absent = np.setdiff1d(classifier.classes_, np.asarray(y).ravel()[held_out])
    if len(absent):
        warnings.warn(
            f"There are no samples of the classes {absent.tolist()} among the {len(held_out)} that "
            "are held out for the calibration, so they may raise false alarms. Pass more samples, "
            "or pass a fitted classifier, and clean samples of all classes.",
            UserWarning,
            stacklevel=stacklevel_of_user(),
        )
