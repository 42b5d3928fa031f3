"""The choice of the penalty on weights."""

import copy

import pytest
import torch
from torch.nn import functional as F

from sklearn_emma._training import penalty
from sklearn_emma._training.criteria import ClassLoss, ValueLoss
from sklearn_emma._training.failures import Rows
from sklearn_emma._training.penalty import MOST_ROWS, PenaltyTask, choose_penalty
from sklearn_emma.nn import FusionNetwork

N = 60


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_network(widths, n_outputs=2):
    return FusionNetwork(widths, n_outputs, (8, 5), (7,), generator(1))


def make_rows(n=N, widths=(3,), noise=0.0):
    """Two classes, told apart by the first column; noise is the rate of wrong labels."""
    modalities = [torch.randn(n, d, generator=generator(d)) for d in widths]
    target = (modalities[0][:, 0] > 0).long()
    wrong = torch.rand(n, generator=generator(9)) < noise
    return Rows(modalities, None, torch.where(wrong, 1 - target, target), torch.ones(n))


def make_task(widths=(3,), **changes):
    rows = make_rows(widths=widths)
    present = torch.ones(N, len(widths), dtype=torch.bool)
    tensors = [present, rows.target, rows.weight, *rows.modalities]
    task = PenaltyTask(make_network(widths), ClassLoss(), tensors, generator())
    with torch.no_grad():  # each copy its own, as after a few steps
        for parameter in task.network.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator(2))
    return task, rows


def single(task, place, widths=(3,)):
    """One of the copies, as a network of its own."""
    network = make_network(widths)
    stacked = dict(task.network.named_parameters())
    network.load_state_dict({name: p[place].detach() for name, p in stacked.items()})
    return network


def choose(rows, widths, criterion=None, n_outputs=2, seed=0, **parameters):
    parameters = {"learning_rate": 0.01, "batch_size": 32, "max_epochs": 20} | parameters
    fills = [torch.zeros(d) for d in widths]
    return choose_penalty(
        make_network(widths, n_outputs),
        criterion or ClassLoss(),
        rows,
        fills,
        **parameters,
        verbose=0,
        generator=generator(seed),
    )


def test_the_loss_is_that_of_every_copy_by_itself():
    task, rows = make_task()
    fold = task.rows[0]
    assert sorted(fold.bincount()) == [N // 3] * 3
    expected = 0.0
    for place, (out, strength) in enumerate(zip(task.left_out, task.strength, strict=True)):
        network, seen = single(task, place), fold != out
        logits = network([rows.modalities[0][seen]], torch.ones(int(seen.sum()), 1))
        expected += F.cross_entropy(logits, rows.target[seen])
        weights = [*network.encoders.stacks[0].weights, *network.linear.stacks[0].weights]
        weights += list(network.head.weights)
        expected += 0.5 * strength * sum(w.square().sum() for w in weights)
    torch.testing.assert_close(task.loss(*task.rows), expected)


def test_held_out_losses_are_those_of_rows_not_seen():
    task, rows = make_task()
    fold = task.rows[0]
    expected = torch.zeros(len(task.strength))
    for place, out in enumerate(task.left_out):
        unseen = fold == out
        logits = single(task, place)([rows.modalities[0]], torch.ones(N, 1))
        expected[place] = F.cross_entropy(logits[unseen], rows.target[unseen], reduction="sum")
    expected = expected.view(-1, 3).sum(1)
    for batch_size in (N, 17):
        torch.testing.assert_close(task.held_out_losses(batch_size).detach(), expected)


def test_what_is_not_seen_teaches_nothing():
    task, _ = make_task(widths=(3, 2))
    fold, present, target, *rest = task.rows
    place = 1
    unseen = fold == task.left_out[place]
    gradients = []
    for labels in (target, torch.where(unseen, 1 - target, target)):
        task.generator.manual_seed(3)
        task.zero_grad()
        task.loss(fold, present, labels, *rest).backward()
        gradients.append(task.network.head.weights[0].grad.clone())
    torch.testing.assert_close(gradients[0][place], gradients[1][place])
    assert not torch.allclose(gradients[0][0], gradients[1][0])


def test_folds_are_alike():
    target = torch.tensor([0] * 30 + [1] * 6)
    fold = penalty._folds(target, generator())
    assert fold[:30].bincount().tolist() == [10, 10, 10]
    assert fold[30:].bincount().tolist() == [2, 2, 2]


def test_noise_asks_for_a_stronger_penalty():
    clear = choose(make_rows(300, (6,)), (6,))
    noisy = choose(make_rows(300, (6,), noise=0.5), (6,))
    assert noisy > 1.5 * clear
    least, most = 300 * min(penalty._STRENGTHS), 300 * max(penalty._STRENGTHS)
    assert least <= clear < noisy <= most * (1 + 1e-5)


def test_values_have_a_penalty_too():
    rows = make_rows(200, (6,))
    n = len(rows.target)
    signal = rows.modalities[0][:, :1]
    noise = torch.randn(n, 1, generator=generator(5))
    loss = ValueLoss("squared_error")
    chosen = [
        choose(Rows(rows.modalities, None, y, rows.weight), (6,), loss, n_outputs=1)
        for y in (signal, noise)
    ]
    assert chosen[0] < 0.5 * chosen[1]


def test_few_rows_cannot_tell():
    assert choose(make_rows(20), (3,)) == pytest.approx(0.06)


def test_no_more_rows_than_needed_and_less_penalty_for_them():
    rows = make_rows(MOST_ROWS + 500, (2,), noise=0.2)
    used = []
    original = PenaltyTask.__init__

    def spy(self, *args):
        original(self, *args)
        used.append(self.n_samples)
        assert len(self.left_out) < 3 * len(penalty._STRENGTHS)  # fewer folds are enough

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PenaltyTask, "__init__", spy)
        strength = choose(rows, (2,), max_epochs=1)
    assert used == [MOST_ROWS]
    share = MOST_ROWS / (MOST_ROWS + 500)
    assert min(penalty._STRENGTHS) <= strength / share / MOST_ROWS <= max(penalty._STRENGTHS)


def test_gaps_are_filled_and_missing_modalities_shut():
    rows = make_rows(90, (3, 2))
    rows.modalities[0][:30] = torch.nan
    rows.modalities[1][40:60, 0] = torch.nan
    assert 0 < choose(rows, (3, 2)) < torch.inf


def test_same_generator_same_choice_and_nothing_else_is_touched():
    rows = make_rows(90, (3, 2), noise=0.1)
    before = copy.deepcopy(rows), torch.random.get_rng_state()
    assert choose(rows, (3, 2)) == choose(rows, (3, 2)) != choose(rows, (3, 2), seed=1)
    torch.testing.assert_close(rows.modalities, before[0].modalities)
    assert torch.equal(torch.random.get_rng_state(), before[1])
