"""The values that a failing modality takes."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

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

GROUPS = {"a": [0, 1], "b": [2, 3, 4], "c": [5]}


@pytest.mark.parametrize("sigma", [0.0, 0.5, 8])
def test_noise_has_the_chosen_standard_deviation_in_units_of_the_reference(sigma, make_table):
    reference = make_table(5000)
    X = make_table(20_000, seed=1) * 3
    X_noisy, _ = Noise(sigma, n_corrupted=3).corrupt(X, GROUPS, 0, reference)
    noise = (X_noisy - X) / reference.std(axis=0)
    assert_allclose(noise.std(axis=0), sigma, rtol=0.03)
    assert_allclose(noise.mean(axis=0), 0, atol=0.03 * sigma)
    assert_allclose(np.corrcoef(noise.T) if sigma else np.eye(6), np.eye(6), atol=0.03)


@pytest.mark.parametrize(("low", "median"), [(0.01, 0.1), (0.0, 0.5)])
def test_noise_of_a_range_is_log_uniform_or_uniform_from_zero(low, median):
    X = np.random.default_rng(0).normal(size=(1000, 800))
    X_noisy, _ = Noise((low, 1.0)).corrupt(X, random_state=0)
    sigma = (X_noisy - X).std(axis=1)
    assert low * 0.9 <= sigma.min() < low + 0.01
    assert 0.97 < sigma.max() < 1.1
    assert np.median(sigma) == pytest.approx(median, rel=0.15)


def test_noise_by_snr_has_the_ratio_in_decibels(make_table):
    X = make_table(20_000)
    for snr_db in (-10.0, 0.0, 6.0):
        X_noisy, _ = NoiseSNR(snr_db, n_corrupted=3).corrupt(X, GROUPS, random_state=0)
        measured = 20 * np.log10(X.std(axis=0) / (X_noisy - X).std(axis=0))
        assert_allclose(measured, snr_db, atol=0.2)


def test_noise_by_a_range_of_snr_is_uniform_in_decibels():
    X = np.random.default_rng(0).normal(size=(2000, 800))
    X_noisy, _ = NoiseSNR((0, 20)).corrupt(X, random_state=0)
    measured = -20 * np.log10((X_noisy - X).std(axis=1))
    assert_allclose(
        np.quantile(measured, [0.01, 0.25, 0.5, 0.75, 0.99]), [0, 5, 10, 15, 20], atol=1
    )


def test_missing_is_nan_in_the_whole_modality(make_table):
    X_missing, indicator = Missing().corrupt(make_table(), GROUPS, random_state=0)
    for i, columns in enumerate(GROUPS.values()):
        expected = np.repeat(indicator[:, [i]] == -1, len(columns), axis=1)
        assert_array_equal(np.isnan(X_missing[:, columns]), expected)


def test_swapped_values_come_from_one_other_sample_of_the_reference(make_table):
    X = make_table(50)
    X_swapped, _ = Swapped(only="b").corrupt(X, GROUPS, random_state=0)
    match = (X_swapped[:, None, 2:5] == X[None, :, 2:5]).all(axis=2)
    assert_array_equal(match.sum(axis=1), 1)
    assert not match.diagonal().any()

    reference = make_table(5, seed=1)
    X_swapped, _ = Swapped(only="b").corrupt(X, GROUPS, 0, reference)
    match = (X_swapped[:, None, 2:5] == reference[None, :, 2:5]).all(axis=2)
    assert_array_equal(match.sum(axis=1), 1)
    assert match.any(axis=0).all()


def test_two_samples_always_swap():
    for seed in range(20):
        assert_array_equal(Swapped().corrupt([[1.0], [2.0]], random_state=seed)[0], [[2], [1]])


def test_stuck_samples_share_one_value_drawn_from_the_reference_or_given(make_table):
    X = make_table(50)
    values = {
        tuple(np.unique(Stuck(only="b").corrupt(X, GROUPS, seed)[0][:, 2:5], axis=0).squeeze())
        for seed in range(10)
    }
    assert len(values) > 3
    assert values <= {tuple(row) for row in X[:, 2:5]}
    X_stuck, _ = Stuck(value=-1, only="b").corrupt(X, GROUPS, random_state=0)
    assert_array_equal(X_stuck[:, 2:5], -1)


def test_drift_moves_all_features_of_a_sample_by_the_same_number_of_deviations(make_table):
    X = make_table(5000)
    X_drifted, _ = Drift(offset=2, only="b").corrupt(X, GROUPS, random_state=0)
    t = (X_drifted - X)[:, 2:5] / X.std(axis=0)[2:5]
    assert_allclose(t - t[:, :1], 0, atol=1e-9)
    t = t[:, 0]
    assert_allclose(np.quantile(np.abs(t), [0, 0.25, 0.5, 0.75, 1]), [0, 0.5, 1, 1.5, 2], atol=0.1)
    assert np.mean(t > 0) == pytest.approx(0.5, abs=0.05)
    assert (t != 0).all()


def test_ordered_drift_grows_linearly_in_one_direction(make_table):
    X = make_table(100)
    directions = set()
    for seed in range(10):
        X_drifted, _ = Drift(offset=3, ordered=True, only="c").corrupt(X, GROUPS, seed)
        t = (X_drifted - X)[:, 5] / X[:, 5].std()
        assert_allclose(np.abs(t), 3 * np.arange(1, 101) / 100)
        assert len(set(np.sign(t))) == 1
        directions.add(np.sign(t[0]))
    assert directions == {-1, 1}


def test_scaling_multiplies_deviations_from_the_mean_log_uniformly(make_table):
    X = make_table(5000)
    X_scaled, _ = Scaling(factor=4, only="b").corrupt(X, GROUPS, random_state=0)
    mean = X.mean(axis=0)
    factor = ((X_scaled - mean) / (X - mean))[:, 2:5]
    assert_allclose(factor, factor[:, [0]].repeat(3, axis=1), rtol=1e-6)
    log_factor = np.log(factor[:, 0]) / math.log(4)
    assert_allclose(
        np.quantile(log_factor, [0, 0.25, 0.5, 0.75, 1]), [-1, -0.5, 0, 0.5, 1], atol=0.05
    )


def test_mixture_draws_one_corruption_per_failing_modality_with_its_probability(make_table):
    X = make_table(20_000)
    mixture = Mixture(
        [Stuck(1e6), Missing(), Stuck(-1e6)], probabilities=[0.2, 0.5, 0.3], n_corrupted=3
    )
    X_corrupted, _ = mixture.corrupt(X, GROUPS, random_state=0)
    kinds = np.column_stack([X_corrupted[:, c[0]] for c in GROUPS.values()])
    for i, columns in enumerate(GROUPS.values()):
        assert_array_equal(X_corrupted[:, columns], kinds[:, [i]].repeat(len(columns), axis=1))
    assert_allclose((kinds == 1e6).mean(axis=0), 0.2, atol=0.02)
    assert_allclose(np.isnan(kinds).mean(axis=0), 0.5, atol=0.02)
    assert_allclose((kinds == -1e6).mean(axis=0), 0.3, atol=0.02)
    both_missing = np.isnan(kinds[:, 0]) & np.isnan(kinds[:, 1])
    assert both_missing.mean() == pytest.approx(0.25, abs=0.02)  # drawn for each by itself


def test_mixture_ignores_what_its_members_say_about_who_fails(make_table):
    mixture = Mixture([Missing(fraction=0, only="a", n_corrupted=3)], only="b", fraction=0.5)
    _, indicator = mixture.corrupt(make_table(), GROUPS, random_state=0)
    assert_array_equal((indicator == -1).sum(axis=0), [0, 200, 0])


def test_a_corruption_of_probability_zero_never_happens(make_table):
    mixture = Mixture([Missing(), Stuck(0.0)], probabilities=[0.0, 1.0])
    X_corrupted, _ = mixture.corrupt(make_table(5000), random_state=0)
    assert_array_equal(X_corrupted, 0)


def test_missing_values_stay_missing_and_are_ignored_in_the_reference(make_table):
    X = make_table(1000)
    X[::3, 2] = np.nan
    X_noisy, _ = Noise(only="b").corrupt(X, GROUPS, random_state=0)
    assert_array_equal(np.isnan(X_noisy), np.isnan(X))
    noise = (X_noisy - X)[:, 2]
    assert np.nanstd(noise) == pytest.approx(0.5 * np.nanstd(X[:, 2]), rel=0.1)


def test_swapping_a_single_sample_is_refused():
    with pytest.raises(ValueError, match="only 1 reference sample.* at least two"):
        Swapped().corrupt([[1.0, 2.0]], random_state=0)


@pytest.mark.parametrize(
    ("corruption", "message"),
    [
        (Noise(-1), "sigma=-1 must not be negative"),
        (Noise((2, 1)), r"sigma=\(2, 1\) must be .* with low <= high"),
        (Noise((1, 2, 3)), r"sigma=\(1, 2, 3\) must be"),
        (Noise("loud"), "sigma='loud' must be a finite number"),
        (Noise(math.inf), "sigma=inf must be a finite number"),
        (NoiseSNR((3, -3)), r"snr_db=\(3, -3\) must be"),
        (NoiseSNR(None), "snr_db=None must be"),
        (NoiseSNR(-1e4), "snr_db=-10000.0 must be between"),
        (Stuck(math.nan), "value=nan must be None or a finite number. For NaN use Missing"),
        (Drift(0), "offset=0 must be a positive number"),
        (Drift(ordered="yes"), "ordered='yes' must be True or False"),
        (Scaling(1), "factor=1 must be a number larger than 1"),
        (Mixture([]), r"corruptions=\[\] must be a list of at least one"),
        (Mixture(None), "corruptions=None must be a list"),
        (Mixture([Noise]), "must hold instances such as Noise"),
        (Mixture([Noise(-1)]), "sigma=-1 must not be negative"),
        (Mixture([Noise(), Missing()], [0.5, 0.4]), "must be non-negative and sum to 1"),
        (Mixture([Noise(), Missing()], [1.5, -0.5]), "must be non-negative and sum to 1"),
        (Mixture([Noise(), Missing()], [1.0]), "expected 2, got 1"),
    ],
)
def test_parameters_out_of_range_are_named(corruption, message, make_table):
    with pytest.raises(ValueError, match=message):
        corruption.corrupt(make_table(), GROUPS, random_state=0)
