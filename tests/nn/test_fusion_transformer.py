"""The predictor with attention among columns and across modalities."""

import pytest
import torch

from sklearn_emma.nn import FusionEnsemble, FusionTransformer

WIDTHS = [4, 2, 4]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def samples(n=6):
    return [torch.randn(n, d, generator=generator(i)) for i, d in enumerate(WIDTHS)]


def gates(*shape):
    return torch.rand(*shape, len(WIDTHS), generator=generator(9))


def make_network(seed=0):
    """A small network, whose linear model is not zero."""
    network = FusionTransformer(WIDTHS, 3, (8, 5), (7,), generator(seed), normal_scores=True)
    with torch.no_grad():
        for parameter in network.linear.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator(seed)))
    return network


def make_ensemble():
    return FusionEnsemble([make_network(seed) for seed in range(3)])


@pytest.mark.parametrize("make", [make_network, make_ensemble])
@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_modality_has_no_effect(make, closed):
    network, x, beta = make(), samples(), gates(6)
    beta[:, closed] = 0.0
    before = network(x, beta)
    x[closed] = x[closed] + 10.0
    assert (network(x, beta) == before).all()
    x[closed - 1] = x[closed - 1] + 10.0
    assert not torch.isclose(network(x, beta), before).any()


@pytest.mark.parametrize("make", [make_network, make_ensemble])
def test_with_nothing_left_the_prediction_is_a_constant(make):
    found = make()(samples(), torch.zeros(6, 3))
    assert found.isfinite().all()
    assert (found == found[0]).all()


def test_an_open_modality_changes_what_the_others_say():
    network, x = make_network(), samples()
    encoded = network.encode(x)[..., :5]
    both, one = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]).unsqueeze(1).repeat(1, 6, 1)
    alone, beside = network.cross(encoded, one), network.cross(encoded, both)
    assert not torch.isclose(alone[0], beside[0]).all(-1).any()


def test_an_ensemble_is_each_of_its_networks_under_several_gates():
    ensemble, networks = make_ensemble(), [make_network(seed) for seed in range(3)]
    x, beta = samples(), gates(4, 6)
    found = ensemble.fuse_each(ensemble.encode(x), beta)
    expected = [torch.stack([network(x, one) for network in networks]) for one in beta]
    torch.testing.assert_close(found, torch.stack(expected))
    torch.testing.assert_close(ensemble(x, beta[0]), found[0].mean(0))


@pytest.mark.parametrize("make", [make_network, make_ensemble])
def test_a_divided_first_layer_makes_up_for_a_factor_of_the_gate(make):
    network, x, beta = make(), samples(), gates(6)
    before = network(x, beta)
    network.divide_first_layer(0.6)
    torch.testing.assert_close(network(x, 0.6 * beta), before)


def test_numbers_of_a_sample_grow_with_the_pairs_of_columns():
    few, many = (FusionTransformer([d], 2).numbers_per_sample() for d in (10, 40))
    assert many > 8 * 10 * 10 + few
