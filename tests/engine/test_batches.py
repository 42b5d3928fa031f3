"""Batches cover every row, and a row's result does not depend on its neighbours."""

import pytest
import torch

from sklearn_emma.engine.batches import auto_batch_size, blockwise, shuffled, slices
from sklearn_emma.nn import DAEEnergy, EnergyEnsemble, SoftClip


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_shuffled_batches_hold_every_row_once_and_keep_rows_together():
    x = torch.arange(10.0)
    batches = list(slices(shuffled([x, 10.0 * x], generator()), 4))
    assert [len(first) for first, _ in batches] == [4, 3, 3]
    assert all(torch.equal(second, 10.0 * first) for first, second in batches)
    order = torch.cat([first for first, _ in batches])
    assert torch.equal(order.sort().values, x)
    assert not torch.equal(order, x)


@pytest.mark.parametrize("n_rows", [1, 4, 5, 9, 33])
def test_no_batch_is_too_large_and_none_a_small_rest(n_rows):
    sizes = [len(batch) for (batch,) in slices([torch.zeros(n_rows)], 4)]
    assert sum(sizes) == n_rows
    assert len(sizes) == -(-n_rows // 4)
    assert max(sizes) <= 4
    assert max(sizes) - min(sizes) <= 1


def test_shuffling_is_the_generators():
    x = torch.arange(50)

    def order(seed):
        return shuffled([x], generator(seed))[0]

    assert torch.equal(order(1), order(1))
    assert not torch.equal(order(1), order(2))


BLOCK = 1024


def make_energy(kind):
    members = [
        DAEEnergy(9, (64, 32), "tanh", generator(seed), n_prototypes)
        for seed, n_prototypes in enumerate([0, 20])
    ]
    coordinates = [SoftClip(9, limit=0.7), SoftClip(9)]
    return EnergyEnsemble(members, coordinates) if kind == "ensemble" else members[kind]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", ["potential", "reconstruct"])
@pytest.mark.parametrize("kind", [0, 1, "ensemble"], ids=["plain", "prototypes", "ensemble"])
def test_blockwise_is_independent_of_the_other_rows(kind, method, dtype):
    energy = make_energy(kind).to(dtype)
    x = torch.randn(2 * BLOCK + 77, 9, generator=generator(1), dtype=dtype)
    function = getattr(energy, method)
    together = blockwise(function, x)
    assert together.dtype == dtype
    assert not together.requires_grad
    for n_rows in (1, 2, 7, 100, BLOCK - 1, BLOCK, BLOCK + 1):
        assert torch.equal(blockwise(function, x[:n_rows]), together[:n_rows])
    order = torch.randperm(len(x), generator=generator(2))
    # some processors round the first and the last rows of a block differently
    close = {"rtol": 0, "atol": 64 * torch.finfo(dtype).eps}
    torch.testing.assert_close(blockwise(function, x[order]), together[order], **close)
    torch.testing.assert_close(together, function(x).detach())


@pytest.mark.parametrize("n_rows", [1, BLOCK - 1, BLOCK, BLOCK + 1])
def test_the_function_sees_only_blocks_of_one_shape(n_rows):
    shapes = []

    def function(x, y):
        shapes.append((tuple(x.shape), tuple(y.shape)))
        return x[:, 0] + y

    x, y = torch.randn(n_rows, 3, generator=generator()), torch.arange(float(n_rows))
    assert torch.equal(blockwise(function, x, y), x[:, 0] + y)
    assert set(shapes) == {((BLOCK, 3), (BLOCK,))}
    shapes.clear()
    assert torch.equal(blockwise(function, x, y, n_rows=500), x[:, 0] + y)
    assert set(shapes) == {((500, 3), (500,))}


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="Expected at least one row"):
        blockwise(lambda x: x, torch.empty(0, 3))


@pytest.mark.parametrize(
    ("n_samples", "expected"),
    [(10, 10), (500, 32), (4_000, 100), (12_000, 256), (100_000, 1000), (1_000_000, 4096)],
)
def test_automatic_batch_sizes(n_samples, expected):
    assert auto_batch_size("auto", n_samples) == expected
    assert auto_batch_size(64, n_samples) == min(64, n_samples)
