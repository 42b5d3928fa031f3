"""Slow processes are judged by their innovations: noise and jumps are seen at once."""

import numpy as np
import pytest

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.monitoring import ModalityMonitor
from sklearn_emma.monitoring.autocorrelation import autocorrelation_time
from sklearn_emma.monitoring.failures import FAILURES, LARGEST_NOISE
from sklearn_emma.monitoring.filter import Switches, forward, transitions
from sklearn_emma.monitoring.innovations import Innovations, combine_with_innovations

SIZES = [2, 2, 2]
KINDS = np.array([failure.kind for failure in FAILURES])


def process(n_samples, autocorrelation=0.97, seed=0):
    """Six sensors see a common autoregressive process and one of their own."""
    random = np.random.default_rng(seed)
    shocks = random.normal(size=(n_samples, 7)) * np.sqrt(1 - autocorrelation**2)
    x = np.zeros((n_samples, 7))
    for t in range(1, n_samples):
        x[t] = autocorrelation * x[t - 1] + shocks[t]
    return x[:, :1] + 0.5 * x[:, 1:] + 0.1 * random.normal(size=(n_samples, 6))


@pytest.fixture(scope="module")
def innovations():
    z = process(3000)
    return Innovations(z / z.std(0), SIZES, np.ones(6, dtype=bool), np.random.RandomState(0))


@pytest.fixture(scope="module")
def monitor():
    scorer = DAEEnergyScorer({"a": [0, 1], "b": [2, 3], "c": [4, 5]}, max_epochs=6, random_state=0)
    return ModalityMonitor(scorer, ordered=True, random_state=0).fit(process(3000))


def test_e_values_of_new_clean_samples_are_at_most_one_on_average(innovations):
    z = process(30_000, seed=1)
    e_values = innovations(z / z.std(0), None) ** innovations.exponents_[:, None]
    blocks = e_values.reshape(100, 300, *e_values.shape[1:]).mean(axis=1)
    error = blocks.std(axis=0) / np.sqrt(len(blocks))
    assert (blocks.mean(axis=0) <= 1.0 + 3.0 * error).all()


def test_noise_is_seen_at_once_and_an_offset_when_it_starts_or_ends(innovations):
    z = process(3000, seed=2)
    z /= z.std(0)
    noisy = z.copy()
    noisy[:, :2] += np.random.default_rng(0).normal(scale=1.0, size=(len(z), 2))
    growth = np.log(innovations(noisy, None)).mean(axis=0)
    assert growth[0, : len(FAILURES)][KINDS == "noise"].max() > 1.0
    assert growth[1:, : len(FAILURES)][:, KINDS == "noise"].max() < 0.0
    offset = z.copy()
    offset[1000:2000, :2] += 3.0
    jump = innovations(offset, None)[..., -1]
    assert (jump[[1000, 2000], 0] > 20.0).all()
    assert np.median(jump[1100:1900, 0]) < 1.0
    assert (jump[[1000, 2000], 1:] < 2.0).all()


def test_nothing_is_known_before_the_first_sample_and_where_values_are_missing(innovations):
    z = process(100, seed=3)
    z[50, :2] = np.nan
    z[60, 0] = np.nan
    e_values = innovations(z, None)
    assert (e_values[0] == 1.0).all()
    assert (e_values[[50, 51], 0] == 1.0).all()
    assert (e_values[[50, 51], 1] != 1.0).any(axis=1).all()
    assert (e_values[[49, 52, 60, 61], 0] != 1.0).any(axis=1).all()
    assert np.isfinite(e_values).all()


def test_results_do_not_depend_on_how_a_stream_is_divided(innovations):
    z = process(60, seed=4)
    z[20:23, 2:4] = np.nan
    whole = innovations(z, None)
    recent = np.vstack([np.full((30, 6), np.nan), z])
    parts = [innovations(z[t : t + 1], recent[t : t + 30]) for t in range(len(z))]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-10)


def test_impossible_values_do_not_spoil_the_samples_after_them(innovations):
    z = process(300, seed=6)
    z /= z.std(0)
    spoiled = z.copy()
    wrong = np.r_[100, 150:153, 200]
    spoiled[wrong, :2] = -30.0
    found = innovations(spoiled, None)
    assert (found[[100, 150, 200], 0, -1] > 20.0).all()
    after = np.setdiff1d(np.r_[101:110, 153:162, 201:210], wrong)
    assert np.median(found[after, 0, -1]) < 1.0
    assert np.median(found[after, 0, LARGEST_NOISE]) < 0.1
    # nor does an offset of this size that has ended
    offset = z.copy()
    offset[100:200, :2] -= 30.0
    found = innovations(offset, None)
    assert found[200, 0, -1] > 20.0
    assert np.median(found[202:210, 0, -1]) < 1.0


def test_innovations_of_independent_samples_have_no_effect():
    random = np.random.default_rng(0)
    e_values, own = random.uniform(size=(5, 3, 14)), random.uniform(size=(5, 3, 14))
    found = combine_with_innovations(e_values, own, np.ones((5, 3)))
    np.testing.assert_array_equal(found.lasts, e_values)
    np.testing.assert_array_equal(found.starts, e_values)
    np.testing.assert_array_equal(found.ends, 1.0)


def test_combined_e_values_are_e_values():
    random = np.random.default_rng(0)
    e_values, own = (random.exponential(size=(100_000, 1, 14)) for _ in range(2))
    for worth in (0.1, 0.5, 0.9):
        powered = e_values**worth
        found = combine_with_innovations(powered, own, np.full(e_values.shape[:2], worth))
        for kind in found:
            assert kind.mean() <= 1.001


def test_switches_with_the_likelihoods_of_the_states_change_nothing():
    random = np.random.default_rng(0)
    likelihoods = random.uniform(0.5, 2.0, size=(50, 2, 4))
    start = np.tile(np.eye(1, 4), (2, 1))
    matrix = np.stack([transitions(0.01, rate, np.full(3, 1 / 3)) for rate in (0.1, 0.2)])
    ending = np.broadcast_to(likelihoods[..., :1], (50, 2, 3))
    np.testing.assert_allclose(
        forward(start, matrix, likelihoods, switches=Switches(likelihoods, ending)),
        forward(start, matrix, likelihoods),
    )


@pytest.mark.parametrize("kind", ["noise", "offset"])
def test_failures_of_slow_processes_are_found_within_a_few_samples(monitor, kind):
    stream = process(600, seed=5)
    std = stream.std(0)[2:4]
    stream[300:, 2:4] += {
        "noise": std * np.random.default_rng(0).normal(size=(300, 2)),
        "offset": 20.0 * std,
    }[kind]
    health = monitor.reset().update(stream)
    assert not health.alarm[:300].any()
    assert health.alarm[310:, 1].all()
    assert not health.alarm[:, [0, 2]].any()
    assert 300 <= health.since[-1, 1] <= 306


def test_large_offsets_of_a_slow_process_keep_their_alarm():
    scorer = DAEEnergyScorer({"a": [0, 1], "b": [2, 3], "c": [4, 5]}, max_epochs=6, random_state=0)
    monitor = ModalityMonitor(scorer, ordered=True, random_state=0).fit(process(2500, 0.99))
    stream = process(900, 0.99, seed=5)
    stream[300:, 2:4] += 25.0
    health = monitor.update(stream)
    raised = health.alarm[:, 1].argmax()
    assert 300 <= raised < 500
    assert health.alarm[raised:, 1].all()
    assert health.kind[-1, 1] == "offset"


def test_a_clean_modality_next_to_a_quiet_one_raises_no_alarm():
    modalities = {"a": [0, 1], "b": [2, 3]}
    scorer = DAEEnergyScorer(modalities, max_epochs=6, random_state=0)
    monitor = ModalityMonitor(scorer, ordered=True, random_state=0).fit(process(2000)[:, :4])
    for factor in (0.0, 0.1, 0.3):
        stream = process(1200, seed=8)[:, :4]
        stream[600:, 2:] *= factor
        assert not monitor.reset().update(stream).alarm[:, 0].any()


def test_samples_with_gaps_do_not_calibrate(innovations):
    z = process(4000, seed=9)
    gaps = np.random.RandomState(0).uniform(size=len(z)) < 0.8
    z[gaps, :2] = np.nan
    usable = np.ones(6, dtype=bool)
    with_gaps = Innovations(z / np.nanstd(z, axis=0), SIZES, usable, np.random.RandomState(0))
    new = process(20_000, seed=10)
    new[np.random.RandomState(1).uniform(size=len(new)) < 0.8, :2] = np.nan
    e_values = with_gaps(new / np.nanstd(z, axis=0), None) ** with_gaps.exponents_[:, None]
    known = ~np.isnan(new[:, 1]) & (e_values[:, 0] != 1.0).any(axis=1)
    assert known.sum() > 1000
    assert e_values[known, 0].mean(axis=0).max() < 1.2


@pytest.mark.parametrize("of_clean", [0.0, 0.2])
def test_e_values_of_samples_with_gaps_are_at_most_one_on_average(of_clean):
    def with_gaps(z, fraction, seed):
        return np.where(np.random.RandomState(seed).uniform(size=z.shape) < fraction, np.nan, z)

    clean = process(3000)
    scale = clean.std(axis=0)
    innovations = Innovations(
        with_gaps(clean / scale, of_clean, 2),
        SIZES,
        np.ones(6, dtype=bool),
        np.random.RandomState(0),
    )
    z = with_gaps(process(30_000, seed=1) / scale, 0.2, 3)
    e_values = innovations(z, None) ** innovations.exponents_[:, None]
    blocks = e_values.reshape(100, 300, *e_values.shape[1:]).mean(axis=1)
    error = blocks.std(axis=0) / np.sqrt(len(blocks))
    assert (blocks.mean(axis=0) <= 1.0 + 3.0 * error).all()


def test_noise_is_seen_in_the_columns_that_are_not_missing(innovations):
    z = process(3000, seed=2)
    z /= z.std(0)
    z[:, :2] += np.random.default_rng(0).normal(scale=1.0, size=(len(z), 2))
    z[:, 0] = np.nan
    growth = np.log(innovations(z, None)).mean(axis=0)
    assert growth[0, : len(FAILURES)][KINDS == "noise"].max() > 1.0
    assert growth[1:, : len(FAILURES)][:, KINDS == "noise"].max() < 0.0


def test_a_column_that_reports_less_often_is_predicted_from_its_last_value():
    def rarely(z):
        z = z.copy()
        z[np.arange(len(z)) % 3 > 0, :2] = np.nan
        return z

    clean = process(6000)
    scale = clean.std(axis=0)
    usable = np.ones(6, dtype=bool)
    innovations = Innovations(rarely(clean / scale), SIZES, usable, np.random.RandomState(0))
    assert innovations.follows_gaps_.tolist() == [True, True, False, False, False, False]
    z = process(3000, seed=2) / scale
    z[:, :2] += np.random.default_rng(0).normal(scale=1.0, size=(len(z), 2))
    reported = np.log(innovations(rarely(z), None))[::3, 0, : len(FAILURES)]
    assert reported[5:, KINDS == "noise"].mean(axis=0).max() > 1.0


def test_a_modality_may_be_missing_in_one_half_of_the_clean_samples():
    clean = process(600)
    clean[:300, :2] = np.nan
    scorer = DAEEnergyScorer({"a": [0, 1], "b": [2, 3], "c": [4, 5]}, max_epochs=3, random_state=0)
    scorer.fit(process(600, seed=1))
    monitor = ModalityMonitor(scorer, ordered=True, random_state=0)
    health = monitor.fit(clean, reference=process(600, seed=1)).update(process(300, seed=2))
    assert np.isfinite(health.failing).all()


def test_few_clean_samples_show_nothing_about_innovations():
    z = process(150)
    few = Innovations(z / z.std(0), SIZES, np.ones(6, dtype=bool), np.random.RandomState(0))
    assert (few(process(50, seed=1), None) == 1.0).all()


def test_an_alarm_is_cleared_when_the_sensor_recovers(monitor):
    stream = process(600, seed=6)
    stream[200:300, 2:4] += 20.0 * stream.std(0)[2:4]
    alarm = monitor.reset().update(stream).alarm[:, 1]
    assert alarm[290:300].all()
    assert not alarm[500:].any()  # within three autocorrelation times


def test_gaps_between_samples_raise_no_alarm(monitor):
    stream = process(10_000, seed=7)
    in_parts = stream.reshape(200, 50, 6)[np.random.RandomState(0).permutation(200)].reshape(-1, 6)
    assert not monitor.reset().update(in_parts).alarm.any()
    assert not monitor.reset().update(stream[::7]).alarm.any()


def test_the_autocorrelation_time_is_that_of_the_process():
    x = process(50_000, autocorrelation=0.9)[:, 0]
    assert 15 < autocorrelation_time(x) < 30  # (1 + 0.9) / (1 - 0.9) = 19
    assert autocorrelation_time(np.random.RandomState(0).normal(size=5000)) < 1.2
