"""Slow processes that all modalities see: residuals of the others show an offset at once."""

import numpy as np
import pytest

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.monitoring import ModalityMonitor
from sklearn_emma.monitoring.failures import OFFSETS
from sklearn_emma.monitoring.residuals import Residuals, combine_with_residuals

SIZES = [2, 2, 2]
USABLE = np.ones(6, dtype=bool)


def process(n_samples, seed=0, own=0.0, sizes=SIZES):
    """Sensors see a common slow process, and each has noise and a slow process of its own."""
    random = np.random.default_rng(seed)
    shocks = random.normal(size=(n_samples, 1 + len(sizes))) * np.sqrt(1 - 0.95**2)
    x = np.zeros(shocks.shape)
    for t in range(1, n_samples):
        x[t] = 0.95 * x[t - 1] + shocks[t]
    each = np.repeat(own * x[:, 1:], sizes, axis=1)
    return x[:, :1] + each + 0.3 * random.normal(size=(n_samples, sum(sizes)))


def learn(values, sizes=SIZES):
    return Residuals(values, sizes, USABLE[: sum(sizes)], np.random.RandomState(0))


def watch(values):
    scorer = DAEEnergyScorer({"a": [0, 1], "b": [2, 3], "c": [4, 5]}, max_epochs=6, random_state=0)
    scorer.fit(values[::2])
    return ModalityMonitor(scorer, ordered=True, random_state=0).fit(values)


@pytest.fixture(scope="module")
def residuals():
    return learn(process(3000))


@pytest.fixture(scope="module")
def monitor():
    return watch(process(3000))


def test_residuals_of_a_common_process_are_almost_independent(residuals):
    own = learn(process(3000, own=1.0))
    assert (residuals.exponents_ > 3.0 * own.exponents_).all()


def test_e_values_of_new_clean_samples_are_at_most_one_on_average(residuals):
    e_values = residuals(process(30_000, seed=1))
    blocks = np.nanmean(e_values.reshape(100, 300, *e_values.shape[1:]), axis=1)
    error = blocks.std(axis=0) / np.sqrt(len(blocks))
    assert (blocks.mean(axis=0) <= 1.0 + 3.0 * error).all()


@pytest.mark.parametrize("columns", [[0, 1], [0]])
def test_each_sample_with_an_offset_is_evidence_against_its_modality_only(residuals, columns):
    z = process(3000, seed=2)
    z[:, columns] += 1.5
    growth = np.nanmean(np.log(residuals(z)), axis=0).max(axis=1)
    assert growth[0] > 1.0
    assert (growth[1:] < 0.2).all()


def test_nothing_is_known_without_a_modality_and_beyond_the_range_of_predictions(residuals):
    z = process(300, seed=3)
    z[50, :2] = np.nan
    z[60, 0] = np.nan
    found = residuals(z)
    assert np.isnan(found[50]).all()
    assert np.isfinite(found[[51, 60]]).all()
    assert np.isnan(residuals(z + 30.0)).all()


def test_residuals_of_samples_with_gaps():
    def with_gaps(z, seed):
        return np.where(np.random.RandomState(seed).uniform(size=z.shape) < 0.2, np.nan, z)

    residuals = learn(with_gaps(process(5000), 1))  # a quarter of the samples are complete
    e_values = residuals(with_gaps(process(30_000, seed=1), 2))
    blocks = np.nanmean(e_values.reshape(100, 300, *e_values.shape[1:]), axis=1)
    error = blocks.std(axis=0) / np.sqrt(len(blocks))
    assert (blocks.mean(axis=0) <= 1.0 + 3.0 * error).all()
    z = process(3000, seed=2)
    z[:, :2] += 1.5
    z[:, 0] = np.nan
    growth = np.nanmean(np.log(residuals(z)), axis=0).max(axis=1)
    assert growth[0] > 0.8
    assert (growth[1:] < 0.2).all()


@pytest.mark.parametrize(
    ("values", "sizes"),
    [(process(3000, sizes=[2]), [2]), (process(3000, sizes=[2, 2]), [2, 2]), (process(900), SIZES)],
)
def test_without_two_others_and_many_samples_the_values_alone_count(values, sizes):
    found = learn(values, sizes)
    assert np.isnan(found(values)).all()
    np.testing.assert_array_equal(found.exponents_, 0.0)
    e_values = np.random.default_rng(0).uniform(size=(len(values), len(sizes), 14))
    worth = np.full(e_values.shape[:2], 0.1)
    both = combine_with_residuals(e_values, found(values), worth, found.exponents_)
    np.testing.assert_array_equal(both, e_values)


@pytest.mark.parametrize(("worth", "exponent"), [(1.0, 1.0), (0.2, 0.4), (0.2, 0.1)])
def test_residuals_must_be_worth_more_than_twice_as_many_samples(worth, exponent):
    random = np.random.default_rng(0)
    e_values, own = random.uniform(size=(5, 3, 14)), random.uniform(size=(5, 3, len(OFFSETS)))
    both = combine_with_residuals(e_values, own, np.full((5, 3), worth), np.full(3, exponent))
    np.testing.assert_array_equal(both, e_values)


def test_combined_e_values_are_e_values():
    random = np.random.default_rng(0)
    e_values = random.exponential(size=(100_000, 1, 14))
    own = random.exponential(size=(100_000, 1, len(OFFSETS)))
    worth = np.full(e_values.shape[:2], 0.1)
    both = combine_with_residuals(e_values**0.1, own, worth, np.ones(1))
    assert both.mean(axis=0).max() <= 1.001
    assert (both[..., OFFSETS] != e_values[..., OFFSETS] ** 0.1).all()
    others = np.delete(np.arange(14), OFFSETS)
    np.testing.assert_array_equal(both[..., others], e_values[..., others] ** 0.1)


@pytest.mark.parametrize("columns", [[2, 3], [2]])
def test_small_offsets_of_a_slow_process_are_found_within_a_few_samples(monitor, columns):
    stream = process(900, seed=5)
    stream[300:600, columns] += 1.5
    health = monitor.reset().update(stream)
    assert not health.alarm[:300].any()
    assert not health.alarm[:, [0, 2]].any()
    assert health.alarm[325:600, 1].all()
    assert (health.kind[325:600, 1] == "offset").mean() > 0.9
    assert not health.alarm[650:].any()


def test_slow_processes_of_each_sensor_raise_no_false_alarms():
    monitor = watch(process(3000, own=0.5))
    assert not monitor.update(process(6000, seed=7, own=0.5)).alarm.any()
