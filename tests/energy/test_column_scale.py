"""What is read off the columns before training: scales that fit, and noise that fits."""

import numpy as np
import pytest

from sklearn_emma.energy.column_scale import (
    column_scale,
    limit_extreme_values,
    mean_and_deviation,
    target_scale,
)
from sklearn_emma.energy.column_scale import noise_range as range_of_view
from sklearn_emma.energy.views import EnergyView

scalings = pytest.mark.parametrize("scaling", ["standard", "robust"])


def scale(table, scaling, weight=None):
    weight = np.ones(len(table)) if weight is None else weight
    return column_scale(table, weight / weight.mean(), scaling)


def noise_range(table, seed=0, noise="auto", **params):
    return range_of_view(table, EnergyView(noise, **params), seed)


def normal(n_samples=500, n_columns=3, seed=0):
    return np.random.RandomState(seed).normal(size=(n_samples, n_columns))


# Scales


def test_standard_is_mean_and_standard_deviation():
    table = normal() * [1.0, 20.0, 0.1] + [0.0, 5.0, -3.0]
    center, width = scale(table, "standard")
    np.testing.assert_allclose(center, table.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(width, table.std(axis=0))


def test_robust_is_median_and_interquartile_range():
    table = normal() * [1.0, 20.0, 0.1] + [0.0, 5.0, -3.0]
    center, width = scale(table, "robust")
    np.testing.assert_allclose(center, np.median(table, axis=0))
    low, high = np.quantile(table, [0.25, 0.75], axis=0)
    np.testing.assert_allclose(width, (high - low) / 1.349)
    # which for normal columns is about the same
    np.testing.assert_allclose(width, table.std(axis=0), rtol=0.15)


def test_robust_scale_follows_the_bulk_of_the_samples():
    table = np.r_[normal(900), 20.0 + normal(100)]
    (robust_center, robust), (center, standard) = (
        scale(table, name) for name in ("robust", "standard")
    )
    assert (np.abs(robust_center) < 0.5 * center).all()
    assert (robust < standard).all()


def test_robust_scale_is_at_least_half_the_standard_deviation():
    # most values are equal, and the quartiles among them
    table = np.r_[np.zeros((60, 2)), normal(40, 2)]
    _, width = scale(table, "robust")
    np.testing.assert_allclose(width, 0.5 * table.std(axis=0))


@scalings
@pytest.mark.parametrize("value", [0.0, -7.25, 1e-200, 0.1, 1e9, 1e200])
def test_constant_columns_have_scale_one(scaling, value):
    table = np.column_stack([normal(50, 1), np.full(50, value)])
    center, width = scale(table, scaling)
    assert center[1] == pytest.approx(value)
    assert width[1] == 1.0
    assert width[0] != 1.0


@scalings
@pytest.mark.parametrize("unit", [1e-200, 1e-9, 1.0, 1e12, 1e200])
def test_units_do_not_matter(scaling, unit):
    table = normal()
    (center, width), (plain_center, plain) = scale(unit * table, scaling), scale(table, scaling)
    np.testing.assert_allclose(center, unit * plain_center, rtol=1e-9, atol=1e-12 * unit)
    np.testing.assert_allclose(width, unit * plain, rtol=1e-9)


@scalings
def test_far_from_zero_nothing_cancels(scaling):
    table = normal()
    (center, width), (plain_center, plain) = scale(1e9 + table, scaling), scale(table, scaling)
    # doubles near 1e9 are 1e-7 apart
    np.testing.assert_allclose(center - 1e9, plain_center, atol=1e-5)
    np.testing.assert_allclose(width, plain, atol=1e-5)


@scalings
def test_weights_count_like_repeated_samples(scaling):
    table = normal(400)
    weight = np.random.RandomState(1).randint(1, 6, size=400).astype(float)
    table[:, 0] += 0.5 * (weight > 3)
    repeated = np.repeat(table, weight.astype(int), axis=0)
    (center, width), (expected_center, expected) = (
        scale(table, scaling, weight),
        scale(repeated, scaling),
    )
    # between two values a quantile is not the same under every definition
    np.testing.assert_allclose(center, expected_center, atol=0.02)
    np.testing.assert_allclose(width, expected, rtol=0.02)
    unweighted, _ = scale(table, scaling)
    assert np.abs(unweighted - expected_center)[0] > 0.05


@scalings
def test_equal_weights_are_no_weights(scaling):
    table = normal(50)
    np.testing.assert_allclose(scale(table, scaling, np.full(50, 3.7)), scale(table, scaling))


@scalings
@pytest.mark.parametrize("value", [-9999.0, 1e9, -1e30])
def test_a_wild_value_hardly_stretches_the_scale(scaling, value):
    table = np.column_stack([normal(), np.r_[np.zeros(400), 1.0 + normal(100, 1)[:, 0]]])
    center, width = scale(table, scaling)
    table[7] = value
    with_it, wider = scale(table, scaling)
    np.testing.assert_allclose(with_it, center, atol=0.15)
    # where most values are equal, what is wild is less clear
    assert (np.abs(wider / width - 1.0) < [0.4, 0.4, 0.4, 2.0]).all()


def test_values_are_drawn_in_to_five_ranges_beyond_the_middle_and_no_further():
    table = np.r_[np.linspace(0.0, 4.0, 101), 60.0, -1e5][:, None]
    drawn = limit_extreme_values(table, np.ones(len(table)))
    low, high = np.quantile(table, [0.05, 0.95])
    np.testing.assert_allclose(drawn.min(), low - 5.0 * (high - low))
    np.testing.assert_allclose(drawn.max(), high + 5.0 * (high - low))
    np.testing.assert_array_equal(drawn[:101], table[:101])


@pytest.mark.parametrize("share", [0.002, 0.3])
def test_rare_values_of_a_column_are_not_wild(share):
    # a flag that is seldom set has no middle that varies
    flag = (np.arange(1000) < 1000 * share).astype(float)[:, None]
    np.testing.assert_array_equal(limit_extreme_values(flag, np.ones(1000)), flag)


def test_gaps_and_weights_do_not_disturb_what_is_wild():
    table, weight = normal(), np.random.RandomState(1).uniform(0.5, 1.5, size=500)
    table[3], table[::7, 0], table[:, 2] = 1e6, np.nan, np.nan
    drawn = limit_extreme_values(table, weight)
    assert (drawn[3] < 30.0)[:2].all()
    np.testing.assert_array_equal(np.isnan(drawn), np.isnan(table))
    np.testing.assert_array_equal(np.delete(drawn, 3, axis=0), np.delete(table, 3, axis=0))


def test_a_sample_of_hardly_any_weight_hardly_counts():
    table, weight = normal(), np.ones(500)
    table[0], weight[0] = 1e3, 1e-12
    for scaling in ("standard", "robust"):
        with_it, without = scale(table, scaling, weight), scale(table[1:], scaling)
        np.testing.assert_allclose(with_it, without, atol=0.02)


def test_deviation_of_columns_with_gaps():
    table = np.array([[1.0, 4.0, np.nan], [3.0, np.nan, np.nan], [5.0, 8.0, np.nan]])
    mean, deviation, constant = mean_and_deviation(table, np.ones(3))
    np.testing.assert_allclose(mean, [3.0, 6.0, np.nan])
    np.testing.assert_allclose(deviation, [np.sqrt(8 / 3), 2.0, np.nan])
    assert constant.tolist() == [False, False, False]


@pytest.mark.parametrize("offset", [0.0, 0.1, 3.7, 9.81, -1e9, 1e200])
@pytest.mark.parametrize("n_samples", [7, 300, 20_000])
def test_rounding_is_no_variation(offset, n_samples):
    # the sum of many samples has a larger rounding error than each of them
    table, weight = np.full((n_samples, 2), offset), np.full(n_samples, 1 / 3)
    table[0, 1], weight[0] = 5.0, 0.0
    _, _, constant = mean_and_deviation(table, weight)
    assert constant.tolist() == [True, True]
    assert scale(table, "standard", weight)[1].tolist() == [1.0, 1.0]
    table = np.array([[1.0], [1.0], [1.0 + 1e-12]])
    assert mean_and_deviation(table, np.ones(3))[2].tolist() == [False]


# Noise


@pytest.mark.parametrize("ratio", [1.0, 4.0, np.inf])
@pytest.mark.parametrize("step", [0.2, 0.9])
def test_lowest_noise_is_the_distance_between_neighbors_per_column(step, ratio):
    # on a grid every nearest neighbor is a step away
    steps = step * np.arange(6)
    grid = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
    low, high = noise_range(grid, noise_ratio=ratio)
    assert low == pytest.approx(step / 3**0.5)
    # so many times as much, but at most one scale
    assert high == pytest.approx(min(ratio * step / 3**0.5, 1.0))


@pytest.mark.parametrize("noise", [0.01, 2.5, (0.3, 0.3), [0.1, 5.0]])
def test_noise_that_is_asked_for_is_what_there_is(noise):
    low, high = noise if isinstance(noise, (tuple, list)) else (noise, noise)
    assert noise_range(normal(40), noise=noise) == (low, high)
    assert noise_range(normal(1), noise=noise) == (low, high)


@pytest.mark.parametrize("n_columns", [2, 5])
def test_denser_samples_need_less_noise(n_columns):
    levels = [noise_range(normal(n, n_columns), 0)[0] for n in (30, 200, 1500)]
    assert 1.0 > levels[0] > levels[1] > levels[2] > 0.03


def test_columns_that_say_the_same_need_no_more_noise_than_one():
    one = noise_range(normal(200, 1) * 5, 0)[0]
    assert noise_range(np.repeat(normal(200, 1) * 5, 4, axis=1), 0)[0] == pytest.approx(one)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 30])
def test_equal_samples_get_the_lowest_noise_there_is(n):
    assert noise_range(np.ones((n, 2)), 0) == noise_range(np.ones((50, 2)), 0)


def test_few_distinct_samples_get_the_lowest_noise_there_is():
    for table in (np.repeat(normal(8), 5, axis=0), np.zeros((20, 3))):
        low, high = noise_range(table, 0)
        assert low == 0.03
        assert low < high <= 1.0


def test_samples_that_repeat_get_the_noise_of_the_distinct_ones():
    """Their nearest neighbors are at a distance of zero, which says nothing about noise."""
    once = noise_range(normal(200), 0)
    assert once[0] > 0.05
    for times in (2, 4):
        assert noise_range(np.repeat(normal(200), times, axis=0), 0) == pytest.approx(once)
    drawn = np.random.default_rng(0).integers(200, size=200)
    assert noise_range(normal(200)[drawn], 0) == pytest.approx(once, rel=0.3)


def test_samples_far_apart_get_noise_of_one_scale():
    assert noise_range(1e3 * normal(40), 0) == (1.0, 1.0)


def test_one_or_two_samples_have_a_range():
    assert noise_range(np.array([[0.0, 0.0], [0.3, 0.4]]))[0] == pytest.approx(0.5 / 2**0.5)
    low, high = noise_range(normal(1))
    assert 0.03 <= low <= high <= 1.0


def test_of_many_samples_some_are_enough():
    table = normal(6000, 2)
    low = noise_range(table, 0)[0]
    assert noise_range(table, 0)[0] == low
    assert noise_range(table, 1)[0] == pytest.approx(low, rel=0.2)
    assert low == pytest.approx(noise_range(table[:2000], 0)[0], rel=0.2)


# What a regression predicts


def test_squared_error_scales_with_mean_and_deviation():
    y, weight = normal() * [1.0, 50.0, 1e-3] + 7.0, np.arange(500.0)
    center, scale = target_scale(y, weight, "squared_error")
    mean, deviation, _ = mean_and_deviation(y, weight)
    np.testing.assert_array_equal(center, mean)
    np.testing.assert_array_equal(scale, deviation)


@pytest.mark.parametrize("loss", ["absolute_error", "quantile"])
def test_other_losses_scale_with_quartiles_that_wild_values_do_not_move(loss):
    y, weight = 3.0 * normal(20_000, 1) + 5.0, np.ones(20_000)
    y[:1000] = 1e6
    center, scale = target_scale(y, weight, loss)
    assert center == pytest.approx(5.0, abs=0.3)
    assert scale == pytest.approx(3.0, abs=0.3)


def test_targets_of_equal_quartiles_scale_with_their_deviation():
    y = np.where(np.arange(100) < 10, 10.0, 0.0)[:, None]
    center, scale = target_scale(y, np.ones(100), "absolute_error")
    assert center == 0
    assert scale == pytest.approx(3.0)


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
@pytest.mark.parametrize("value", [0.0, 1e9 + 0.1])
def test_the_scale_of_a_constant_target_is_zero(loss, value):
    center, scale = target_scale(np.full((9, 1), value), np.arange(1.0, 10.0), loss)
    assert center == pytest.approx(value)
    assert scale == 0


@pytest.mark.parametrize("wild", [1e4, 1e12, 9.97e36, 1e300])
def test_a_wild_target_does_not_change_a_robust_scale(wild):
    y = normal(400, 1)
    scaled = target_scale(y, np.ones(400), "absolute_error")
    y[0] = wild
    for part, other in zip(target_scale(y, np.ones(400), "absolute_error"), scaled, strict=True):
        np.testing.assert_allclose(part, other, atol=0.02)
