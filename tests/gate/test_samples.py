"""Training samples: taken, filled, and given their potentials."""

import math
from dataclasses import replace

import torch

from sklearn_emma.gate.samples import Samples


def norms(samples):
    return torch.stack([x.nan_to_num().square().sum(1) for x in samples.modalities], 1)


def test_taking_samples(scored):
    index = torch.tensor([3, 1])
    taken = scored.take(index)
    assert all(
        torch.equal(x, y[index]) for x, y in zip(taken.modalities, scored.modalities, strict=True)
    )
    for name in ("potential", "target", "weight"):
        assert torch.equal(getattr(taken, name), getattr(scored, name)[index])


def test_scoring_finds_the_potentials_and_leaves_the_samples_alone(make_samples, make_energies):
    samples = make_samples()
    doubled = make_energies(samples, factor=2.0).score(samples)
    torch.testing.assert_close(doubled.potential, 2 * norms(samples))
    assert doubled.modalities is samples.modalities
    assert doubled.target is samples.target
    assert doubled.weight is samples.weight
    assert not hasattr(samples, "potential")


def test_energies_price_gaps(make_samples, make_energies):
    samples = make_samples()
    samples.modalities[1][0, 0] = math.nan
    samples.modalities[0][1] = math.nan
    unpriced = make_energies(samples).score(samples)
    expected = norms(samples)
    expected[1, 0] = math.inf  # a missing modality always is
    torch.testing.assert_close(unpriced.potential, expected)
    priced = make_energies(samples, scale=2.0).score(samples)
    expected[0, 1] -= 3 * 2.0 * math.log(1 - 1 / 3)
    torch.testing.assert_close(priced.potential, expected)


def test_samples_are_scored_anew_where_they_changed_only(scored, make_energies):
    seen = []

    class Watched:
        def potential(self, x):
            seen.append(len(x))
            return x.square().sum(1)

    energies = replace(make_energies(scored), potentials=[Watched()] * 3)
    before = scored.potential.clone()
    moved = [x + 1.0 for x in scored.modalities]
    changed = torch.zeros(40, 3, dtype=torch.bool)
    changed[5:15, 1] = True
    again = energies.rescore(scored, moved, changed)
    assert seen == [10]
    assert again.modalities is moved
    torch.testing.assert_close(again.potential[5:15, 1], moved[1][5:15].square().sum(1))
    assert torch.equal(again.potential[~changed], before[~changed])
    assert torch.equal(scored.potential, before)


def test_energies_see_so_many_samples_at_a_time(scored, make_energies, monkeypatch):
    monkeypatch.setattr("sklearn_emma.gate.samples.energy_block", lambda: 7)
    seen = []

    class Watched:
        def potential(self, x):
            seen.append(len(x))
            return x.square().sum(1)

    energies = replace(make_energies(scored), potentials=[Watched()] * 3)
    torch.testing.assert_close(energies.score(scored).potential, scored.potential)
    changed = torch.arange(40)[:, None].expand(-1, 3) % 2 == 0
    energies.rescore(scored, scored.modalities, changed)
    assert max(seen) == 7
    assert sum(seen) == 3 * 40 + changed.sum()


def test_potentials_have_no_gradient(make_samples, make_energies):
    samples = make_samples()
    for x in samples.modalities:
        x.requires_grad_()
    assert not make_energies(samples).score(samples).potential.requires_grad


def test_all_indicators_of_a_category_are_one_value():
    x = torch.zeros(4, 5)
    samples = Samples([x, x[:, :2]], torch.zeros(4), torch.ones(4), [[torch.tensor([1, 2, 3])], []])
    shares = samples.value_shares()
    torch.testing.assert_close(shares[0], torch.tensor([3.0, 1.0, 1.0, 1.0, 3.0]) / 9)
    torch.testing.assert_close(shares[1], torch.tensor([0.5, 0.5]))
    assert Samples([x], torch.zeros(4), torch.ones(4)).value_shares() is None
