"""Tests of samples against clean ones: their level, and what they find."""

import numpy as np
import pytest
from scipy.signal import lfilter

from sklearn_emma.inspection.two_samples import distance, more_frequent
from sklearn_emma.monitoring.autocorrelation import autocorrelation_time

RUNS = 300


def slow(rng, n_samples, phi):
    """A stationary autoregressive process with an autocorrelation time of (1 + phi) / (1 - phi)."""
    start = rng.normal() * np.sqrt(1 - phi**2)
    noise = np.append(start / np.sqrt(1 - phi**2), rng.normal(size=n_samples - 1))
    return lfilter([np.sqrt(1 - phi**2)], [1.0, -phi], noise)


@pytest.mark.parametrize("n_clean", [15, 50, 500])
@pytest.mark.parametrize("share", [0.01, 0.3])
def test_few_clean_samples_give_no_certainty(n_clean, share):
    rng = np.random.default_rng(0)
    p_values = [
        more_frequent(rng.uniform(size=2000) < share, rng.uniform(size=n_clean) < share)
        for _ in range(RUNS)
    ]
    assert np.mean(np.array(p_values) < 0.01) <= 0.02
    always = more_frequent(np.ones(2000, bool), np.arange(n_clean) < share * n_clean)
    assert 0 <= always < 0.01


@pytest.mark.parametrize(("phi", "n_clean"), [(0.9, 1000), (0.99, 1000), (0.995, 4000)])
def test_slow_processes_change_without_significance(phi, n_clean):
    rng = np.random.default_rng(0)
    shift, tail, bursts = [], [], []
    for _ in range(RUNS):
        clean, values = slow(rng, n_clean, phi), slow(rng, 5000, phi)
        time, high = autocorrelation_time(clean), np.quantile(clean, 0.99)
        shift.append(distance(values, clean, time)[1])
        tail.append(more_frequent(values > high, clean > high, time))
        positive = clean > 0
        time = autocorrelation_time(positive.astype(float))
        bursts.append(more_frequent(values > 0, positive, time))
    for p_values in (shift, tail, bursts):
        assert np.mean(np.array(p_values) < 0.001) <= 0.02


def test_lasting_failures_of_slow_processes_are_significant():
    rng = np.random.default_rng(0)
    clean, values = slow(rng, 8000, 0.98), slow(rng, 3000, 0.98)
    time, high = autocorrelation_time(clean), np.quantile(clean, 0.99)
    assert distance(values, clean, time)[1] > 0.01
    assert distance(values + 5, clean, time)[1] < 1e-6
    values[:1000] += 5
    assert more_frequent(values > high, clean > high, time) < 1e-3


def test_the_time_is_that_of_the_process_also_with_gaps():
    rng = np.random.default_rng(0)
    for phi in (0.0, 0.8, 0.95):
        values, true = np.array([slow(rng, 20_000, phi) for _ in range(5)]), (1 + phi) / (1 - phi)
        for share in (0.0, 0.3):
            values[rng.uniform(size=values.shape) < share] = np.nan
            assert 0.9 * true <= np.median([autocorrelation_time(v) for v in values]) < 1.5 * true
    assert autocorrelation_time(np.zeros(100)) == 1
