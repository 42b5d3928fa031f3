"""Several predictors behind one gate."""

import pytest
import torch

from sklearn_emma.gate.plain_objective import PlainObjective
from sklearn_emma.gate.prediction_loss import ClassLoss
from sklearn_emma.gate.samples import ScoredSamples
from sklearn_emma.nn import FusionEnsemble, FusionNetwork


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_networks(n=3):
    networks = [FusionNetwork([4, 2], 3, (8, 5), (7,), generator(k), True) for k in range(n)]
    for k, network in enumerate(networks):  # the linear model starts at zero
        for parameter in network.linear.parameters():
            torch.nn.init.uniform_(parameter, generator=generator(k))
    return networks


@pytest.fixture
def samples():
    return [torch.randn(6, d, generator=generator(d)) for d in (4, 2)]


def test_the_ensemble_is_the_mean_of_its_networks(samples):
    networks = make_networks()
    ensemble = FusionEnsemble(networks)
    beta = torch.rand(6, 2, generator=generator(9))
    each = torch.stack([network(samples, beta) for network in networks])
    encoded = ensemble.encode(samples)
    torch.testing.assert_close(ensemble.fuse_each(encoded, beta), each)
    torch.testing.assert_close(ensemble(samples, beta), each.mean(0))


def test_several_gates_at_once(samples):
    ensemble = FusionEnsemble(make_networks())
    gates = torch.rand(5, 6, 2, generator=generator(9))
    encoded = ensemble.encode(samples)
    assert ensemble.fuse_each(encoded, gates).shape == (5, 3, 6, 3)
    expected = torch.stack([ensemble(samples, beta) for beta in gates])
    torch.testing.assert_close(ensemble.fuse(encoded, gates), expected)


def test_the_first_network(samples):
    networks = make_networks()
    first, beta = FusionEnsemble(networks).first(), torch.rand(6, 2, generator=generator(9))
    torch.testing.assert_close(first(samples, beta), networks[0](samples, beta))


def test_every_network_has_a_loss_of_its_own(samples):
    """One that is right does not keep the others from learning."""
    networks, target = make_networks(), torch.tensor([0, 1, 2, 0, 1, 2])
    ones = torch.ones(6, 2)
    scored = ScoredSamples(samples, target, torch.ones(6), torch.zeros(6, 2), samples)
    ensemble = PlainObjective(FusionEnsemble(networks), ClassLoss(), scored, generator())
    loss = ensemble.loss(ones, target, torch.ones(6), *samples)
    loss.backward()
    alone = []
    for network in networks:
        objective = PlainObjective(network, ClassLoss(), scored, generator())
        alone.append(objective.loss(ones, target, torch.ones(6), *samples))
        alone[-1].backward()
    torch.testing.assert_close(loss, torch.stack(alone).mean())
    gradient = ensemble.network.networks.head.weights[0].grad
    expected = torch.stack([network.head.weights[0].grad for network in networks]) / 3
    torch.testing.assert_close(gradient, expected)


def test_all_networks_cool_alike(samples):
    ensemble, half = FusionEnsemble(make_networks()), torch.full((6, 2), 0.5)
    expected = ensemble(samples, half)
    ensemble.divide_first_layer(0.5)
    torch.testing.assert_close(ensemble(samples, 0.5 * half), expected)


@pytest.mark.parametrize(
    "networks",
    [
        [],
        [FusionNetwork([3, 2], 2), FusionNetwork([3, 2], 3)],
        [FusionNetwork([3, 2], 2), FusionNetwork([2, 3], 2)],
        [FusionNetwork([3, 2], 2), FusionNetwork([3, 2], 2, (8, 4))],
        [FusionNetwork([3, 2], 2), FusionNetwork([3, 2], 2, normal_scores=True)],
    ],
)
def test_all_networks_have_the_same_architecture(networks):
    with pytest.raises(ValueError, match="of the same architecture"):
        FusionEnsemble(networks)
