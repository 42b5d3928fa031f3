"""Other monitors of a stream: charts of energies, and a rule for flat lines.

All of them have the interface of :class:`~sklearn_emma.monitoring.ModalityMonitor`, and close a
modality while their alarm is on. They learn from the calibration samples, but their limits are set
on a resampled stream of clean test samples, so that it gives the allowed number of false alarms.
This is impossible in practice, but it allows delays to be compared at equal rates of false alarms.
An alarm stays on as long as the statistic stays beyond the limit.
"""

import copy
from dataclasses import replace

import numpy as np
from _packages import available
from _stream_failures import resample
from sklearn.base import BaseEstimator

from sklearn_emma.energy.p_values import conformal_p_values
from sklearn_emma.monitoring import ModalityHealth

_CERTAIN = 10.0
_N_CLEAN = 100_000


class Peer(BaseEstimator):
    """Base class: a statistic per modality of the energies so far, and a limit."""

    def __init__(self, estimator, X, X_limits, seed, false_alarms=1.0):
        self.estimator_, self.modality_names_ = estimator, estimator.modality_names_
        self.clean = np.minimum(estimator.energies(X), 1e6)
        self.n = len(self.modality_names_)
        self.learn(self.clean)
        order = _clean_order(len(X_limits), seed)
        allowed = max(1, round(false_alarms * len(order) / 1e4 / self.n))
        self.limits = np.full(self.n, np.inf)
        self.reset()
        statistic = self.statistic(np.minimum(estimator.energies(X_limits), 1e6)[order])
        self.limits = np.array([_limit(s, allowed) for s in statistic.T])
        self.reset()

    def fit(self, X, y=None):
        """Do nothing: it is already fitted."""
        return self

    def learn(self, clean):
        """Learn from the energies of clean samples."""
        self.mean, self.std = clean.mean(axis=0), clean.std(axis=0)

    def reset(self):
        """Start a stream."""
        self.state = np.zeros(self.n)
        return self

    def statistic(self, energies):
        """Process samples, and give the statistic after each of them."""
        found = np.empty(energies.shape)
        for t, energy in enumerate(energies):
            self.state = found[t] = self.step(self.state, energy)
        return found

    def update(self, X):
        """Read samples."""
        energies = np.minimum(self.estimator_.energies(X), 1e6)
        statistic = self.statistic(energies)
        alarm = statistic > self.limits
        return ModalityHealth(
            failing=statistic / np.clip(self.limits, 1e-9, 1e9),
            alarm=alarm,
            since=np.where(alarm, 0, -1),
            kind=np.where(alarm, "unknown", ""),
            evidence=np.where(alarm, _CERTAIN, 0.0),
        )

    def predict_proba(self, X):
        """Predict with the failing modalities closed; the state does not change."""
        state = copy.deepcopy(self.state)
        health = self.update(X)
        self.state = state
        return self.estimator_.predict_proba(X, evidence=health.evidence)


def _clean_order(n_samples, seed):
    """Draw the stream of clean samples on which limits are set."""
    return resample(np.arange(n_samples), np.arange(n_samples), _N_CLEAN, seed)[0]


def _limit(statistic, allowed):
    """Give the lowest limit that is crossed no more often than allowed."""
    levels = np.unique(np.quantile(statistic, 1 - np.geomspace(1e-5, 0.1, 60)))
    return _lowest(levels, statistic, allowed, statistic.max())


def _lowest(levels, statistic, allowed, otherwise):
    """Give the lowest of increasing levels that is crossed no more often than allowed."""
    for level in levels:
        above = statistic > level
        if (above[1:] & ~above[:-1]).sum() <= allowed:
            return level
    return otherwise


def at_equal_alarms(monitor, X_limits, seed, false_alarms=1.0):
    """Give a copy of a monitor with its odds of an alarm set like the limits of the others."""
    copied = copy.deepcopy(monitor).reset()
    order = _clean_order(len(X_limits), seed)
    failing = [copied.update(X_limits[part]).failing for part in np.array_split(order, 20)]
    failing = np.concatenate(failing)
    odds = failing / np.maximum(1.0 - failing, 1e-12)
    # below the usual odds, the alarm never ends, and hardly ever starts
    levels = np.geomspace(max(1e-3, np.quantile(odds, 0.9)), 1e3, 121)
    alarm_odds = _lowest(levels, odds, false_alarms * len(order) / 1e4, levels[-1])
    copied.calibration_ = replace(copied.calibration_, alarm_odds=alarm_odds)
    return copied.reset()


class EWMA(Peer):
    """Exponentially weighted moving average of the standardized energies, weight .1."""

    def step(self, state, energy):
        return 0.9 * state + 0.1 * np.clip((energy - self.mean) / self.std, -10, 10)


class PageHinkley(Peer):
    """Page-Hinkley test of the mean of the energies, as in river but without its restart."""

    def step(self, state, energy):
        z = np.clip((energy - self.mean) / self.std, -10, 10)
        return np.maximum(0.0, state + z - 0.05)


class Martingale(Peer):
    """Power martingale of conformal p-values without a jumper, restarted at one (CUSUM)."""

    def step(self, state, energy):
        p = conformal_p_values(self.clean, energy[None])[0]
        return np.maximum(0.0, state) + np.log(0.5) - 0.5 * np.log(p)


class FlatLine(Peer):
    """Number of successive samples with exactly the values of the one before."""

    def learn(self, clean):
        """Do nothing: there is nothing to learn."""

    def reset(self):
        """Start a stream."""
        self.state = np.zeros(self.n), None
        return self

    def update(self, X):
        """Read samples."""
        self.values = np.asarray(X)
        return super().update(X)

    def statistic(self, energies):
        """Count repeats; there are none while the limits are set."""
        if np.isinf(self.limits).all():
            return np.zeros(energies.shape)
        found = np.empty(energies.shape)
        runs, last = self.state
        for t, row in enumerate(self.values):
            if last is not None:
                same = [np.array_equal(row[c], last[c]) for c in self.estimator_.modality_columns_]
                runs = np.where(same, runs + 1, 0)
            found[t], last = runs, row
        self.state = runs, last
        return found


class Adwin(Peer):
    """ADWIN of river, for increases of the energies."""

    def reset(self):
        """Start a stream."""
        from river.drift import ADWIN

        self.state = [ADWIN(delta=self.delta) for _ in range(self.n)], np.zeros(self.n)
        return self

    delta = 1e-4

    def statistic(self, energies):
        """Process samples; the statistic is 1 while an increase is detected."""
        if np.isinf(self.limits).all():
            # ADWIN has no limit: delta bounds its false alarms
            return np.zeros(energies.shape)
        detectors, up = self.state
        found = np.empty(energies.shape)
        for t, energy in enumerate(np.clip((energies - self.mean) / self.std, -10, 10)):
            for i, detector in enumerate(detectors):
                before = detector.estimation
                detector.update(float(energy[i]))
                if detector.drift_detected:
                    up[i] = detector.estimation > max(before, 0.25)
            found[t] = up
        self.state = detectors, up.copy()
        return found


class NoMonitor(Peer):
    """An estimator by itself, sample by sample, which raises no alarms."""

    def __init__(self, model, groups):
        self.model, self.estimator_, self.modality_names_ = model, self, list(groups)
        self.modality_columns_ = [np.asarray(c) for c in groups.values()]

    def reset(self):
        """Do nothing: there is no state."""
        return self

    def update(self, X):
        """Read samples."""
        shape = len(X), len(self.modality_names_)
        return ModalityHealth(
            np.zeros(shape), np.zeros(shape, bool), np.full(shape, -1), np.full(shape, ""), None
        )

    def predict_proba(self, X):
        """Predict."""
        return self.model.predict_proba(X)


_ALL = {
    "EWMA": EWMA,
    "Page-Hinkley": PageHinkley,
    "martingale": Martingale,
    "flat line": FlatLine,
    "ADWIN": Adwin,
}
PEERS = {name: _ALL[name] for name in available(_ALL, {"ADWIN": "river"})}
