"""The conditional mean of missing values, for Gaussian features."""

import pytest
import torch

from sklearn_emma.nn import ConditionalMean

N, D = 400, 6


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_samples(n_samples=N, n_features=D, seed=0):
    """Features with a common cause, up to noise."""
    g = generator(seed)
    cause = torch.randn(n_samples, 1, generator=g)
    return cause + 0.2 * torch.randn(n_samples, n_features, generator=g)


def learned(x=None, weight=None):
    x = make_samples() if x is None else x
    model = ConditionalMean(x.shape[1]).double()
    model.learn(x, weight)
    return model


@pytest.mark.parametrize("n_features", [D, 40])
def test_missing_values_get_their_conditional_mean(n_features):
    model = learned(make_samples(n_features=n_features))
    x = make_samples(50, n_features, seed=1).double()
    missing = torch.rand(x.shape, generator=generator(2)) < 0.4
    missing[0], missing[1] = False, True
    filled = model.fill(torch.where(missing, torch.nan, x), missing)
    assert torch.equal(filled[~missing], x[~missing])
    torch.testing.assert_close(filled[1], model.mean)
    covariance = torch.linalg.inv(model.precision)
    for row, absent, values in zip(x, missing, filled, strict=True):
        rest = row[~absent] - model.mean[~absent]
        between, among = covariance[absent][:, ~absent], covariance[~absent][:, ~absent]
        expected = model.mean[absent] + between @ torch.linalg.solve(among, rest)
        torch.testing.assert_close(values[absent], expected, atol=1e-4, rtol=1e-4)


def test_samples_are_filled_one_by_one():
    model, x = learned(), make_samples(40, seed=3).double()
    missing = torch.rand(x.shape, generator=generator(4)) < 0.5
    together = model.fill(x, missing)
    for i in range(40):
        alone = model.fill(x[i : i + 1], missing[i : i + 1])
        torch.testing.assert_close(alone[0], together[i], rtol=1e-12, atol=1e-12)


def test_extreme_values_predict_no_more_than_their_limit():
    model, missing = learned(), torch.tensor([[True] + [False] * (D - 1)])
    x = torch.full((1, D), 5.0).double()
    at_limit = model.fill(x, missing)[0, 0]
    assert model.fill(1e6 * x, missing)[0, 0] == at_limit
    assert 3.0 < at_limit < 6.0


def test_learning_from_samples_with_gaps():
    x = make_samples(4000)
    gaps = torch.rand(x.shape, generator=generator(5)) < 0.3
    complete, partial = learned(x), learned(torch.where(gaps, torch.nan, x))
    missing = gaps & ~gaps.all(1, keepdim=True)
    difference = partial.fill(x.double(), missing) - complete.fill(x.double(), missing)
    assert difference[missing].square().mean().sqrt() < 0.02


def test_learning_from_values_that_are_missing_together():
    x = make_samples(2000)
    gaps = x.clone()
    gaps[:1700, :4] = torch.nan
    complete, partial = learned(x), learned(gaps)
    for first in (0, 1, 3, 5):  # one value, or several of those that were missing together
        missing = torch.zeros_like(x, dtype=torch.bool)
        missing[:, : first + 1] = True
        missing[:, first + 1 : 5] = False
        difference = partial.fill(x.double(), missing) - complete.fill(x.double(), missing)
        assert difference[missing].square().mean().sqrt() < 0.1


def test_samples_without_values_or_weight_are_ignored():
    x, weight = make_samples(), torch.ones(N)
    gaps = torch.rand(x.shape, generator=generator(5)) < 0.3
    x = torch.where(gaps, torch.nan, x)
    weight[N // 2 :] = 0.0
    some = learned(x[: N // 2])
    empty = torch.full((9 * N, D), torch.nan)
    for samples, weights in ((torch.cat([x[: N // 2], empty]), None), (x, weight)):
        model = learned(samples, weights)
        torch.testing.assert_close(model.mean, some.mean)
        torch.testing.assert_close(model.precision, some.precision)


def test_random_draws_do_not_change_the_global_generator():
    x = make_samples()
    x[::2, 0] = torch.nan
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    first, second = learned(x), learned(x)
    assert torch.rand(1) == expected
    assert torch.equal(first.precision, second.precision)


def test_explained_variance():
    x = make_samples(4000, 3)
    x[:, 2] = torch.randn(4000, generator=generator(1))
    explained = learned(x).explained_variance()
    torch.testing.assert_close(
        explained, torch.tensor([0.92, 0.92, 0.0]).double(), atol=0.02, rtol=0
    )


def test_some_of_many_samples_are_enough(monkeypatch):
    x = make_samples(4000)
    monkeypatch.setattr("sklearn_emma.nn.conditional_mean._MOST_VALUES", 2000 * D)
    halved, half = learned(x), learned(x[::2])
    assert torch.equal(halved.precision, half.precision)


def test_features_that_are_never_seen_together_or_constant_or_few_samples():
    x = make_samples(100, 3)
    x[:50, 0], x[50:, 1], x[:, 2] = torch.nan, torch.nan, 0.0
    for samples in (x, x[49:51], x[:1], torch.full((3, 3), torch.nan)):
        model = learned(samples)
        filled = model.fill(x.double(), x.isnan())
        assert torch.isfinite(model.precision).all()
        assert torch.isfinite(filled).all()
        assert filled.abs().max() < 6


def test_weights_are_those_of_repeated_samples():
    x, weight = make_samples(), torch.randint(1, 4, (N,), generator=generator(5))
    weighted, repeated = learned(x, weight.float()), learned(x.repeat_interleave(weight, 0))
    # except for the ridge, which is smaller with more samples
    torch.testing.assert_close(weighted.mean, repeated.mean)
    torch.testing.assert_close(weighted.precision, repeated.precision, rtol=0.5, atol=0.3)
