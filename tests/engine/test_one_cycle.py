"""The schedule is that of torch."""

import pytest
import torch

from sklearn_emma.engine.one_cycle import OneCycle


@pytest.mark.parametrize("n_steps", [1, 2, 3, 5, 17, 400])
def test_learning_rate_and_decay_are_those_of_torch(n_steps):
    parameter = torch.nn.Parameter(torch.zeros(1))
    parameter.grad = torch.zeros(1)
    optimizer = torch.optim.Adam([parameter], lr=0.02, betas=(0.9, 0.999))
    total = max(3, n_steps)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.02, total_steps=total, pct_start=max(0.1, 2 / total)
    )
    cycle = OneCycle(0.02, n_steps)
    for step in range(n_steps):
        group = optimizer.param_groups[0]
        assert cycle.at(step) == pytest.approx((group["lr"], group["betas"][0]), rel=1e-12)
        optimizer.step()
        if step < total - 1:
            schedule.step()


def test_the_learning_rate_rises_in_a_tenth_of_the_steps_and_falls_to_almost_zero():
    cycle = OneCycle(1.0, 100)
    rates = [cycle.at(step)[0] for step in range(100)]
    assert rates.index(max(rates)) == 9
    assert rates[9] == pytest.approx(1.0)
    assert rates[-1] < 1e-5
