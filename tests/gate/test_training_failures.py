"""Failures of training samples: which corruption, in which units, and what it changes."""

from dataclasses import replace

import torch

from sklearn_emma.corruption import Corruption, Missing, Mixture, Noise, Swapped
from sklearn_emma.gate.samples import Samples
from sklearn_emma.gate.training_failures import (
    training_corruption,
    training_reference,
    with_fraction,
)

N = 40


# --- which corruption ---


def test_the_default_corruption_is_noise_absence_or_a_swap_in_half_of_the_samples():
    corruption = training_corruption(None)
    assert isinstance(corruption, Mixture)
    assert [type(part) for part in corruption.corruptions] == [Noise, Missing, Swapped]
    assert corruption.probabilities == [0.375, 0.375, 0.25]
    assert corruption.corruptions[0].sigma == (0.25, 2.0)
    assert corruption.fraction == 0.5
    assert corruption.n_corrupted is None


def test_a_corruption_without_fraction_is_applied_to_half_of_the_samples():
    swapped = Swapped(only="a")
    corruption = training_corruption(swapped)
    assert corruption.fraction == 0.5
    assert corruption.only == "a"
    assert swapped.fraction is None
    chosen = Swapped(fraction=0.9)
    assert training_corruption(chosen) is chosen


class Offset(Corruption):
    """A corruption of the user's own, whose parameter is stored under another name."""

    def __init__(self, shift=1.0):
        super().__init__()
        self.stored = shift

    def _fail(self, x, mean, std, donors, generator):
        return x + self.stored * std


def test_another_fraction_is_that_of_a_copy():
    offset = Offset(3.0)
    all_of_them = with_fraction(offset, 1.0)
    assert (all_of_them.fraction, all_of_them.stored) == (1.0, 3.0)
    assert offset.fraction is None


# --- in which units ---


def test_failures_are_in_standard_deviations_of_standardized_samples(make_samples):
    samples = make_samples(500)
    samples.modalities[0][:] *= 0.5
    samples.modalities[0][0, 0] = 1e6
    reference = training_reference(samples, ["a", "b", "c"])
    assert all((mean == 0).all() for mean in reference.means)
    assert reference.stds[0][0] == 1.0  # extreme values do not stretch it
    torch.testing.assert_close(reference.stds[0][1], torch.tensor(0.5), rtol=0.1, atol=0)
    for donors, x in zip(reference.donors, samples.modalities, strict=True):
        assert torch.equal(donors, x)


# --- what they change ---


def test_failures_change_the_failing_modalities_and_their_energies_only(scored, make_failures):
    before = [x.clone() for x in scored.modalities]
    failed, indicator = make_failures(scored, Noise(1.0, fraction=0.5)).draw(scored)
    hit = indicator < 0
    assert hit.any(1).sum() == N // 2
    assert (hit.sum(1) <= 1).all()
    for i in range(3):
        changed = (failed.modalities[i] != scored.modalities[i]).any(1)
        assert torch.equal(changed, hit[:, i])
        assert torch.equal(failed.potential[:, i] != scored.potential[:, i], hit[:, i])
        torch.testing.assert_close(failed.potential[:, i], failed.modalities[i].square().sum(1))
        assert torch.equal(scored.modalities[i], before[i])
    assert failed.target is scored.target
    assert failed.weight is scored.weight


def test_energies_are_computed_for_failing_samples_only(scored, make_energies, make_failures):
    seen = []

    class Watched:
        def potential(self, x):
            seen.append(len(x))
            return x.square().sum(1)

    energies = replace(make_energies(scored), potentials=[Watched()] * 3)
    corruption = Missing(fraction=0.25, only="b")
    failed, _ = make_failures(scored, corruption, energies=energies).draw(scored)
    assert seen == [10]
    assert failed.potential[:, 1].isinf().sum() == 10


def test_failures_are_drawn_afresh(scored, make_failures):
    source = make_failures(scored, Noise(1.0, fraction=0.5))
    (first, _), (second, _) = source.draw(scored), source.draw(scored)
    assert not torch.equal(first.modalities[0], second.modalities[0])
    again, _ = make_failures(scored, Noise(1.0, fraction=0.5)).draw(scored)
    assert torch.equal(first.modalities[0], again.modalities[0])


def test_categories_of_training_samples_fail_as_categories():
    levels = torch.eye(3).repeat(50, 1)
    blocks = [[torch.tensor([0, 1, 2])]]
    samples = Samples([levels], torch.zeros(150), torch.ones(150), blocks)
    reference = training_reference(samples, ["a"])
    generator = torch.Generator().manual_seed(0)
    (noisy,), _ = Noise(2.0).corrupt_tensors([levels], generator=generator, reference=reference)
    assert ((noisy == 1).sum(1) == 1).all()
    assert ((noisy == 0).sum(1) == 2).all()
    assert (noisy != levels).any()
