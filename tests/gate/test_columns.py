"""Columns within modalities: read by tables, and made to fail in training."""

from dataclasses import replace

import torch

from sklearn_emma.corruption import Missing, Noise, Reference
from sklearn_emma.gate.columns import fail_columns, learn_columns


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def attentive(energies, samples):
    """The same energies, with attention to columns."""
    filled = [x.nan_to_num(0.0) for x in samples.modalities]
    columns = learn_columns(energies.potentials, filled, samples.weight)
    return replace(energies, columns=columns, minimum=torch.ones(len(filled)).double())


def test_columns_fail_in_a_quarter_of_the_samples_without_a_failing_modality(make_samples):
    samples = make_samples(8000)
    intact = torch.arange(8000) < 4000
    reference = Reference.from_tensors(samples.modalities)
    failed, changed = fail_columns(
        samples.modalities, intact, Noise(2.0), reference, ["a", "b", "c"], generator()
    )
    for i, (x, values) in enumerate(zip(samples.modalities, failed, strict=True)):
        assert torch.equal((x != values).any(1), changed[:, i])
        # up to half of the columns
        assert ((x != values).sum(1) <= max(1, x.shape[1] // 2)).all()
    assert not changed[~intact].any()
    assert not changed[:, 2].any()  # its only column
    # a third of the failing modalities is the one of a single column
    assert abs(float(changed[intact].any(1).float().mean()) - 0.25 * 2 / 3) < 0.02


def test_training_samples_are_read_as_those_of_a_prediction(make_samples, make_energies):
    samples = make_samples(500)
    energies = attentive(make_energies(samples, scale=0.1), samples)
    samples.modalities[1][:10, 1] = 40.0
    samples.modalities[0][10] = torch.nan
    scored = energies.score(samples)
    assert (scored.potential[:10, 1] < 20).all()
    assert (scored.filled[1][:10, 1].abs() < 5).all()
    assert torch.equal(scored.modalities[1][:10, 1], torch.full((10,), 40.0))
    assert scored.potential[10, 0] == torch.inf
    assert not any(x.isnan().any() for x in scored.filled)


def test_failures_of_columns_leave_the_indicator_of_modalities_alone(
    make_samples, make_energies, make_failures
):
    samples = make_samples(2000)
    energies = attentive(make_energies(samples, scale=0.1), samples)
    scored = energies.score(samples)
    failures = make_failures(samples, Missing(fraction=0.5), energies=energies)
    failed, indicator = failures.draw(scored)
    whole = torch.stack([x.isnan().all(1) for x in failed.modalities], 1)
    some = torch.stack([x.isnan().any(1) for x in failed.modalities], 1) & ~whole
    assert torch.equal(whole, indicator < 0)
    assert 0.05 < some.any(1).float().mean() < 0.15
    assert torch.isfinite(failed.potential[some]).all()
    assert (failed.potential != scored.potential)[some].float().mean() > 0.9
