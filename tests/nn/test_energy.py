"""The potential is the integral of the field, at any depth and for every activation."""

import math

import pytest
import torch
from torch.nn import functional as F

from sklearn_emma.nn import DAEEnergy
from sklearn_emma.nn.energy import ACTIVATIONS, log_cosh

N_FEATURES = 3
activations = pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
depths = pytest.mark.parametrize("sizes", [(7,), (7, 5), (7, 5, 4)], ids=["1", "2", "3 layers"])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_energy(activation, sizes):
    """Return an energy with every parameter, biases included, away from zero."""
    energy = DAEEnergy(N_FEATURES, sizes, activation, generator()).double()
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator(1)))
    return energy.requires_grad_(False)


def rows(n=20, scale=2.0):
    return scale * torch.randn(n, N_FEATURES, generator=generator(2), dtype=torch.float64)


@activations
def test_integral_and_slope_belong_to_the_response(activation):
    response, integral, slope = ACTIVATIONS[activation]
    u = torch.linspace(-4.0, 4.0, 81, dtype=torch.float64).requires_grad_()
    u_detached = u.detach()
    (derivative,) = torch.autograd.grad(integral(u).sum(), u)
    torch.testing.assert_close(derivative, response(u_detached))
    (derivative,) = torch.autograd.grad(response(u).sum(), u)
    torch.testing.assert_close(slope(u_detached, response(u_detached)), derivative)


@activations
@depths
def test_potential_is_the_integral_of_the_field_along_any_path(activation, sizes):
    energy = make_energy(activation, sizes)
    start, end = rows(2)
    # a path that bends, so that only an integrable field gives the difference of the ends
    time = torch.linspace(0.0, 1.0, 20001, dtype=torch.float64).unsqueeze(1)
    bend = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    path = start + time * (end - start) + torch.sin(math.pi * time) * bend
    field = energy.reconstruct(path) - path
    work = (0.5 * (field[1:] + field[:-1]) * (path[1:] - path[:-1])).sum()
    difference = energy(end.unsqueeze(0)) - energy(start.unsqueeze(0))
    # the field of deep ReLU layers jumps
    rtol = 1e-4 if activation == "relu" else 1e-6
    torch.testing.assert_close(-work, difference.squeeze(), rtol=rtol, atol=1e-6)


@activations
@depths
def test_reconstruction_minus_row_is_the_negative_gradient(activation, sizes):
    energy = make_energy(activation, sizes)
    x = rows().requires_grad_()
    (gradient,) = torch.autograd.grad(energy.potential(x).sum(), x)
    x = x.detach()
    torch.testing.assert_close(energy.reconstruct(x) - x, -gradient)
    torch.testing.assert_close(energy.gradient(x), gradient)


@pytest.mark.parametrize(
    ("activation", "h", "big_h"),
    [
        ("sigmoid", torch.sigmoid, F.softplus),
        ("tanh", torch.tanh, lambda u: torch.log(torch.cosh(u))),
        ("relu", torch.relu, lambda u: u.clamp(min=0) ** 2 / 2),
        ("identity", lambda u: u, lambda u: u**2 / 2),
    ],
)
def test_one_layer_is_the_tied_autoencoder(activation, h, big_h):
    energy = make_energy(activation, (7,))
    x, weight, hidden_bias = rows(), energy.weights[0], energy.hidden_biases[0]
    u = x @ weight.T + hidden_bias
    torch.testing.assert_close(energy.reconstruct(x), h(u) @ weight + energy.visible_bias)
    potential = -big_h(u).sum(1) + 0.5 * (x - energy.visible_bias).square().sum(1)
    torch.testing.assert_close(energy.potential(x), potential)


@depths
def test_rows_do_not_see_each_other(sizes):
    energy = make_energy("tanh", sizes)
    x = rows()
    one_by_one = torch.cat([energy(row.unsqueeze(0)) for row in x])
    torch.testing.assert_close(energy(x), one_by_one, rtol=1e-12, atol=1e-12)


def test_log_cosh_does_not_overflow():
    u = torch.tensor([-1e30, -1e4, -3.0, 0.0, 3.0, 1e4])
    expected = torch.tensor([1e30, 1e4 - math.log(2), 2.3093, 0.0, 2.3093, 1e4 - math.log(2)])
    torch.testing.assert_close(log_cosh(u), expected, rtol=1e-4, atol=1e-6)


def test_same_generator_same_weights_and_the_global_one_untouched():
    before = torch.random.get_rng_state()
    first, second = (DAEEnergy(3, (4, 2), generator=generator(5)) for _ in range(2))
    other = DAEEnergy(3, (4, 2), generator=generator(6))
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)
    assert not torch.equal(first.weights[0], other.weights[0])
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((4,), "softmax"), "activation must be one of .*'sigmoid'.*got 'softmax'"),
        (((), "tanh"), "hidden_layer_sizes must hold at least one positive"),
        (((4, 0), "tanh"), "hidden_layer_sizes must hold .* got \\(4, 0\\)"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        DAEEnergy(3, *arguments)
