"""The convolutional energy is a potential, sees positions, and rises far away."""

import pytest
import torch

from sklearn_emma.nn import ConvolutionalEnergy

SHAPES = [(1, 1), (2, 9), (3, 150), (1, 6, 5), (2, 40, 33)]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_energy(shape, **params):
    """Return an energy with every parameter, biases included, away from zero."""
    energy = ConvolutionalEnergy(shape, 4, 3, 5, generator(), **params).double()
    with torch.no_grad():
        for parameter in energy.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator(1)))
    return energy.requires_grad_(False)


def samples(shape, n=4, scale=1.0):
    size = n, torch.Size(shape).numel()
    return scale * torch.randn(size, generator=generator(2), dtype=torch.float64)


@pytest.mark.parametrize("shape", SHAPES)
def test_reconstruction_follows_the_gradient_of_the_potential(shape):
    energy, x = make_energy(shape), samples(shape).requires_grad_()
    (gradient,) = torch.autograd.grad(energy(x).sum(), x)
    torch.testing.assert_close(x - energy.reconstruct(x), gradient)
    with torch.inference_mode():
        torch.testing.assert_close(energy.gradient(x.detach().clone()), gradient)


def test_weights_learn_through_the_reconstruction():
    energy = make_energy((2, 9)).requires_grad_()
    energy.reconstruct(samples((2, 9))).square().sum().backward()
    assert all(bool(p.grad.abs().sum() > 0) for p in energy.parameters())


@pytest.mark.parametrize("shape", SHAPES)
def test_samples_do_not_depend_on_each_other(shape):
    energy, x = make_energy(shape), samples(shape)
    torch.testing.assert_close(energy(x[1:2]), energy(x)[1:2])


def test_energy_grows_without_end():
    energy, x = make_energy((2, 9)), samples((2, 9))
    values = [energy(scale * x) for scale in (10.0, 100.0, 1000.0)]
    assert bool((values[0] < values[1]).all() and (values[1] < values[2]).all())


def test_a_shift_changes_the_energy_by_the_biases_of_positions_only():
    energy = ConvolutionalEnergy((1, 40), 4, 3, 5, generator()).double().requires_grad_(False)
    energy.weights.zero_()
    x = torch.zeros(1, 40, dtype=torch.float64)
    x[0, 10:14] = torch.tensor([1.0, -2.0, 0.5, 1.0], dtype=torch.float64)
    shifted = x.roll(8, 1)
    torch.testing.assert_close(energy(x), energy(shifted))
    energy.filter_biases[:, :20] = 1.0
    assert abs(energy(x) - energy(shifted)) > 0.1


@pytest.mark.parametrize("shape", [(5,), (0, 4), (1, 2, 3, 4)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"shape must be \(channels, length\)"):
        ConvolutionalEnergy(shape)
