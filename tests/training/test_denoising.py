"""Stage 1 as a task: the loss of the thesis, weighted, on noise drawn afresh."""

import pytest
import torch

from sklearn_emma._training.denoising import Denoising
from sklearn_emma.nn import DAEEnergy


def make_task(held_out=None, noise=(0.5, 0.5), weight=None, n_rows=400):
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(n_rows, 3, generator=generator)
    weight = torch.ones(n_rows) if weight is None else weight
    energy = DAEEnergy(3, (4,), generator=generator)
    return Denoising(energy, rows, weight, held_out, noise, generator)


def test_every_epoch_draws_noise_of_the_given_size():
    task = make_task()
    (clean, noisy, _), (_, noisy_again, _) = task.epoch_data(), task.epoch_data()
    assert torch.equal(clean, task.rows)
    assert not torch.equal(noisy, noisy_again)
    assert (noisy - clean).std().item() == pytest.approx(0.5, rel=0.1)


def test_levels_of_a_range_are_log_uniform_and_matter_as_much():
    task = make_task(noise=(0.1, 10.0), n_rows=20_000)
    clean, noisy, weight = task.epoch_data()
    sigma = 0.1 * weight.rsqrt()
    assert sigma.min() >= 0.0999
    assert sigma.max() <= 10.01
    assert sigma.log10().mean().item() == pytest.approx(0.0, abs=0.02)
    # the noise of a row is of the level that it counts for
    assert ((noisy - clean) / sigma[:, None]).std().item() == pytest.approx(1.0, rel=0.02)


def test_loss_is_the_weighted_mean_of_squared_norms():
    weight = torch.tensor([0.5, 2.5, 0.0])
    task = make_task(weight=weight, n_rows=3)
    clean, noisy, _ = task.epoch_data()
    norms = [
        (task.energy.reconstruct(x[None])[0] - y).square().sum()
        for x, y in zip(noisy, clean, strict=True)
    ]
    expected = (0.5 * norms[0] + 2.5 * norms[1]) / 3
    torch.testing.assert_close(task.loss(clean, noisy, weight), expected)


def test_held_out_rows_keep_their_noise():
    held_out = torch.randn(50, 3, generator=torch.Generator().manual_seed(1))
    task = make_task(held_out)
    (_, noisy, _), first = task.validation, task.validation_loss()
    task.epoch_data()
    torch.testing.assert_close(task.validation_loss(), first, rtol=0, atol=0)
    torch.testing.assert_close(first, task.loss(held_out, noisy, torch.ones(50)))
    assert not torch.equal(noisy, held_out)
    assert make_task().validation_loss() is None


def test_ignorant_loss_is_that_of_reconstructing_nothing_or_all_of_the_noise():
    task = make_task()
    expected = task.rows.square().sum(1).mean().item()
    assert task.ignorant_loss == pytest.approx(expected + 3 * 0.5**2)
