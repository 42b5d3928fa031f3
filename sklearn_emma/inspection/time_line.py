"""The health of modalities over the order of the samples, and its alarms as a table."""

import copy
from typing import Any

import numpy as np
import pandas as pd

from sklearn_emma.monitoring import ModalityHealth, ModalityMonitor

#: The columns of the table of alarms.
FIELDS = ("modality", "kind", "first", "last", "n_samples")


def read_stream(estimator: Any, X: Any, reference: Any) -> ModalityHealth:
    """Read samples in the order of time, as a stream of their own.

    Parameters
    ----------
    estimator : ModalityMonitor or estimator
        Fitted; a monitor stays where it is in its own stream. Any other estimator gets a monitor
        that is calibrated on the reference.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples in the order of time.
    reference : array-like or DataFrame of shape (n_reference, n_features) or None
        Clean samples.

    Returns
    -------
    ModalityHealth
        Of every modality at every sample.

    Raises
    ------
    ValueError
        If there is nothing to calibrate on.
    """
    if isinstance(estimator, ModalityMonitor):
        return copy.copy(estimator).reset().update(X)
    if reference is None:
        raise ValueError(
            "ordered=True needs clean samples to calibrate a monitor on: pass reference=, or a "
            "fitted ModalityMonitor in place of the estimator."
        )
    return ModalityMonitor(estimator, random_state=0).fit(reference).update(X)


def list_alarms(health: ModalityHealth, names: list[str], index: pd.Index) -> pd.DataFrame:
    """List alarms.

    Parameters
    ----------
    health : ModalityHealth
        Of samples in the order of time.
    names : list of str
        Of the modalities.
    index : Index of length n_samples
        Labels of the samples.

    Returns
    -------
    DataFrame of shape (n_alarms, 5)
        In the order of time: ``modality``; ``kind`` of failure at the end of the alarm; ``first``,
        label of the first sample that failed, by estimate; ``last``, that of the last sample of the
        alarm; and ``n_samples`` from one to the other. Alarms of a modality that overlap are one.
    """
    found = []
    for i, name in enumerate(names):
        failures: list[tuple[int, int]] = []
        for start, stop in intervals(health.alarm[:, i]):
            first = min(max(int(health.since[stop, i]), 0), start)
            # an alarm for what began before the end of the last one goes on with it
            while failures and first <= failures[-1][1]:
                first = min(first, failures.pop()[0])
            failures.append((first, stop))
        for first, stop in failures:
            kind = str(health.kind[stop, i])
            found.append((first, name, kind, index[first], index[stop], stop - first + 1))
    found.sort(key=lambda alarm: alarm[0])
    return pd.DataFrame([alarm[1:] for alarm in found], columns=list(FIELDS))


def intervals(up: np.ndarray) -> list[tuple[int, int]]:
    """Find runs of True.

    Parameters
    ----------
    up : ndarray of bool of shape (n_samples,)
        Values.

    Returns
    -------
    list of (int, int)
        First and last position of each run.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], up, [False]]).astype(int)))
    return [(int(first), int(last) - 1) for first, last in edges.reshape(-1, 2)]
