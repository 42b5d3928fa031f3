"""Slow processes, and sensors with few values: failures raise alarms, clean samples do not."""

import warnings

import numpy as np
import pandas as pd
import pytest

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.monitoring import ModalityMonitor
from sklearn_emma.monitoring.filter import forward, highest_odds, slow_recovery, transitions

N_CLEAN = 2500


def slow_process(autocorrelation, seed=0, n_samples=9000):
    """Three sensors with two columns each see an autoregressive process, with noise."""
    random = np.random.default_rng(seed)
    process, shocks = np.zeros(n_samples), random.normal(size=n_samples)
    for t in range(1, n_samples):
        process[t] = autocorrelation * process[t - 1]
        process[t] += np.sqrt(1.0 - autocorrelation**2) * shocks[t]
    return pd.DataFrame(
        {f"{s}__{k}": process + 0.3 * random.normal(size=n_samples) for s in "abc" for k in (1, 2)}
    )


def counts(kind, seed=0, n_samples=12_000):
    """Independent samples of three sensors with few values."""
    random = np.random.default_rng(seed)
    common = random.normal(size=n_samples)
    columns = {}
    for name in ("a__1", "a__2", "b__1", "b__2", "c__1", "c__2"):
        x = common + 0.5 * random.normal(size=n_samples)
        columns[name] = {
            "on and off": (x > 1.0).astype(float),
            "often zero": np.where(x > 1.2, np.exp(x), 0.0),
            "counts": random.poisson(np.exp(x)).astype(float),
            "rounded": x.round(),
        }[kind]
    return pd.DataFrame(columns)


def scorer():
    return DAEEnergyScorer("prefix", max_epochs=6, random_state=0)


def delay(monitor, stream, fail, start=300):
    """Return the number of samples until sensor a has an alarm, after it starts to fail."""
    monitor.reset()
    stream = stream.copy()
    stream.iloc[start:, :2] = fail(stream.iloc[start:, :2].to_numpy())
    alarm = monitor.update(stream).alarm
    assert not alarm[:start].any()
    return int(alarm[start:, 0].argmax()) if alarm[start:, 0].any() else np.inf


def stuck(values):
    return np.tile(values[0], (len(values), 1))


def rare_flags(n_samples, random):
    """Independent samples of three sensors with two flags each, which are seldom set."""
    common = random.normal(size=(n_samples, 1))
    flags = [0.7 * common + 0.7 * random.normal(size=(n_samples, 2)) > 2.2 for _ in "abc"]
    columns = [f"{s}__{k}" for s in "abc" for k in (1, 2)]
    return pd.DataFrame(np.hstack(flags).astype(float), columns=columns)


@pytest.fixture(scope="module")
def slow():
    """Monitor of a slow process, and a clean stream."""
    X = slow_process(0.98)
    return ModalityMonitor(scorer(), ordered=True, random_state=0).fit(X[:N_CLEAN]), X[N_CLEAN:]


def test_failures_of_slow_processes_raise_alarms(slow):
    monitor, stream = slow
    assert delay(monitor, stream[:1000], lambda x: x + 30.0) < 20
    assert delay(monitor, stream[:1000], lambda x: x + 3.0) < 150
    noise = np.random.default_rng(1).normal(scale=2.0, size=(700, 2))
    assert delay(monitor, stream[:1000], lambda x: x + noise) < 20


def test_intermittent_failures_of_slow_processes_raise_alarms(slow):
    monitor, stream = slow
    stream = stream[:1000].copy()
    wrong = np.arange(300, 900, 8)
    stream.iloc[wrong, :2] = np.random.default_rng(2).normal(scale=4.0, size=(len(wrong), 2))
    alarm = monitor.reset().update(stream).alarm
    assert not alarm[:300].any()
    assert not alarm[:, 1:].any()
    assert alarm[400:900, 0].mean() > 0.9
    assert not alarm[960:].any()


def test_wrong_codes_are_an_intermittent_failure_that_closes_the_gate_only_when_it_shows(slow):
    monitor, stream = slow
    stream = stream[:1000].copy()
    wrong = np.random.default_rng(3).choice(np.arange(300, 900), size=60, replace=False)
    stream.iloc[wrong, :2] = -999.0
    health = monitor.reset().update(stream)
    assert not health.alarm[:300].any()
    assert not health.alarm[:, 1:].any()
    assert health.alarm[500:900, 0].all()
    assert (health.kind[500:900, 0] == "intermittent").mean() > 0.9
    usable = np.setdiff1d(np.arange(500, 900), wrong)
    assert np.median(health.evidence[usable, 0]) < 0.1


def test_single_wrong_samples_of_slow_processes_raise_no_alarm(slow):
    monitor, stream = slow
    stream = stream[:3000].copy()
    stream.iloc[[500, 1500, 2500], :2] = -30.0
    assert not monitor.reset().update(stream).alarm.any()


def test_slow_processes_raise_no_false_alarms(slow):
    monitor, stream = slow
    monitor.reset()
    assert not monitor.update(stream).alarm.any()


@pytest.mark.parametrize("n_decimals", [pytest.param(2, marks=pytest.mark.slow), 1])
def test_stuck_sensors_with_equal_clean_samples_are_found(n_decimals):
    X = slow_process(0.98).round(n_decimals)
    assert X[:2000].duplicated(subset=["a__1", "a__2"]).any()
    monitor = ModalityMonitor(scorer(), ordered=True, random_state=0).fit(X[:2000])
    assert delay(monitor, X[2000:2600], stuck) < 10


def test_few_clean_samples_in_order_are_a_warning():
    fitted = scorer().fit(slow_process(0.5)[:300])
    with pytest.warns(UserWarning, match="on 60 clean samples .* more false alarms"):
        ModalityMonitor(fitted, ordered=True).fit(
            slow_process(0.5)[:60], reference=slow_process(0.5)[:300]
        )


def test_an_alarm_that_cannot_be_raised_is_a_warning():
    monitor = ModalityMonitor(scorer(), false_alarms=0.1, ordered=True, random_state=0)
    own = pd.concat(
        [slow_process(0.995, i)[:2000].iloc[:, 2 * i : 2 * i + 2] for i in range(3)], axis=1
    )
    with pytest.warns(
        UserWarning,
        match=r"'a' \(\d+ samples are worth one independent sample\).* drift.*hardly raise",
    ):
        monitor.fit(own)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ModalityMonitor(scorer(), ordered=True, random_state=0).fit(slow_process(0.5)[:1000])


@pytest.mark.parametrize(
    "kind",
    [
        "on and off",
        pytest.param("often zero", marks=pytest.mark.slow),
        pytest.param("counts", marks=pytest.mark.slow),
        pytest.param("rounded", marks=pytest.mark.slow),
    ],
)
def test_sensors_with_few_values_raise_no_more_false_alarms_than_requested(kind):
    X = counts(kind, seed=3)
    monitor = ModalityMonitor(scorer(), random_state=0).fit(X[:2000])
    alarm = monitor.update(X[2000:]).alarm
    # one is expected, and more than three are rare
    assert (alarm[1:] & ~alarm[:-1]).sum() <= 3
    assert delay(monitor, X[5000:6000], stuck) < 100


def test_the_filter_approaches_the_highest_odds():
    h, r, e = 0.001, np.array([0.01, 0.002]), np.array([1.05, 1.01])
    A = np.stack([transitions(h, rate, np.ones(1)) for rate in r])
    likelihoods = np.stack([np.ones(2), e], axis=1)[None].repeat(20_000, axis=0)
    p = forward(np.array([[1.0, 0.0]] * 2), A, likelihoods)[-1]
    np.testing.assert_allclose(p[:, 1] / p[:, 0], highest_odds(e, h, r))


def test_recovery_is_slower_for_slow_processes_but_not_slower_than_failures_start():
    rates = slow_recovery(0.01, 0.001, np.array([1.0, 0.5, 0.001]))
    np.testing.assert_allclose(rates, [0.01, 0.005, 0.001])


def test_values_of_single_precision_are_as_frequent_as_those_of_double_precision():
    random = np.random.RandomState(0)
    X = random.standard_normal((4000, 3))
    X[np.cumsum(random.uniform(size=4000) < 0.3) % 2 == 1, 0] = 0.1  # a switch that rests at 0.1
    monitor = ModalityMonitor(DAEEnergyScorer({"a": [0], "b": [1], "c": [2]}, max_epochs=3))
    monitor.set_params(ordered=True, random_state=0, estimator__random_state=0).fit(X[:1500])
    double = monitor.update(X[1500:])
    single = monitor.reset().update(X[1500:].astype(np.float32))
    assert not double.alarm.any()
    assert not single.alarm.any()
    np.testing.assert_allclose(single.failing, double.failing, atol=0.01)


def test_failures_of_a_slow_process_are_dated():
    X = slow_process(0.99, n_samples=6000)
    monitor = ModalityMonitor(scorer(), ordered=True, random_state=0).fit(X[:4000])
    stuck, offset = X[4000:].copy(), X[4000:].copy()
    stuck.iloc[1500:, :2] = stuck.iloc[1500, :2].to_numpy()
    offset.iloc[1500:, :2] += 4.0
    for stream, error in ((stuck, 5), (offset, 150)):
        health = monitor.reset().update(stream)
        assert abs(health.since[-1, 0] - 1500) < error


def test_clean_samples_in_which_a_sensor_is_stuck_give_a_warning():
    X = slow_process(0.5, n_samples=1500)
    X.iloc[1200:1400, :2] = X.iloc[1200, :2].to_numpy()
    fitted = scorer().fit(X[:700])
    with pytest.warns(UserWarning, match="modality 'a' repeats its values for so long"):
        ModalityMonitor(fitted, ordered=True, random_state=0).fit(X[700:], reference=X[:700])


def test_rare_combinations_of_flags_raise_no_more_false_alarms_than_requested():
    n_alarms = []
    for seed in (0, 8):
        random = np.random.default_rng(seed)
        train, clean = rare_flags(1000, random), rare_flags(1000, random)
        monitor = ModalityMonitor(scorer().fit(train), random_state=0).fit(clean, reference=train)
        alarm = monitor.update(rare_flags(10_000, random)).alarm
        n_alarms.append((alarm[1:] & ~alarm[:-1]).sum())
    # two are expected
    assert sum(n_alarms) <= 6
