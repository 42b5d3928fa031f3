r"""Correct the offset or gain of a sensor instead of closing its modality.

While an alarm is active, the standardized values :math:`z` of each feature of the modality are
corrected by the robust location :math:`m` and spread :math:`s` of its last 32 samples and those of
clean samples, :math:`m_0` and :math:`s_0`:

.. math:: z \leftarrow z - m + m_0 \quad\text{(offset)}, \qquad
    z \leftarrow \frac{s_0}{s}\, (z - m) + m_0 \quad\text{(gain)}.

The gain is corrected if the alarm is of a gain, and the offset if it is of an offset, of noise, or
of an unknown kind. The correction is kept if the monitor judges the 32 corrected samples as clean,
also in comparison with the other modalities. Otherwise the modality stays closed, and a correction
is tried again 16 samples later.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from sklearn_emma.compat import _safe_indexing
from sklearn_emma.corruption.tables import is_frame, replace_columns
from sklearn_emma.monitoring.calibration import Calibration
from sklearn_emma.monitoring.correction import Correction, location_and_spread
from sklearn_emma.monitoring.filter import all_clean, forward
from sklearn_emma.monitoring.health import ModalityHealth, StreamState, follow, join
from sklearn_emma.monitoring.tables import (
    are_numbers,
    as_samples,
    as_table,
    categories_of,
    number_columns,
    read_table,
)

_WINDOW, _AGAIN = 32, 16
# Largest number of samples that are read again after a correction.
_BLOCK = 512
# Kinds of failure for which a correction is tried. An offset beyond the simulated ones may be
# taken for noise.
_KINDS = ("offset", "gain", "noise", "unknown")


def follow_and_correct(
    calibration: Calibration, estimator: Any, X: Any, state: StreamState
) -> tuple[ModalityHealth, StreamState, Any]:
    """Read the next samples of a stream, and correct modalities with an offset or gain.

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
    X : ndarray or DataFrame of shape (n_samples, n_features)
        The corrected samples.
    """
    table = read_table(estimator, X)
    if not categories_of(estimator):
        X = X if is_frame(X) else np.array(X, dtype=table.dtype)
    else:
        X = as_table(estimator, X)
    columns, numbers = number_columns(estimator), are_numbers(estimator)
    corrected, parts, first = table.copy(), [], 0
    while first < len(table):
        last = min(first + _BLOCK, len(table))
        corrected[first:last] = _correct(calibration, state.correction, table[first:last])
        rest = _safe_indexing(X, np.arange(first, last))
        rest = replace_columns(rest, columns, corrected[first:last][:, numbers])
        health, after = follow(calibration, estimator, rest, state)
        stop, at, n_read = last - first, state, 0
        for t, i in _occasions(health, state.n_samples):
            if t + 1 > n_read:
                part = _safe_indexing(rest, np.arange(n_read, t + 1))
                _, at = follow(calibration, estimator, part, at)
                n_read = t + 1
            further = _find_correction(calibration, estimator, at, i, str(health.kind[t, i]))
            if further is not None:
                after, stop = _accept(calibration, at, i, further), t + 1
                break
        parts.append([np.asarray(values)[:stop] for values in health])
        state, first = after, first + stop
    return join(parts), state, replace_columns(X, columns, corrected[:, numbers])


def _correct(calibration: Calibration, correction: Correction, table: np.ndarray) -> np.ndarray:
    """Return corrected values in the units of the table. Missing values stay missing."""
    statistics = calibration.statistics
    changes = (correction.factor != 1) | (correction.shift != 0)
    z = correction((table - statistics.mean_) / statistics.scale_)
    return np.where(changes, statistics.mean_ + statistics.scale_ * z, table)


def _occasions(health: ModalityHealth, n_before: int) -> list[tuple[int, int]]:
    """Return the pairs of sample and modality at which a correction is to be tried."""
    position = n_before + np.arange(len(health.alarm))[:, None]
    lasted = position - health.since + 1
    due = (lasted >= _WINDOW) & (lasted % _AGAIN == 0)
    return [(int(t), int(i)) for t, i in np.argwhere(due & np.isin(health.kind, _KINDS))]


def _find_correction(
    calibration: Calibration, estimator: Any, state: StreamState, i: int, kind: str
) -> Correction | None:
    """Return the correction of a modality, or None if the corrected samples do not look clean."""
    statistics, past = calibration.statistics, state.past
    recent = np.where(past.missing, np.nan, past.changes.recent)[-_WINDOW:]
    location, spread = location_and_spread(recent)
    known, usual = calibration.location, calibration.spread
    scaled = (kind == "gain") & (spread > 0)
    factor = np.where(scaled, usual / np.where(scaled, spread, 1.0), 1.0)
    own = np.repeat(np.arange(len(statistics.sizes_)), statistics.sizes_) == i
    own &= statistics.varies_ & are_numbers(estimator)
    if kind not in ("offset", "gain") and not (own & (abs(location - known) > spread)).any():
        return None  # noise without an offset
    found = Correction(np.where(own, factor, 1.0), np.where(own, known - factor * location, 0.0))
    X = as_samples(estimator, statistics.mean_ + statistics.scale_ * found(recent))
    likelihoods, switches, _ = calibration.likelihoods(estimator, X, calibration.start)
    start = all_clean(calibration.transition.shape[-1], len(statistics.sizes_))
    clean = forward(start, calibration.transition, likelihoods, switches=switches)[-1, i, 0]
    return found if clean > 0.5 else None


def _accept(
    calibration: Calibration, state: StreamState, i: int, further: Correction
) -> StreamState:
    """Return the state after a correction is accepted, in which the modality is clean."""
    probabilities, alarm, quiet = (
        values.copy() for values in (state.probabilities, state.alarm, state.quiet)
    )
    probabilities[i] = all_clean(calibration.transition.shape[-1], 1)
    alarm[i], quiet[i] = False, state.n_samples - 1
    changes = state.past.changes
    recent = np.where(state.past.missing, 0.0, further(changes.recent))
    past = state.past._replace(
        changes=changes._replace(recent=recent), last=further(state.past.last)
    )
    return replace(
        state,
        probabilities=probabilities,
        alarm=alarm,
        quiet=quiet,
        past=past,
        correction=state.correction.then(further),
    )
