"""
Failures of signals that no single value shows
==============================================

If a sensor is stuck, delayed, disturbed by hum or silent for a while, each single value may still
be ordinary. The energy of the columns ignores their order. The energy of the signal
(:class:`~sklearn_emma.SignalEnergyScorer`) also depends on the order, the spectrum and the local
power. This example compares both, for a simulated sensor with two channels.
"""

# %%
# Windows of a wave of random frequency and phase. The second channel follows the first by a quarter
# of a period. Five failures, each of which leaves most values as usual as they were:

import matplotlib.pyplot as plt
import numpy as np
from sklearn.metrics import roc_auc_score

from sklearn_emma import DAEEnergyScorer, SignalEnergyScorer

LENGTH = 64
rng = np.random.default_rng(0)
t = np.arange(LENGTH)


def record(n):
    """Return windows of shape (n, 2, LENGTH)."""
    cycles, phase = rng.uniform(2, 8, (n, 1)), rng.uniform(0, 2 * np.pi, (n, 1))
    angle = 2 * np.pi * cycles * t / LENGTH + phase
    waves = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    return waves + 0.2 * rng.standard_normal(waves.shape)


def stuck(signal):
    """Hold the first value."""
    return np.broadcast_to(signal[..., :1], signal.shape)


def late(signal):
    """Delay the first channel by eight readings."""
    return np.concatenate([np.roll(signal[:, :1], 8, axis=2), signal[:, 1:]], axis=1)


def hum(signal):
    """Add a weak tone of one frequency and random phase."""
    phase = rng.uniform(0, 2 * np.pi, (len(signal), 1, 1))
    return signal + 0.3 * np.sin(1.4 * t + phase)


def dropout(signal):
    """Return zero during a quarter of the window."""
    return np.where((t >= 24) & (t < 40), 0.0, signal)


def noisy(signal):
    """Add noise with the same standard deviation as the noise of the clean signal."""
    return signal + 0.2 * rng.standard_normal(signal.shape)


FAILURES = {"stuck": stuck, "late": late, "hum": hum, "dropout": dropout, "noisy": noisy}
train, test = record(500), record(500)

figure, panels = plt.subplots(2, 3, figsize=(10, 4.5), sharey=True, layout="constrained")
for ax, (name, fail) in zip(panels.flat, {"clean": lambda x: x, **FAILURES}.items(), strict=True):
    ax.plot(t, fail(test[:1])[0].T)
    ax.set(title=name)

# %%
# Both energies learn from the same clean windows. A table has one row per window: the readings of
# the first channel, then those of the second.


def as_table(signal):
    """Flatten windows."""
    return signal.reshape(len(signal), -1)


scorers = {
    "columns": DAEEnergyScorer(max_epochs=50, random_state=0),
    "signal": SignalEnergyScorer(shape=(2, LENGTH), max_epochs=50, random_state=0),
}
labels = np.repeat([0, 1], len(test))
areas = {}
for name, scorer in scorers.items():
    scorer.fit(as_table(train))
    clean = -scorer.score_samples(as_table(test))
    areas[name] = [
        roc_auc_score(labels, np.r_[clean, -scorer.score_samples(as_table(fail(test)))])
        for fail in FAILURES.values()
    ]

figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
for i, (name, values) in enumerate(areas.items()):
    ax.bar(np.arange(len(FAILURES)) + 0.4 * i - 0.2, values, 0.38, label=name)
    print(name, {failure: round(a, 2) for failure, a in zip(FAILURES, values, strict=True)})
ax.set_xticks(range(len(FAILURES)), FAILURES)
ax.set(ylabel="area under the ROC curve", ylim=(0.4, 1.02))
ax.legend(title="energy of the", loc="lower right")

# %%
# The three views of the energy distinguish the failures: each view has the largest energy for at
# least one failure.

figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
views = scorers["signal"]
energies = [np.median(views.transform(as_table(fail(test))), axis=0) for fail in FAILURES.values()]
for k, view in enumerate(views.views):
    place = np.arange(len(FAILURES)) + 0.27 * (k - 1)
    ax.bar(place, np.clip([energy[k] for energy in energies], 0.1, None), 0.25, label=view)
ax.set_xticks(range(len(FAILURES)), FAILURES)
ax.set(ylabel="median energy", yscale="log")
ax.legend(title="view")
# %%
# A stuck signal and one with dropout have no power where clean signals have power. A delay is
# detected only by the convolutional view ("signal"). Hum is detected best by the view "spectrum".

plt.show()
