"""The objectives: what the loss is made of, and which samples it is measured on."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from sklearn_emma.corruption import Missing, Noise
from sklearn_emma.gate.objective import GatedObjective, GateModel, LossWeights, random_subset
from sklearn_emma.gate.plain_objective import PlainObjective, predictor_groups
from sklearn_emma.gate.prediction_loss import ClassLoss, ValueLoss
from sklearn_emma.gate.samples import ScoredSamples
from sklearn_emma.nn import (
    CrossModalEnergy,
    EnergyAttention,
    FusionEnsemble,
    FusionNetwork,
    GatedInputs,
    capacity_penalty,
    energy_alignment,
    weighted_cross_entropy,
    weighted_squared_error,
)

N = 40


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def baseline(samples):
    return ClassLoss().baseline_loss(samples.target, samples.weight)


@pytest.fixture
def make_objective(make_failures):
    """Make the whole objective, of a gate and a network that are always the same."""

    def make(
        samples, corruption=None, held_out=None, prediction_loss=None, cross_modal=None, **weights
    ):
        defaults = {"lambda_capacity": 0.0, "lambda_energy": 0.0, "subset_weight": 0.0}
        n_features = [x.shape[1] for x in samples.modalities]
        return GatedObjective(
            GateModel(
                EnergyAttention(len(n_features), 0.3, generator=generator(1)),
                FusionNetwork(n_features, 2, (5,), (4,), generator=generator(2)),
                cross_modal,
                prediction_loss or ClassLoss(),
            ),
            LossWeights(**(defaults | weights)),
            samples,
            held_out,
            make_failures(samples, corruption or Noise(1.0, fraction=0.5)),
            generator(3),
        )

    return make


# --- the losses ---


def test_the_loss_is_the_documented_sum(scored, make_objective):
    plain = make_objective(scored)
    batch = plain.epoch_data()
    _, potential, indicator, target, weight, *modalities = batch
    state = plain.gate.state(potential)
    logits = plain.network(modalities, state.attention)
    prediction = weighted_cross_entropy(logits, target, weight)
    torch.testing.assert_close(plain.loss(*batch), prediction)

    both = make_objective(scored, lambda_capacity=0.3, lambda_energy=0.2)
    expected = (
        prediction
        + 0.3 * capacity_penalty(plain.gate)
        - 0.2 * energy_alignment(state.log_importance, indicator, weight)
    )
    torch.testing.assert_close(both.loss(*batch), expected)


def test_the_objective_takes_any_prediction_loss(scored, make_objective):
    values = replace(scored, target=torch.randn(N, 2, generator=generator(8)))
    prediction_loss = ValueLoss("squared_error")
    whole = make_objective(values, prediction_loss=prediction_loss, subset_weight=1.0)
    batch = whole.epoch_data()
    _, potential, _, target, weight, *modalities = batch
    whole.eval()
    output = whole.network(modalities, whole.gate(potential))
    torch.testing.assert_close(whole.loss(*batch), weighted_squared_error(output, target, weight))
    expected = prediction_loss.baseline_loss(values.target, values.weight)
    assert whole.baseline_loss == pytest.approx(2 * expected)
    plain = PlainObjective(whole.network, prediction_loss, values, generator())
    assert plain.baseline_loss == pytest.approx(expected)
    open_ = whole.network(values.modalities, torch.ones(N, 3))
    torch.testing.assert_close(
        plain.loss(*plain.epoch_data()),
        weighted_squared_error(open_, values.target, values.weight),
    )


def test_the_subset_loss_is_that_of_samples_without_the_rest_and_added_in_training_only(
    scored, make_objective
):
    whole = make_objective(scored, subset_weight=2.0)
    batch = whole.epoch_data()
    base = make_objective(scored).loss(*batch)
    subset, potential, _, target, weight, *modalities = batch
    assert not subset.all(1).any()
    assert not torch.equal(subset, whole.epoch_data()[0])
    attention = whole.gate(potential.masked_fill(~subset, math.inf))
    of_subsets = weighted_cross_entropy(whole.network(modalities, attention), target, weight)
    torch.testing.assert_close(whole.loss(*batch), base + 2.0 * of_subsets)
    whole.eval()
    torch.testing.assert_close(whole.loss(*batch), base)


def test_random_subsets_are_proper_equally_likely_and_sometimes_empty():
    subsets = random_subset(30_000, 3, generator())
    kept = subsets.sum(1)
    assert set(kept.tolist()) == {0, 1, 2}
    assert (kept == 0).float().mean() == pytest.approx(0.05, abs=0.01)
    assert (kept == 1).float().mean() == pytest.approx(0.475, abs=0.02)
    for size in (1, 2):
        share = subsets[kept == size].float().mean(0)
        torch.testing.assert_close(share, torch.full((3,), size / 3), atol=0.02, rtol=0)


def test_one_modality_has_no_subsets(scored, make_objective):
    one = ScoredSamples(
        scored.modalities[:1],
        scored.target,
        scored.weight,
        scored.potential[:, :1],
        scored.filled[:1],
    )
    single = make_objective(one, Noise(1.0, fraction=0.5), subset_weight=1.0)
    assert single.weights.subset_weight == 0
    assert torch.isfinite(single.loss(*single.epoch_data()))


def test_gradients_reach_gate_and_network_and_are_finite(scored, make_objective):
    missing = make_objective(scored, Missing(fraction=1.0), lambda_energy=0.1, subset_weight=1.0)
    loss = missing.backward(*missing.epoch_data())
    assert not loss.requires_grad
    for name, parameter in missing.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
    assert missing.gate.gain.grad != 0
    assert missing.network.encoders.stacks[0].weights[0].grad.abs().sum() > 0


def test_samples_without_any_modality_do_not_spoil_the_gradient(
    make_samples, make_energies, make_objective
):
    samples = make_samples()
    for x in samples.modalities:
        x[:5] = math.nan
    scored = make_energies(samples).score(samples)
    assert scored.potential[:5].isinf().all()
    empty = make_objective(scored, lambda_energy=0.1, subset_weight=1.0)
    loss = empty.backward(*empty.epoch_data())
    assert torch.isfinite(loss)
    assert all(torch.isfinite(parameter.grad).all() for parameter in empty.parameters())


def test_held_out_samples_keep_the_failures_they_drew(scored, make_objective):
    split = make_objective(
        scored.take(torch.arange(30)), held_out=scored.take(torch.arange(30, 40))
    )
    assert len(split.epoch_data()[0]) == 30
    assert len(split.held_out[0]) == 10
    split.eval()
    assert split.validation_loss() == split.validation_loss()
    assert not torch.equal(split.epoch_data()[1], split.epoch_data()[1])
    assert make_objective(scored).validation_loss() is None


def test_the_cross_modal_energy_is_in_the_potentials(scored, make_objective):
    cross_modal = CrossModalEnergy([2, 3, 1], generator=generator(4)).requires_grad_(False)
    alone = make_objective(scored, held_out=scored)
    whole = make_objective(scored, held_out=scored, cross_modal=cross_modal)
    for by_itself, with_others in (
        (alone.held_out, whole.held_out),
        (alone.epoch_data(), whole.epoch_data()),
    ):
        _, potential, *rest = by_itself
        *_, m0, m1, m2 = with_others
        gate = whole.gate
        expected = cross_modal([m0, m1, m2], potential, gate.potential_min, gate.potential_scale)
        torch.testing.assert_close(with_others[1], expected)
        assert (with_others[1] > potential).any()
        assert all(torch.equal(a, b) for a, b in zip(rest, with_others[2:], strict=True))
    # it is not trained here
    learned = {id(p) for group in whole.parameter_groups() for p in group["params"]}
    assert learned.isdisjoint(id(p) for p in cross_modal.parameters())


def test_the_gate_is_kept_within_its_constraints(scored, make_objective):
    whole = make_objective(scored)
    with torch.no_grad():
        whole.gate.bias.fill_(7.0)
        whole.gate.self_weight.fill_(-1.0)
    whole.after_step()
    assert whole.gate.bias == 1
    assert (whole.gate.self_weight == 1).all()


def test_only_the_weights_of_the_network_decay(scored, make_objective):
    whole = make_objective(scored)
    hidden, weights, biases, gate = whole.parameter_groups()
    assert "weight_decay" not in hidden
    assert "weight_decay" not in weights
    assert biases["weight_decay"] == gate["weight_decay"] == 0
    assert {id(p) for p in gate["params"]} == {id(p) for p in whole.gate.parameters()}
    named = {id(p): name for name, p in whole.network.named_parameters()}
    both = hidden["params"] + weights["params"]
    assert {named[id(p)].split(".")[-2] for p in both} == {"weights"}
    assert {named[id(p)].split(".")[-2] for p in biases["params"]} == {"biases"}
    assert len(both) + len(biases["params"]) == len(named)


def test_hidden_layers_are_those_of_encoders_and_head(scored, make_objective):
    network = FusionNetwork([2, 3], 4, (6, 5), (7,))
    for predictor in (network, FusionEnsemble([network, network])):
        hidden, weights, biases = predictor_groups(predictor)
        assert hidden["hidden"]
        assert not weights.get("hidden")
        assert not biases.get("hidden")
        shapes = sorted(tuple(p.shape[-2:]) for p in hidden["params"])
        assert shapes == [(5, 6), (6, 3), (7, 12)]
    # of a network that nobody knows, none is
    hidden, weights, _ = predictor_groups(GatedInputs(nn.Linear(2, 3)))
    assert not hidden["params"]
    assert len(weights["params"]) == 1


def test_the_gate_is_monitored(scored, make_objective):
    assert make_objective(scored).monitored() == {
        "gain": 6.0,
        "bias": 0.0,
        "capacity": pytest.approx(math.log(math.cosh(6)) / 6, rel=1e-5),
    }


# --- the loss of a constant prediction ---


@pytest.mark.parametrize("strength", [1.0, 1e3, 1e6])
def test_regularization_is_part_of_the_baseline(scored, make_objective, strength):
    base = make_objective(scored, subset_weight=1.0).baseline_loss
    assert base == pytest.approx(2 * baseline(scored))
    capacity = make_objective(scored, lambda_capacity=strength, subset_weight=1.0)
    assert capacity.baseline_loss == pytest.approx(base + 6 * strength)
    energy = make_objective(scored, lambda_energy=strength)
    assert energy.loss(*energy.epoch_data()) < 10 * energy.baseline_loss
    assert energy.baseline_loss >= baseline(scored)


def test_the_baseline_is_computed_of_so_many_samples_at_a_time(scored, make_objective, monkeypatch):
    strengths = {"lambda_capacity": 0.1, "lambda_energy": 0.5}
    whole = make_objective(scored, **strengths).baseline_loss
    seen, state = [], EnergyAttention.state

    def watched(gate, potential, kept=None, encoded=None):
        seen.append(len(potential))
        return state(gate, potential, kept, encoded)

    monkeypatch.setattr(EnergyAttention, "state", watched)
    # 63 numbers are seven samples of nine pairs
    monkeypatch.setattr("sklearn_emma.engine.batches._PAIRS_IN_MEMORY", 63)
    assert make_objective(scored, **strengths).baseline_loss == pytest.approx(whole)
    assert max(seen) == 7
    assert sum(seen) == N


# --- the predictor alone ---


def test_the_warm_up_is_cross_entropy_with_every_modality_open(make_samples, make_energies):
    samples = make_samples()
    samples.modalities[1][0] = math.nan
    samples.modalities[0][1, 0] = math.nan
    fillings = [lambda x: x.nan_to_num(9.0)] * 3
    scored = replace(make_energies(samples), fillings=fillings).score(samples)
    network = FusionNetwork([2, 3, 1], 2, (5,), (4,), generator=generator(2))
    plain = PlainObjective(network, ClassLoss(), scored, generator())
    attention, target, weight, *modalities = plain.epoch_data()
    expected = torch.ones(N, 3)
    expected[0, 1] = 0.0
    assert torch.equal(attention, expected)
    assert modalities[0][1, 0] == 9
    assert torch.equal(modalities[2], scored.modalities[2])
    torch.testing.assert_close(
        plain.loss(*plain.epoch_data()),
        weighted_cross_entropy(network(modalities, attention), target, weight),
    )
    assert plain.validation_loss() is None
    assert plain.baseline_loss == pytest.approx(baseline(scored))
