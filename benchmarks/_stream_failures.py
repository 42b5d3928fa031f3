"""The failures of the benchmark of streams, and the kind that a monitor should report."""

from typing import NamedTuple

import numpy as np
from _robustness_failures import Saturated

from sklearn_emma.corruption import Corruption, Missing, Noise, Stuck, Swapped


class Offset(Corruption):
    """All columns are too high by a number of standard deviations."""

    def __init__(self, shift=1.0, *, n_corrupted=None, fraction=None, only=None):
        super().__init__(n_corrupted=n_corrupted, fraction=fraction, only=only)
        self.shift = shift

    def _fail(self, x, mean, std, donors, generator):
        return x + self.shift * std


class Gain(Corruption):
    """All deviations from the mean are multiplied by a factor."""

    def __init__(self, factor=2.0, *, n_corrupted=None, fraction=None, only=None):
        super().__init__(n_corrupted=n_corrupted, fraction=fraction, only=only)
        self.factor = factor

    def _fail(self, x, mean, std, donors, generator):
        return mean + self.factor * (x - mean)


class Episode(NamedTuple):
    """A failure, whether it grows, its kind, and whether the modality is lost completely."""

    corruption: Corruption
    growing: bool
    kind: str
    useless: bool


# Except for noise of one, two and four and an offset of one, the severities differ from those that
# the monitor simulates.
FAILURES = {
    **{f"sigma {s}": Episode(Noise(s), False, "noise", False) for s in (0.5, 1, 2, 4, 8)},
    "missing": Episode(Missing(), False, "missing", True),
    "stuck": Episode(Stuck(), False, "stuck", True),
    "dead at zero": Episode(Stuck(0.0), False, "stuck", True),
    "swapped": Episode(Swapped(), False, "mismatch", True),
    "offset 1": Episode(Offset(1.0), False, "offset", False),
    "drift to 3": Episode(Offset(3.0), True, "offset", False),
    "gain 3": Episode(Gain(3.0), False, "gain", False),
    "saturated": Episode(Saturated(), False, "gain", False),
}


def resample(X, y, n_samples, seed):
    """Draw a stream from a table: one shuffled copy after the other."""
    rng = np.random.RandomState(seed)
    order = np.concatenate([rng.permutation(len(X)) for _ in range(-(-n_samples // len(X)))])
    return X[order[:n_samples]], y[order[:n_samples]]
