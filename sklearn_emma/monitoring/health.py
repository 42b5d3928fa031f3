"""Read a stream: the health of the modalities after each sample, and the state of the monitor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from sklearn_emma.compat import _num_samples, _safe_indexing
from sklearn_emma.monitoring.calibration import CHANGED, Calibration, Past
from sklearn_emma.monitoring.correction import Correction
from sklearn_emma.monitoring.failures import KINDS, UNKNOWN
from sklearn_emma.monitoring.filter import Comparison, all_clean, forward, hysteresis
from sklearn_emma.monitoring.joint import probability_of_change
from sklearn_emma.monitoring.likelihoods import STATE_KINDS

# Number of samples that are read at once. It limits the memory.
_BLOCK = 4096
_STATES = np.array(("clean", *STATE_KINDS))
_COMPARISON = Comparison(compared=_STATES == "mismatch", unreliable=_STATES == "stuck")


class ModalityHealth(NamedTuple):
    """Health of every modality after each sample of a stream.

    Attributes
    ----------
    failing : ndarray of shape (n_samples, n_modalities)
        Probability that the modality is failing at this sample, given the samples so far.
    alarm : ndarray of bool of shape (n_samples, n_modalities)
        Whether an alarm is active.
    since : ndarray of int of shape (n_samples, n_modalities)
        While an alarm is active, the estimated position in the stream of the first sample of the
        failure, else -1.
    kind : ndarray of str of shape (n_samples, n_modalities)
        While an alarm is active, the kind of failure: "noise", "offset" (or drift), "gain" (or
        saturation), "mismatch" (plausible values that do not fit the other modalities),
        "intermittent" (some samples are wrong, others are not), "stuck", "missing", or "unknown" if
        no kind has at least half of the probability of failing. Otherwise "".
    evidence : ndarray of shape (n_samples, n_modalities)
        Evidence of a failure from the samples so far, in nats: the parameter `evidence` of the
        methods of the estimator.
    changed : ndarray of shape (n_samples,)
        Probability that the process has changed while all sensors are intact. Above one half, it
        suppresses alarms of all kinds but "stuck" and "missing"; their evidence is reduced.
    corrected : ndarray of bool of shape (n_samples, n_modalities)
        Whether the values of the modality were corrected, see the parameter `recalibrate` of
        :class:`ModalityMonitor`.
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
    """State of a monitor: its summary of the stream so far.

    Attributes
    ----------
    n_samples : int
        Number of samples so far.
    probabilities : ndarray of shape (n_modalities, 1 + n_failures)
        Probabilities of the states of the filter. The first state is clean.
    past : Past
        Summary of past values.
    alarm : ndarray of bool of shape (n_modalities,)
        Whether an alarm is active.
    quiet : ndarray of int of shape (n_modalities,)
        Position of the last sample after which the probability of failing did not exceed that of a
        clean modality.
    correction : Correction
        Current correction of the values.
    """

    n_samples: int
    probabilities: np.ndarray
    past: Past
    alarm: np.ndarray
    quiet: np.ndarray
    correction: Correction


def start_of_stream(calibration: Calibration) -> StreamState:
    """Return the state of a monitor before the first sample of a stream.

    Parameters
    ----------
    calibration : Calibration
        Parameters of the monitor.

    Returns
    -------
    StreamState
        State in which all modalities are clean.
    """
    n_modalities = len(calibration.missing)
    return StreamState(
        n_samples=0,
        probabilities=all_clean(calibration.transition.shape[-1], n_modalities),
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
        Parameters of the monitor.
    estimator : EMMAClassifier, EMMARegressor or DAEEnergyScorer
        Fitted estimator.
    X : array-like or DataFrame of shape (n_samples, n_features)
        The next samples, in temporal order.
    state : StreamState
        State of the stream before these samples.

    Returns
    -------
    health : ModalityHealth
        Health of the modalities after each sample.
    state : StreamState
        State of the stream after the last sample.
    """
    n_samples, parts = _num_samples(X), []
    for first in range(0, max(n_samples, 1), _BLOCK):
        where = np.arange(first, min(first + _BLOCK, n_samples))
        block = X if n_samples <= _BLOCK else _safe_indexing(X, where)
        health, state = _follow_block(calibration, estimator, block, state)
        parts.append(health)
    return join(parts), state


def join(parts: Sequence[Any]) -> ModalityHealth:
    """Join the health in successive parts of a stream.

    Parameters
    ----------
    parts : sequence of ModalityHealth, or of sequences of its fields
        At least one part.

    Returns
    -------
    ModalityHealth
        Health after each sample of all parts.
    """
    return ModalityHealth(*(np.concatenate(values) for values in zip(*parts, strict=True)))


def _follow_block(
    calibration: Calibration, estimator: Any, X: Any, state: StreamState
) -> tuple[ModalityHealth, StreamState]:
    """Read the next samples of a stream at once."""
    likelihoods, switches, past = calibration.likelihoods(estimator, X, state.past)
    probabilities = forward(
        state.probabilities, calibration.transition, likelihoods, _COMPARISON, switches
    )
    clean, unlike = probabilities[..., 0], probabilities[..., 1:]
    usual = calibration.usual
    changed = probability_of_change(clean, unlike @ CHANGED, usual)
    failing = (unlike * (1.0 - changed[:, None, None] * CHANGED)).sum(axis=2)
    position = state.n_samples + np.arange(len(clean))[:, None]
    quiet = np.where(failing <= calibration.settled, position, -1)
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
    """Return the most probable kind of failure, or "unknown" if it has less than half."""
    kinds = np.array(STATE_KINDS)
    shares = np.stack([probabilities[..., 1:][..., kinds == k].sum(-1) for k in KINDS], -1)
    largest = shares.max(-1)
    return np.where(largest >= shares.sum(-1) / 2, np.array(KINDS)[shares.argmax(-1)], UNKNOWN)
