"""The prediction losses, the regularization terms, and the gradient of the second in the thesis."""

import numpy as np
import pytest
import torch
from sklearn.metrics import mean_absolute_error, mean_pinball_loss, mean_squared_error
from torch.nn import functional as F

from sklearn_emma.nn import (
    EnergyAttention,
    capacity_penalty,
    energy_alignment,
    noise_contrastive_loss,
    weighted_absolute_error,
    weighted_cross_entropy,
    weighted_pinball_loss,
    weighted_squared_error,
)


def test_cross_entropy_weighs_samples():
    logits = torch.tensor([[2.0, -1.0], [0.5, 0.0], [0.0, 3.0]])
    target, weight = torch.tensor([0, 1, 0]), torch.tensor([1.0, 0.0, 2.0])
    losses = F.cross_entropy(logits, target, reduction="none")
    expected = (losses[0] + 2.0 * losses[2]) / 3.0
    torch.testing.assert_close(weighted_cross_entropy(logits, target, weight), expected)
    plain = weighted_cross_entropy(logits, target, torch.ones(3))
    torch.testing.assert_close(plain, F.cross_entropy(logits, target))


@pytest.fixture
def values():
    """Outputs, targets and weights of mean one."""
    g = torch.Generator().manual_seed(0)
    output, target = (torch.randn(20, 3, generator=g, dtype=torch.float64) for _ in range(2))
    weight = torch.rand(20, generator=g, dtype=torch.float64)
    return output, target, weight / weight.mean()


@pytest.mark.parametrize(
    ("loss", "metric"),
    [
        (weighted_squared_error, mean_squared_error),
        (weighted_absolute_error, mean_absolute_error),
    ],
)
def test_losses_of_values_are_the_metrics_of_scikit_learn(values, loss, metric):
    output, target, weight = values
    expected = metric(target, output, sample_weight=weight)
    assert float(loss(output, target, weight)) == pytest.approx(expected)
    # the number of samples divides, not the sum of weights, as for the cross entropy
    assert float(loss(output, target, 3 * weight)) == pytest.approx(3 * expected)


def test_pinball_loss_is_the_metric_of_scikit_learn_averaged_over_levels(values):
    output, target, weight = values
    levels = (0.05, 0.5, 0.8)
    expected = [
        mean_pinball_loss(target[:, 0], output[:, k], sample_weight=weight, alpha=level)
        for k, level in enumerate(levels)
    ]
    loss = weighted_pinball_loss(output, target[:, :1], weight, levels)
    assert float(loss) == pytest.approx(np.mean(expected))


def test_capacity_penalty_pushes_gain_down_and_bias_up():
    gate = EnergyAttention(2, gain=3.0)
    with torch.no_grad():
        gate.bias.fill_(0.25)
    penalty = capacity_penalty(gate)
    penalty.backward()
    assert penalty.item() == 2.75
    assert float(gate.gain.grad) == 1.0
    assert float(gate.bias.grad) == -1.0


@pytest.mark.parametrize("n_intact", range(5))
def test_gradient_of_omega_is_the_formula_of_the_thesis(n_intact):
    m, coldness = 4, 0.6
    energy = torch.tensor([[1.0, 2.5, 0.3, 1.7]], dtype=torch.float64, requires_grad=True)
    indicator = torch.where(torch.arange(m) < n_intact, 1.0, -1.0).unsqueeze(0).double()
    log_importance = torch.log_softmax(-coldness * energy, 1)
    omega = energy_alignment(log_importance, indicator, torch.ones(1, dtype=torch.float64))
    torch.testing.assert_close(omega, (indicator * log_importance).sum())
    (gradient,) = torch.autograd.grad(omega, energy)
    # for a sample with M' intact modalities: -[(M - 2 M') alpha_i + xi_i] rho
    importance = log_importance.exp()
    expected = -((m - 2 * n_intact) * importance + indicator) * coldness
    torch.testing.assert_close(gradient, expected.detach())


def test_alignment_averages_over_samples_with_their_weights():
    log_importance = torch.tensor([[-1.0, -2.0], [-3.0, -0.5]])
    indicator = torch.tensor([[1.0, -1.0], [1.0, 1.0]])
    value = energy_alignment(log_importance, indicator, torch.tensor([1.0, 3.0]))
    assert float(value) == pytest.approx((1.0 + 3.0 * -3.5) / 2)


def test_a_corrupted_modality_that_is_closed_earns_no_more():
    importance = torch.tensor([[0.2, 0.8], [1e-2, 0.99], [1e-6, 1.0 - 1e-6]], dtype=torch.float64)
    log_importance = importance.log().requires_grad_()
    corrupted, one = torch.tensor([[-1.0, 0.0]]), torch.ones(1)
    earned = [energy_alignment(row[None], corrupted, one) for row in log_importance]
    assert earned[0] < earned[1] == earned[2]
    assert float(earned[2].detach()) == pytest.approx(-np.log(0.01))
    earned[2].backward()
    assert (log_importance.grad == 0).all()
    # without a floor the reward goes on growing, as in the thesis
    assert energy_alignment(log_importance[2:], corrupted, one, floor=0.0) > 2 * earned[2]
    # a clean modality of no importance is a failure of the gate, however little it has
    clean = [energy_alignment(row[None], -corrupted, one) for row in log_importance]
    assert clean[0] > clean[1] > clean[2]


def test_a_missing_modality_has_nothing_to_align():
    gate = EnergyAttention(3)
    state = gate.state(torch.tensor([[0.0, torch.inf, 1.0]]))
    assert state.log_importance[0, 1] == -torch.inf
    omega = energy_alignment(state.log_importance, torch.tensor([[1.0, -1.0, 1.0]]), torch.ones(1))
    torch.testing.assert_close(omega, state.log_importance[0, [0, 2]].sum())
    omega.backward()
    assert all(torch.isfinite(p.grad).all() for p in gate.parameters() if p.grad is not None)


def test_noise_contrastive_loss_by_hand():
    def pair(*ratios, diagonal=0.0):
        """Rows of two modalities with these log ratios."""
        return torch.tensor([[[diagonal, c], [c, diagonal]] for c in ratios])

    together, apart = pair(2.0, -1.0), pair(-3.0, 0.0, 1.0, 0.5)
    weight = torch.tensor([0.5, 1.5])
    apart_weight = torch.tensor([[1.5, 1.5], [0.5, 1.5], [0.5, 0.5], [1.5, 0.5]])

    def softplus(c):
        return np.log1p(np.exp(c))

    missed = (0.5 * softplus(-2.0) + 1.5 * softplus(1.0)) / 2
    products = (2.25, 0.75, 0.25, 0.75)
    fooled = np.mean([w * softplus(c) for w, c in zip(products, (-3, 0, 1, 0.5), strict=True)])
    loss = noise_contrastive_loss(together, apart, weight, apart_weight)
    assert float(loss) == pytest.approx(missed + fooled, rel=1e-6)
    # a modality is not compared with itself
    together, apart = pair(2.0, -1.0, diagonal=9.0), pair(-3.0, 0.0, 1.0, 0.5, diagonal=-9.0)
    other = noise_contrastive_loss(together, apart, weight, apart_weight)
    assert torch.equal(other, loss)


def test_noise_contrastive_loss_is_least_at_the_log_ratio():
    # of samples together .6 show one value, of samples apart .2: the others show another
    ratios = torch.zeros(2, requires_grad=True, dtype=torch.float64)
    optimizer = torch.optim.LBFGS([ratios], max_iter=50)
    together, apart = torch.tensor([0] * 6 + [1] * 4), torch.tensor([0] * 2 + [1] * 8)

    def closure():
        optimizer.zero_grad()
        samples = [ratios[shown].view(-1, 1, 1).expand(-1, 2, 2) for shown in (together, apart)]
        loss = noise_contrastive_loss(*samples, torch.ones(10), torch.ones(10, 2))
        loss.backward()
        return loss

    optimizer.step(closure)
    expected = torch.tensor([0.6 / 0.2, 0.4 / 0.8], dtype=torch.float64).log()
    torch.testing.assert_close(ratios.detach(), expected, atol=1e-4, rtol=0)
