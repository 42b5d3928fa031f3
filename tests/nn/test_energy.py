"""The potential is the integral of the field, at any depth and for every activation."""

import math

import pytest
import torch
from torch.nn import functional as F

from sklearn_emma.nn import DAEEnergy
from sklearn_emma.nn.energy import ACTIVATIONS

N_FEATURES = 3
activations = pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
depths = pytest.mark.parametrize("sizes", [(7,), (7, 5), (7, 5, 4)], ids=["1", "2", "3 layers"])
prototypes = pytest.mark.parametrize("n_prototypes", [0, 1, 6])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_energy(activation, sizes, n_prototypes=0):
    """Return an energy with every parameter, biases included, away from zero."""
    energy = DAEEnergy(N_FEATURES, sizes, activation, generator(), n_prototypes).double()
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.add_(0.5 * torch.randn(parameter.shape, generator=generator(1)))
    return energy.requires_grad_(False)


def samples(n=20, scale=2.0):
    return scale * torch.randn(n, N_FEATURES, generator=generator(2), dtype=torch.float64)


@activations
def test_integral_and_slope_belong_to_the_response(activation):
    response, integral, slope = ACTIVATIONS[activation]
    u = torch.linspace(-4.0, 4.0, 81, dtype=torch.float64).requires_grad_()
    u_detached = u.detach()
    (derivative,) = torch.autograd.grad(integral(u.clone()), u)
    h = response(u_detached.clone())
    torch.testing.assert_close(derivative, h)
    (derivative,) = torch.autograd.grad(response(u.clone()).sum(), u)
    torch.testing.assert_close(slope(h), derivative)


@activations
@depths
@prototypes
def test_potential_is_the_integral_of_the_field_along_any_path(activation, sizes, n_prototypes):
    energy = make_energy(activation, sizes, n_prototypes)
    start, end = samples(2)
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
@prototypes
def test_reconstruction_minus_sample_is_the_negative_gradient(activation, sizes, n_prototypes):
    energy = make_energy(activation, sizes, n_prototypes)
    x = samples().requires_grad_()
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
    x, weight, hidden_bias = samples(), energy.weights[0], energy.hidden_biases[0]
    u = x @ weight.T + hidden_bias
    torch.testing.assert_close(energy.reconstruct(x), h(u) @ weight + energy.visible_bias)
    potential = -big_h(u).sum(1) + 0.5 * (x - energy.visible_bias).square().sum(1)
    torch.testing.assert_close(energy.potential(x), potential)
    assert sorted(energy.state_dict()) == ["hidden_biases.0", "visible_bias", "weights.0"]


def mixture(energy):
    """Return the mixture of Gaussians that prototypes stand for."""
    kind = torch.distributions.Categorical(logits=energy.prototype_biases)
    deviation = (0.5 * energy.log_temperature).exp().expand(energy.prototypes.shape)
    normals = torch.distributions.Normal(energy.prototypes, deviation)
    return torch.distributions.MixtureSameFamily(kind, torch.distributions.Independent(normals, 1))


def test_prototypes_alone_are_a_mixture_of_gaussians():
    energy = make_energy("tanh", (4,), n_prototypes=6)
    for parameter in (*energy.weights, *energy.hidden_biases, energy.visible_bias):
        parameter.zero_()
    x = samples(50)
    log_likelihood = mixture(energy).log_prob(x)
    difference = energy.potential(x) + energy.log_temperature.exp() * log_likelihood
    torch.testing.assert_close(difference, difference[:1].expand(50))
    # and the reconstruction is the mean of the prototypes that a sample may belong to
    distance = (x[:, None] - energy.prototypes).square().sum(2)
    share = (energy.prototype_biases - 0.5 * distance / energy.log_temperature.exp()).softmax(1)
    torch.testing.assert_close(energy.reconstruct(x), share @ energy.prototypes)


def test_prototypes_add_their_own_terms_and_nothing_else():
    plain, energy = make_energy("tanh", (7, 5)), make_energy("tanh", (7, 5), n_prototypes=6)
    energy.load_state_dict(plain.state_dict(), strict=False)
    x = samples()
    distance = (x[:, None] - energy.prototypes).square().sum(2)
    temperature = energy.log_temperature.exp()
    likelihood = (energy.prototype_biases - 0.5 * distance / temperature).exp().sum(1)
    added = -temperature * likelihood.log() - 0.5 * x.square().sum(1)
    torch.testing.assert_close(energy.potential(x), plain.potential(x) + added)


def test_prototypes_start_where_samples_are_and_hidden_layers_as_a_correction():
    energy = DAEEnergy(N_FEATURES, (7, 5), "tanh", generator(), n_prototypes=4)
    weights = [weight.detach().clone() for weight in energy.weights]
    places = 10.0 * torch.randn(4, N_FEATURES, generator=generator(3))
    energy.place_prototypes(places, 0.25)
    assert torch.equal(energy.prototypes, places)
    assert energy.log_temperature.exp().item() == pytest.approx(0.25)
    torch.testing.assert_close(energy.weights[0], weights[0])
    torch.testing.assert_close(energy.weights[1], 0.1 * weights[1])
    # a sample near a prototype, far from the others, is led to it
    led = energy.reconstruct(places + 0.3).detach()
    assert ((led - places).norm(dim=1) < 0.3 * 3**0.5).all()
    # they are there to be trained
    energy.potential(places).sum().backward()
    assert all(parameter.grad is not None for parameter in energy.parameters())


def test_prototypes_far_from_a_sample_do_not_overflow():
    energy = make_energy("tanh", (7,), n_prototypes=6).float()
    energy.log_temperature.fill_(math.log(1e-4))
    x = torch.tensor([[1e15, -1e15, 1e15], [0.0, 0.0, 0.0]])
    assert energy.potential(x).isfinite().all()
    assert energy.reconstruct(x).isfinite().all()


@depths
@prototypes
def test_samples_do_not_see_each_other(sizes, n_prototypes):
    energy = make_energy("tanh", sizes, n_prototypes)
    x = samples()
    one_by_one = torch.cat([energy(sample.unsqueeze(0)) for sample in x])
    torch.testing.assert_close(energy(x), one_by_one, rtol=1e-12, atol=1e-12)


def test_same_generator_same_weights_and_the_global_one_untouched():
    before = torch.random.get_rng_state()
    first, second = (DAEEnergy(3, (4, 2), generator=generator(5), n_prototypes=2) for _ in range(2))
    other = DAEEnergy(3, (4, 2), generator=generator(6), n_prototypes=2)
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)
    assert not torch.equal(first.weights[0], other.weights[0])
    assert not torch.equal(first.prototypes, other.prototypes)
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
