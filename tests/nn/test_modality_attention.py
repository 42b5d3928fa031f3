"""Attention across modalities, with the gate from outside."""

import math

import torch
from torch.nn import functional as F

from sklearn_emma.nn import ModalityAttention


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(*shape, seed=1):
    return torch.randn(*shape, generator=generator(seed))


def test_weights_are_a_softmax_with_the_logarithm_of_the_gate_and_a_sink():
    attend, z = ModalityAttention(8, generator()), draw(3, 5, 8)
    with torch.no_grad():
        attend.sink_bias.copy_(draw(1, 2, 1, 1))
    beta = 0.1 + 0.9 * torch.rand(5, 3, generator=generator(2))
    found = attend.weights(attend.scores_and_values(z)[0], beta)
    weight, bias = attend.project.weights[0], attend.project.biases[0]
    for n in range(5):
        query, key, value = (F.layer_norm(z[:, n], (8,)) @ weight.T + bias).split(8, 1)
        context = []
        for h in range(2):
            own = slice(4 * h, 4 * h + 4)
            logits = query[:, own] @ key[:, own].T / math.sqrt(4) + beta[n].log()
            sink = attend.sink_bias[0, h].expand(3, 1)
            share = torch.cat([logits, sink], 1).softmax(1)[:, :3]
            torch.testing.assert_close(found[n, h], share)
            context.append(share @ value[:, own])
        mix, of_mix = attend.mix.weights[0], attend.mix.biases[0]
        expected = z[:, n] + torch.cat(context, 1) @ mix.T + of_mix
        torch.testing.assert_close(attend(z, beta)[:, n], expected)


def test_a_closed_modality_is_not_read_whatever_it_says():
    attend, z = ModalityAttention(8, generator()), draw(3, 5, 8)
    beta = torch.tensor([0.7, 0.0, 1.0]).repeat(5, 1)
    before = attend(z, beta)
    for value in (0.0, 1e6):
        changed = z.clone()
        changed[1] = value
        assert (attend(changed, beta)[[0, 2]] == before[[0, 2]]).all()
    weights = attend.weights(attend.scores_and_values(z)[0], beta)
    assert (weights[..., 1] == 0).all()
    assert (weights[..., [0, 2]] > 0).all()


def test_a_gate_that_closes_fades_even_the_last_modality():
    attend, z = ModalityAttention(8, generator()), draw(2, 1, 8)
    scores, _ = attend.scores_and_values(z)
    gates = [torch.tensor([[beta, 0.0]]) for beta in (1.0, 0.1, 1e-6)]
    opened, closing, closed = (attend.weights(scores, beta)[..., 0] for beta in gates)
    assert (opened > closing).all()
    assert (closed < 1e-4).all()


def test_gradients_are_finite_where_gates_are_closed():
    attend, z = ModalityAttention(8, generator()), draw(2, 3, 8).requires_grad_()
    beta = torch.tensor([[0.0, 0.0], [0.0, 1e-30], [1.0, 0.0]], requires_grad=True)
    attend(z, beta).square().sum().backward()
    for tensor in (z, beta, *attend.parameters()):
        assert tensor.grad.isfinite().all()
