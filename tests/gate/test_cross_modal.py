"""The training of the cross-modal energy: its loss, and what the log ratios become."""

import math

import numpy as np
import pytest
import torch

from sklearn_emma.datasets import make_multimodal_classification
from sklearn_emma.engine.objective import TrainingConfig
from sklearn_emma.gate.cross_modal import (
    Contrast,
    _held_out,
    _shuffle,
    add_cross_modal_energy,
    train_cross_modal,
)
from sklearn_emma.nn import CrossModalEnergy, EnergyAttention, noise_contrastive_loss

CORRELATION = 0.8


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def train(modalities, weight=None, batch_size=128, seed=0):
    weight = torch.ones(len(modalities[0])) if weight is None else weight
    config = TrainingConfig(batch_size, learning_rate=0.01, max_epochs=50)
    return train_cross_modal(modalities, weight, config, generator(seed), generator(seed))


def correlated(n_samples, seed):
    g = generator(seed)
    x, noise = torch.randn(n_samples, 1, generator=g), torch.randn(n_samples, 1, generator=g)
    return [x, CORRELATION * x + math.sqrt(1 - CORRELATION**2) * noise]


def information(x, y):
    """Pointwise mutual information of standard Gaussians of this correlation, in nats."""
    r = CORRELATION
    exponent = r * (2 * x * y - r * (x**2 + y**2)) / (2 * (1 - r**2))
    return exponent - 0.5 * math.log(1 - r**2)


def learned_information(cross_modal, modalities):
    with torch.no_grad():
        return cross_modal.log_ratios(modalities)[:, 0, 1]


def agree(learned, expected):
    """Whether log ratios are the expected ones; the noise of training blurs them a little."""
    error = (learned - expected).abs().mean()
    return np.corrcoef(learned, expected)[0, 1] > 0.95 and error < 0.3


def make_objective(n_samples=200, seed=0):
    g = generator(7)
    modalities = [torch.randn(n_samples, d, generator=g) for d in (2, 1, 3)]
    weight = torch.rand(n_samples, generator=g) + 0.5
    energy = CrossModalEnergy([2, 1, 3], (4, 3), generator=generator(1))
    return Contrast(energy, modalities, weight, generator(seed))


# --- the objective ---


def test_samples_get_fresh_noise_of_up_to_half_a_deviation():
    objective = make_objective(20_000)
    (weight, *first), (_, *second) = objective.epoch_data(), objective.epoch_data()
    assert torch.equal(weight, objective.weight)
    for x, a, b in zip(objective.modalities, first, second, strict=True):
        assert not torch.equal(a, b)
        # the mean square of sigma, which is uniform
        assert (a - x).square().mean() == pytest.approx(0.5**2 / 3, rel=0.05)
    # a sample is noisy in all its modalities
    size = torch.stack(
        [(a - x).abs().mean(1) for a, x in zip(first, objective.modalities, strict=True)]
    )
    assert (np.corrcoef(size) > 0.1).all()


def test_every_modality_is_shuffled_by_itself():
    order = _shuffle(torch.zeros(200, 3, 4), generator())
    assert torch.equal(order.sort(0).values, torch.arange(200).unsqueeze(1).expand(-1, 3))
    for i, j in ((0, 1), (1, 2), (0, 2)):
        assert (order[:, i] == order[:, j]).sum() < 10


def test_the_loss_is_that_of_samples_against_shuffled_ones():
    objective = make_objective()
    weight, *modalities = objective.epoch_data()
    drawn = generator()
    drawn.set_state(objective.generator.get_state())
    loss = objective.loss(weight, *modalities)
    energy = objective.cross_modal
    ratios, weights = [], []
    for _ in range(2):
        order = torch.rand(200, 3, generator=drawn).argsort(0)
        donors = [x[index] for x, index in zip(modalities, order.T, strict=True)]
        ratios.append(energy.log_ratios(donors))
        weights.append(weight[order])
    together = energy.log_ratios(modalities)
    expected = noise_contrastive_loss(together, torch.cat(ratios), weight, torch.cat(weights))
    torch.testing.assert_close(loss, expected)
    assert objective.validation_loss() is None
    assert objective.baseline_loss == pytest.approx(2 * math.log(2))


# --- what it learns ---


@pytest.fixture(scope="module")
def gaussians():
    """The energy of two correlated numbers, trained."""
    return train(correlated(2000, seed=0))


def test_log_ratios_become_the_mutual_information(gaussians):
    x, y = fresh = correlated(2000, seed=1)
    assert agree(learned_information(gaussians, fresh), information(x, y).flatten())
    shuffled = [x, y.roll(1, 0)]
    assert agree(
        learned_information(gaussians, shuffled).clamp(min=-3),
        information(*shuffled).flatten().clamp(min=-3),
    )


def test_weights_change_the_distribution_that_is_learned():
    # weighted by exp(x), the Gaussians are the same around another mean
    x, y = correlated(4000, seed=0)
    weight = x.flatten().exp()
    weighted = train([x, y], weight / weight.mean())
    x, y = correlated(2000, seed=1)
    x, y = shifted = [x + 1, y + CORRELATION]
    expected = information(x - 1, y - CORRELATION).flatten()
    assert agree(learned_information(weighted, shifted), expected)


def test_the_same_generators_give_the_same_energy(gaussians):
    samples = correlated(100, seed=1)
    again, other = train(correlated(2000, seed=0)), train(correlated(2000, seed=0), seed=1)
    assert torch.equal(again.log_ratios(samples), gaussians.log_ratios(samples))
    assert not torch.allclose(other.log_ratios(samples), gaussians.log_ratios(samples))


def test_a_trained_energy_has_no_gradients_and_a_bound(gaussians):
    assert not any(parameter.requires_grad for parameter in gaussians.parameters())
    assert gaussians.bound == pytest.approx(math.log(2000))


def test_independent_modalities_do_not_disagree():
    g = generator()
    tables = [[torch.randn(n, 2, generator=g) for _ in range(4)] for n in (2000, 500)]
    cross_modal = train(tables[0])
    disagreement = cross_modal.disagreement(tables[1], torch.ones(500, 4))
    assert disagreement.abs().mean() < 0.15


@pytest.fixture(scope="module")
def table():
    """Four modalities that have much in common: test samples, and an energy trained on others."""
    X, _ = make_multimodal_classification(
        3000,
        n_modalities=4,
        n_features=4,
        n_classes=6,
        redundancy=0.9,
        separation=4.0,
        random_state=0,
        return_X_y=True,
        as_frame=False,
    )
    X = torch.tensor((X - X.mean(0)) / X.std(0), dtype=torch.float32)
    train_samples, test_samples = (
        [x[part] for x in X.split(4, 1)] for part in (slice(2000), slice(2000, None))
    )
    return test_samples, train(train_samples)


@pytest.mark.parametrize("i", range(4))
def test_a_modality_of_another_sample_disagrees_most(table, i):
    modalities, cross_modal = table
    clean = cross_modal.disagreement(modalities, torch.ones(1000, 4))
    swapped = [x.roll(1, 0) if j == i else x for j, x in enumerate(modalities)]
    disagreement = cross_modal.disagreement(swapped, torch.ones(1000, 4))
    assert (disagreement.argmax(1) == i).float().mean() > 0.85
    assert disagreement[:, i].mean() > clean[:, i].mean() + 2


# --- more columns than the samples justify ---


@pytest.mark.parametrize(("dependent", "lowest", "highest"), [(True, 1.0, 1.0), (False, 0.0, 0.3)])
def test_the_factor_of_the_log_ratios(monkeypatch, dependent, lowest, highest):
    factors = []
    monkeypatch.setattr(
        CrossModalEnergy, "scale_", lambda self, factor: factors.append(factor) or self
    )
    g = generator(5)
    common = torch.randn(600, 3, generator=g)
    train(
        [
            dependent * common @ torch.randn(3, d, generator=g) + torch.randn(600, d, generator=g)
            for d in (30, 40, 30)
        ]
    )
    assert lowest <= factors[0] <= highest


def test_nothing_is_held_out_of_few_columns(monkeypatch):
    monkeypatch.delattr(CrossModalEnergy, "scale_")
    train(correlated(600, 0))


def test_wide_modalities_are_not_memorized():
    g = generator(5)
    samples = [torch.randn(1000, d, generator=g) for d in (30, 40, 30)]
    train_samples, new = [x[:600] for x in samples], [x[600:] for x in samples]
    cross_modal = train(train_samples)
    disagreement = cross_modal.disagreement(new, torch.ones(400, 3))
    # they are independent, so new samples do not disagree either
    assert (disagreement > 0.5).float().mean() < 0.01
    own = cross_modal.disagreement(train_samples, torch.ones(600, 3))
    assert (own - own.mean(0)).abs().max() < 1.0


@pytest.mark.parametrize("n_samples", [3, 60, 1000, 5000, 100_000])
def test_held_out_samples_are_spread_over_the_table(n_samples):
    held_out = _held_out(n_samples).numpy()
    assert held_out.sum() <= min(n_samples // 4 + 1, 1010)
    if n_samples > 3:
        assert held_out.sum() >= min(n_samples // 5, 900)
        by_fifth = [part.mean() for part in np.array_split(held_out, 5)]
        np.testing.assert_allclose(by_fifth, held_out.mean(), atol=0.05)


def test_log_ratios_can_be_scaled():
    g = generator(6)
    x = [torch.randn(20, d, generator=g) for d in (2, 9, 3)]
    energy = CrossModalEnergy([2, 9, 3], (4, 3), generator=generator(1))
    with torch.no_grad():
        energy.pair_bias.copy_(torch.randn(3, 3, generator=g))
        expected = 0.3 * energy.log_ratios(x)
        torch.testing.assert_close(energy.scale_(0.3).log_ratios(x), expected)


# --- many samples ---


def test_blocks_give_what_the_whole_gives(table, monkeypatch):
    modalities, cross_modal = table
    modalities = [modalities[0].roll(1, 0), *modalities[1:]]
    potential = torch.rand(1000, 4, generator=generator())
    potential[3, 1] = math.inf
    gate = EnergyAttention(4, generator=generator())
    gate.potential_min.fill_(0.3)
    gate.potential_scale.copy_(torch.tensor([0.5, 1.0, 2.0, 1.0]))
    whole = cross_modal(modalities, potential, gate.potential_min, gate.potential_scale)
    monkeypatch.setattr("sklearn_emma.gate.cross_modal.pair_block", lambda n_modalities: 77)
    blocks = add_cross_modal_energy(cross_modal, modalities, potential, gate)
    torch.testing.assert_close(blocks, whole)
    assert blocks[3, 1] == math.inf
    assert (blocks > potential).any()


def test_no_cross_modal_energy_adds_nothing():
    potential = torch.rand(10, 2, generator=generator())
    modalities = [torch.zeros(10, 2), torch.zeros(10, 1)]
    gate = EnergyAttention(2, generator=generator())
    assert add_cross_modal_energy(None, modalities, potential, gate) is potential
