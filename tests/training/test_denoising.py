"""Stage 1 as a task: the loss of the thesis, weighted, on noise drawn afresh."""

import pytest
import torch

from sklearn_emma._training.denoising import Denoising
from sklearn_emma.nn import DAEEnergy


def make_task(held_out=None, noise=0.5, weight=None, n_rows=400):
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
    noisy, first = task.held_out_noisy, task.validation_loss()
    task.epoch_data()
    torch.testing.assert_close(task.validation_loss(), first, rtol=0, atol=0)
    torch.testing.assert_close(first, task.loss(held_out, noisy, torch.ones(50)))
    assert not torch.equal(noisy, held_out)
    assert make_task().validation_loss() is None


def test_ignorant_loss_is_that_of_reconstructing_nothing():
    task = make_task()
    expected = task.rows.square().sum(1).mean().item()
    assert expected <= task.ignorant_loss < 1.2 * expected
