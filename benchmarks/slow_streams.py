"""How soon does a monitor of a slow process report a failure? See tables/slow_streams.md.

python benchmarks/slow_streams.py --seeds 3
"""

import argparse
import copy
import json
import os
import warnings
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy

import numpy as np
from _stream_peers import _limit
from _tables import table

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.monitoring import ModalityMonitor
from sklearn_emma.monitoring.calibration import state_prior
from sklearn_emma.monitoring.filter import transitions

MODALITIES = {"a": [0, 1, 2], "b": [3, 4, 5], "c": [6, 7, 8]}
OWN = MODALITIES["b"]
N_TRAINING, N_CLEAN, N_JUDGED = 2000, 2000, 40_000
BEFORE, EPISODE = 300, 700
FALSE_ALARMS = 1.0  # in 10,000 samples, over all modalities


def autoregression(*coefficients, spread=np.random.Generator.standard_normal):
    """Give a function that draws an autoregressive process."""

    def draw(n_samples, n, rng):
        lags, start = len(coefficients), 1000
        x = np.zeros((start + n_samples, n))
        shocks = spread(rng, x.shape)
        for t in range(lags, len(x)):
            x[t] = shocks[t] + sum(c * x[t - k] for k, c in enumerate(coefficients, start=1))
        return x[start:] / x[start:].std(axis=0)

    return draw


def levels(n_samples, n, rng):
    """Draw a process that stays at a level for 80 samples on average."""
    x, level = np.empty((n_samples, n)), rng.standard_normal(n)
    for t in range(n_samples):
        level = np.where(rng.uniform(size=n) < 1 / 80, rng.standard_normal(n), level)
        x[t] = level
    return x + 0.1 * rng.standard_normal(x.shape)


def cycle(n_samples, n, rng):
    """Draw a process with a period of 200 samples."""
    phase = 2 * np.pi * np.arange(n_samples)[:, None] / 200 + rng.uniform(0, 2 * np.pi, size=n)
    return np.sin(phase) + 0.5 * autoregression(0.9)(n_samples, n, rng)


PROCESSES = {
    "independent": autoregression(0.0),
    "autocorrelation 0.5": autoregression(0.5),
    "autocorrelation 0.9": autoregression(0.9),
    "autocorrelation 0.97": autoregression(0.97),
    "autocorrelation 0.99": autoregression(0.99),
    "heavy-tailed shocks": autoregression(0.95, spread=lambda rng, s: rng.standard_t(3, s)),
    "oscillation": autoregression(1.6, -0.8),
    "levels": levels,
    "cycle": cycle,
}
FAILURES = {
    "noise 1": lambda x, other, rng: x + rng.standard_normal(x.shape),
    "noise 2": lambda x, other, rng: x + 2 * rng.standard_normal(x.shape),
    "offset 3": lambda x, other, rng: x + 3,
    "offset 10": lambda x, other, rng: x + 10,
    "drift to 6": lambda x, other, rng: x + np.linspace(0, 6, len(x))[:, None],
    "gain 3": lambda x, other, rng: 3 * x,
    "intermittent": lambda x, other, rng: np.where(rng.uniform(size=(len(x), 1)) < 0.1, -30.0, x),
    "another time": lambda x, other, rng: other,
    "stuck": lambda x, other, rng: np.repeat(x[:1], len(x), axis=0),
}


def sample(process, n_samples, rng):
    """Draw a table: nine columns that depend on three common processes and one of their own."""
    mixing = np.random.default_rng(0).standard_normal((3, 9))
    common, own = process(n_samples, 3, rng), process(n_samples, 9, rng)
    X = common @ mixing + 0.5 * own + 0.3 * rng.standard_normal((n_samples, 9))
    return X / np.sqrt((mixing**2).sum(axis=0) + 0.34)


class Chart:
    """Moving average of a statistic of each modality; its limits are set on clean samples.

    The statistic is the energy, or the logarithm of the sum of squares of the residuals of an
    autoregression of each column (Alwan and Roberts, 1988).
    """

    def __init__(self, scorer, clean, judged, weight, residuals):
        self.scorer, self.weight, self.residuals = scorer, weight, residuals
        self.location, self.scale = clean.mean(axis=0), clean.std(axis=0)
        z = (clean - self.location) / self.scale
        self.coefficients = (z[1:] * z[:-1]).sum(axis=0) / (z * z).sum(axis=0)
        values = self._values(clean)
        self.mean, self.std = values.mean(axis=0), values.std(axis=0)
        found, allowed = self._chart(judged), max(1, round(FALSE_ALARMS * len(judged) / 3e4))
        self.limits = np.array([_limit(x, allowed) for x in found.T])

    def _values(self, X):
        if not self.residuals:
            return np.minimum(self.scorer.transform(X), 1e6)
        z = (X - self.location) / self.scale
        squares = (z[1:] - self.coefficients * z[:-1]) ** 2
        squares = np.vstack([squares[:1], squares])
        return np.log(np.stack([squares[:, c].sum(axis=1) for c in MODALITIES.values()], axis=1))

    def _chart(self, X):
        z = np.clip((self._values(X) - self.mean) / self.std, -10, 10)
        found, state = np.empty(z.shape), np.zeros(3)
        for t, value in enumerate(z):
            state = found[t] = (1 - self.weight) * state + self.weight * value
        return found

    def alarms(self, X):
        """Give the alarms of a stream."""
        return self._chart(X) > self.limits


class Monitor:
    """A monitor that is calibrated on clean samples in order."""

    def __init__(self, scorer, clean):
        self.monitor = ModalityMonitor(scorer, ordered=True, false_alarms=FALSE_ALARMS)
        self.monitor.set_params(random_state=0).fit(clean)

    def values_only(self):
        """Give a copy that judges neither innovations nor residuals."""
        copied = copy.deepcopy(self)
        calibration = self.monitor.calibration_
        hazard, prior = self.monitor.hazard_rate, state_prior()
        none = np.zeros_like(calibration.innovation_exponents)
        copied.monitor.calibration_ = replace(
            calibration,
            innovation_exponents=none,
            residual_exponents=none,
            intermittent_exponents=none,
            transition=np.stack(
                [transitions(hazard, matrix[1, 0], prior) for matrix in calibration.transition]
            ),
        )
        return copied

    def alarms(self, X):
        """Give the alarms of a stream."""
        return self.monitor.reset().update(X).alarm


class WithGaps:
    """The same monitor, in a stream with missing values: a column, or a random fraction of all."""

    def __init__(self, monitor, column=None, fraction=0.0):
        self.monitor, self.column, self.fraction = monitor, column, fraction

    def alarms(self, X):
        """Give the alarms of a stream."""
        gaps = np.random.default_rng(0).random(X.shape) < self.fraction
        for columns in MODALITIES.values():  # no modality is missing
            gaps[:, columns] &= ~gaps[:, columns].all(axis=1, keepdims=True)
        if self.column is not None:
            gaps[:, self.column] = True
        return self.monitor.alarms(np.where(gaps, np.nan, X))


def run(name, seed, n_episodes):
    """Give the records of all monitors on one process."""
    rng, process = np.random.default_rng(seed), PROCESSES[name]
    training, clean, judged = (sample(process, n, rng) for n in (N_TRAINING, N_CLEAN, N_JUDGED))
    new = sample(process, N_JUDGED, rng)
    scorer = DAEEnergyScorer(MODALITIES, random_state=seed).fit(training)
    monitor = Monitor(scorer, clean)
    monitors = {
        "monitor": monitor,
        "monitor, values only": monitor.values_only(),
        "monitor, a column missing": WithGaps(monitor, column=OWN[0]),
        "monitor, 5 % of values missing": WithGaps(monitor, fraction=0.05),
        "moving average of energies": Chart(scorer, clean, judged, 0.1, False),
        "moving average of residuals": Chart(scorer, clean, judged, 0.3, True),
    }
    records = []
    for label, monitor in monitors.items():
        alarm = monitor.alarms(new)
        found = int((alarm[1:] & ~alarm[:-1]).sum()) * 1e4 / len(new)
        records.append([name, seed, label, "none", found])
    for _ in range(n_episodes):
        X, other = (sample(process, BEFORE + EPISODE, rng) for __ in range(2))
        for failure, fail in FAILURES.items():
            failed = X.copy()
            failed[BEFORE:, OWN] = fail(X[BEFORE:, OWN], other[BEFORE:, OWN], rng)
            for label, monitor in monitors.items():
                up = monitor.alarms(failed)[BEFORE:, 1]
                delay = int(up.argmax()) + 1 if up.any() else float("inf")
                records.append([name, seed, label, failure, delay])
    return records


def report(records):
    """Print the tables."""
    labels = list(dict.fromkeys(r[2] for r in records))
    for name in dict.fromkeys(r[0] for r in records):
        print(f"\n### {name}\n")
        lines = []
        for label in labels:
            by_failure = {f: [] for f in ("none", *FAILURES)}
            for r in records:
                if r[0] == name and r[2] == label:
                    by_failure[r[3]].append(r[4])
            alarms = by_failure.pop("none")
            lines.append([label, f"{np.mean(alarms):.2f}", *map(_median, by_failure.values())])
        print(table(["", "alarms in 10,000 clean samples", *FAILURES], lines))


def _median(delays):
    missed = np.isinf(delays).mean()
    found = f"{np.median(delays):.0f}" if missed < 0.5 else "-"
    return found if missed == 0 else f"{found} ({missed:.0%} missed)"


def main():
    """Run the benchmark, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", nargs="+", default=list(PROCESSES), choices=PROCESSES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=8, help="per failure and seed")
    parser.add_argument("--json", help="file for the results")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    records = []
    for name in args.processes:
        for seed in range(args.seeds):
            records += run(name, seed, args.episodes)
            if args.json:
                Path(args.json).write_text(json.dumps(records))
    report(records)


if __name__ == "__main__":
    main()
