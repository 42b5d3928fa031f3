"""Hard attention: which modalities pass, and what they learn from."""

import math

import pytest
import torch

from sklearn_emma.nn import EnergyAttention, HardAttention

M, N = 4, 30


@pytest.fixture
def log_importance():
    return torch.randn(N, M, generator=torch.Generator().manual_seed(0)).log_softmax(1)


@pytest.mark.parametrize("k", [1, 2, 3, 4, 9])
def test_the_most_important_modalities_keep_their_attention(log_importance, k):
    attention = 0.5 + 0.5 * torch.rand(N, M)
    found = HardAttention(k, torch.zeros(M))(log_importance, attention)
    for row, alpha, beta in zip(found, log_importance, attention, strict=True):
        best = alpha.topk(min(k, M)).indices
        assert torch.equal(row[best], beta[best])
        assert (row != 0).sum() == min(k, M)


def test_a_cost_is_a_factor_of_the_importance(log_importance):
    cost = torch.tensor([math.log(3.0), 0.0, 0.0, 0.0])
    found = HardAttention(1, cost)(log_importance, torch.ones(N, M)).argmax(1)
    importance = log_importance.exp() / torch.tensor([3.0, 1.0, 1.0, 1.0])
    assert torch.equal(found, importance.argmax(1))
    assert not torch.equal(found, log_importance.argmax(1))


def test_what_is_missing_is_not_kept_and_takes_nobodys_place():
    log_importance = torch.tensor([[-math.inf, -0.1, -3.0, -4.0]])
    attention = torch.tensor([[0.0, 0.9, 0.8, 0.7]])
    found = HardAttention(2, torch.zeros(M))(log_importance, attention)
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.9, 0.8, 0.0]]))
    equal = HardAttention(2, torch.zeros(M))(torch.zeros(1, M), torch.ones(1, M))
    assert equal.tolist() == [[1.0, 1.0, 0.0, 0.0]]  # of equal ones the first


def test_every_modality_has_a_gradient_in_training_and_the_values_are_the_same(log_importance):
    attention = torch.rand(N, M).requires_grad_()
    select = HardAttention(2, torch.zeros(M))
    found = select(log_importance, attention)
    assert torch.equal(found, select.eval()(log_importance, attention))
    found.sum().backward()
    assert (attention.grad == 1).all()
    attention.grad = None
    select(log_importance, attention).sum().backward()
    assert torch.equal(attention.grad == 1, found > 0)


def test_it_is_a_part_of_a_gate_that_its_state_does_not_show():
    gate = EnergyAttention(3, 1.0)
    potential = torch.tensor([[0.0, 1.0, 9.0], [0.0, 0.0, torch.inf]])
    everything, names = gate.state(potential), set(gate.state_dict())
    gate.select = HardAttention(1, torch.zeros(3))
    state = gate.state(potential)
    torch.testing.assert_close(state.importance, everything.importance)
    best = everything.importance.argmax(1, keepdim=True)
    expected = torch.zeros(2, 3).scatter(1, best, everything.attention.gather(1, best))
    torch.testing.assert_close(state.attention, expected)
    assert set(gate.state_dict()) == names
