"""Settings stacked: losses, gradients and steps are those of each alone."""

import copy

import pytest
import torch

from sklearn_emma.corruption import Noise
from sklearn_emma.engine import batches
from sklearn_emma.engine.optimizer import FusedOptimizer
from sklearn_emma.gate.grid import STACKABLE, Chunk, Model, StackedObjective
from sklearn_emma.gate.objective import GatedObjective, GateModel, LossWeights, gated_loss
from sklearn_emma.gate.prediction_loss import ClassLoss
from sklearn_emma.nn import EnergyAttention, FusionNetwork

N = 40
SETTINGS = {
    i: dict(zip(STACKABLE, values, strict=True))
    for i, values in enumerate(
        [(0.3, 0.0, 0.0, 2.0), (1.0, 0.1, 0.0, 1.0), (0.01, 0.1, 0.1, 2.0), (0.0, 0.0, 0.5, 0.5)]
    )
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def objective(scored, make_failures):
    return GatedObjective(
        GateModel(
            EnergyAttention(3, 0.3, generator=generator(1)),
            FusionNetwork((2, 3, 1), 2, (16, 5), (4,), generator=generator(2)),
            None,
            ClassLoss(),
        ),
        LossWeights(0.0, 0.0, 2.0),
        scored,
        scored.take(torch.arange(10)),
        make_failures(scored, Noise(1.0, fraction=0.5)),
        generator(4),
    )


class Alone:
    """One setting, trained by torch's own optimizer."""

    def __init__(self, objective, setting):
        self.gate, self.network = copy.deepcopy(objective.gate), copy.deepcopy(objective.network)
        self.gate.coldness, *weights = setting.values()
        self.weights = LossWeights(*weights)
        self.optimizer = torch.optim.Adam(
            [
                {"params": list(self.network.parameters())},
                {"params": list(self.gate.parameters()), "weight_decay": 0.0},
            ],
            lr=0.05,
            weight_decay=0.1,
            fused=True,
        )

    def loss(self, batch, with_subsets):
        return gated_loss(self.gate, self.network, ClassLoss(), self.weights, batch, with_subsets)

    def backward(self, batch):
        self.optimizer.zero_grad()
        loss = self.loss(batch, self.weights.subset_weight > 0)
        loss.backward()
        return loss.detach()

    def step(self):
        self.optimizer.step()
        self.gate.project_()

    def parameters(self):
        named = {"gate": self.gate, "network": self.network}
        return {
            f"{prefix}.{name}": parameter
            for prefix, module in named.items()
            for name, parameter in module.named_parameters()
        }


def optimizer_of(chunk):
    groups = [{"params": []}, {"params": [], "weight_decay": 0.0}]
    for name, parameter in chunk.learned.items():
        groups[name.startswith("gate.")]["params"].append(parameter)
    return FusedOptimizer(groups, lr=0.05, weight_decay=0.1, stacked=True)


@pytest.mark.parametrize("with_subsets", [True, False])
def test_losses_and_gradients_are_those_of_each_setting_alone(objective, with_subsets):
    settings = {i: s if with_subsets else {**s, "subset_weight": 0.0} for i, s in SETTINGS.items()}
    chunk = Chunk(Model(objective), settings)
    batch = objective.epoch_data()
    losses = chunk.backward(batch)
    for place, setting in enumerate(settings.values()):
        alone = Alone(objective, setting)
        torch.testing.assert_close(losses[place], alone.backward(batch))
        for name, parameter in alone.parameters().items():
            torch.testing.assert_close(chunk.learned[name].grad[place], parameter.grad)


def test_steps_are_those_of_each_setting_alone_also_after_some_have_stopped(objective):
    chunk = Chunk(Model(objective), SETTINGS)
    optimizer = optimizer_of(chunk)
    alone = {number: Alone(objective, setting) for number, setting in SETTINGS.items()}
    for i in range(8):
        batch = objective.epoch_data()
        if i == 4:
            chunk.keep([0, 2], optimizer)
            for group, new in zip(
                optimizer.param_groups, optimizer_of(chunk).param_groups, strict=True
            ):
                group["params"] = new["params"]
            assert chunk.numbers == [0, 2]
        chunk.backward(batch)
        optimizer.step()
        chunk.after_step()
        for model in alone.values():
            model.backward(batch)
            model.step()
    for place, number in enumerate(chunk.numbers):
        state = chunk.state(place)
        for name, parameter in alone[number].parameters().items():
            torch.testing.assert_close(state[name], parameter.detach(), rtol=1e-5, atol=1e-5)
    batch = objective.epoch_data()
    held_out = torch.stack([alone[number].loss(batch, False).detach() for number in chunk.numbers])
    torch.testing.assert_close(chunk.loss(batch), held_out, rtol=1e-4, atol=1e-5)


def test_a_setting_does_not_depend_on_the_others_of_its_chunk(objective):
    batch = objective.epoch_data()
    together = Chunk(Model(objective), SETTINGS).backward(batch)
    apart = [Chunk(Model(objective), {i: SETTINGS[i]}).backward(batch) for i in SETTINGS]
    torch.testing.assert_close(together, torch.cat(apart))


def test_gates_keep_their_constraints(objective):
    chunk = Chunk(Model(objective), SETTINGS)
    for name in chunk.learned:
        chunk.learned[name] = chunk.learned[name] - 10.0
    chunk.after_step()
    assert (chunk.learned["gate.self_weight"] == 1).all()
    assert (chunk.learned["gate.coupling_degree"] == 0).all()
    assert (chunk.learned["gate.coupling_weight"].diagonal(dim1=1, dim2=2) == 0).all()
    assert (chunk.learned["network.head.biases.0"] < -5).all()


def test_the_gates_are_monitored(objective):
    chunk = Chunk(Model(objective), SETTINGS)
    expected = list(objective.monitored().values())
    for monitored in chunk.monitored():
        assert monitored.tolist() == pytest.approx(expected, rel=1e-6)


def test_states_are_copies(objective):
    chunk = Chunk(Model(objective), SETTINGS)
    before = chunk.state(1)["gate.gain"].clone()
    state = chunk.state(1)
    chunk.learned["gate.gain"] += 1
    assert torch.equal(state["gate.gain"], before)


@pytest.mark.parametrize(("limit", "n_chunks"), [(1, 4), (2**40, 1)])
def test_chunks_hold_what_fits_in_memory(objective, monkeypatch, limit, n_chunks):
    monkeypatch.setitem(batches._STEP_NUMBERS, "cpu", limit)
    together = StackedObjective(objective, SETTINGS, batch_size=N)
    assert len(together.chunks) == n_chunks
    assert [number for number, _, _ in together.places()] == list(SETTINGS)
    groups = together.parameter_groups()
    learned = [p for chunk in together.chunks for p in chunk.learned.values()]
    assert sum(len(group["params"]) for group in groups) == len(learned)
    # weights decay, biases and gates do not
    hidden, weights, *others = groups
    assert all(p.ndim > 2 for p in hidden["params"] + weights["params"])
    assert all(group["weight_decay"] == 0.0 for group in others)


@pytest.mark.parametrize("limit", [1, 2**40])
def test_the_stacked_objective_has_the_losses_of_its_chunks(objective, monkeypatch, limit):
    monkeypatch.setitem(batches._STEP_NUMBERS, "cpu", limit)
    together = StackedObjective(objective, SETTINGS, batch_size=N)
    batch = together.epoch_data()
    losses = together.backward(*batch)
    held_out = together.validation_loss()
    for place, setting in enumerate(SETTINGS.values()):
        alone = Alone(objective, setting)
        torch.testing.assert_close(losses[place], alone.backward(batch))
        expected = alone.loss(objective.held_out, False).detach()
        torch.testing.assert_close(held_out[place], expected)


def test_every_setting_has_its_own_baseline(objective, scored, make_failures):
    together = StackedObjective(objective, SETTINGS, batch_size=N)
    for number, (coldness, *weights) in enumerate(s.values() for s in SETTINGS.values()):
        gate = copy.deepcopy(objective.gate)
        gate.coldness = coldness
        model = GateModel(gate, objective.network, None, ClassLoss())
        failures = make_failures(scored, Noise(1.0))
        alone = GatedObjective(model, LossWeights(*weights), scored, None, failures, generator())
        assert together.baseline_losses[number] == pytest.approx(alone.baseline_loss)


def test_the_objective_is_left_as_it_was(objective):
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    together = StackedObjective(objective, SETTINGS, batch_size=N)
    together.backward(*together.epoch_data())
    optimizer = FusedOptimizer(together.parameter_groups(), lr=1.0, weight_decay=0.0, stacked=True)
    optimizer.step()
    assert not torch.equal(together.chunks[0].state(0)["gate.gain"], before["gate.gain"])
    for name, value in objective.state_dict().items():
        assert torch.equal(value, before[name])
    assert objective.gate.coldness == 0.3
