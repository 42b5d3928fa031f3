"""Corruption: what fails, how, and that everything else stays as it was."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import ParameterGrid

from sklearn_emma.corruption import (
    Corruption,
    Drift,
    Missing,
    Mixture,
    Noise,
    NoiseSNR,
    Reference,
    Scaling,
    Stuck,
    Swapped,
)

GROUPS = {"a": [0, 1], "b": [2, 3, 4], "c": [5]}
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
every = pytest.mark.parametrize("corruption", EVERY, ids=str)


def make_table(n_samples=400, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n_samples, 6)) * [1, 2, 3, 4, 5, 60] + [0, 10, -10, 3, 0, 1000]
    return X.astype(dtype)


def changed(X, X_corrupted):
    """Tell which modality of which row holds another value."""
    differs = (X != X_corrupted) & ~(np.isnan(X) & np.isnan(X_corrupted))
    return np.column_stack([differs[:, columns].any(axis=1) for columns in GROUPS.values()])


# ---------------------------------------------------------------- what fails


@every
def test_indicator_tells_exactly_what_changed_and_the_rest_is_bit_identical(corruption):
    X = make_table()
    corruption = clone(corruption).set_params(fraction=0.5)
    X_corrupted, indicator = corruption.corrupt(X, GROUPS, random_state=0)
    assert indicator.dtype.kind == "i"
    assert set(np.unique(indicator)) == {-1, 1}
    # "stuck" at a row's own value is the one case in which a failure changes nothing
    same = (changed(X, X_corrupted) == (indicator == -1)).all(axis=1)
    assert same.sum() >= len(X) - 2
    assert not changed(X, X_corrupted)[indicator == 1].any()


@every
@pytest.mark.parametrize("n_corrupted", [1, 2, 3])
def test_exactly_the_chosen_number_of_modalities_fails(corruption, n_corrupted):
    corruption = clone(corruption).set_params(n_corrupted=n_corrupted)
    _, indicator = corruption.corrupt(make_table(), GROUPS, random_state=0)
    assert_array_equal((indicator == -1).sum(axis=1), n_corrupted)


@pytest.mark.parametrize(("n_modalities", "expected"), [(1, 1), (2, 1), (3, 1), (4, 2), (7, 3)])
def test_default_number_is_the_one_for_which_training_is_stable(n_modalities, expected):
    X = np.random.default_rng(0).normal(size=(50, n_modalities))
    groups = {f"m{i}": [i] for i in range(n_modalities)}
    _, indicator = Noise().corrupt(X, groups, random_state=0)
    assert_array_equal((indicator == -1).sum(axis=1), expected)


def test_every_modality_fails_equally_often():
    _, indicator = Noise().corrupt(make_table(30_000), GROUPS, random_state=0)
    assert_allclose((indicator == -1).mean(axis=0), 1 / 3, atol=0.01)
    _, indicator = Noise(n_corrupted=2).corrupt(make_table(30_000), GROUPS, random_state=0)
    assert_allclose((indicator == -1).mean(axis=0), 2 / 3, atol=0.01)


@pytest.mark.parametrize(("fraction", "expected"), [(0, 0), (0.1, 40), (0.5, 200), (1, 400)])
def test_fraction_of_the_rows_is_exact(fraction, expected):
    for seed in range(5):
        _, indicator = Noise(fraction=fraction).corrupt(make_table(), GROUPS, random_state=seed)
        assert (indicator == -1).any(axis=1).sum() == expected


def test_fraction_is_right_on_average_where_it_makes_no_whole_number():
    rng = np.random.RandomState(0)
    X = make_table(3)
    noise = Noise(fraction=0.5)
    counts = [(noise.corrupt(X, GROUPS, rng)[1] == -1).sum() for _ in range(2000)]
    assert set(counts) == {1, 2}
    assert np.mean(counts) == pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize("only", ["b", ["b"], ["a", "c"]])
def test_only_named_modalities_fail(only):
    _, indicator = Noise(only=only).corrupt(make_table(), GROUPS, random_state=0)
    may_fail = [name in only for name in GROUPS]
    assert_array_equal((indicator == -1).any(axis=0), may_fail)
    assert_array_equal((indicator == -1).sum(axis=1), 1)


def test_what_fails_does_not_depend_on_how():
    X = make_table()
    _, noisy = Noise(fraction=0.5).corrupt(X, GROUPS, random_state=3)
    _, missing = Missing(fraction=0.5).corrupt(X, GROUPS, random_state=3)
    assert_array_equal(noisy, missing)


# ---------------------------------------------------------------- how it fails


@pytest.mark.parametrize("sigma", [0.0, 0.5, 8])
def test_noise_has_the_chosen_standard_deviation_in_units_of_the_reference(sigma):
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


def test_noise_by_snr_has_the_ratio_in_decibels():
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


def test_missing_is_nan_in_the_whole_modality():
    X_missing, indicator = Missing().corrupt(make_table(), GROUPS, random_state=0)
    for i, columns in enumerate(GROUPS.values()):
        expected = np.repeat(indicator[:, [i]] == -1, len(columns), axis=1)
        assert_array_equal(np.isnan(X_missing[:, columns]), expected)


def test_swapped_values_come_from_one_other_row_of_the_reference():
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


def test_two_rows_always_swap():
    for seed in range(20):
        assert_array_equal(Swapped().corrupt([[1.0], [2.0]], random_state=seed)[0], [[2], [1]])


def test_stuck_rows_share_one_value_drawn_from_the_reference_or_given():
    X = make_table(50)
    values = {
        tuple(np.unique(Stuck(only="b").corrupt(X, GROUPS, seed)[0][:, 2:5], axis=0).squeeze())
        for seed in range(10)
    }
    assert len(values) > 3
    assert values <= {tuple(row) for row in X[:, 2:5]}
    X_stuck, _ = Stuck(value=-1, only="b").corrupt(X, GROUPS, random_state=0)
    assert_array_equal(X_stuck[:, 2:5], -1)


def test_drift_moves_all_columns_of_a_row_by_the_same_number_of_deviations():
    X = make_table(5000)
    X_drifted, _ = Drift(offset=2, only="b").corrupt(X, GROUPS, random_state=0)
    t = (X_drifted - X)[:, 2:5] / X.std(axis=0)[2:5]
    assert_allclose(t - t[:, :1], 0, atol=1e-9)
    t = t[:, 0]
    assert_allclose(np.quantile(np.abs(t), [0, 0.25, 0.5, 0.75, 1]), [0, 0.5, 1, 1.5, 2], atol=0.1)
    assert np.mean(t > 0) == pytest.approx(0.5, abs=0.05)
    assert (t != 0).all()


def test_ordered_drift_grows_linearly_in_one_direction():
    X = make_table(100)
    directions = set()
    for seed in range(10):
        X_drifted, _ = Drift(offset=3, ordered=True, only="c").corrupt(X, GROUPS, seed)
        t = (X_drifted - X)[:, 5] / X[:, 5].std()
        assert_allclose(np.abs(t), 3 * np.arange(1, 101) / 100)
        assert len(set(np.sign(t))) == 1
        directions.add(np.sign(t[0]))
    assert directions == {-1, 1}


def test_scaling_multiplies_deviations_from_the_mean_log_uniformly():
    X = make_table(5000)
    X_scaled, _ = Scaling(factor=4, only="b").corrupt(X, GROUPS, random_state=0)
    mean = X.mean(axis=0)
    factor = ((X_scaled - mean) / (X - mean))[:, 2:5]
    assert_allclose(factor, factor[:, [0]].repeat(3, axis=1), rtol=1e-6)
    log_factor = np.log(factor[:, 0]) / math.log(4)
    assert_allclose(
        np.quantile(log_factor, [0, 0.25, 0.5, 0.75, 1]), [-1, -0.5, 0, 0.5, 1], atol=0.05
    )


def test_mixture_draws_one_corruption_per_failing_modality_with_its_probability():
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


def test_mixture_ignores_what_its_members_say_about_who_fails():
    mixture = Mixture([Missing(fraction=0, only="a", n_corrupted=3)], only="b", fraction=0.5)
    _, indicator = mixture.corrupt(make_table(), GROUPS, random_state=0)
    assert_array_equal((indicator == -1).sum(axis=0), [0, 200, 0])


def test_a_corruption_of_probability_zero_never_happens():
    mixture = Mixture([Missing(), Stuck(0.0)], probabilities=[0.0, 1.0])
    X_corrupted, _ = mixture.corrupt(make_table(5000), random_state=0)
    assert_array_equal(X_corrupted, 0)


def test_gaps_stay_gaps_and_do_not_disturb_the_reference():
    X = make_table(1000)
    X[::3, 2] = np.nan
    X_noisy, _ = Noise(only="b").corrupt(X, GROUPS, random_state=0)
    assert_array_equal(np.isnan(X_noisy), np.isnan(X))
    noise = (X_noisy - X)[:, 2]
    assert np.nanstd(noise) == pytest.approx(0.5 * np.nanstd(X[:, 2]), rel=0.1)


def test_rows_that_are_wholly_missing_are_no_donors():
    X = make_table(100)
    X[:90, 5] = np.nan
    X_swapped, _ = Swapped(only="c").corrupt(X, GROUPS, random_state=0)
    assert not np.isnan(X_swapped).any()


def test_failures_can_be_chained():
    X, _ = Missing(only="a").corrupt(make_table(), GROUPS, random_state=0)
    X, indicator = Noise(only="b").corrupt(X, GROUPS, random_state=0)
    assert_array_equal((indicator == -1).all(axis=0), [False, True, False])
    Missing().corrupt(X, GROUPS, random_state=0)


# ---------------------------------------------------------------- tables and tensors


@every
def test_same_random_state_same_result_and_global_state_untouched(corruption):
    X = make_table()
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1].copy()
    first, indicator = corruption.corrupt(X, GROUPS, random_state=5)
    again, indicator_again = corruption.corrupt(X, GROUPS, random_state=5)
    _, other = corruption.corrupt(X, GROUPS, random_state=6)
    assert_array_equal(first, again)
    assert_array_equal(indicator, indicator_again)
    assert (indicator != other).any()
    assert torch.equal(torch_state, torch.get_rng_state())
    assert_array_equal(numpy_state, np.random.get_state()[1])


def test_a_random_state_instance_moves_on():
    rng = np.random.RandomState(0)
    X = make_table()
    assert (Noise().corrupt(X, GROUPS, rng)[0] != Noise().corrupt(X, GROUPS, rng)[0]).any()


@every
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_and_tensors_give_the_same_numbers(corruption, dtype):
    X = make_table(dtype=dtype)
    X_corrupted, indicator = corruption.corrupt(X, GROUPS, random_state=5)
    assert X_corrupted.dtype == dtype

    batch = [torch.from_numpy(X[:, columns]) for columns in GROUPS.values()]
    before = [x.clone() for x in batch]
    seed = int(np.random.RandomState(5).randint(2**31 - 1))
    tensors, signs = corruption.corrupt_tensors(
        batch,
        generator=torch.Generator().manual_seed(seed),
        reference=Reference.from_tensors(batch),
    )
    assert_array_equal(np.column_stack([t.numpy() for t in tensors]), X_corrupted)
    assert_array_equal(signs.numpy(), indicator)
    assert signs.dtype == batch[0].dtype
    assert all(torch.equal(x, y) for x, y in zip(batch, before, strict=True))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@every
def test_corruption_runs_on_cuda_without_waiting_for_it(corruption):
    batch = [torch.randn(64, 3, device="cuda"), torch.randn(64, 2, device="cuda")]
    reference = Reference.from_tensors(batch)
    generator = torch.Generator("cuda").manual_seed(0)
    corruption = clone(corruption).set_params(fraction=0.5)
    corruption.corrupt_tensors(batch, generator=generator, reference=reference)
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("error")
    try:
        tensors, signs = corruption.corrupt_tensors(batch, generator=generator, reference=reference)
    finally:
        torch.cuda.set_sync_debug_mode(mode)
    assert signs.device.type == tensors[0].device.type == "cuda"
    assert_array_equal((signs == -1).sum(0).sum().item(), 32)


@every
def test_frames_come_back_as_frames_with_the_numbers_of_the_array(corruption):
    X = make_table()
    frame = pd.DataFrame(X, columns=list("uvwxyz"), index=np.arange(400) + 7)
    frame.insert(2, "label", "text")
    before = frame.copy()
    groups = {"a": ["u", "v"], "b": ["w", "x", "y"], "c": ["z"]}
    corrupted, indicator = corruption.corrupt(frame, groups, random_state=5)
    expected, expected_indicator = corruption.corrupt(X, GROUPS, random_state=5)
    assert_array_equal(corrupted.drop(columns="label").to_numpy(), expected)
    assert_array_equal(indicator, expected_indicator)
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_index_equal(corrupted.index, frame.index)
    assert corrupted.columns.tolist() == frame.columns.tolist()
    assert (corrupted["label"] == "text").all()


def test_polars_frames_come_back_as_polars_frames():
    pl = pytest.importorskip("polars")
    X = make_table()
    frame = pl.DataFrame(X, schema=list("uvwxyz")).with_columns(label=pl.lit("text"))
    groups = {"a": ["u", "v"], "b": ["w", "x", "y"], "c": ["z"]}
    corrupted, _ = Missing().corrupt(frame, groups, random_state=5)
    expected, _ = Missing().corrupt(X, GROUPS, random_state=5)
    assert isinstance(corrupted, pl.DataFrame)
    assert corrupted.columns == frame.columns
    assert_array_equal(corrupted.drop("label").to_numpy(), expected)
    assert_array_equal(frame.drop("label").to_numpy(), X)


def test_integers_become_floats_and_float32_stays():
    frame = pd.DataFrame({"i": [1, 2, 3], "f": np.array([1, 2, 3], np.float32)})
    assert Noise().corrupt(frame, random_state=0)[0].dtypes.tolist() == [np.float64, np.float32]
    assert Noise().corrupt([[1], [2], [3]], random_state=0)[0].dtype == np.float64


@every
def test_input_is_never_modified(corruption):
    X = make_table()
    X.flags.writeable = False
    corruption.corrupt(X[::-1], GROUPS, random_state=0)
    assert_array_equal(X, make_table())


def test_columns_outside_the_modalities_are_passed_on():
    X = make_table()
    X_corrupted, indicator = Missing().corrupt(X, {"b": [2, 3, 4]}, random_state=0)
    assert indicator.shape == (400, 1)
    assert_array_equal(np.isnan(X_corrupted).all(axis=0), [0, 0, 1, 1, 1, 0])
    assert_array_equal(X_corrupted[:, [0, 1, 5]], X[:, [0, 1, 5]])


def test_weights_count_in_the_reference_and_zero_weight_means_absent():
    x = torch.tensor([[0.0], [1.0], [1.0], [100.0]])
    weighted = Reference.from_tensors([x], weights=torch.tensor([1.0, 2.0, 0.0, 0.0]))
    repeated = Reference.from_tensors([x[:3]])
    torch.testing.assert_close(weighted.means, repeated.means)
    torch.testing.assert_close(weighted.stds, repeated.stds)
    assert weighted.rows[0].ravel().tolist() == [0.0, 1.0]


# ---------------------------------------------------------------- as parameters of estimators


def test_corruptions_clone_print_and_serve_in_grids():
    mixture = Mixture([Noise(0.7), Missing()], fraction=0.5)
    copy = clone(mixture)
    assert copy.corruptions[0] is not mixture.corruptions[0]
    assert copy.corruptions[0].get_params()["sigma"] == 0.7
    assert repr(Noise((0.1, 1), only="a")) == "Noise(only='a', sigma=(0.1, 1))"
    assert len(ParameterGrid({"corruption": EVERY, "corruption__fraction": [0.5, 1]})) == 28


def test_own_corruption_needs_one_method():
    class Negated(Corruption):
        def _fail(self, x, mean, std, rows, generator):
            return -x

    X = make_table()
    X_corrupted, indicator = Negated(only="b").corrupt(X, GROUPS, random_state=0)
    assert_array_equal(X_corrupted[:, 2:5], -X[:, 2:5])


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("corruption", "message"),
    [
        (Noise(n_corrupted=4), r"n_corrupted=4 must be None or an integer from 1 to .* is 3"),
        (Noise(n_corrupted=0), "n_corrupted=0 must be"),
        (Noise(n_corrupted=1.5), "n_corrupted=1.5 must be"),
        (Noise(n_corrupted=2, only="a"), "that may fail, which is 1"),
        (Noise(fraction=1.1), r"fraction=1.1 must be None or a number from 0 to 1"),
        (Noise(fraction=-0.1), "fraction=-0.1 must be"),
        (Noise(fraction=math.nan), "fraction=nan must be"),
        (Noise(fraction="half"), "fraction='half' must be"),
        (Noise(only="radar"), r"only='radar' .* The modalities are \['a', 'b', 'c'\]"),
        (Noise(only=[]), r"only=\[\] must name at least one modality"),
        (Noise(-1), "sigma=-1 must not be negative"),
        (Noise((2, 1)), r"sigma=\(2, 1\) must be .* with low <= high"),
        (Noise((1, 2, 3)), r"sigma=\(1, 2, 3\) must be"),
        (Noise("loud"), "sigma='loud' must be a finite number"),
        (Noise(math.inf), "sigma=inf must be a finite number"),
        (NoiseSNR((3, -3)), r"snr_db=\(3, -3\) must be"),
        (NoiseSNR(None), "snr_db=None must be"),
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
def test_parameters_out_of_range_are_named(corruption, message):
    with pytest.raises(ValueError, match=message):
        corruption.corrupt(make_table(), GROUPS, random_state=0)


def test_swapping_a_single_row_is_refused():
    with pytest.raises(ValueError, match="the reference has 1 row.* at least two"):
        Swapped().corrupt([[1.0, 2.0]], random_state=0)


def test_a_column_without_any_reference_value_is_named():
    X = make_table()
    X[:, 3] = np.nan
    with pytest.raises(ValueError, match="Column 1 of modality 'b' holds no value"):
        Noise().corrupt(X, GROUPS, random_state=0)


def test_only_without_names_is_refused():
    batch = [torch.zeros(3, 1)]
    with pytest.raises(ValueError, match="must name at least one modality"):
        Noise(only="a").corrupt_tensors(
            batch, generator=torch.Generator(), reference=Reference.from_tensors(batch)
        )


def test_reference_that_does_not_fit_is_refused():
    X = make_table()
    with pytest.raises(ValueError, match=r"with the 6 columns of X, got shape \(400, 5\)"):
        Noise().corrupt(X, GROUPS, 0, X[:, :5])
    frame = pd.DataFrame(X, columns=list("uvwxyz"))
    with pytest.raises(ValueError, match="in the same order"):
        Noise().corrupt(frame, None, 0, frame[list("zyxwvu")])


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_infinite_values_are_refused(bad):
    X = make_table()
    X[3, 3] = bad
    with pytest.raises(ValueError, match="contains infinity"):
        Noise().corrupt(X, GROUPS, random_state=0)
