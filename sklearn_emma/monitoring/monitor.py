"""ModalityMonitor: the state of every modality over time."""

from dataclasses import dataclass
from numbers import Real
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_random_state
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.compat import HasMethods, Interval, _fit_context, _safe_split
from sklearn_emma.monitoring.calibration import (
    CHANGED,
    STATE_KINDS,
    Calibration,
    Past,
    calibrate,
)
from sklearn_emma.monitoring.failures import KINDS, UNKNOWN
from sklearn_emma.monitoring.filter import forward, hysteresis, usual_share
from sklearn_emma.monitoring.joint import probability_of_change

# Clean samples to calibrate on.
_FEWEST = 20


class ModalityHealth(NamedTuple):
    """The health of every modality at every sample.

    Attributes
    ----------
    failing : ndarray of shape (n_samples, n_modalities)
        Probability that the modality is failing now, given the samples so far.
    alarm : ndarray of bool of shape (n_samples, n_modalities)
        Whether an alarm is up.
    since : ndarray of int of shape (n_samples, n_modalities)
        While an alarm is up, position in the stream of the first sample that failed, by estimate;
        else -1.
    kind : ndarray of str of shape (n_samples, n_modalities)
        While an alarm is up, how the modality fails: "noise", "offset" (or drift), "gain",
        "mismatch" (plausible values that do not fit the other modalities), "stuck", "missing", or
        "unknown" if none of them has half of the probability; else "".
    evidence : ndarray of shape (n_samples, n_modalities)
        Evidence against the modality from the samples so far, in nats, as the gate takes it.
    changed : ndarray of shape (n_samples,)
        Probability that the process has changed, seen in many modalities at the same time, and no
        sensor fails. It gives no alarm, and does not shut modalities.
    """

    failing: np.ndarray
    alarm: np.ndarray
    since: np.ndarray
    kind: np.ndarray
    evidence: np.ndarray
    changed: np.ndarray | None = None


@dataclass(frozen=True)
class StreamState:
    """What a monitor keeps of the samples so far.

    Attributes
    ----------
    n_samples : int
        How many they were.
    probabilities : ndarray of shape (n_modalities, 1 + n_failures)
        Of the states of the filter, the first of them clean.
    past : Past
        What is kept of their values.
    alarm : ndarray of bool of shape (n_modalities,)
        Whether an alarm is up.
    quiet : ndarray of int of shape (n_modalities,)
        Position of the last sample that gave no reason for suspicion.
    """

    n_samples: int
    probabilities: np.ndarray
    past: Past
    alarm: np.ndarray
    quiet: np.ndarray


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
    clean samples with modality i shut than open; else 0. So mild noise that the predictor can use
    does not shut a modality.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted, or to be fitted by :meth:`fit`.

    false_alarms : float, default=1.0
        Expected number of false alarms in 10,000 clean samples, over all modalities together. It is
        an upper bound for streams whose samples are exchangeable with those of the calibration, up
        to the estimation of the e-values, and for autocorrelated ones as far as the calibration
        samples in order show it, see `ordered`.

    ordered : bool, default=False
        Whether the samples given to :meth:`fit` are in the order of time. If so, the evidence of a
        sample is divided by what successive samples have in common: the exponent of the e-values is
        the largest that keeps the clean samples free of alarms, as often as that number of
        independent samples is. If not, they are shuffled.

    hazard_rate : float, default=0.001
        Probability, per sample, that a clean modality starts to fail.

    recovery_rate : float, default=0.01
        Probability, per sample, that a failing modality recovers; at least `hazard_rate`.

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
        calibration_fraction: float = 0.3,
        random_state: Any = None,
    ) -> None:
        self.estimator = estimator
        self.false_alarms = false_alarms
        self.ordered = ordered
        self.hazard_rate = hazard_rate
        self.recovery_rate = recovery_rate
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
            covariances and regressions. By default those that the estimator is trained on here, or,
            if it is fitted, the first half of X.

        Returns
        -------
        ModalityMonitor
            The monitor, at the start of a stream.

        Raises
        ------
        ValueError
            If there are fewer than 20 samples to calibrate on, or `recovery_rate` is less than
            `hazard_rate`.
        """
        if self.recovery_rate < self.hazard_rate:
            raise ValueError(
                f"recovery_rate={self.recovery_rate!r} must be at least hazard_rate="
                f"{self.hazard_rate!r}: failures would last longer than clean periods."
            )
        rng = check_random_state(self.random_state)
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
        return estimator, _safe_split(estimator, X, None, order[n_training:])[0], reference

    def reset(self) -> Self:
        """Forget the samples so far: the next one is the first of a stream.

        Returns
        -------
        ModalityMonitor
            The monitor.
        """
        check_is_fitted(self, "calibration_")
        n = len(self.modality_names_)
        self.state_ = StreamState(
            n_samples=0,
            probabilities=np.tile(np.eye(1, len(self.calibration_.transition)), (n, 1)),
            past=self.calibration_.start,
            alarm=np.zeros(n, dtype=bool),
            quiet=np.full(n, -1),
        )
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
        """
        health, self.state_ = self._read(X)
        return health

    def _read(self, X: Any) -> tuple[ModalityHealth, StreamState]:
        """Return the health of the next samples, and the state after them."""
        check_is_fitted(self, "calibration_")
        calibration, state = self.calibration_, self.state_
        likelihoods, past = calibration.likelihoods(self.estimator_, X, state.past)
        probabilities = forward(state.probabilities, calibration.transition, likelihoods)
        clean, unlike = probabilities[..., 0], probabilities[..., 1:]
        usual = usual_share(calibration.transition)
        changed = probability_of_change(clean, unlike @ CHANGED, usual)
        failing = (unlike * (1.0 - changed[:, None, None] * CHANGED)).sum(axis=2)
        position = state.n_samples + np.arange(len(clean))[:, None]
        quiet = np.where(failing <= usual, position, -1)
        quiet = np.maximum.accumulate(np.vstack([state.quiet, quiet]))[1:]
        suspect = failing >= unlike.sum(axis=2) / 2
        rise = suspect & (unlike.sum(axis=2) >= self.alarm_odds_ * clean)
        alarm = hysteresis(state.alarm, rise, suspect & (clean < 0.5))
        health = ModalityHealth(
            failing=failing,
            alarm=alarm,
            since=np.where(alarm, quiet + 1, -1),
            kind=np.where(alarm, self._kinds(probabilities), ""),
            evidence=calibration.evidence(probabilities, changed),
            changed=changed,
        )
        n_samples = state.n_samples + len(clean)
        return health, StreamState(n_samples, probabilities[-1], past, alarm[-1], quiet[-1])

    def _kinds(self, probabilities: np.ndarray) -> np.ndarray:
        """Return the kind of failure that has most of the probability of failing."""
        kinds = np.array(STATE_KINDS)
        shares = np.stack([probabilities[..., 1:][..., kinds == k].sum(-1) for k in KINDS], -1)
        largest = shares.max(-1)
        return np.where(largest >= shares.sum(-1) / 2, np.array(KINDS)[shares.argmax(-1)], UNKNOWN)

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
        health, _ = self._read(X)
        return getattr(self.estimator_, method)(X, evidence=health.evidence)
