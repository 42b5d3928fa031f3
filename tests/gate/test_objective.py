"""Stage 2 as a task: which rows fail, what the loss is made of, which rows it is measured on."""

import math
from dataclasses import replace

import pytest
import torch

from sklearn_emma.corruption import Missing, Noise, Reference
from sklearn_emma.gate.failures import Failures, Rows, fill
from sklearn_emma.gate.objective import GatedTask, PlainTask, random_part
from sklearn_emma.gate.prediction_loss import ClassLoss, ValueLoss
from sklearn_emma.nn import (
    CrossModalEnergy,
    EnergyAttention,
    FusionNetwork,
    capacity_penalty,
    energy_alignment,
    weighted_cross_entropy,
    weighted_squared_error,
)

NAMES = ["a", "b", "c"]
N = 40


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def norm(x):
    """An energy: infinite without any value."""
    return torch.where(x.isnan().all(1), math.inf, x.nan_to_num().square().sum(1))


@pytest.fixture
def rows():
    g = generator(7)
    modalities = [torch.randn(N, d, generator=g) for d in (2, 3, 1)]
    weight = torch.rand(N, generator=g) + 0.5
    target = torch.randint(0, 2, (N,), generator=g)
    return Rows(modalities, torch.stack([norm(x) for x in modalities], 1), target, weight)


def failures(rows, corruption, seed=0):
    names = NAMES[: len(rows.modalities)]
    reference = Reference.from_tensors(rows.modalities, rows.weight, names)
    return Failures(corruption, names, reference, generator(seed), [norm] * len(names))


def ignorant_loss(rows):
    return ClassLoss().ignorant_loss(rows.target, rows.weight)


def task(
    rows, corruption=None, held_out=None, seed=0, criterion=None, cross_modal=None, **strengths
):
    """Make the whole task, at a gate and a network that depend on nothing."""
    corruption = corruption or Noise(1.0, fraction=0.5)
    defaults = {"lambda_capacity": 0.0, "lambda_energy": 0.0, "subset_weight": 0.0}
    n_features = [x.shape[1] for x in rows.modalities]
    return GatedTask(
        EnergyAttention(len(n_features), 0.3, generator=generator(1)),
        FusionNetwork(n_features, 2, (5,), (4,), generator=generator(2)),
        criterion or ClassLoss(),
        rows,
        held_out,
        [torch.zeros(d) for d in n_features],
        failures(rows, corruption, seed),
        cross_modal,
        generator=generator(3),
        **(defaults | strengths),
    )


# --- rows and failures ---


def test_taking_rows(rows):
    index = torch.tensor([3, 1])
    taken = rows.take(index)
    assert all(
        torch.equal(x, y[index]) for x, y in zip(taken.modalities, rows.modalities, strict=True)
    )
    for name in ("potential", "target", "weight"):
        assert torch.equal(getattr(taken, name), getattr(rows, name)[index])


def test_filling_gaps_leaves_values_alone():
    x = torch.tensor([[1.0, math.nan], [math.nan, 4.0]])
    (filled,) = fill([x], [torch.tensor([8.0, 9.0])])
    assert filled.tolist() == [[1, 9], [8, 4]]
    assert x.isnan().sum() == 2


def test_failures_change_the_failing_modalities_and_their_energies_only(rows):
    before = [x.clone() for x in rows.modalities]
    failed, indicator = failures(rows, Noise(1.0, fraction=0.5)).draw(rows)
    hit = indicator < 0
    assert hit.any(1).sum() == N // 2
    assert (hit.sum(1) <= 1).all()
    for i in range(3):
        changed = (failed.modalities[i] != rows.modalities[i]).any(1)
        assert torch.equal(changed, hit[:, i])
        assert torch.equal(failed.potential[:, i] != rows.potential[:, i], hit[:, i])
        torch.testing.assert_close(failed.potential[:, i], norm(failed.modalities[i]))
        assert torch.equal(rows.modalities[i], before[i])
    assert failed.target is rows.target
    assert failed.weight is rows.weight


def test_energies_are_computed_for_failing_rows_only(rows):
    seen = []

    def spy(x):
        seen.append(len(x))
        return norm(x)

    source = failures(rows, Missing(fraction=0.25, only="b"))
    source.potentials = [spy] * 3
    failed, _ = source.draw(rows)
    assert seen == [10]
    assert failed.potential[:, 1].isinf().sum() == 10


def test_failures_are_drawn_afresh(rows):
    source = failures(rows, Noise(1.0, fraction=0.5))
    (first, _), (second, _) = source.draw(rows), source.draw(rows)
    assert not torch.equal(first.modalities[0], second.modalities[0])
    again, _ = failures(rows, Noise(1.0, fraction=0.5)).draw(rows)
    assert torch.equal(first.modalities[0], again.modalities[0])


def test_scoring_sets_the_potentials(rows):
    source = failures(rows, Noise(1.0))
    doubled = source.score(replace(rows, potential=None), [lambda x: 2 * norm(x)] * 3)
    torch.testing.assert_close(doubled.potential, 2 * rows.potential)
    assert rows.potential is not None


def test_energies_see_so_many_rows_at_a_time(rows, monkeypatch):
    monkeypatch.setattr("sklearn_emma.gate.failures._SCORED_TOGETHER", 7)
    seen = []

    def energy(x):
        seen.append(len(x))
        return norm(x)

    source = failures(rows, Missing(fraction=0.5))
    scored = source.score(replace(rows, potential=None), [energy] * 3)
    torch.testing.assert_close(scored.potential, rows.potential)
    failed, indicator = source.draw(scored)
    assert torch.equal(failed.potential.isinf(), indicator < 0)
    assert max(seen) == 7
    assert sum(seen) == 3 * N + (indicator < 0).sum()


# --- the losses ---


def test_the_loss_is_the_documented_sum(rows):
    plain = task(rows)
    batch = plain.epoch_data()
    _, potential, indicator, target, weight, *modalities = batch
    state = plain.gate.state(potential)
    logits = plain.network(modalities, state.attention)
    prediction = weighted_cross_entropy(logits, target, weight)
    torch.testing.assert_close(plain.loss(*batch), prediction)

    both = task(rows, lambda_capacity=0.3, lambda_energy=0.2)
    expected = (
        prediction
        + 0.3 * capacity_penalty(plain.gate)
        - 0.2 * energy_alignment(state.log_importance, indicator, weight)
    )
    torch.testing.assert_close(both.loss(*batch), expected)


def test_the_task_does_not_care_what_is_predicted(rows):
    rows = replace(rows, target=torch.randn(N, 2, generator=generator(8)))
    whole = task(rows, criterion=ValueLoss("squared_error"), subset_weight=1.0)
    batch = whole.epoch_data()
    _, potential, _, target, weight, *modalities = batch
    whole.eval()
    output = whole.network(modalities, whole.gate(potential))
    torch.testing.assert_close(whole.loss(*batch), weighted_squared_error(output, target, weight))
    criterion = ValueLoss("squared_error")
    expected = criterion.ignorant_loss(rows.target, rows.weight)
    assert whole.ignorant_loss == pytest.approx(2 * expected)
    fills = [torch.zeros(d) for d in (2, 3, 1)]
    plain = PlainTask(whole.network, criterion, rows, fills, generator())
    assert plain.ignorant_loss == pytest.approx(expected)
    open_ = whole.network(rows.modalities, torch.ones(N, 3))
    torch.testing.assert_close(
        plain.loss(*plain.epoch_data()), weighted_squared_error(open_, rows.target, rows.weight)
    )


def test_the_subset_loss_is_that_of_rows_without_the_rest_and_added_in_training_only(rows):
    whole = task(rows, subset_weight=2.0)
    batch = whole.epoch_data()
    base = task(rows).loss(*batch)
    part, potential, _, target, weight, *modalities = batch
    assert not part.all(1).any()
    assert not torch.equal(part, whole.epoch_data()[0])
    attention = whole.gate(potential.masked_fill(~part, math.inf))
    of_parts = weighted_cross_entropy(whole.network(modalities, attention), target, weight)
    torch.testing.assert_close(whole.loss(*batch), base + 2.0 * of_parts)
    whole.eval()
    torch.testing.assert_close(whole.loss(*batch), base)


def test_random_parts_are_proper_equally_likely_and_now_and_then_empty():
    parts = random_part(30_000, 3, torch.Generator().manual_seed(0))
    kept = parts.sum(1)
    assert set(kept.tolist()) == {0, 1, 2}
    assert (kept == 0).float().mean() == pytest.approx(0.05, abs=0.01)
    assert (kept == 1).float().mean() == pytest.approx(0.475, abs=0.02)
    for size in (1, 2):
        share = parts[kept == size].float().mean(0)
        torch.testing.assert_close(share, torch.full((3,), size / 3), atol=0.02, rtol=0)


def test_one_modality_has_no_parts(rows):
    one = Rows(rows.modalities[:1], rows.potential[:, :1], rows.target, rows.weight)
    single = task(one, Noise(1.0, fraction=0.5), subset_weight=1.0)
    assert single.subset_weight == 0
    assert torch.isfinite(single.loss(*single.epoch_data()))


def test_gradients_reach_gate_and_network_and_are_finite(rows):
    missing = task(rows, Missing(fraction=1.0), lambda_energy=0.1, subset_weight=1.0)
    missing.loss(*missing.epoch_data()).backward()
    for name, parameter in missing.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert missing.gate.gain.grad != 0
    assert missing.network.encoders.stacks[0].weights[0].grad.abs().sum() > 0


def test_rows_without_any_modality_do_not_spoil_the_gradient(rows):
    for x in rows.modalities:
        x[:5] = math.nan
    rows = replace(rows, potential=torch.stack([norm(x) for x in rows.modalities], 1))
    empty = task(rows, lambda_energy=0.1, subset_weight=1.0)
    loss = empty.loss(*empty.epoch_data())
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(parameter.grad).all() for parameter in empty.parameters())


def test_held_out_rows_keep_the_failures_they_drew(rows):
    split = task(rows.take(torch.arange(30)), held_out=rows.take(torch.arange(30, 40)))
    assert len(split.epoch_data()[0]) == 30
    assert len(split.held_out[0]) == 10
    split.eval()
    assert split.validation_loss() == split.validation_loss()
    assert not torch.equal(split.epoch_data()[1], split.epoch_data()[1])
    assert task(rows).validation_loss() is None


def test_what_modalities_say_of_each_other_is_in_the_potentials(rows):
    cross_modal = CrossModalEnergy([2, 3, 1], generator=generator(4)).requires_grad_(False)
    alone = task(rows, held_out=rows)
    whole = task(rows, held_out=rows, cross_modal=cross_modal)
    for by_itself, in_company in (
        (alone.held_out, whole.held_out),
        (alone.epoch_data(), whole.epoch_data()),
    ):
        _, potential, *rest = by_itself
        *_, m0, m1, m2 = in_company
        gate = whole.gate
        expected = cross_modal([m0, m1, m2], potential, gate.potential_min, gate.potential_scale)
        torch.testing.assert_close(in_company[1], expected)
        assert (in_company[1] > potential).any()
        assert all(torch.equal(a, b) for a, b in zip(rest, in_company[2:], strict=True))
    # it is no part of what is learned here
    learned = {id(p) for group in whole.parameter_groups() for p in group["params"]}
    assert learned.isdisjoint(id(p) for p in cross_modal.parameters())


def test_the_gate_is_kept_within_its_constraints(rows):
    whole = task(rows)
    with torch.no_grad():
        whole.gate.bias.fill_(7.0)
        whole.gate.self_weight.fill_(-1.0)
    whole.after_step()
    assert whole.gate.bias == 1
    assert (whole.gate.self_weight == 1).all()


def test_only_the_weights_of_the_network_decay(rows):
    whole = task(rows)
    weights, biases, gate = whole.parameter_groups()
    assert "weight_decay" not in weights
    assert biases["weight_decay"] == gate["weight_decay"] == 0
    assert {id(p) for p in gate["params"]} == {id(p) for p in whole.gate.parameters()}
    named = {id(p): name for name, p in whole.network.named_parameters()}
    assert {named[id(p)].split(".")[-2] for p in weights["params"]} == {"weights"}
    assert {named[id(p)].split(".")[-2] for p in biases["params"]} == {"biases"}
    assert len(weights["params"]) + len(biases["params"]) == len(named)


def test_history_follows_the_gate(rows):
    whole = task(rows)
    state = whole.state_of_interest()
    assert state == {
        "gain": 6.0,
        "bias": 0.0,
        "capacity": pytest.approx(math.log(math.cosh(6)) / 6, rel=1e-5),
    }


# --- what a model that knows nothing pays ---


@pytest.mark.parametrize("strength", [1.0, 1e3, 1e6])
def test_regularizers_are_counted_in_what_may_be_lost(rows, strength):
    base = task(rows, subset_weight=1.0).ignorant_loss
    assert base == pytest.approx(2 * ignorant_loss(rows))
    capacity = task(rows, lambda_capacity=strength, subset_weight=1.0)
    assert capacity.ignorant_loss == pytest.approx(base + 6 * strength)
    energy = task(rows, lambda_energy=strength)
    assert energy.loss(*energy.epoch_data()) < 10 * energy.ignorant_loss
    assert energy.ignorant_loss >= ignorant_loss(rows)


def test_pairs_of_modalities_are_counted_for_so_many_rows_at_a_time(rows, monkeypatch):
    strengths = {"lambda_capacity": 0.1, "lambda_energy": 0.5}
    whole = task(rows, **strengths).ignorant_loss
    seen, state = [], EnergyAttention.state

    def watched(gate, potential):
        seen.append(len(potential))
        return state(gate, potential)

    monkeypatch.setattr(EnergyAttention, "state", watched)
    # 63 numbers are seven rows of nine pairs
    monkeypatch.setattr("sklearn_emma.gate.cross_modal._MOST_NUMBERS", 63)
    assert task(rows, **strengths).ignorant_loss == pytest.approx(whole)
    assert max(seen) == 7
    assert sum(seen) == N


# --- the warm start ---


def test_the_warm_start_is_cross_entropy_with_every_modality_open(rows):
    rows.modalities[1][0] = math.nan
    rows.modalities[0][1, 0] = math.nan
    rows = replace(rows, potential=torch.stack([norm(x) for x in rows.modalities], 1))
    network = FusionNetwork([2, 3, 1], 2, (5,), (4,), generator=generator(2))
    fills = [torch.full((d,), 9.0) for d in (2, 3, 1)]
    plain = PlainTask(network, ClassLoss(), rows, fills, generator())
    attention, target, weight, *modalities = plain.epoch_data()
    expected = torch.ones(N, 3)
    expected[0, 1] = 0.0
    assert torch.equal(attention, expected)
    assert modalities[0][1, 0] == 9
    assert torch.equal(modalities[2], rows.modalities[2])
    torch.testing.assert_close(
        plain.loss(*plain.epoch_data()),
        weighted_cross_entropy(network(modalities, attention), target, weight),
    )
    assert plain.validation_loss() is None
    assert plain.ignorant_loss == pytest.approx(ignorant_loss(rows))
