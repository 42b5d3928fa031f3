"""An objective: its gradient, and what it need not say."""

import torch
from torch import nn

from sklearn_emma.engine.objective import Objective


class Slopes(Objective):
    """Two models, or one, of y = slope x."""

    n_samples = 6
    baseline_loss = 1.0

    def __init__(self, n_models=2):
        super().__init__(torch.Generator().manual_seed(0))
        self.slope = nn.Parameter(torch.arange(float(n_models)))

    def epoch_data(self):
        return torch.arange(6.0), 2.0 * torch.arange(6.0)

    def loss(self, *batch):
        x, y = batch
        losses = (self.slope[:, None] * x - y).square().mean(1)
        return losses if len(losses) > 1 else losses[0]


def test_backward_leaves_the_gradient_and_returns_the_loss_without_its_graph():
    for n_models in (1, 2):
        objective = Slopes(n_models)
        batch = objective.epoch_data()
        loss = objective.backward(*batch)
        assert not loss.requires_grad
        assert torch.equal(loss, objective.loss(*batch).detach())
        # of the sum: each model has the gradient that it has alone
        expected = 2.0 * (objective.slope.detach() - 2.0) * batch[0].square().mean()
        torch.testing.assert_close(objective.slope.grad, expected)


def test_samples_are_shuffled_together_by_the_generator():
    objective, other = Slopes(), Slopes()
    x, y = objective.shuffled_data()
    assert torch.equal(y, 2.0 * x)
    assert torch.equal(x.sort().values, torch.arange(6.0))
    again, _ = objective.shuffled_data()
    assert not torch.equal(x, again)
    assert torch.equal(other.shuffled_data()[0], x)


def test_what_an_objective_need_not_say():
    objective = Slopes()
    assert objective.validation_loss() is None
    assert objective.monitored() == {}
    (group,) = objective.parameter_groups()
    assert list(group) == ["params"]
    assert group["params"][0] is objective.slope
    objective.after_step()
    assert objective.slope.tolist() == [0.0, 1.0]
