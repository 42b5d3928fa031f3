"""What a monitor says of every sample of a stream, and what it keeps."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sklearn_emma.monitoring.calibration import CHANGED, STATE_KINDS, Calibration, Past
from sklearn_emma.monitoring.correction import Correction
from sklearn_emma.monitoring.failures import KINDS, UNKNOWN
from sklearn_emma.monitoring.filter import Witnesses, forward, hysteresis, usual_share
from sklearn_emma.monitoring.joint import probability_of_change

_STATES = np.array(("clean", *STATE_KINDS))
_WITNESSES = Witnesses(needed=_STATES == "mismatch", misleading=_STATES == "stuck")


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
        While an alarm is up, how the modality fails: "noise", "offset" (or drift), "gain" (or
        saturation), "mismatch" (plausible values that do not fit the other modalities), "stuck",
        "missing", or "unknown" if none of them has half of the probability; else "".
    evidence : ndarray of shape (n_samples, n_modalities)
        Evidence against the modality from the samples so far, in nats, as the gate takes it.
    changed : ndarray of shape (n_samples,)
        Probability that the process has changed, seen in many modalities at the same time, and no
        sensor fails. It gives no alarm, and does not close modalities.
    corrected : ndarray of bool of shape (n_samples, n_modalities)
        Where the values of a modality were corrected before they were judged, see `recalibrate`.
    """

    failing: np.ndarray
    alarm: np.ndarray
    since: np.ndarray
    kind: np.ndarray
    evidence: np.ndarray
    changed: np.ndarray | None = None
    corrected: np.ndarray | None = None


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
    correction : Correction
        Of the values.
    """

    n_samples: int
    probabilities: np.ndarray
    past: Past
    alarm: np.ndarray
    quiet: np.ndarray
    correction: Correction


def start_of_stream(calibration: Calibration) -> StreamState:
    """Return the state before the first sample.

    Parameters
    ----------
    calibration : Calibration
        What is known of clean samples.

    Returns
    -------
    StreamState
        All modalities are clean.
    """
    n_modalities = len(calibration.missing)
    return StreamState(
        n_samples=0,
        probabilities=np.tile(np.eye(1, len(calibration.transition)), (n_modalities, 1)),
        past=calibration.start,
        alarm=np.zeros(n_modalities, dtype=bool),
        quiet=np.full(n_modalities, -1),
        correction=Correction.none(calibration.statistics),
    )


def follow(
    calibration: Calibration, estimator: Any, X: Any, state: StreamState
) -> tuple[ModalityHealth, StreamState]:
    """Read the next samples of a stream.

    Parameters
    ----------
    calibration : Calibration
        What is known of clean samples.
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples in the order of time.
    state : StreamState
        Of the stream before them.

    Returns
    -------
    health : ModalityHealth
        After each sample.
    state : StreamState
        After the last one.
    """
    likelihoods, past = calibration.likelihoods(estimator, X, state.past)
    probabilities = forward(state.probabilities, calibration.transition, likelihoods, _WITNESSES)
    clean, unlike = probabilities[..., 0], probabilities[..., 1:]
    usual = usual_share(calibration.transition)
    changed = probability_of_change(clean, unlike @ CHANGED, usual)
    failing = (unlike * (1.0 - changed[:, None, None] * CHANGED)).sum(axis=2)
    position = state.n_samples + np.arange(len(clean))[:, None]
    quiet = np.where(failing <= usual, position, -1)
    quiet = np.maximum.accumulate(np.vstack([state.quiet, quiet]))[1:]
    suspect = failing >= unlike.sum(axis=2) / 2
    rise = suspect & (unlike.sum(axis=2) >= calibration.alarm_odds * clean)
    alarm = hysteresis(state.alarm, rise, suspect & (clean < 0.5))
    health = ModalityHealth(
        failing=failing,
        alarm=alarm,
        since=np.where(alarm, quiet + 1, -1),
        kind=np.where(alarm, _kinds(probabilities), ""),
        evidence=calibration.evidence(probabilities, changed),
        changed=changed,
        corrected=np.tile(state.correction.modalities(calibration.statistics), (len(clean), 1)),
    )
    n_samples = state.n_samples + len(clean)
    after = StreamState(n_samples, probabilities[-1], past, alarm[-1], quiet[-1], state.correction)
    return health, after


def _kinds(probabilities: np.ndarray) -> np.ndarray:
    """Return the kind of failure that has most of the probability of failing."""
    kinds = np.array(STATE_KINDS)
    shares = np.stack([probabilities[..., 1:][..., kinds == k].sum(-1) for k in KINDS], -1)
    largest = shares.max(-1)
    return np.where(largest >= shares.sum(-1) / 2, np.array(KINDS)[shares.argmax(-1)], UNKNOWN)
