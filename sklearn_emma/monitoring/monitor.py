"""ModalityMonitor: the state of every modality over time."""

from numbers import Real
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.compat import HasMethods, Interval, _fit_context, _safe_split
from sklearn_emma.monitoring.calibration import Calibration, calibrate
from sklearn_emma.monitoring.exchangeability import is_long_enough, warn_of_dependent_stream
from sklearn_emma.monitoring.health import ModalityHealth, StreamState, follow, start_of_stream
from sklearn_emma.monitoring.recalibration import follow_and_correct
from sklearn_emma.tables import refuse_no_table

# Clean samples to calibrate on.
_FEWEST = 20


def _predicts(method: str) -> Any:
    # a DAEEnergyScorer predicts as well, outliers, but has no gate
    return available_if(
        lambda monitor: (
            hasattr(monitor.estimator, method) and hasattr(monitor.estimator, "readings")
        )
    )


class ModalityMonitor(BaseEstimator):
    r"""Evidence over time: which modality of a stream fails, since when, and how.

    A gate that looks at one sample at a time cannot see a sensor that is stuck at an ordinary
    value. The monitor reads samples in the order of time. Each gives evidence, as e-values, for
    each way in which each modality can fail, and the filter of a hidden Markov model accumulates
    it; the :ref:`user guide <monitoring>` has the equations. The probability of values that cannot
    be used enters the gate as evidence in nats,

    .. math:: a_i = \max\Bigl(0, \log(1 - \pi) - \log\Bigl(1 - \sum_k u_{ik}\, p_{ik}\Bigr)\Bigr),

    like that of missing values. :math:`\pi` is the share of time in which a modality fails,
    whatever is seen. :math:`u_{ik}` is 1 for values that are not those of the sample
    (stuck, mismatch), and wherever, on simulated failures, predictions come closer to those of the
    clean samples with the gate of modality i closed than open; else 0. So mild noise that the
    predictor can use does not close a gate.

    Parameters
    ----------
    estimator : estimator of this package with modalities
        An :class:`~sklearn_emma.EMMAClassifier`, :class:`~sklearn_emma.EMMAClassifierCV`,
        :class:`~sklearn_emma.EMMARegressor`, :class:`~sklearn_emma.GatedClassifier`,
        :class:`~sklearn_emma.GatedRegressor` or :class:`~sklearn_emma.DAEEnergyScorer`, fitted, or
        to be fitted by :meth:`fit`. It may have categorical columns: the monitor takes what the
        estimator takes.

    false_alarms : float, default=1.0
        Expected number of false alarms in 10,000 clean samples, over all modalities together. It is
        an upper bound for streams whose samples are exchangeable with those of the calibration, up
        to the estimation of the e-values, and for autocorrelated ones as far as the calibration
        samples in order show it, see `ordered`. A warning says so where samples are visibly not
        exchangeable.

    ordered : bool, default=False
        Whether the samples given to :meth:`fit` are in the order of time. If so, the evidence of a
        sample is divided by what successive samples have in common: the exponent of the e-values is
        the largest that keeps the clean samples free of alarms, as often as that number of
        independent samples is. If not, they are shuffled, and their order only says how much the
        first samples of a stream may have in common.

    hazard_rate : float, default=0.001
        Probability, per sample, that a clean modality starts to fail.

    recovery_rate : float, default=0.01
        Probability, per sample, that a failing modality recovers; at least `hazard_rate`.

    recalibrate : bool, default=False
        Whether a modality with an alarm of offset or gain is corrected, by robust location and
        scale of its last 32 samples, instead of being closed, when the corrected samples look clean
        to the monitor, also beside the other modalities. Then the alarm goes down. It helps against
        slow drift of an important sensor, and assumes that the mixture of what is observed, such as
        the classes, is that of the clean samples.

    calibration_fraction : float, default=0.3
        If the estimator is to be fitted, the fraction of samples, the last ones if ordered, that
        calibrate the monitor.

    random_state : int, RandomState instance or None, default=None
        Determines the simulated failures. Pass an int for the same result in every call.

    Attributes
    ----------
    estimator_ : estimator
        The fitted estimator.
    modality_names_ : list of str
        Names of the modalities.
    calibration_ : Calibration
        What was learned from clean samples.
    alarm_odds_ : float
        Odds of failing at which an alarm goes up. It goes down at even odds.
    state_ : StreamState
        What is kept of the samples so far; its size does not depend on their number.

    See Also
    --------
    sklearn_emma.corruption.Episodes : Failures that last.
    sklearn_emma.model_selection.stream_curve : How well a monitor does.

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
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.false_alarms = false_alarms
        self.ordered = ordered
        self.hazard_rate = hazard_rate
        self.recovery_rate = recovery_rate
        self.recalibrate = recalibrate
        self.calibration_fraction = calibration_fraction
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X: Any, y: Any = None, reference: Any = None) -> Self:
        """Calibrate on clean samples, after fitting the estimator on others of them if need be.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Clean samples. If the estimator is fitted, all of them calibrate, and should not be
            those that it was trained on.
        y : array-like of shape (n_samples,), default=None
            What is predicted; only needed if the estimator is to be fitted.
        reference : array-like or DataFrame of shape (n_reference, n_features), default=None
            Other clean samples, usually those that the estimator was trained on, which give means,
            covariances, regressions, and the likelihood ratios of failures. By default those that
            the estimator is trained on here, or, if it is fitted, half of X.

        Returns
        -------
        ModalityMonitor
            The monitor, at the start of a stream.

        Raises
        ------
        TypeError
            If the estimator has no modalities.
        ValueError
            If there are fewer than 20 samples to calibrate on or fewer than 2 in `reference`, a
            modality has no value in them, or `recovery_rate` is less than `hazard_rate`.

        Warns
        -----
        UserWarning
            If `ordered` is False, but neighbouring rows are alike, by a test at a level of 1 / 500
            (:ref:`user guide <monitoring>`): in the order of time they have to be given with
            ``ordered=True``, else shuffled.
        """
        if self.recovery_rate < self.hazard_rate:
            raise ValueError(
                f"recovery_rate={self.recovery_rate!r} must be at least hazard_rate="
                f"{self.hazard_rate!r}, otherwise failures would last longer than clean periods."
            )
        if not hasattr(self.estimator, "modalities"):
            raise TypeError(
                f"estimator={self.estimator!r} has no modalities to watch. Pass an EMMAClassifier, "
                "an EMMARegressor, a GatedClassifier or a DAEEnergyScorer; of a Pipeline, its last "
                "step, and the samples as they come out of the others."
            )
        rng = check_random_state(self.random_state)
        refuse_no_table(X)
        self.estimator_, X, reference = self._fitted(X, y, reference, rng)
        self.modality_names_ = list(self.estimator_.modality_names_)
        rates = self.hazard_rate, self.recovery_rate, self.false_alarms / 10_000
        self.calibration_: Calibration = calibrate(
            self.estimator_, X, reference, rates, self.ordered, rng
        )
        self.alarm_odds_ = self.calibration_.alarm_odds
        return self.reset()

    def _fitted(
        self, X: Any, y: Any, reference: Any, rng: np.random.RandomState
    ) -> tuple[Any, Any, Any]:
        """Return the fitted estimator, samples to calibrate on, and the reference."""
        n_samples = len(X)
        order = np.arange(n_samples) if self.ordered else rng.permutation(n_samples)
        n_training = 0
        try:
            check_is_fitted(self.estimator)
            estimator = self.estimator
        except NotFittedError:
            n_training = round((1 - self.calibration_fraction) * n_samples)
            estimator = clone(self.estimator)
            training = _safe_split(estimator, X, y, order[:n_training])
            estimator.fit(*training)
            reference = training[0] if reference is None else reference
        if n_samples - n_training < _FEWEST:
            raise ValueError(
                f"A monitor needs at least {_FEWEST} clean samples to calibrate on, got "
                f"{n_samples - n_training}."
            )
        rest = np.sort(order[n_training:])
        return estimator, _safe_split(estimator, X, None, rest)[0], reference

    def reset(self) -> Self:
        """Forget the samples so far: the next one is the first of a stream.

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
            One sample or more, in the order of time; NaN marks missing values. Read one by one or
            together, they give the same results.

        Returns
        -------
        ModalityHealth
            The health of every modality after each of them.

        Warns
        -----
        UserWarning
            If `ordered` is False, but the first 100 samples of the stream follow each other more
            closely than clean samples drawn at random, in most modalities.
        """
        check_is_fitted(self, "calibration_")
        n_before = self.state_.n_samples
        health, self.state_, _ = self._read(X)
        n_samples = n_before, self.state_.n_samples
        if not self.ordered and is_long_enough(n_samples):
            changes = self.state_.past.changes
            warn_of_dependent_stream(
                n_samples,
                self.calibration_.dependence.autocorrelations(changes.counts)[0],
                self.modality_names_,
            )
        return health

    def _read(self, X: Any) -> tuple[ModalityHealth, StreamState, Any]:
        """Return the health of the next samples, the state after them, and X, corrected."""
        check_is_fitted(self, "calibration_")
        if not self.recalibrate:
            return *follow(self.calibration_, self.estimator_, X, self.state_), X
        return follow_and_correct(self.calibration_, self.estimator_, X, self.state_)

    @_predicts("predict")
    def predict(self, X: Any) -> np.ndarray:
        """Predict the next samples of the stream, with the evidence of those before.

        The stream does not advance: call :meth:`update` with the same samples for that.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples in the order of time.

        Returns
        -------
        ndarray of shape (n_samples, ...)
            What the estimator predicts.
        """
        return self._with_evidence("predict", X)

    @_predicts("predict_proba")
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities of the classes of the next samples, with the evidence of those before.

        The stream does not advance: call :meth:`update` with the same samples for that.

        Parameters
        ----------
        X : array-like or DataFrame of shape (n_samples, n_features)
            Samples in the order of time.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of ``estimator_.classes_``.
        """
        return self._with_evidence("predict_proba", X)

    def _with_evidence(self, method: str, X: Any) -> np.ndarray:
        """Return what a method of the estimator returns with the evidence of the stream."""
        health, _, corrected = self._read(X)
        return getattr(self.estimator_, method)(corrected, evidence=health.evidence)
