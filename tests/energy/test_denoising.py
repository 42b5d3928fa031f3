"""Stage 1 as a task: what is done to the rows, what undoing it costs, and what cannot be learnt."""

import math

import pytest
import torch

from sklearn_emma.energy.denoising import Corruption, Denoising
from sklearn_emma.nn import DAEEnergy

CORRUPTIONS = [
    Corruption(0.5, 0.5, 0.0),
    Corruption(0.1, 10.0, 0.0),
    Corruption(0.5, 0.5, 0.3),
    Corruption(0.1, 1.0, 0.5),
]
corrupted = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=str)
robust_or_not = pytest.mark.parametrize("robust", [False, True], ids=["squared", "robust"])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(n_rows, seed=0):
    return torch.randn(n_rows, 3, generator=generator(seed))


def make_energy(seed=0):
    return DAEEnergy(3, (4,), generator=generator(seed)).requires_grad_(False)


def make_task(corruptions, held_out=None, weight=None, n_rows=400, robust=False):
    """Return a task with an energy per corruption, each with rows of its own."""
    members = range(len(corruptions))
    return Denoising(
        [make_energy(k) for k in members],
        [normal(n_rows, seed=10 + k) for k in members],
        torch.ones(n_rows) if weight is None else weight,
        held_out,
        corruptions,
        [robust] * len(corruptions),
        generator(),
    )


# What is done to rows


def test_noise_of_one_level_is_of_that_size_and_all_rows_count_the_same():
    x = normal(4_000)
    noisy, weight = Corruption(0.5, 0.5, 0.0).draw(x, generator())
    assert (noisy - x).std().item() == pytest.approx(0.5, rel=0.05)
    assert (noisy - x).mean().item() == pytest.approx(0.0, abs=0.03)
    assert torch.equal(weight, torch.ones(4_000))


def test_levels_of_a_range_are_log_uniform_and_matter_as_much():
    x = normal(20_000)
    noisy, weight = Corruption(0.1, 10.0, 0.0).draw(x, generator())
    sigma = 0.1 * weight.rsqrt()
    assert sigma.min() >= 0.0999
    assert sigma.max() <= 10.01
    # in every tenth of the logarithmic range, a tenth of the rows
    counts = torch.histc((sigma / 0.1).log10(), 10, min=0.0, max=2.0)
    assert ((counts - 2_000).abs() < 5 * math.sqrt(2_000 * 0.9)).all()
    # the noise of a row is of the level that it counts for, low or high
    for rows in (sigma < 0.3, sigma > 3.0):
        assert ((noisy - x) / sigma[:, None])[rows].std().item() == pytest.approx(1.0, rel=0.03)


@pytest.mark.parametrize("low", [0.1, 1.0])
def test_lost_rows_are_anywhere_in_the_box_and_as_many_as_asked_for(low):
    x = torch.full((20_000, 3), 100.0)
    moved, weight = Corruption(low, 1.0, 0.3).draw(x, generator())
    lost = (moved < 50.0).all(dim=1)
    assert ((moved < 50.0).any(dim=1) == lost).all()
    assert lost.float().mean().item() == pytest.approx(0.3, abs=5 * math.sqrt(0.21 / 20_000))
    # uniform within five scales of the centre, in every column, and columns independent
    anywhere = moved[lost]
    assert anywhere.abs().max() <= 5.0
    for column in anywhere.T:
        counts = torch.histc(column, 10, min=-5.0, max=5.0)
        expected = len(anywhere) / 10
        assert ((counts - expected).abs() < 5 * math.sqrt(expected)).all()
    assert (torch.corrcoef(anywhere.T) - torch.eye(3)).abs().max() < 0.07
    # they count as noise of the variance of the box
    torch.testing.assert_close(weight[lost], torch.full_like(weight[lost], low**2 / (25.0 / 3.0)))


@corrupted
def test_draws_are_the_generators_and_leave_the_rows_alone(corruption):
    x = normal(50)
    before = x.clone()
    first, second = (corruption.draw(x, generator(1)) for _ in range(2))
    other = corruption.draw(x, generator(2))
    assert torch.equal(x, before)
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert not torch.equal(first[0], other[0])
    assert first[0].shape == (50, 3)
    assert first[1].shape == (50,)


@corrupted
def test_mean_level_is_the_mean_weight_of_draws(corruption):
    _, weight = corruption.draw(torch.zeros(200_000, 1), generator())
    error = 5 * weight.std().item() / math.sqrt(200_000)
    assert corruption.mean_level() == pytest.approx(weight.mean().item(), abs=error + 1e-6)


# What undoing it costs


def test_every_epoch_corrupts_the_rows_afresh():
    task = make_task([Corruption(0.5, 0.5, 0.1)])
    (clean, noisy, weight), (again, noisy_again, _) = task.epoch_data(), task.epoch_data()
    assert torch.equal(clean, task.rows[0])
    assert torch.equal(again, clean)
    assert not torch.equal(noisy, noisy_again)
    assert len(weight) == task.n_samples == 400


def test_weights_of_rows_and_of_levels_are_multiplied():
    weight = torch.linspace(0.0, 2.0, 400)
    _, _, even = make_task([Corruption(0.1, 1.0, 0.2)]).epoch_data()
    _, _, weighted = make_task([Corruption(0.1, 1.0, 0.2)], weight=weight).epoch_data()
    torch.testing.assert_close(weighted, weight * even)


@robust_or_not
def test_loss_is_the_mean_of_weighted_squared_norms_or_of_their_roots(robust):
    task = make_task([Corruption(0.5, 0.5, 0.0)], n_rows=3, robust=robust)
    clean, noisy, _ = task.epoch_data()
    norms = [
        (task.energies[0].reconstruct(x[None])[0] - y).square().sum()
        for x, y in zip(noisy, clean, strict=True)
    ]
    terms = [0.5 * norms[0], 2.5 * norms[1], 0.0 * norms[2]]
    expected = sum(term.sqrt() if robust else term for term in terms) / 3
    loss = task.loss(clean, noisy, torch.tensor([0.5, 2.5, 0.0]))
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


@robust_or_not
def test_one_row_that_nothing_explains_pulls_no_more_than_others_under_the_robust_loss(robust):
    task = make_task([Corruption(0.5, 0.5, 0.0)], n_rows=20, robust=robust)
    energy = task.energies[0].requires_grad_(True)
    clean, noisy, weight = task.epoch_data()

    def pull(distance):
        lost = clean.clone()
        lost[0] = energy.reconstruct(noisy)[0].detach() + distance
        (gradient,) = torch.autograd.grad(task.loss(lost, noisy, weight), energy.visible_bias)
        return gradient.norm().item()

    growth = pull(1e4) / pull(1e2)
    assert growth == pytest.approx(1.0, rel=0.2) if robust else growth > 50


@robust_or_not
def test_a_row_that_is_denoised_perfectly_has_a_finite_gradient(robust):
    task = make_task([Corruption(0.5, 0.5, 0.0)], robust=robust)
    energy = task.energies[0].requires_grad_(True)
    _, noisy, weight = task.epoch_data()
    loss = task.loss(energy.reconstruct(noisy).detach(), noisy, weight)
    (gradient,) = torch.autograd.grad(loss, energy.visible_bias)
    assert loss.item() == pytest.approx(0.0, abs=1e-5)
    assert gradient.isfinite().all()


@robust_or_not
def test_members_side_by_side_cost_the_sum_of_what_each_costs_alone(robust):
    task = make_task(CORRUPTIONS, robust=robust)
    batch = task.epoch_data()
    assert len(batch) == 3 * len(CORRUPTIONS)
    alone = []
    for k, corruption in enumerate(CORRUPTIONS):
        clean, noisy, weight = batch[3 * k : 3 * k + 3]
        assert torch.equal(clean, task.rows[k])
        single = Denoising(
            [task.energies[k]], [clean], torch.ones(400), None, [corruption], [robust], generator()
        )
        alone.append((single.loss(clean, noisy, weight), single.ignorant_loss))
    losses, ignorant = zip(*alone, strict=True)
    torch.testing.assert_close(task.loss(*batch), sum(losses))
    assert task.ignorant_loss == pytest.approx(sum(ignorant))


def test_every_member_has_a_loss_of_its_own():
    batch = make_task(CORRUPTIONS[:2]).epoch_data()
    squared, both_robust, mixed = (make_task(CORRUPTIONS[:2]) for _ in range(3))
    both_robust.robust, mixed.robust = [True, True], [False, True]
    first = make_task(CORRUPTIONS[:1]).loss(*batch[:3])
    second_squared = squared.loss(*batch) - first
    second_robust = mixed.loss(*batch) - first
    assert not torch.isclose(second_robust, second_squared)
    first_robust = both_robust.loss(*batch) - second_robust
    assert not torch.isclose(first_robust, first)


@robust_or_not
def test_held_out_rows_keep_their_noise(robust):
    held_out = [normal(50, seed=20), normal(50, seed=21)]
    weight = torch.linspace(0.0, 2.0, 400)
    task = make_task(CORRUPTIONS[2:], held_out, weight, robust=robust)
    first, validation = task.validation_loss(), task.validation
    assert torch.equal(validation[0], held_out[0])
    assert torch.equal(validation[3], held_out[1])
    assert not torch.equal(validation[1], held_out[0])
    assert not torch.equal(validation[4], held_out[1])
    task.epoch_data()
    torch.testing.assert_close(task.validation_loss(), first, rtol=0, atol=0)
    torch.testing.assert_close(first, task.loss(*validation))
    assert make_task(CORRUPTIONS[:1]).validation_loss() is None


# What a model that knows nothing achieves


class Constant(torch.nn.Module):
    """Reconstructs nothing at all, or all of the noise."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def reconstruct(self, x):
        return self.factor * x


@corrupted
@robust_or_not
def test_ignorant_loss_is_no_less_than_that_of_reconstructing_nothing_or_all(corruption, robust):
    weight = torch.linspace(0.0, 2.0, 4_000)
    task = make_task([corruption], weight=weight, n_rows=4_000, robust=robust)
    batch = task.epoch_data()
    for factor in (0.0, 1.0):
        task.energies[0] = Constant(factor)
        # the loss of one draw varies
        assert task.loss(*batch).item() < 1.1 * task.ignorant_loss
    # and it is a bound of use
    task.energies[0] = Constant(0.0)
    assert task.ignorant_loss < 20 * task.loss(*batch).item()


def test_ignorant_loss_of_one_level_is_the_sum_of_both():
    task = make_task([Corruption(0.5, 0.5, 0.0)])
    expected = task.rows[0].square().sum(1).mean().item() + 3 * 0.5**2
    assert task.ignorant_loss == pytest.approx(expected)
    robust = make_task([Corruption(0.5, 0.5, 0.0)], robust=True)
    assert robust.ignorant_loss == pytest.approx(math.sqrt(expected))
