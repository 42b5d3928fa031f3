"""Attention to columns: those that make a modality unlikely are treated as missing."""

import math

import pytest
import torch

from sklearn_emma.nn import ColumnAttention
from sklearn_emma.nn.evidence_energy import NAT

N, D = 400, 6
MINIMUM, SCALE = 1.0, 0.5


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_samples(n_samples=N, n_features=D, seed=0):
    """Columns with a common cause, up to noise."""
    g = generator(seed)
    cause = torch.randn(n_samples, 1, generator=g)
    return cause + 0.2 * torch.randn(n_samples, n_features, generator=g)


def energy(x):
    """How far the columns of a sample are from each other."""
    return (x - x.mean(1, keepdim=True)).square().sum(1)


@pytest.fixture
def columns():
    """Attention to six columns that explain each other."""
    columns = ColumnAttention(D)
    columns.learn(energy, make_samples())
    return columns


def read(columns, x, gaps=None):
    gaps = torch.zeros_like(x, dtype=torch.bool) if gaps is None else gaps
    return columns(energy, x, gaps, energy(x), MINIMUM, SCALE)


@pytest.mark.parametrize("bad", [[2], [0, 5]])
def test_bad_columns_are_read_as_missing_and_explained_by_the_others(columns, bad):
    clean = make_samples(200, seed=3)
    x = clean.clone()
    x[:, bad] += torch.tensor([6.0, -9.0])[: len(bad)]
    found = read(columns, x)
    expected = torch.ones(D)
    expected[bad] = 0.0
    assert torch.equal(found.attention, expected.expand(200, D))
    assert (found.values - clean).abs().max() < 1.2
    torch.testing.assert_close(found.potential, energy(found.values))
    assert (found.potential < MINIMUM).all()
    assert (energy(x) > 10).all()


def test_usual_samples_are_left_alone(columns):
    x = make_samples(200, seed=4)
    x = x[energy(x) < columns.highest]
    found = read(columns, x)
    assert torch.equal(found.values, x)
    assert found.attention.all()
    assert torch.equal(found.potential, energy(x))


def test_a_modality_that_is_unlikely_as_a_whole_stays_so(columns):
    x = 8.0 * torch.randn(200, D, generator=generator(6))
    found = read(columns, x)
    assert ((1 - found.attention).sum(1) <= D // 3).all()
    assert (found.potential > 5 * MINIMUM).float().mean() > 0.9


def test_what_is_read_never_costs_more(columns):
    x = make_samples(300, seed=7) * 3.0 * torch.rand(300, 1, generator=generator(8))
    x += torch.randn(x.shape, generator=generator(9))
    found = read(columns, x)
    price = -NAT * SCALE * torch.log(found.attention.mean(1))
    assert (found.potential + price <= energy(x) + 1e-5).all()


def test_gaps_count_among_the_columns_that_are_left_out(columns):
    x, gaps = make_samples(3, seed=10), torch.zeros(3, D, dtype=torch.bool)
    gaps[1, 0] = True
    gaps[2, :2] = True
    x = columns.conditional.fill(x, gaps)
    x[:, 4] += 9.0
    found = read(columns, x, gaps)
    # of six columns two may be missing
    assert found.attention.tolist() == [
        [1, 1, 1, 1, 0, 1],
        [0, 1, 1, 1, 0, 1],
        [0, 0, 1, 1, 1, 1],
    ]


def test_samples_are_read_one_by_one(columns):
    x = make_samples(40, seed=11)
    x[torch.arange(40), torch.arange(40) % D] += torch.linspace(-8, 8, 40)
    together = read(columns, x)
    for i in range(40):
        alone = read(columns, x[i : i + 1])
        assert torch.equal(alone.attention[0], together.attention[i])
        torch.testing.assert_close(alone.values[0], together.values[i])


def test_a_single_column_is_never_left_out():
    columns, x = ColumnAttention(1), torch.randn(50, 1, generator=generator())
    columns.learn(lambda x: x.square().sum(1), x)
    found = columns(lambda x: x.square().sum(1), 50 + x, x > math.inf, x[:, 0] + 50, 1.0, 1.0)
    assert found.attention.all()
    assert torch.equal(found.values, 50 + x)
