"""The energy of a signal is the soft maximum of the energies of its views."""

import torch

from sklearn_emma.nn import ConvolutionalEnergy, DAEEnergy, EnergyEnsemble, SignalEnergy, SoftClip
from sklearn_emma.nn.signal_energy import SIGNAL_VIEWS

SHAPE = 2, 30


def make_energy():
    generator = torch.Generator().manual_seed(0)
    energies = {}
    for view, features in SIGNAL_VIEWS.items():
        width = features(torch.zeros(1, *SHAPE)).shape[1]
        member = DAEEnergy(width, (6,), "tanh", generator)
        if view == "signal":
            member = ConvolutionalEnergy(SHAPE, 3, 5, 4, generator)
        energies[view] = EnergyEnsemble([member], [SoftClip(width)])
    energy = SignalEnergy(SHAPE, energies).double().requires_grad_(False)
    energy.center.copy_(torch.tensor([1.0, -2.0]))
    energy.scale.copy_(torch.tensor([2.0, 0.5]))
    energy.level.copy_(torch.tensor([30.0, 100.0, 50.0]))
    energy.spread.copy_(torch.tensor([3.0, 20.0, 10.0]))
    return energy


def samples(n=5):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, 60, generator=generator, dtype=torch.float64)


def test_the_gradient_is_that_of_the_potential():
    energy, x = make_energy(), samples().requires_grad_()
    (gradient,) = torch.autograd.grad(energy(x).sum(), x)
    torch.testing.assert_close(energy.gradient(x), gradient)
    assert not energy.gradient(x).requires_grad


def test_it_is_the_soft_maximum_of_its_views():
    energy, x = make_energy(), samples()
    unusual = energy.unusual(x)
    assert unusual.shape == (5, 3)
    torch.testing.assert_close(energy(x), unusual.exp().mean(1).log())
    torch.testing.assert_close(unusual, (energy.potentials(x) - energy.level) / energy.spread)


def test_channels_are_scaled_by_one_number_each():
    energy, x = make_energy(), samples()
    signal = x.unflatten(1, SHAPE)
    standard = torch.stack([(signal[:, 0] - 1.0) / 2.0, (signal[:, 1] + 2.0) / 0.5], 1)
    own = energy.energies["power"](SIGNAL_VIEWS["power"](standard))
    torch.testing.assert_close(energy.potentials(x)[:, 2], own)


def test_many_samples_are_evaluated_in_blocks_of_the_same_result(monkeypatch):
    energy, x = make_energy(), samples(50)
    whole = energy(x)
    monkeypatch.setattr("sklearn_emma.nn.signal_energy._BLOCK", 7)
    torch.testing.assert_close(energy(x), whole)


def test_extreme_values_have_a_finite_energy():
    assert bool(make_energy()(torch.full((1, 60), 1e300, dtype=torch.float64)).isfinite().all())
