"""Probabilities beyond all clean samples."""

import numpy as np
import pytest

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.monitoring import ModalityMonitor
from sklearn_emma.monitoring.tails import UpperTail, is_discrete


@pytest.mark.parametrize("n_clean", [60, 300])
@pytest.mark.parametrize("scale", [0.5, 1.0])
def test_values_are_as_rare_as_the_tail_says_or_rarer(n_clean, scale):
    rng = np.random.RandomState(0)
    shares = []
    for _ in range(200):
        clean = scale * rng.exponential(size=(n_clean + 2000, 1))
        p = UpperTail(clean[:n_clean]).log_probability(clean[n_clean:])
        shares.append([(p < np.log(level)).mean() for level in (0.01, 0.001)])
    assert (np.mean(shares, axis=0) <= [0.012, 0.0012]).all()
    assert np.mean(shares, axis=0)[0] > 0.003


def test_fewer_samples_have_heavier_tails_and_equal_ones_are_no_error():
    rng = np.random.RandomState(0)
    p = [
        UpperTail(rng.exponential(size=(n, 1))).log_probability(np.full((1, 1), 6.0))
        for n in (60, 2000)
    ]
    assert p[1][0, 0] < p[0][0, 0] - 0.5
    assert np.isfinite(UpperTail(np.zeros((20, 1))).log_probability(np.full((1, 1), 500.0))).all()


def test_only_values_in_the_tail_are_drawn_anew():
    values = np.random.RandomState(0).exponential(size=(100, 2))
    tail = UpperTail(values)
    drawn = tail.draw(values, np.random.RandomState(1))
    assert ((drawn != values) == (values > tail.threshold_)).all()
    assert (drawn[drawn != values] > tail.threshold_.min()).all()


def test_nothing_is_extrapolated_from_discrete_values():
    rng = np.random.RandomState(0)
    values = rng.exponential(size=(300, 2))
    tail = UpperTail(values, np.array([True, False]))
    p = tail.log_probability(np.full((1, 2), 40.0))[0]
    assert p[0] == pytest.approx(-np.log(300))
    assert p[1] == pytest.approx(-np.log(10 * 300))
    drawn = tail.draw(values, rng)
    np.testing.assert_array_equal(drawn[:, 0], values[:, 0])
    assert (drawn[:, 1] != values[:, 1]).any()


def test_flags_are_discrete_and_numbers_that_are_often_zero_are_not():
    rng = np.random.RandomState(0)
    flags = (rng.uniform(size=(300, 2)) < 0.05).astype(float)
    often_zero = np.where(rng.uniform(size=(300, 1)) < 0.7, 0.0, rng.exponential(size=(300, 1)))
    assert is_discrete(flags)
    assert not is_discrete(often_zero)
    assert not is_discrete(np.hstack([flags, rng.normal(size=(300, 1))]))
    assert not is_discrete(np.zeros((300, 2)))


def with_glitches(n_samples, rng):
    """Six dependent columns with a Gaussian core and the tails of a power law."""
    common = rng.normal(size=(n_samples, 1))
    noise = rng.normal(size=(n_samples, 6)) + 0.3 * rng.standard_t(2.5, size=(n_samples, 6))
    return common + noise


def test_outliers_that_calibration_samples_do_not_show_raise_few_alarms():
    modalities, n_alarms = {"a": [0, 1], "b": [2, 3], "c": [4, 5]}, 0
    for seed in range(2):
        rng = np.random.default_rng(seed)
        scorer = DAEEnergyScorer(modalities, max_epochs=10, random_state=0)
        scorer.fit(with_glitches(1000, rng))
        monitor = ModalityMonitor(scorer, random_state=0)
        monitor.fit(with_glitches(1500, rng), reference=with_glitches(1000, rng))
        alarm = monitor.update(with_glitches(20_000, rng)).alarm
        n_alarms += np.sum(alarm[1:] & ~alarm[:-1])
    assert n_alarms <= 4  # one in 10,000 samples
