"""The statistics of single samples."""

import numpy as np
import pytest

from sklearn_emma.monitoring.statistics import SampleStatistics


def test_offsets_noise_and_gain_move_statistics_of_their_own():
    rng = np.random.RandomState(0)
    common = rng.standard_normal((2000, 1))
    table = common + 0.3 * rng.standard_normal((2000, 6))
    statistics = SampleStatistics(table, [4, 2])
    z = statistics.relative(table)
    none = np.zeros((2000, 2))

    def medians(z):
        return np.median(statistics(z, none, none), axis=0)[0]

    clean = medians(z)
    offset, noisy, larger = z.copy(), z.copy(), z.copy()
    offset[:, :4] += 1
    noisy[:, :4] += rng.standard_normal((2000, 4))
    larger[:, :4] *= 3
    assert medians(offset)[4] > clean[4] + 0.5
    assert medians(noisy)[6] > clean[6] + 1
    assert medians(larger)[7] > medians(noisy)[7] + 0.2
    assert medians(noisy)[8] > clean[8] + 1


def test_a_single_modality_and_gaps_are_no_problem():
    rng = np.random.RandomState(0)
    table = rng.standard_normal((50, 3))
    table[::5, 1] = np.nan
    table[:, 2] = np.nan
    statistics = SampleStatistics(table, [3])
    found = statistics(statistics.relative(table), np.zeros((50, 1)), np.zeros((50, 1)))
    assert found.shape == (50, 1, 10)
    assert np.isfinite(found).all()


def test_the_largest_other_is_that_of_another_modality():
    statistics = SampleStatistics(np.random.RandomState(0).standard_normal((50, 3)), [1, 1, 1])
    energy = np.sinh([[3.0, 1.0, 2.0], [5.0, 5.0, 0.0]])
    found = statistics(np.zeros((2, 3)), energy, np.zeros((2, 3)))
    np.testing.assert_allclose(found[..., 2], [[2, 3, 3], [5, 5, 5]])


def test_a_column_is_constant_whatever_its_value():
    rng = np.random.RandomState(0)
    table = np.column_stack([rng.standard_normal(50), np.full(50, 0.1), np.full(50, 0.5)])
    statistics = SampleStatistics(table, [2, 1])
    assert statistics.varies_.tolist() == [True, False, False]
    np.testing.assert_array_equal(statistics.scale_[1:], 1.0)


def test_samples_with_gaps_have_the_statistics_of_complete_ones():
    rng = np.random.RandomState(0)
    common = rng.standard_normal((3000, 1))
    table = common + 0.3 * rng.standard_normal((3000, 8))
    statistics = SampleStatistics(table, [4, 4])
    z = statistics.relative(table)
    gaps = z.copy()
    gaps[:, 0] = np.nan
    none = np.zeros((3000, 2))
    complete, partial = statistics(z, none, none)[:, 0], statistics(gaps, none, none)[:, 0]
    # mean squares have the same mean and spread, however many values there are
    for position in (5, 6, 8):
        few, all_ = (np.exp(found[:, position]) for found in (partial, complete))
        assert few.mean() == pytest.approx(all_.mean(), abs=0.03)
        assert few.std() == pytest.approx(all_.std(), rel=0.15)
    assert abs(partial[:, 4] - complete[:, 4]).mean() < 0.2  # the matched filter hardly changes
    filled = statistics.filled(gaps)
    assert (filled[:, 0] - z[:, 0]).std() < 0.5
    gaps[:, :4] = np.nan
    np.testing.assert_array_equal(statistics.filled(gaps)[:, :4], 0.0)
