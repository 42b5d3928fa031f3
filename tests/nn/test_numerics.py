"""Fast forms of sums of logarithms are what their formulas say, at any size and with gradients."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sklearn_emma.nn.numerics import (
    log_cosh,
    log_sum_exp2_,
    quantile,
    sum_log_cosh_,
    sum_softplus_,
)

FORMULAS = {
    sum_log_cosh_: lambda u: (u.abs() + F.softplus(-2.0 * u.abs()) - math.log(2.0)).sum(-1),
    sum_softplus_: lambda u: F.softplus(u, threshold=1e3).sum(-1),
    log_sum_exp2_: lambda u: (u * math.log(2.0)).logsumexp(-1),
}
sums = pytest.mark.parametrize("fast", FORMULAS, ids=lambda function: function.__name__)


def numbers(*shape, scale=3.0, dtype=torch.float64):
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)


@sums
@pytest.mark.parametrize("n_terms", [1, 2, 63, 64, 65, 500])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 30.0])
def test_sums_are_those_of_the_formula_for_any_number_of_terms(fast, n_terms, scale):
    u = numbers(20, n_terms, scale=scale)
    expected = FORMULAS[fast](u)
    torch.testing.assert_close(fast(u.clone()), expected, rtol=1e-13, atol=1e-13)
    single = fast(u.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), expected, rtol=1e-5, atol=1e-6 * n_terms)


@sums
def test_sums_neither_overflow_nor_lose_the_largest_term(fast):
    # products of two hundred terms near their bounds, in single precision
    for value in (0.0, 1e-30, 1e30, -1e30):
        u = torch.full((3, 200), value)
        torch.testing.assert_close(fast(u.clone()), FORMULAS[fast](u))
    u = torch.tensor([[1e30, -1e30, 0.0, 5.0]])
    torch.testing.assert_close(fast(u.clone()), FORMULAS[fast](u))


@sums
def test_sums_have_the_gradient_of_the_formula(fast):
    u = numbers(10, 70).requires_grad_()
    u.data[:, 3] = 0.0  # where |u| has a kink
    (expected,) = torch.autograd.grad(FORMULAS[fast](u).sum(), u)
    (gradient,) = torch.autograd.grad(fast(u.clone()).sum(), u)
    torch.testing.assert_close(gradient, expected)


def test_log_cosh_does_not_overflow():
    u = torch.tensor([-1e30, -1e4, -3.0, 0.0, 3.0, 1e4])
    expected = torch.tensor([1e30, 1e4 - math.log(2), 2.3093, 0.0, 2.3093, 1e4 - math.log(2)])
    torch.testing.assert_close(log_cosh(u), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("q", "expected"), [(0.0, 1.0), (0.25, 2.0), (0.5, 3.0), (1.0, 5.0)])
def test_quantiles(q, expected):
    assert quantile(torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0]), q) == expected


@pytest.mark.parametrize("q", [0.1, 0.25, 0.5, 0.9, 0.99])
def test_a_weight_of_a_quantile_is_a_number_of_repetitions(q):
    values = numbers(2000)
    counts = torch.randint(1, 9, (2000,), generator=torch.Generator().manual_seed(1))
    repeated = quantile(values.repeat_interleave(counts), q)
    assert quantile(values, q, counts) == pytest.approx(repeated, abs=0.02)
    few = torch.tensor([0.0, 1.0, 2.0, 3.0, 4.0])
    for times in ([1, 9, 1, 1, 1], [1, 1, 1, 1, 5], [7, 1, 1, 1, 1]):
        weight = torch.tensor(times)
        repeated = few.repeat_interleave(weight)
        assert quantile(few, q, weight) == np.quantile(repeated, q, method="inverted_cdf")
    # values of hardly any weight count as little as absent ones
    weight = torch.cat([torch.ones(2000), torch.full((2000,), 1e-9)])
    both = torch.cat([values, values + 50.0])
    assert quantile(both, q, weight) == pytest.approx(quantile(values, q), abs=0.02)
