"""Which modalities of which samples fail, and in which units."""

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
    RandomSigns,
    Reference,
    Scaling,
    Stuck,
    Swapped,
)

GROUPS = {"a": [0, 1], "b": [2, 3, 4], "c": [5]}


def changed(X, X_corrupted):
    """Tell which modality of which sample holds another value."""
    differs = (X != X_corrupted) & ~(np.isnan(X) & np.isnan(X_corrupted))
    return np.column_stack([differs[:, columns].any(axis=1) for columns in GROUPS.values()])


def test_indicator_tells_exactly_what_changed_and_the_rest_is_bit_identical(corruption, make_table):
    X = make_table()
    corruption = clone(corruption).set_params(fraction=0.5)
    X_corrupted, indicator = corruption.corrupt(X, GROUPS, random_state=0)
    assert indicator.dtype.kind == "i"
    assert set(np.unique(indicator)) == {-1, 1}
    # "stuck" at a sample's own value is the one case in which a failure changes nothing
    same = (changed(X, X_corrupted) == (indicator == -1)).all(axis=1)
    assert same.sum() >= len(X) - 2
    assert not changed(X, X_corrupted)[indicator == 1].any()


@pytest.mark.parametrize("n_corrupted", [1, 2, 3])
def test_exactly_the_chosen_number_of_modalities_fails(corruption, n_corrupted, make_table):
    corruption = clone(corruption).set_params(n_corrupted=n_corrupted)
    _, indicator = corruption.corrupt(make_table(), GROUPS, random_state=0)
    assert_array_equal((indicator == -1).sum(axis=1), n_corrupted)


@pytest.mark.parametrize(("n_modalities", "expected"), [(1, 1), (2, 1), (3, 1), (4, 2), (7, 3)])
def test_default_number_is_the_one_for_which_training_is_stable(n_modalities, expected):
    X = np.random.default_rng(0).normal(size=(50, n_modalities))
    groups = {f"m{i}": [i] for i in range(n_modalities)}
    _, indicator = Noise().corrupt(X, groups, random_state=0)
    assert_array_equal((indicator == -1).sum(axis=1), expected)


def test_every_modality_fails_equally_often(make_table):
    _, indicator = Noise().corrupt(make_table(30_000), GROUPS, random_state=0)
    assert_allclose((indicator == -1).mean(axis=0), 1 / 3, atol=0.01)
    _, indicator = Noise(n_corrupted=2).corrupt(make_table(30_000), GROUPS, random_state=0)
    assert_allclose((indicator == -1).mean(axis=0), 2 / 3, atol=0.01)


@pytest.mark.parametrize(("fraction", "expected"), [(0, 0), (0.1, 40), (0.5, 200), (1, 400)])
def test_fraction_of_the_samples_is_exact(fraction, expected, make_table):
    for seed in range(5):
        _, indicator = Noise(fraction=fraction).corrupt(make_table(), GROUPS, random_state=seed)
        assert (indicator == -1).any(axis=1).sum() == expected


def test_fraction_is_right_on_average_where_it_makes_no_whole_number(make_table):
    rng = np.random.RandomState(0)
    X = make_table(3)
    noise = Noise(fraction=0.5)
    counts = [(noise.corrupt(X, GROUPS, rng)[1] == -1).sum() for _ in range(2000)]
    assert set(counts) == {1, 2}
    assert np.mean(counts) == pytest.approx(1.5, abs=0.05)


@pytest.mark.parametrize("only", ["b", ["b"], ["a", "c"]])
def test_only_named_modalities_fail(only, make_table):
    _, indicator = Noise(only=only).corrupt(make_table(), GROUPS, random_state=0)
    may_fail = [name in only for name in GROUPS]
    assert_array_equal((indicator == -1).any(axis=0), may_fail)
    assert_array_equal((indicator == -1).sum(axis=1), 1)


def test_what_fails_does_not_depend_on_how(make_table):
    X = make_table()
    _, noisy = Noise(fraction=0.5).corrupt(X, GROUPS, random_state=3)
    _, missing = Missing(fraction=0.5).corrupt(X, GROUPS, random_state=3)
    assert_array_equal(noisy, missing)


def test_failures_can_be_chained(make_table):
    X, _ = Missing(only="a").corrupt(make_table(), GROUPS, random_state=0)
    X, indicator = Noise(only="b").corrupt(X, GROUPS, random_state=0)
    assert_array_equal((indicator == -1).all(axis=0), [False, True, False])
    Missing().corrupt(X, GROUPS, random_state=0)


def test_same_random_state_same_result_and_global_state_untouched(corruption, make_table):
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


def test_a_random_state_instance_moves_on(make_table):
    rng = np.random.RandomState(0)
    X = make_table()
    assert (Noise().corrupt(X, GROUPS, rng)[0] != Noise().corrupt(X, GROUPS, rng)[0]).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_and_tensors_give_the_same_numbers(corruption, dtype, make_table):
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


def test_samples_that_are_wholly_missing_are_no_donors(make_table):
    X = make_table(100)
    X[:90, 5] = np.nan
    X_swapped, _ = Swapped(only="c").corrupt(X, GROUPS, random_state=0)
    assert not np.isnan(X_swapped).any()


def test_weights_count_in_the_reference_and_zero_weight_means_absent():
    x = torch.tensor([[0.0], [1.0], [1.0], [100.0]])
    weighted = Reference.from_tensors([x], weights=torch.tensor([1.0, 2.0, 0.0, 0.0]))
    repeated = Reference.from_tensors([x[:3]])
    torch.testing.assert_close(weighted.means, repeated.means)
    torch.testing.assert_close(weighted.stds, repeated.stds)
    assert weighted.donors[0].ravel().tolist() == [0.0, 1.0]


def test_corruptions_clone_print_and_serve_in_grids():
    mixture = Mixture([Noise(0.7), Missing()], fraction=0.5)
    copy = clone(mixture)
    assert copy.corruptions[0] is not mixture.corruptions[0]
    assert copy.corruptions[0].get_params()["sigma"] == 0.7
    assert repr(Noise((0.1, 1), only="a")) == "Noise(only='a', sigma=(0.1, 1))"
    grid = {"corruption": [Noise(), mixture], "corruption__fraction": [0.5, 1]}
    assert len(ParameterGrid(grid)) == 4


def test_a_corruption_of_ones_own_needs_one_method(make_table):
    class Negated(Corruption):
        def _fail(self, x, mean, std, donors, generator):
            return -x

    X = make_table()
    X_corrupted, indicator = Negated(only="b").corrupt(X, GROUPS, random_state=0)
    assert_array_equal(X_corrupted[:, 2:5], -X[:, 2:5])


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
    ],
)
def test_a_choice_of_modalities_that_cannot_be_is_refused(corruption, message, make_table):
    with pytest.raises(ValueError, match=message):
        corruption.corrupt(make_table(), GROUPS, random_state=0)


def test_a_column_without_any_reference_value_is_named(make_table):
    X = make_table()
    X[:, 3] = np.nan
    with pytest.raises(ValueError, match="Column 1 of modality 'b' has no value"):
        Noise().corrupt(X, GROUPS, random_state=0)


def test_only_without_names_is_refused():
    batch = [torch.zeros(3, 1)]
    with pytest.raises(ValueError, match="must name at least one modality"):
        Noise(only="a").corrupt_tensors(
            batch, generator=torch.Generator(), reference=Reference.from_tensors(batch)
        )


@pytest.mark.parametrize("scale", [1e25, 1e-25])
def test_noise_of_single_precision_tables_has_their_scale(scale):
    X = np.random.default_rng(0).normal(size=(200, 2)) * scale
    failed, indicator = Noise(2.0).corrupt(X.astype(np.float32), random_state=0)
    added = (failed - X)[indicator[:, 0] == -1] / scale
    assert added.std() == pytest.approx(2.0, rel=0.15)


@pytest.mark.parametrize(
    ("result", "error", "message"),
    [
        (lambda x: x.numpy(), TypeError, "must return a torch.Tensor"),
        (lambda x: x[:, :1].expand(len(x), 7), ValueError, r"but returned \(\d+, 7\)"),
        (lambda x: x[:3], ValueError, "but returned"),
        (lambda x: x / 0.0, ValueError, "infinite values"),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_what_a_corruption_returns_is_checked(make_table, result, error, message, nested):
    class Own(Corruption):
        def _fail(self, x, mean, std, donors, generator):
            return result(x)

    corruption = Mixture([Own()]) if nested else Own()
    with pytest.raises(error, match=f"Own.*{message}"):
        corruption.corrupt(make_table(), GROUPS, random_state=0)


def test_a_corruption_may_return_another_dtype(make_table):
    class Two(Corruption):
        def _fail(self, x, mean, std, donors, generator):
            return torch.full((x.shape[1],), 2.0, dtype=torch.float64)

    batch = [torch.zeros(3, 2), torch.zeros(3, 1)]
    failed, _ = Two().corrupt_tensors(
        batch, generator=torch.Generator(), reference=Reference.from_tensors(batch)
    )
    assert {x.dtype for x in failed} == {torch.float32}


@pytest.mark.parametrize("failure", [Noise(8), Drift(), RandomSigns(), Mixture([Noise(1.0)])])
def test_a_single_reference_sample_has_no_standard_deviation(failure):
    one = np.arange(4.0)[None]
    for reference in (None, one):
        with pytest.raises(ValueError, match="there are only 1. Pass at least two reference"):
            failure.corrupt(one, random_state=0, reference=reference)
    changed, _ = failure.corrupt(one, random_state=0, reference=np.eye(4))
    assert (changed != one).any()


@pytest.mark.parametrize("failure", [Noise(0.0), Noise(1.0, fraction=0.0), Stuck(), Missing()])
def test_what_needs_no_standard_deviation_takes_a_single_sample(failure):
    failure.corrupt(np.arange(4.0)[None], random_state=0)


def test_single_precision_columns_do_not_become_infinite():
    values = np.linspace(-1e38, 1e38, 50, dtype=np.float32)
    frame = pd.DataFrame({"a": values, "b": np.arange(50.0)})
    for table in (frame, frame[["a"]].to_numpy()):
        with pytest.raises(ValueError, match="single precision|infinite values"):
            Scaling(9).corrupt(table, random_state=0)
