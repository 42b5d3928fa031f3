"""Batches and blocks hold every sample once, and are of the sizes that the rules say."""

import numpy as np
import pytest
import torch

from sklearn_emma.engine import batches
from sklearn_emma.engine.batches import (
    auto_batch_size,
    blocks,
    energy_block,
    epoch_size,
    evaluation_block,
    pair_block,
    precision_of,
    shuffled,
    slices,
    stacked_modalities,
    stacked_settings,
    training_rows,
)
from sklearn_emma.nn import DAEEnergy, EnergyEnsemble, SoftClip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_shuffled_batches_hold_every_sample_once_and_keep_samples_together():
    x = torch.arange(10.0)
    pairs = list(slices(shuffled([x, 10.0 * x], generator()), 4))
    assert [len(first) for first, _ in pairs] == [4, 3, 3]
    assert all(torch.equal(second, 10.0 * first) for first, second in pairs)
    order = torch.cat([first for first, _ in pairs])
    assert torch.equal(order.sort().values, x)
    assert not torch.equal(order, x)


@pytest.mark.parametrize("n_samples", [1, 4, 5, 9, 33])
def test_no_batch_is_too_large_and_none_a_small_rest(n_samples):
    sizes = [len(batch) for (batch,) in slices([torch.zeros(n_samples)], 4)]
    assert sum(sizes) == n_samples
    assert len(sizes) == -(-n_samples // 4)
    assert max(sizes) <= 4
    assert max(sizes) - min(sizes) <= 1


def test_shuffling_is_the_generators():
    x = torch.arange(50)

    def order(seed):
        return shuffled([x], generator(seed))[0]

    assert torch.equal(order(1), order(1))
    assert not torch.equal(order(1), order(2))


DTYPES = [torch.float32, torch.float64]
SIZES = [1, 2, 7, 100, 1023, 1024, 1025, 2125]


def make_energy(kind):
    members = [
        DAEEnergy(9, (64, 32), "tanh", generator(seed), n_prototypes)
        for seed, n_prototypes in enumerate([0, 20])
    ]
    coordinates = [SoftClip(9, limit=0.7), SoftClip(9)]
    return EnergyEnsemble(members, coordinates) if kind == "ensemble" else members[kind]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("method", ["potential", "reconstruct"])
@pytest.mark.parametrize("kind", [0, 1, "ensemble"], ids=["plain", "prototypes", "ensemble"])
def test_a_sample_in_a_block_is_worth_what_it_is_alone(kind, method, dtype):
    function = getattr(make_energy(kind).to(dtype).requires_grad_(False), method)
    x = torch.randn(2125, 9, generator=generator(1), dtype=dtype)
    # rounding of numbers of this size
    largest = function(x).abs().max().item()
    close = {"rtol": 0, "atol": 16 * torch.finfo(dtype).eps * largest}

    def blockwise(x, n_samples):
        values = torch.empty_like(function(x))
        for where, block in blocks(x.numpy(), n_samples):
            values[where] = function(torch.from_numpy(block))
        return values

    together = blockwise(x, evaluation_block(dtype))
    assert together.dtype == dtype
    torch.testing.assert_close(together, function(x), **close)
    for n_samples in SIZES:
        torch.testing.assert_close(blockwise(x[:n_samples], 1024), together[:n_samples], **close)
    order = torch.randperm(len(x), generator=generator(2))
    torch.testing.assert_close(blockwise(x[order], 300), together[order], **close)
    torch.testing.assert_close(blockwise(x[:20], 1), together[:20], **close)


@pytest.mark.parametrize("n_samples", SIZES)
@pytest.mark.parametrize("size", [1, 500, 1024])
def test_blocks_are_views_of_consecutive_samples_and_cover_all(n_samples, size):
    table = np.arange(3.0 * n_samples).reshape(n_samples, 3)
    seen, start = np.zeros(n_samples, dtype=int), 0
    for where, block in blocks(table, size):
        assert where.start == start
        assert len(block) == min(size, n_samples - start)
        assert np.shares_memory(block, table)
        np.testing.assert_array_equal(block, table[where])
        seen[where] += 1
        start += size
    assert (seen == 1).all()


def test_a_table_without_samples_has_no_blocks():
    assert list(blocks(np.empty((0, 3)), 10)) == []


def test_tables_in_float32_are_evaluated_in_single_precision():
    assert precision_of(np.zeros((1, 1), dtype=np.float32)) == torch.float32
    for dtype in (np.float64, np.int64, bool):
        assert precision_of(np.zeros((1, 1), dtype=dtype)) == torch.float64


def test_blocks_of_evaluation_shrink_with_the_pairs_of_modalities():
    for others in (False, True):
        for dtype in DTYPES:
            sizes = [evaluation_block(dtype, m, others) for m in (1, 2, 8, 30, 100, 3000)]
            assert sizes == sorted(sizes, reverse=True)
            assert sizes[0] > sizes[3] > sizes[4] >= sizes[5] >= 1
    assert evaluation_block(torch.float64) < evaluation_block(torch.float32)
    # estimators of others may take long for each call
    assert evaluation_block(torch.float32, others=True) > evaluation_block(torch.float32)
    # what stays in the cache, or in memory: a number for every pair
    assert evaluation_block(torch.float64, 30) * 30**2 <= 2**18
    assert evaluation_block(torch.float64, 100, others=True) * 100**2 <= 2**22


def test_training_samples_with_a_number_for_every_pair_fit_into_memory():
    sizes = [pair_block(m) for m in (1, 2, 30, 100, 1000, 10_000)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1
    assert all(size * m**2 <= 2**22 for size, m in zip(sizes, (1, 2, 30, 100, 1000), strict=False))
    assert energy_block() == evaluation_block(torch.float64, others=True)


def test_stacks_are_of_few_modalities_and_of_fewer_where_epochs_are_large():
    assert stacked_modalities(100, 8) == 16
    assert stacked_modalities(60_000, 64) == 4
    assert stacked_modalities(10**7, 64) == 4
    assert stacked_modalities(10**7, 1000) == 1


def test_settings_that_step_together_keep_no_more_than_the_device_has_room_for():
    for device in ("cpu", "cuda"):
        for numbers in (1000, 10**5, 10**6):
            n_settings = stacked_settings(device, numbers)
            assert n_settings * numbers <= batches._STEP_NUMBERS[device]
            assert (n_settings + 1) * numbers > batches._STEP_NUMBERS[device]
        assert stacked_settings(device, 10**12) == 1
    assert stacked_settings("cpu", 10**6) < stacked_settings("cuda", 10**6)
    assert stacked_settings("mps", 10**6) == stacked_settings("cuda", 10**6)


@pytest.mark.parametrize(
    ("n_samples", "expected"),
    [(10, 10), (150, 32), (1_200, 200), (12_000, 1024), (1_000_000, 1024)],
)
def test_automatic_batch_sizes(n_samples, expected):
    assert auto_batch_size("auto", n_samples) == expected
    assert auto_batch_size(64, n_samples) == min(64, n_samples)
    assert auto_batch_size(10**6, n_samples) == epoch_size(n_samples)


def test_training_reads_all_samples_or_a_million():
    assert training_rows(1000, seed=0) == slice(None)
    rows = training_rows(2_000_000, seed=0)
    assert len(rows) == 2**20
    assert (np.diff(rows) > 0).all()
    assert abs(rows.mean() / 1e6 - 1.0) < 0.01
    assert not np.array_equal(rows, training_rows(2_000_000, seed=1))


def test_training_reads_a_part_of_each_class_and_all_of_a_rare_one():
    classes = np.array(["common", "rare", "medium"]).repeat([1_500_000, 90, 500_000])
    names, counts = np.unique(classes[training_rows(len(classes), 0, classes)], return_counts=True)
    counts = dict(zip(names, counts, strict=True))
    assert counts["rare"] == 90
    assert counts["common"] / counts["medium"] == pytest.approx(3.0, rel=1e-4)
