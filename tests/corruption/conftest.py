"""What the tests of corruptions share: one of every kind, and tables in which they differ."""

import numpy as np
import pytest

from sklearn_emma.corruption import (
    Drift,
    Missing,
    Mixture,
    Noise,
    NoiseSNR,
    Scaling,
    Stuck,
    Swapped,
)

EVERY = [
    Noise(0.5),
    Noise((0.1, 2.0)),
    Noise((0.0, 2.0)),
    NoiseSNR(3.0),
    NoiseSNR((-3.0, 3.0)),
    Missing(),
    Swapped(),
    Stuck(),
    Stuck(value=7.0),
    Drift(),
    Drift(ordered=True),
    Scaling(),
    Mixture([Noise(0.5), Missing()]),
    Mixture([Swapped(), Mixture([Stuck(), Drift()])], probabilities=[0.3, 0.7]),
]


@pytest.fixture(params=EVERY, ids=str)
def corruption(request):
    """One corruption of every kind in turn."""
    return request.param


@pytest.fixture(scope="session")
def make_table():
    """A table of six columns, each of its own mean and scale."""

    def make(n_samples=400, dtype=np.float64, seed=0):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n_samples, 6)) * [1, 2, 3, 4, 5, 60] + [0, 10, -10, 3, 0, 1000]
        return X.astype(dtype)

    return make
