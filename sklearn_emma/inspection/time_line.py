"""Compute the health of modalities over time, and a table of alarms."""

import copy
from typing import Any

import numpy as np
import pandas as pd

from sklearn_emma.monitoring import ModalityHealth, ModalityMonitor

#: The columns of the table of alarms.
TIME_LINE_FIELDS = ("modality", "kind", "first", "last", "n_samples")


def read_stream(estimator: Any, X: Any, reference: Any) -> tuple[ModalityHealth, Any]:
    """Monitor samples in temporal order, as a separate stream.

    Parameters
    ----------
    estimator : ModalityMonitor or estimator
        Fitted monitor or estimator. The state of a monitor is not changed. For any other estimator
        a new monitor is calibrated on the reference.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples in temporal order.
    reference : array-like or DataFrame of shape (n_reference, n_features) or None
        Clean samples.

    Returns
    -------
    health : ModalityHealth
        Health of every modality at every sample.
    X : ndarray or DataFrame of shape (n_samples, n_features)
        The samples, corrected if the monitor has ``recalibrate=True``.

    Raises
    ------
    ValueError
        If there is neither a monitor nor a reference.
    """
    if isinstance(estimator, ModalityMonitor):
        monitor = copy.copy(estimator).reset()
        corrected = monitor.correct(X)
        return monitor.update(X), corrected
    if reference is None:
        raise ValueError(
            "ordered=True needs clean samples to calibrate a monitor on: pass reference=, or a "
            "fitted ModalityMonitor in place of the estimator."
        )
    return ModalityMonitor(estimator, random_state=0).fit(reference).update(X), X


def list_alarms(health: ModalityHealth, names: list[str], index: pd.Index) -> pd.DataFrame:
    """Return a table of all alarms.

    Parameters
    ----------
    health : ModalityHealth
        Health of the modalities for samples in temporal order.
    names : list of str
        Names of the modalities.
    index : Index of length n_samples
        Labels of the samples.

    Returns
    -------
    DataFrame of shape (n_alarms, 5)
        Alarms in temporal order, with the columns ``modality``; ``kind``, the kind of failure at
        the end of the alarm; ``first``, the label of the estimated first sample of the failure;
        ``last``, the label of the last sample of the alarm; and ``n_samples``, the number of
        samples from first to last. Overlapping alarms of a modality are merged.
    """
    found = []
    for i, name in enumerate(names):
        failures: list[tuple[int, int]] = []
        for start, stop in intervals(health.alarm[:, i]):
            first = min(max(int(health.since[stop, i]), 0), start)
            # merge alarms if the failure began before the end of the previous alarm
            while failures and first <= failures[-1][1]:
                first = min(first, failures.pop()[0])
            failures.append((first, stop))
        for first, stop in failures:
            kind = str(health.kind[stop, i])
            found.append((first, name, kind, index[first], index[stop], stop - first + 1))
    found.sort(key=lambda alarm: alarm[0])
    return pd.DataFrame([alarm[1:] for alarm in found], columns=list(TIME_LINE_FIELDS))


def intervals(up: np.ndarray) -> list[tuple[int, int]]:
    """Return the first and last position of each run of True values.

    Parameters
    ----------
    up : ndarray of bool of shape (n_samples,)
        Boolean values.

    Returns
    -------
    list of (int, int)
        First and last position of each run.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], up, [False]]).astype(int)))
    return [(int(first), int(last) - 1) for first, last in edges.reshape(-1, 2)]
