"""The predictors behind the gate."""

import pytest
import torch
from torch import nn

from sklearn_emma.nn import EnergyAttention, FusionNetwork, GatedInputs
from sklearn_emma.nn.module_stack import stack


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_modalities(n=6):
    return [torch.randn(n, d, generator=generator(d)) for d in (4, 2)]


def make_network(seed=0):
    return FusionNetwork(
        [4, 2], 3, encoder_sizes=(8, 5), head_sizes=(7,), generator=generator(seed)
    )


def random_linear(network):
    """Give the linear model weights, which start at zero."""
    with torch.no_grad():
        for parameter in network.linear.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator(7)))
    return network


@pytest.mark.parametrize("head_sizes", [(7,), (), (7, 6)])
def test_network_is_its_encoders_gate_and_head_and_a_linear_model(head_sizes):
    network = FusionNetwork([4, 2], 3, (8, 5), head_sizes, generator())
    network, samples = random_linear(network), make_modalities()
    beta = torch.rand(6, 2, generator=generator(9))
    logits = network(samples, beta)
    assert logits.shape == (6, 3)
    (encoder,), (linear,) = network.encoders.stacks, network.linear.stacks
    gated, expected = [], torch.zeros(6, 3)
    for i, x in enumerate(samples):
        h = x
        for weight, bias in zip(encoder.weights, encoder.biases, strict=True):
            h = torch.relu(h @ weight[i, :, : h.shape[1]].T + bias[i])
        gated.append(beta[:, [i]] * h)
        u = x @ linear.weights[0][i, :, : x.shape[1]].T + linear.biases[0][i]
        expected = expected + beta[:, [i]] * u
    # the head sees embeddings first, and then the ones beside them
    expected = expected + network.head(torch.cat([*gated, beta], 1))
    torch.testing.assert_close(logits, expected)


def test_the_linear_model_starts_at_nothing():
    network, modalities = make_network(), make_modalities()
    before = network(modalities, torch.ones(6, 2))
    for parameter in network.linear.parameters():
        assert not parameter.any()
    after = random_linear(network)(modalities, torch.ones(6, 2))
    assert not torch.allclose(before, after)


def test_a_stack_of_networks_is_each_of_them():
    networks = [random_linear(make_network(seed)) for seed in range(3)]
    modalities, beta = make_modalities(), torch.rand(6, 2, generator=generator(9))
    together = stack(networks)(modalities, beta)
    assert together.shape == (3, 6, 3)
    torch.testing.assert_close(together, torch.stack([n(modalities, beta) for n in networks]))
    gates = torch.rand(4, 6, 2, generator=generator(8))
    network = stack(networks)
    several = network.fuse(network.encode(modalities), gates)
    expected = torch.stack([network(modalities, gate) for gate in gates])
    torch.testing.assert_close(several, expected)
    with torch.no_grad():  # adds up in another way
        torch.testing.assert_close(network.fuse(network.encode(modalities), gates), expected)


def test_a_stack_of_networks_of_unlike_modalities_keeps_their_order():
    networks = [FusionNetwork([20, 2, 30], 2, (8, 5), (7,), generator(seed)) for seed in range(2)]
    modalities = [torch.randn(4, d, generator=generator(d)) for d in (20, 2, 30)]
    beta = torch.rand(4, 3, generator=generator(9))
    together = stack(networks)(modalities, beta)
    torch.testing.assert_close(together, torch.stack([n(modalities, beta) for n in networks]))


def test_layers_are_linear_with_relu_between():
    head = make_network().head
    x = torch.randn(6, 12, generator=generator(3))
    (w1, w2), (b1, b2) = head.weights, head.biases
    torch.testing.assert_close(head(x), torch.relu(x @ w1.T + b1) @ w2.T + b2)


@pytest.mark.parametrize("closed", [0, 1])
def test_a_closed_modality_does_not_reach_the_output(closed):
    network, modalities = random_linear(make_network()), make_modalities()
    beta = torch.ones(6, 2)
    beta[:, closed] = 0.0
    before = network(modalities, beta)
    modalities[closed] = modalities[closed] + 100.0
    torch.testing.assert_close(network(modalities, beta), before)
    beta[:, closed] = 0.5
    assert not torch.allclose(network(modalities, beta), before)


def test_same_generator_same_network_and_the_global_one_untouched():
    before = torch.random.get_rng_state()
    first, second, other = make_network(), make_network(), make_network(1)
    torch.testing.assert_close(first.state_dict(), second.state_dict(), rtol=0, atol=0)
    assert not torch.equal(first.head.weights[0], other.head.weights[0])
    assert torch.equal(torch.random.get_rng_state(), before)


class Sum(nn.Module):
    def forward(self, modalities):
        return sum(x.sum(1, keepdim=True) for x in modalities)


@pytest.mark.parametrize(
    "make", [lambda: random_linear(make_network()), lambda: GatedInputs(Sum())]
)
def test_several_gates_are_each_of_them(make):
    network, modalities = make(), make_modalities()
    gates = torch.rand(3, 6, 2, generator=generator(9))
    together = network.fuse(network.encode(modalities), gates)
    torch.testing.assert_close(together, torch.stack([network(modalities, beta) for beta in gates]))


class Recorder(nn.Module):
    def forward(self, modalities):
        self.seen = modalities
        return torch.cat(modalities, 1)


def test_gated_inputs_hand_on_the_gated_modalities():
    modalities = make_modalities()
    beta = torch.rand(6, 2, generator=generator(4))
    recorder = Recorder()
    output = GatedInputs(recorder)(modalities, beta)
    expected = [x * b for x, b in zip(modalities, beta.split(1, dim=1), strict=True)]
    torch.testing.assert_close(recorder.seen, expected)
    torch.testing.assert_close(output, torch.cat(expected, 1))


def test_gate_and_network_train_together_in_a_plain_loop():
    x = [torch.randn(200, 2, generator=generator(s)) for s in (0, 1)]
    y = (x[0][:, 0] + x[1][:, 0] > 0).long()
    potential = torch.cat([0.5 * m.square().sum(1, keepdim=True) for m in x], 1)
    gate = EnergyAttention(2, coldness=0.1, generator=generator())
    network = FusionNetwork([2, 2], 2, (16, 8), (8,), generator=generator())
    parameters = [*gate.parameters(), *network.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=0.02)
    losses = []
    for _ in range(60):
        loss = nn.functional.cross_entropy(network(x, gate(potential)), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        gate.project_()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.25 < losses[0]
    assert all(p.grad.abs().sum() > 0 for p in (gate.gain, gate.coupling_weight))
