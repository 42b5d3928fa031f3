"""The choice of the penalty on weights."""

import copy

import numpy as np
import pytest
import torch
from sklearn_emma._training import penalty

from sklearn_emma.gate.failures import Rows
from sklearn_emma.gate.l2_selection import PenaltyTask, choose_penalty
from sklearn_emma.gate.prediction_loss import ClassLoss, ValueLoss
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


TARGETS = {
    "classes": (ClassLoss(), 2),
    "values": (ValueLoss("squared_error"), 2),
    "quantiles": (ValueLoss("quantile", (0.1, 0.5, 0.9)), 3),
}


def make_task(kind="classes", widths=(3, 2)):
    """Return a task whose copies differ, and its rows: some lack a modality."""
    rows = make_rows(widths=widths)
    criterion, n_outputs = TARGETS[kind]
    target = rows.target
    if kind != "classes":
        n_targets = 1 if kind == "quantiles" else n_outputs
        target = torch.randn(N, n_targets, generator=generator(4))
    present = torch.rand(N, len(widths), generator=generator(5)) > 0.2
    weight = torch.rand(N, generator=generator(6)) + 0.5
    tensors = [present, target, weight, *rows.modalities]
    task = PenaltyTask(make_network(widths, n_outputs), criterion, tensors, generator())
    with torch.no_grad():  # each copy its own, as after a few steps
        for parameter in task.network.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator(2))
    kept = torch.arange(N).unsqueeze(1) % 2 == torch.arange(len(widths)) % 2
    task._part = lambda present: kept[: len(present)]
    return task, kept


def single(task, place, widths=(3, 2), n_outputs=2):
    """One of the copies, as a network of its own."""
    network = make_network(widths, n_outputs)
    stacked = dict(task.network.named_parameters())
    network.load_state_dict({name: p[place].detach() for name, p in stacked.items()})
    return network


def losses(task, network, place, kept, of):
    """Losses of one copy on whole rows and on parts, by hand, summed over rows that it sees."""
    fold, present, target, weight, *modalities = task.rows
    which = of(fold, task.left_out[place])
    rows = [x[which] for x in modalities]
    for attention in (present, present & kept):
        output = network(rows, attention[which].float())
        yield task.criterion(output, target[which], weight[which]) * which.sum()


def choose(
    rows, widths, criterion=None, n_outputs=2, seed=0, network=None, held_out=None, **parameters
):
    parameters = {"learning_rate": 0.01, "batch_size": 32, "max_epochs": 20} | parameters
    fills = [torch.zeros(d) for d in widths]
    return choose_penalty(
        network or make_network(widths, n_outputs),
        criterion or ClassLoss(),
        rows,
        held_out,
        fills,
        **parameters,
        verbose=0,
        generator=generator(seed),
    )


@pytest.mark.parametrize("kind", TARGETS)
def test_the_loss_is_that_of_every_copy_by_itself(kind):
    task, kept = make_task(kind)
    assert sorted(task.rows[0].bincount()) == [N // 3] * 3
    expected = 0.0
    for place, strength in enumerate(task.strength):
        network = single(task, place, n_outputs=TARGETS[kind][1])
        whole, part = losses(task, network, place, kept, torch.ne)
        expected += (whole + 2.0 * part) / (N * 2 / 3)
        weights = [*network.encoders.stacks[0].weights, *network.linear.stacks[0].weights]
        weights += list(network.head.weights)
        expected += 0.5 * strength * sum(w.square().sum() for w in weights)
    torch.testing.assert_close(task.loss(*task.rows), expected)


@pytest.mark.parametrize("kind", TARGETS)
def test_rows_not_seen_decide(kind):
    task, kept = make_task(kind)
    weight = task.rows[3]
    mean = torch.zeros(len(task.strength))
    for place in range(len(mean)):
        network = single(task, place, n_outputs=TARGETS[kind][1])
        whole, part = losses(task, network, place, kept, torch.eq)
        mean[place] = (whole + 2.0 * part).detach() / 3.0
    mean = mean.view(-1, 3).sum(1) / weight.sum()
    expected = task.criterion.log_likelihood(mean, float(weight.sum()))
    torch.testing.assert_close(task.log_likelihoods(N), expected)


def test_one_modality_has_no_parts():
    task, _ = make_task(widths=(3,))
    task._part = None
    task.loss(*task.rows).backward()
    assert torch.isfinite(task.log_likelihoods(17)).all()


def test_what_is_not_seen_teaches_nothing():
    task, _ = make_task()
    fold, present, target, *rest = task.rows
    place = 1
    unseen = fold == task.left_out[place]
    gradients = []
    for labels in (target, torch.where(unseen, 1 - target, target)):
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
    assert least <= clear < noisy <= most


@pytest.mark.parametrize("loss", ["squared_error", "absolute_error"])
@pytest.mark.parametrize("unit", [0.05, 1.0])
def test_values_have_a_penalty_too(loss, unit):
    # what is left to explain may be little, and decides all the same
    x = torch.randn(400, 6, generator=generator(6))
    noise = torch.randn(400, 1, generator=generator(5))
    signal, nothing = x[:, :1] * x[:, 1:2], noise
    chosen = [
        choose(Rows([x], None, unit * y, torch.ones(400)), (6,), ValueLoss(loss), 1, max_epochs=40)
        for y in (signal, nothing)
    ]
    assert chosen[1] > 1.3 * chosen[0]


def test_likelihoods_do_not_depend_on_the_unit_of_errors():
    means = torch.tensor([1.0, 1.1])
    for loss, power in (("squared_error", 0.5), ("absolute_error", 1.0)):
        one, small = (ValueLoss(loss).log_likelihood(u * means, 50.0) for u in (1.0, 1e-4))
        torch.testing.assert_close(one.diff(), small.diff(), rtol=1e-4, atol=1e-4)
        assert one.diff().item() == pytest.approx(-50.0 * power * np.log(1.1), rel=1e-4)
    assert ClassLoss().log_likelihood(means, 50.0).tolist() == pytest.approx([-50.0, -55.0])


def test_few_rows_cannot_tell():
    assert choose(make_rows(20), (3,)) == pytest.approx(0.06)


def test_no_more_rows_than_needed_and_less_penalty_for_them(monkeypatch):
    n, most = penalty._MAX_ROWS + 500, penalty._MAX_ROWS
    rows, used = make_rows(n, (2,), noise=0.2), []
    original = PenaltyTask.__init__

    def spy(self, *args):
        original(self, *args)
        used.append(self.n_samples)
        assert len(self.left_out) < 3 * len(penalty._STRENGTHS)  # fewer folds are enough

    monkeypatch.setattr(PenaltyTask, "__init__", spy)
    strength = choose(rows, (2,), max_epochs=1)
    assert used == [most]
    least, greatest = (s * n * (most / n) ** 2 for s in (0.001, 0.01))
    assert least <= strength <= greatest


def test_only_rows_of_weight_that_are_not_held_out_decide():
    rows = make_rows(200, (3,), noise=0.3)
    out = torch.arange(100, 200)
    weight = rows.weight.clone()
    weight[out] = 0.0
    light = Rows(rows.modalities, None, rows.target, weight)
    wrong = torch.where(torch.arange(200) >= 100, 1 - rows.target, rows.target)
    shifted = Rows(rows.modalities, None, wrong, rows.weight)
    chosen = choose(light, (3,))
    assert choose(shifted, (3,), held_out=out) == pytest.approx(chosen)
    assert choose(shifted, (3,)) != pytest.approx(chosen)


def test_rare_rows_of_much_weight_and_large_networks_are_not_taken_for_divergence():
    rows = make_rows(3000, (3,))
    weight = torch.full((3000,), 1e-9)
    weight[-2:] = 1500.0
    assert choose(Rows(rows.modalities, None, rows.target, weight), (3,), seed=4) > 0.0
    x = [torch.randn(40, 3, generator=generator(i)) for i in range(12)]
    large = FusionNetwork([3] * 12, 1, (512, 512, 256), (256,), generator(1))
    y = torch.randn(40, 1, generator=generator(5))
    loss, loud = ValueLoss("quantile", (0.5,)), Rows(x, None, y, torch.ones(40))
    assert choose(loud, (3,) * 12, loss, network=large, max_epochs=2) > 0.0


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
