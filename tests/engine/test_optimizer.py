"""The optimizer is torch's Adam, for one model and for a stack of them."""

import pytest
import torch
from torch import nn

from sklearn_emma.engine.optimizer import FusedOptimizer


def parameters(n_models=None):
    g = torch.Generator().manual_seed(0)
    shapes = [(3, 4), (16,), (5,), ()]
    models = [[torch.randn(shape, generator=g) for shape in shapes] for _ in range(n_models or 1)]
    return [
        nn.Parameter(torch.stack(values) if n_models else values[0])
        for values in zip(*models, strict=True)
    ]


def groups(params):
    return [{"params": params[:2]}, {"params": params[2:], "weight_decay": 0.0}]


def set_gradients(params, step):
    g = torch.Generator().manual_seed(step)
    for parameter in params:
        parameter.grad = torch.randn(parameter.shape, generator=g)


@pytest.mark.parametrize("n_models", [None, 3])
def test_steps_are_those_of_adam(n_models):
    own, reference = parameters(n_models), parameters(n_models)
    optimizer = FusedOptimizer(groups(own), lr=0.1, weight_decay=0.2, stacked=n_models is not None)
    adam = torch.optim.Adam(groups(reference), lr=0.1, weight_decay=0.2, fused=True)
    for step in range(5):
        set_gradients(own, step)
        set_gradients(reference, step)
        optimizer.step()
        adam.step()
        for group in (*optimizer.param_groups, *adam.param_groups):  # as a schedule does
            group["lr"] *= 0.9
            group["betas"] = (group["betas"][0] - 0.01, 0.999)
    for a, b in zip(own, reference, strict=True):
        torch.testing.assert_close(a, b)


def test_a_model_of_a_stack_is_rounded_as_it_would_be_alone():
    together = parameters(3)
    alone = [nn.Parameter(p.detach()[1].clone()) for p in together]
    of_all = FusedOptimizer(groups(together), lr=0.1, weight_decay=0.2, stacked=True)
    of_one = FusedOptimizer(groups(alone), lr=0.1, weight_decay=0.2)
    for step in range(5):
        set_gradients(together, step)
        for p, q in zip(together, alone, strict=True):
            q.grad = p.grad[1].clone()
        of_all.step()
        of_one.step()
    for p, q in zip(together, alone, strict=True):
        assert torch.equal(p[1], q)


def test_parameters_whose_gradient_comes_late_start_then():
    own, reference = parameters(), parameters()
    optimizer, adam = (
        FusedOptimizer(groups(own), 0.1, 0.2),
        torch.optim.Adam(groups(reference), lr=0.1, weight_decay=0.2, fused=True),
    )
    for step in range(30):
        for params in (own, reference):
            set_gradients(params, step)
            if step < 25:
                params[0].grad = None
        optimizer.step()
        adam.step()
    for a, b in zip(own, reference, strict=True):
        torch.testing.assert_close(a, b)


def test_parameters_without_a_gradient_stay():
    params = parameters()
    before = params[0].detach().clone()
    optimizer = FusedOptimizer(groups(params), lr=0.1, weight_decay=0.2)
    set_gradients(params[1:], 0)
    optimizer.step()
    assert torch.equal(params[0], before)
    optimizer.zero_grad()
    assert all(p.grad is None for p in params)
    after = params[1].detach().clone()
    optimizer.step()
    assert torch.equal(params[1], after)
