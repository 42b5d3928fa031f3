"""Denoising: the noise, what undoing it costs, and several modalities as one stack."""

import math

import numpy as np
import pytest
import torch

from sklearn_emma.energy.denoising import Denoising, StackedDenoising, TrainingNoise, View
from sklearn_emma.nn import DAEEnergy

NOISES = [
    TrainingNoise(0.5, 0.5, 0.0),
    TrainingNoise(0.1, 10.0, 0.0),
    TrainingNoise(0.5, 0.5, 0.3),
    TrainingNoise(0.1, 1.0, 0.5),
]
noises = pytest.mark.parametrize("noise", NOISES, ids=str)
robust_or_not = pytest.mark.parametrize("robust", [False, True], ids=["squared", "robust"])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n_samples, seed=0):
    return torch.randn(n_samples, 3, generator=generator(seed))


def make_energy(seed=0):
    return DAEEnergy(3, (4,), generator=generator(seed)).requires_grad_(False)


def make_view(k, noise, n_samples=400, held_out=None, robust=False):
    """Return a view with an energy and samples of its own."""
    return View(make_energy(k), normal(n_samples, seed=10 + k), held_out, noise, robust)


def make_denoising(noises, held_out=None, weight=None, n_samples=400, robust=False):
    """Return an objective with a view for each noise."""
    held_out = [None] * len(noises) if held_out is None else held_out
    views = [
        make_view(k, noise, n_samples, x, robust)
        for k, (noise, x) in enumerate(zip(noises, held_out, strict=True))
    ]
    return Denoising(views, torch.ones(n_samples) if weight is None else weight, generator())


# What is done to samples


def test_noise_of_one_level_is_of_that_size_and_all_samples_count_the_same():
    x = normal(4_000)
    noisy, weight = TrainingNoise(0.5, 0.5, 0.0).draw(x, generator())
    assert (noisy - x).std().item() == pytest.approx(0.5, rel=0.05)
    assert (noisy - x).mean().item() == pytest.approx(0.0, abs=0.03)
    assert torch.equal(weight, torch.ones(4_000))


def test_levels_of_a_range_are_log_uniform_and_matter_as_much():
    x = normal(20_000)
    noisy, weight = TrainingNoise(0.1, 10.0, 0.0).draw(x, generator())
    sigma = 0.1 * weight.rsqrt()
    assert sigma.min() >= 0.0999
    assert sigma.max() <= 10.01
    # in every tenth of the logarithmic range, a tenth of the samples
    counts = torch.histc((sigma / 0.1).log10(), 10, min=0.0, max=2.0)
    assert ((counts - 2_000).abs() < 5 * math.sqrt(2_000 * 0.9)).all()
    # the noise of a sample is of the level that it counts for, low or high
    for chosen in (sigma < 0.3, sigma > 3.0):
        assert ((noisy - x) / sigma[:, None])[chosen].std().item() == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize("low", [0.1, 1.0])
def test_replaced_samples_are_anywhere_in_the_box_and_as_many_as_asked_for(low):
    x = torch.full((20_000, 3), 100.0)
    moved, weight = TrainingNoise(low, 1.0, 0.3).draw(x, generator())
    replaced = (moved < 50.0).all(dim=1)
    assert ((moved < 50.0).any(dim=1) == replaced).all()
    assert replaced.float().mean().item() == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / 20_000))
    # uniform within five scales of the center, in every column, and columns independent
    anywhere = moved[replaced]
    assert anywhere.abs().max() <= 5.0
    for column in anywhere.T:
        counts = torch.histc(column, 10, min=-5.0, max=5.0)
        expected = len(anywhere) / 10
        assert ((counts - expected).abs() < 5 * math.sqrt(expected)).all()
    assert (torch.corrcoef(anywhere.T) - torch.eye(3)).abs().max() < 0.07
    # they count as noise of the variance of the box
    torch.testing.assert_close(
        weight[replaced], torch.full_like(weight[replaced], low**2 / (25.0 / 3.0))
    )


@noises
def test_draws_are_the_generators_and_leave_the_samples_alone(noise):
    x = normal(50)
    before = x.clone()
    first, second = (noise.draw(x, generator(1)) for _ in range(2))
    other = noise.draw(x, generator(2))
    assert torch.equal(x, before)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == (50, 3)
    assert first[1].shape == (50,)


@noises
def test_mean_weight_is_the_mean_weight_of_draws(noise):
    _, weight = noise.draw(torch.zeros(200_000, 1), generator())
    error = 5 * weight.std().item() / math.sqrt(200_000)
    assert noise.mean_weight() == pytest.approx(weight.mean().item(), abs=error + 1e-6)


# What undoing it costs


def test_every_epoch_corrupts_the_samples_afresh():
    objective = make_denoising([TrainingNoise(0.5, 0.5, 0.1)])
    (clean, noisy, weight), (again, noisy_again, _) = objective.epoch_data(), objective.epoch_data()
    assert torch.equal(clean, objective.views[0].samples)
    assert torch.equal(again, clean)
    assert not torch.equal(noisy, noisy_again)
    assert len(weight) == objective.n_samples == 400


def test_weights_of_samples_and_of_levels_are_multiplied():
    weight = torch.linspace(0.0, 2.0, 400)
    _, _, even = make_denoising([TrainingNoise(0.1, 1.0, 0.2)]).epoch_data()
    _, _, weighted = make_denoising([TrainingNoise(0.1, 1.0, 0.2)], weight=weight).epoch_data()
    torch.testing.assert_close(weighted, weight * even)


@robust_or_not
def test_loss_is_the_mean_of_weighted_squared_norms_or_of_their_roots(robust):
    objective = make_denoising([TrainingNoise(0.5, 0.5, 0.0)], n_samples=3, robust=robust)
    clean, noisy, _ = objective.epoch_data()
    norms = [
        (objective.energies[0].reconstruct(x[None])[0] - y).square().sum()
        for x, y in zip(noisy, clean, strict=True)
    ]
    terms = [0.5 * norms[0], 2.5 * norms[1], 0.0 * norms[2]]
    expected = sum(term.sqrt() if robust else term for term in terms) / 3
    loss = objective.loss(clean, noisy, torch.tensor([0.5, 2.5, 0.0]))
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


@robust_or_not
def test_one_sample_that_nothing_explains_pulls_no_more_than_others_under_the_robust_loss(robust):
    objective = make_denoising([TrainingNoise(0.5, 0.5, 0.0)], n_samples=20, robust=robust)
    energy = objective.energies[0].requires_grad_(True)
    clean, noisy, weight = objective.epoch_data()

    def pull(distance):
        far = clean.clone()
        far[0] = energy.reconstruct(noisy)[0].detach() + distance
        (gradient,) = torch.autograd.grad(objective.loss(far, noisy, weight), energy.visible_bias)
        return gradient.norm().item()

    growth = pull(1e4) / pull(1e2)
    assert growth == pytest.approx(1.0, rel=0.2) if robust else growth > 50


@robust_or_not
def test_a_sample_that_is_denoised_perfectly_has_a_finite_gradient(robust):
    objective = make_denoising([TrainingNoise(0.5, 0.5, 0.0)], robust=robust)
    energy = objective.energies[0].requires_grad_(True)
    _, noisy, weight = objective.epoch_data()
    loss = objective.loss(energy.reconstruct(noisy).detach(), noisy, weight)
    (gradient,) = torch.autograd.grad(loss, energy.visible_bias)
    assert loss.item() == pytest.approx(0.0, abs=1e-5)
    assert gradient.isfinite().all()


@robust_or_not
def test_several_views_cost_the_sum_of_what_each_costs_alone(robust):
    objective = make_denoising(NOISES, robust=robust)
    batch = objective.epoch_data()
    assert len(batch) == 3 * len(NOISES)
    alone = []
    for k, noise in enumerate(NOISES):
        clean, noisy, weight = batch[3 * k : 3 * k + 3]
        assert torch.equal(clean, objective.views[k].samples)
        view = View(objective.energies[k], clean, None, noise, robust)
        single = Denoising([view], torch.ones(400), generator())
        alone.append((single.loss(clean, noisy, weight), single.baseline_loss))
    losses, baselines = zip(*alone, strict=True)
    torch.testing.assert_close(objective.loss(*batch), sum(losses))
    assert objective.baseline_loss == pytest.approx(sum(baselines))


def test_every_view_has_a_loss_of_its_own():
    batch = make_denoising(NOISES[:2]).epoch_data()
    squared, both_robust, mixed = (make_denoising(NOISES[:2]) for _ in range(3))
    both_robust.robust, mixed.robust = [True, True], [False, True]
    first = make_denoising(NOISES[:1]).loss(*batch[:3])
    second_squared = squared.loss(*batch) - first
    second_robust = mixed.loss(*batch) - first
    assert not torch.isclose(second_robust, second_squared)
    first_robust = both_robust.loss(*batch) - second_robust
    assert not torch.isclose(first_robust, first)


@robust_or_not
def test_held_out_samples_keep_their_noise(robust):
    held_out = [normal(50, seed=20), normal(50, seed=21)]
    weight = torch.linspace(0.0, 2.0, 400)
    objective = make_denoising(NOISES[2:], held_out, weight, robust=robust)
    first, validation = objective.validation_loss(), objective.validation
    assert torch.equal(validation[0], held_out[0])
    assert torch.equal(validation[3], held_out[1])
    assert not torch.equal(validation[1], held_out[0])
    assert not torch.equal(validation[4], held_out[1])
    objective.epoch_data()
    torch.testing.assert_close(objective.validation_loss(), first, rtol=0, atol=0)
    torch.testing.assert_close(first, objective.loss(*validation))
    assert make_denoising(NOISES[:1]).validation_loss() is None


# What a model that knows nothing achieves


class Constant(torch.nn.Module):
    """Reconstructs nothing at all, or all of the noise."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def reconstruct(self, x):
        return self.factor * x


@noises
@robust_or_not
def test_baseline_loss_is_no_less_than_that_of_reconstructing_nothing_or_all(noise, robust):
    weight = torch.linspace(0.0, 2.0, 4_000)
    objective = make_denoising([noise], weight=weight, n_samples=4_000, robust=robust)
    batch = objective.epoch_data()
    for factor in (0.0, 1.0):
        objective.energies[0] = Constant(factor)
        # the loss of one draw varies
        assert objective.loss(*batch).item() < 1.1 * objective.baseline_loss
    # and it is a bound of use
    objective.energies[0] = Constant(0.0)
    assert objective.baseline_loss < 20 * objective.loss(*batch).item()


def test_baseline_loss_of_one_level_is_the_sum_of_both():
    objective = make_denoising([TrainingNoise(0.5, 0.5, 0.0)])
    expected = objective.views[0].samples.square().sum(1).mean().item() + 3 * 0.5**2
    assert objective.baseline_loss == pytest.approx(expected)
    robust = make_denoising([TrainingNoise(0.5, 0.5, 0.0)], robust=True)
    assert robust.baseline_loss == pytest.approx(math.sqrt(expected))


# Several modalities as one stack

WIDTHS = (3, 2, 7)


def make_modality(i, n_samples=30):
    """Return the objective of a modality with two views, of its own width and noise."""
    same = generator(30 + i)
    views = [
        View(
            DAEEnergy(WIDTHS[i], (5, 4), "tanh", generator(10 * i + k), n_prototypes),
            torch.randn(n_samples, WIDTHS[i], generator=same),
            None,
            TrainingNoise(0.1 * (i + 1), 1.0, 0.2 * k),
            bool(k),
        )
        for k, n_prototypes in enumerate((0, 3))
    ]
    weight = torch.rand(n_samples, generator=same)
    return Denoising(views, weight / weight.mean(), generator(50 + i))


def make_modalities():
    return [make_modality(i) for i in range(len(WIDTHS))]


def test_a_stack_has_the_data_of_each_modality_in_the_order_it_would_have_alone():
    stacked, alone = StackedDenoising(make_modalities()), make_modalities()
    for epoch in (stacked.epoch_data, stacked.shuffled_data):
        together = epoch()
        each = [objective.shuffled_data() for objective in alone]
        assert len(together) == len(each[0]) == 6
        for tensor, *expected in zip(together, *each, strict=True):
            assert tensor.shape[:2] == (30, len(WIDTHS))
            for i, x in enumerate(expected):
                assert torch.equal(tensor[:, i, : WIDTHS[i]] if x.ndim > 1 else tensor[:, i], x)
                assert x.ndim == 1 or not tensor[:, i, WIDTHS[i] :].any()


def test_a_stack_has_the_losses_and_gradients_of_each_modality():
    objectives, alone = make_modalities(), make_modalities()
    stacked = StackedDenoising(objectives)
    assert stacked.n_samples == 30
    assert stacked.validation_loss() is None
    np.testing.assert_allclose(stacked.baseline_loss, [o.baseline_loss for o in alone])
    losses = stacked.backward(*stacked.shuffled_data())
    expected = torch.stack([o.backward(*o.shuffled_data()) for o in alone])
    torch.testing.assert_close(losses, expected)
    for k in range(2):
        for name, parameter in stacked.stacked[k].named_parameters():
            for i, objective in enumerate(alone):
                gradient = objective.energies[k].get_parameter(name).grad
                padded = parameter.grad[i].clone()
                corner = tuple(map(slice, gradient.shape))
                torch.testing.assert_close(padded[corner], gradient, rtol=1e-4, atol=1e-6)
                padded[corner] = 0.0
                assert not padded.any()


def test_what_is_trained_are_copies_until_they_are_given_back():
    objectives, alone = make_modalities(), make_modalities()
    stacked = StackedDenoising(objectives)
    n_parameters = len(list(objectives[0].parameters()))
    assert len(list(stacked.parameters())) == n_parameters
    with torch.no_grad():
        for parameter in stacked.parameters():
            parameter.add_(1.0)
    for given_back in (False, True):
        if given_back:
            stacked.unstack()
        for objective, other in zip(objectives, alone, strict=True):
            for parameter, before in zip(objective.parameters(), other.parameters(), strict=True):
                assert torch.equal(parameter, before + float(given_back))
