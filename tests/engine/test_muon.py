"""Steps of Muon: along all directions of the momentum equally far."""

import pytest
import torch
from torch import nn

from sklearn_emma.engine.muon import muon_step, orthogonal
from sklearn_emma.engine.optimizer import FusedOptimizer


def matrices(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(3, 8, 5), (3, 5, 8), (1, 6, 6)])
def test_singular_vectors_stay_and_values_become_alike(shape):
    x = matrices(*shape)
    left, values, right = torch.linalg.svd(x, full_matrices=False)
    found = left.mT @ orthogonal(x) @ right.mT
    diagonal = found.diagonal(dim1=1, dim2=2)
    torch.testing.assert_close(found, torch.diag_embed(diagonal), rtol=0, atol=1e-5)
    # directions of a tenth of the largest gradient take most of a step
    large = values > 0.1 * values.amax(1, keepdim=True)
    assert (diagonal[large] > 0.5).all()
    assert (diagonal < 1.3).all()


def test_the_length_of_the_gradient_does_not_matter():
    x = matrices(2, 4, 7)
    torch.testing.assert_close(orthogonal(1e4 * x), orthogonal(x), rtol=1e-4, atol=1e-5)


def test_nothing_moves_where_there_is_no_gradient():
    x = matrices(2, 4, 7)
    x[0] = 0.0
    x[1, :, 5:] = 0.0  # the padding of a modality with fewer columns
    found = orthogonal(x)
    assert (found[0] == 0).all()
    assert (found[1, :, 5:] == 0).all()


@pytest.mark.parametrize("shape", [(30, 40), (2, 3, 30, 40)])
def test_the_learning_rate_is_the_size_of_a_step(shape):
    weights, mean = torch.zeros(shape), torch.zeros(shape)
    muon_step(weights, matrices(*shape), mean, lr=0.01, beta=0.9, weight_decay=0.0)
    size = weights.square().mean((-2, -1)).sqrt()
    assert ((size > 0.005) & (size < 0.012)).all()


def test_momentum_is_that_of_nesterov_and_the_penalty_adds_to_the_gradient():
    weights, mean, gradient = matrices(4, 6, seed=1), torch.zeros(4, 6), matrices(4, 6)
    before = weights.clone()
    muon_step(weights, gradient, mean, lr=0.1, beta=0.8, weight_decay=0.5)
    total = gradient + 0.5 * before
    torch.testing.assert_close(mean, 0.2 * total)
    look_ahead = 0.2 * total + 0.8 * mean
    expected = before - 0.1 * 6**0.5 * orthogonal(look_ahead[None])[0]
    torch.testing.assert_close(weights, expected)


def test_hidden_layers_are_trained_by_muon_and_all_else_by_adam():
    hidden, others = nn.Parameter(matrices(4, 6)), nn.Parameter(matrices(5))
    by_muon, by_adam = hidden.detach().clone(), nn.Parameter(others.detach().clone())
    groups = [{"params": [hidden], "hidden": True}, {"params": [others]}]
    optimizer = FusedOptimizer(groups, lr=0.1, weight_decay=0.2, solver="muon")
    adam = torch.optim.Adam([by_adam], lr=0.1, weight_decay=0.2, fused=True)
    mean = torch.zeros_like(by_muon)
    for step in range(3):
        hidden.grad = matrices(4, 6, seed=step)
        others.grad, by_adam.grad = matrices(5, seed=step), matrices(5, seed=step)
        optimizer.step()
        adam.step()
        muon_step(by_muon, hidden.grad, mean, lr=0.1, beta=0.9, weight_decay=0.2)
    torch.testing.assert_close(hidden.detach(), by_muon)
    torch.testing.assert_close(others, by_adam)


def test_without_muon_hidden_layers_are_trained_by_adam_too():
    hidden, reference = nn.Parameter(matrices(4, 6)), nn.Parameter(matrices(4, 6))
    optimizer = FusedOptimizer([{"params": [hidden], "hidden": True}], 0.1, 0.2, solver="adam")
    adam = torch.optim.Adam([reference], lr=0.1, weight_decay=0.2, fused=True)
    for step in range(3):
        hidden.grad = reference.grad = matrices(4, 6, seed=step)
        optimizer.step()
        adam.step()
    torch.testing.assert_close(hidden, reference)


def test_a_model_of_a_stack_goes_on_alone_with_its_momentum():
    together = nn.Parameter(matrices(3, 4, 6))
    alone = nn.Parameter(together.detach()[1].clone())

    def optimizer_of(parameter):
        return FusedOptimizer([{"params": [parameter], "hidden": True}], 0.1, 0.2, "muon")

    of_all, of_one = optimizer_of(together), optimizer_of(alone)
    for step in range(3):
        together.grad = matrices(3, 4, 6, seed=step)
        alone.grad = together.grad[1].clone()
        of_all.step()
        of_one.step()
    left = nn.Parameter(together.detach()[[1]])
    of_all.replace(together, left, [1])
    of_all.param_groups[0]["params"] = [left]
    left.grad = matrices(1, 4, 6, seed=9)
    alone.grad = left.grad[0].clone()
    of_all.step()
    of_one.step()
    torch.testing.assert_close(left[0], alone)


@pytest.mark.parametrize("shape", [(64, 10), (10, 64)])
def test_the_layout_of_the_gradient_changes_no_bit(shape):
    # gradients of stacked models lie otherwise in memory than those of a model alone
    m, n = shape
    gradient = matrices(3, m, n)
    transposed = gradient.mT.contiguous().mT
    assert not transposed.is_contiguous()
    steps = []
    for each in (gradient, transposed):
        weights, mean = torch.zeros(3, m, n), torch.zeros(3, m, n)
        muon_step(weights, each, mean, lr=0.1, beta=0.9, weight_decay=0.1)
        steps.append(weights)
    assert torch.equal(*steps)
