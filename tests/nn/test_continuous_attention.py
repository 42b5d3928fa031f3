"""Continuous attention is the expectation of a smooth function under a density, in closed form."""

import math

import pytest
import torch

from sklearn_emma.nn import ContinuousAttention, Density

SIZES = [(1,), (40,), (7, 9)]


def positions(n):
    return (torch.arange(n, dtype=torch.float64) + 0.5) / n


def bump(center, width, n=100):
    weights = torch.exp(-0.5 * ((positions(n) - center) / width).square())
    return (weights / weights.sum()).unsqueeze(0)


@pytest.mark.parametrize("sizes", SIZES)
def test_a_density_has_mean_and_covariance_of_its_weights(sizes):
    attention = ContinuousAttention(sizes).double()
    n = math.prod(sizes)
    generator = torch.Generator().manual_seed(0)
    weights = torch.rand(3, n, generator=generator, dtype=torch.float64)
    weights = weights / weights.sum(1, keepdim=True)
    density = attention.density(weights)
    assert density.weight.flatten().tolist() == pytest.approx([1.0] * 3)
    mean = weights @ attention.positions
    torch.testing.assert_close(density.mean[:, 0], mean)
    distance = attention.positions - mean.unsqueeze(1)
    covariance = torch.einsum("nl,nla,nlb->nab", weights, distance, distance)
    torch.testing.assert_close(density.covariance[:, 0], covariance + attention.least)


def test_a_density_says_where_an_event_is():
    attention = ContinuousAttention((100,)).double()
    for center in 0.2, 0.7:
        density = attention.density(bump(center, 0.05))
        assert density.mean.item() == pytest.approx(center, abs=0.01)
        assert density.covariance.sqrt().item() == pytest.approx(0.05, abs=0.005)


@pytest.mark.parametrize("sizes", [(40,), (7, 9)])
def test_the_context_is_the_integral_of_the_function_over_the_density(sizes):
    attention = ContinuousAttention(sizes, n_basis=5).double()
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(1, 2, math.prod(sizes), generator=generator, dtype=torch.float64)
    axes = len(sizes)
    mean = torch.full((1, 1, axes), 0.4, dtype=torch.float64)
    covariance = 0.02 * torch.eye(axes, dtype=torch.float64).expand(1, 1, axes, axes)
    weight = torch.ones(1, 1, dtype=torch.float64)
    context = attention.expect(values, Density(weight, mean, covariance))
    # the same integral, summed over a fine grid of positions far around the mean
    line = torch.linspace(-1.5, 2.5, 401, dtype=torch.float64)
    grid = torch.cartesian_prod(*[line] * axes).reshape(-1, axes)
    normal = torch.distributions.MultivariateNormal
    p = normal(mean[0, 0], covariance[0, 0]).log_prob(grid).exp() * 0.01**axes
    basis = normal(attention.centers.unsqueeze(1), attention.widths).log_prob(grid).exp()
    function = values[0] @ attention.regression @ basis
    torch.testing.assert_close(context[0], function @ p, rtol=1e-4, atol=1e-6)


def test_the_context_follows_smooth_values():
    attention = ContinuousAttention((100,)).double()
    values = torch.sin(4 * positions(100)).reshape(1, 1, -1)
    for center in 0.3, 0.6:
        context = attention(values, bump(center, 0.01))
        assert context.item() == pytest.approx(math.sin(4 * center), abs=0.01)


def test_smooth_values_are_those_at_fewer_positions():
    attention = ContinuousAttention((100,)).double()
    values = torch.sin(4 * positions(100)).reshape(1, 1, -1)
    smooth = attention.smooth(values)[0, 0]
    expected = torch.sin(4 * positions(16))
    torch.testing.assert_close(smooth, expected, atol=0.02, rtol=0.0)


def test_a_mixture_finds_two_events():
    attention = ContinuousAttention((100,), n_components=2).double()
    weights = 0.3 * bump(0.2, 0.03) + 0.7 * bump(0.8, 0.06)
    density = attention.density(weights)
    assert density.weight[0].tolist() == pytest.approx([0.3, 0.7], abs=0.01)
    assert density.mean.flatten().tolist() == pytest.approx([0.2, 0.8], abs=0.01)
    assert density.covariance.sqrt().flatten().tolist() == pytest.approx([0.03, 0.06], abs=0.01)
    values = torch.randn(1, 1, 100, generator=torch.Generator().manual_seed(0)).double()
    parts = [
        attention.expect(values, Density(*(part[:, k : k + 1] for part in density)))
        for k in range(2)
    ]
    torch.testing.assert_close(attention.expect(values, density), parts[0] + parts[1])


def test_a_position_far_from_all_components_keeps_its_weight():
    weights = torch.zeros(1, 60, dtype=torch.float64)
    weights[0, [10, 20, 50]] = torch.tensor([0.5, 0.499, 0.001], dtype=torch.float64)
    density = ContinuousAttention((60,), n_components=2).double().density(weights)
    assert density.weight.sum().item() == pytest.approx(1.0)
    assert density.mean.isfinite().all()
    weights = torch.zeros(1, 60, dtype=torch.float64)
    weights[0, 10] = 1.0
    weights.requires_grad_()
    density = ContinuousAttention((60,), n_components=2).double().density(weights)
    density.mean.sum().backward()
    assert weights.grad.isfinite().all()


@pytest.mark.parametrize("n_events", [1, 2, 3])
def test_the_description_length_counts_the_events(n_events):
    weights = sum(bump((k + 0.5) / n_events, 0.03) for k in range(n_events)) / n_events
    lengths = []
    for n_components in 1, 2, 3, 4:
        attention = ContinuousAttention((100,), n_components=n_components, n_iter=50).double()
        lengths.append(attention.description_length(weights, attention.density(weights)).item())
    assert lengths.index(min(lengths)) == n_events - 1


def test_the_parameters_of_images_are_counted():
    attention = ContinuousAttention((5, 5), n_components=2).double()
    weights = torch.full((1, 25), 0.04, dtype=torch.float64)
    density = attention.density(weights)
    prices = [attention.description_length(weights, density, strength) for strength in (0.0, 1.0)]
    assert (prices[1] - prices[0]).item() == pytest.approx(11.0)


@pytest.mark.parametrize("n_components", [1, 3])
def test_a_single_position_is_a_density(n_components):
    attention = ContinuousAttention((50,), n_components=n_components)
    weights = torch.zeros(1, 50)
    weights[0, 10] = 1.0
    context = attention(torch.ones(1, 1, 50), weights)
    assert context.item() == pytest.approx(1.0, abs=0.02)


def test_nothing_in_it_is_learned_or_stored():
    attention = ContinuousAttention((50,))
    assert not list(attention.parameters())
    assert not attention.state_dict()
