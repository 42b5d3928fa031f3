"""Missing values in a stream: alone, in blocks, and in sensors that fail."""

import numpy as np
import pytest

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.monitoring import ModalityMonitor

SENSORS = {"a": [0, 1], "b": [2, 3], "c": [4, 5]}
N_TRAINING, N_CLEAN = 400, 1000


def samples(n_samples, seed=0):
    """Three sensors of two columns that see the same process."""
    random = np.random.RandomState(seed)
    return random.standard_normal((n_samples, 1)) + 0.6 * random.standard_normal((n_samples, 6))


def without(X, rate, seed=1):
    """Return samples in which each value is missing with some probability."""
    return np.where(np.random.RandomState(seed).uniform(size=X.shape) < rate, np.nan, X)


@pytest.fixture(scope="module")
def scorer():
    return DAEEnergyScorer(SENSORS, max_epochs=3, random_state=0).fit(samples(N_TRAINING, 9))


def watch(scorer, X, **params):
    """Calibrate on the first samples; return the health in the others."""
    monitor = ModalityMonitor(scorer, random_state=0, **params)
    monitor.fit(X[N_TRAINING:N_CLEAN], reference=X[:N_TRAINING])
    return monitor.update(X[N_CLEAN:])


@pytest.mark.parametrize("rate", [0.3, pytest.param(0.5, marks=pytest.mark.slow)])
def test_usual_gaps_raise_no_alarms(scorer, rate):
    X = without(samples(4000), rate)
    assert np.isnan(X[:, :2]).all(axis=1).any()  # whole sensors, too
    health = watch(scorer, X)
    assert not (health.kind == "missing").any()


def test_a_sensor_that_is_rarely_missing_needs_more_than_one_sample(scorer):
    X = samples(2600)
    X[N_TRAINING + 50, :2] = np.nan  # once in the calibration samples
    X[N_CLEAN + 500, :2] = X[N_CLEAN + 1000 : N_CLEAN + 1010, :2] = np.nan
    X[N_CLEAN + 1500, 2:4] = np.nan  # this sensor never was
    health = watch(scorer, X)
    assert not health.alarm[:1000].any()
    assert health.alarm[1009, 0]
    assert health.kind[1500].tolist() == ["", "missing", ""]


def test_usual_gaps_in_blocks_raise_no_alarms_if_samples_are_in_order(scorer):
    X = samples(4000)
    X[np.arange(len(X)) // 40 % 2 == 1, :2] = np.nan
    X[3000:3100, 2:4] = np.nan
    alarm = watch(scorer, X, ordered=True).alarm
    assert not alarm[:, [0, 2]].any()
    assert alarm[3000 - N_CLEAN : 3100 - N_CLEAN, 1].all()


def test_usual_gaps_before_the_calibration_samples_raise_no_alarms(scorer):
    X = samples(4000)
    for start in (100, 250, 1500, 2000, 2500, 3000):
        X[start : start + 20, :2] = np.nan
    assert not np.isnan(X[N_TRAINING:N_CLEAN]).any()
    assert not watch(scorer, X, ordered=True).alarm.any()


@pytest.mark.parametrize("rate", [pytest.param(0.1, marks=pytest.mark.slow), 0.3])
def test_a_stuck_sensor_with_gaps_is_found(scorer, rate):
    X = samples(2500)
    X[1500:2000, :2] = X[1500, :2]
    health = watch(scorer, without(X, rate))
    failing = slice(1530 - N_CLEAN, 2000 - N_CLEAN)
    assert health.alarm[failing, 0].mean() > 0.95
    assert not health.alarm[2050 - N_CLEAN :].any()


@pytest.mark.parametrize("ordered", [False, True])
def test_times_without_a_sensor_do_not_hide_that_it_is_stuck_later(scorer, ordered):
    X = samples(2000)
    gone = np.arange(len(X)) // 40 % 2 == 1
    if not ordered:
        gone = np.random.RandomState(1).permutation(gone)
    X[gone, :2] = np.nan
    failing = np.flatnonzero(~gone & (np.arange(len(X)) >= 1300))
    X[failing, :2] = X[failing[0], :2]
    health = watch(scorer, X, ordered=ordered)
    first = failing[health.kind[failing - N_CLEAN, 0] == "stuck"][0]
    assert np.searchsorted(failing, first) < 8
    assert not health.alarm[: 1300 - N_CLEAN].any()


@pytest.mark.parametrize("sigma", [1.0, pytest.param(2.0, marks=pytest.mark.slow)])
def test_noise_is_not_corrected(scorer, sigma):
    X = samples(3000)
    X[1500:2500, :2] += sigma * np.random.RandomState(3).standard_normal((1000, 2))
    health = watch(scorer, X, recalibrate=True)
    assert not health.corrected.any()
    assert health.alarm[1600 - N_CLEAN : 2500 - N_CLEAN, 0].mean() > 0.8


@pytest.mark.parametrize("rate", [pytest.param(0.0, marks=pytest.mark.slow), 0.3])
def test_a_large_offset_is_corrected_also_with_gaps(scorer, rate):
    X = samples(2500)
    X[1500:2000, :2] += 8.0  # far larger than the simulated offsets
    health = watch(scorer, without(X, rate), recalibrate=True)
    assert health.corrected[1560 - N_CLEAN : 2000 - N_CLEAN, 0].mean() > 0.9
    assert not health.alarm[1560 - N_CLEAN : 2000 - N_CLEAN, 0].any()


def test_gaps_may_come_in_any_chunks(scorer):
    X = without(samples(1600), 0.3)
    X[1300:, :2] = X[1300, :2]
    monitor = ModalityMonitor(scorer, random_state=0)
    monitor.fit(X[N_TRAINING:N_CLEAN], reference=X[:N_TRAINING])
    whole = monitor.update(X[N_CLEAN:])
    monitor.reset()
    parts = [monitor.update(x) for x in np.array_split(X[N_CLEAN:], 97)]
    np.testing.assert_allclose(np.concatenate([p.failing for p in parts]), whole.failing, atol=1e-9)


def test_a_value_near_the_largest_number_is_forgotten(scorer):
    X = samples(1600)
    X[1100, 0] = -1.7e308
    X[1300:, 2:4] = X[1300, 2:4]
    health = watch(scorer, X)
    assert np.isfinite(health.failing).all()
    assert health.kind[-1].tolist() == ["", "stuck", ""]


def test_a_column_that_stops_reporting_is_no_noise():
    def samples_of_four(n_samples, seed):
        random = np.random.RandomState(seed)
        causes = random.standard_normal((n_samples, 2)).repeat(4, axis=1)
        return causes + 0.3 * random.standard_normal((n_samples, 8))

    clean = samples_of_four(2000, 0)
    scorer = DAEEnergyScorer({"a": range(4), "b": range(4, 8)}, max_epochs=5, random_state=0)
    monitor = ModalityMonitor(scorer.fit(clean[:800]), random_state=0).fit(clean[800:])
    X = samples_of_four(1500, 1)
    X[:, 0] = np.nan
    assert not monitor.update(X).alarm.any()
    noisy = X + np.where(np.arange(8) < 4, 3.0, 0.0) * samples_of_four(1500, 2)
    health = monitor.update(noisy)
    assert health.alarm[50:, 0].mean() > 0.9
    assert not health.alarm[:, 1].any()
