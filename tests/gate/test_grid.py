"""Settings stacked: losses, gradients, steps and whole trainings are those of each alone."""

import copy

import pytest
import torch
from sklearn_emma._training import stacked

from sklearn_emma.corruption import Noise, Reference
from sklearn_emma.engine.optimizer import FusedAdam
from sklearn_emma.gate.failures import Failures, Rows
from sklearn_emma.gate.fit import Settings, train_task
from sklearn_emma.gate.grid import Chunk, Model, StackedTask
from sklearn_emma.gate.grid_trainer import load_state, train_stacked
from sklearn_emma.gate.objective import GatedTask, Strengths, gated_loss
from sklearn_emma.gate.prediction_loss import ClassLoss
from sklearn_emma.nn import EnergyAttention, FusionNetwork

N = 40
WIDTHS = (2, 3, 1)
SETTINGS = {
    i: dict(zip(stacked.STACKABLE, values, strict=True))
    for i, values in enumerate(
        [(0.3, 0.0, 0.0, 2.0), (1.0, 0.1, 0.0, 1.0), (0.01, 0.1, 0.1, 2.0), (0.0, 0.0, 0.5, 0.5)]
    )
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_task(lambda_capacity=0.0, lambda_energy=0.0, subset_weight=2.0, coldness=0.3):
    g = generator(7)
    names = ["a", "b", "c"]
    modalities = [torch.randn(N, d, generator=g) for d in WIDTHS]

    def energy(x):
        return x.square().sum(1)

    rows = Rows(
        modalities,
        torch.stack([energy(x) for x in modalities], 1),
        torch.randint(0, 2, (N,), generator=g),
        torch.rand(N, generator=g) + 0.5,
    )
    reference = Reference.from_tensors(modalities, rows.weight, names)
    noise, source = Noise(1.0, fraction=0.5), generator(4)
    return GatedTask(
        EnergyAttention(3, coldness, generator=generator(1)),
        FusionNetwork(WIDTHS, 2, (16, 5), (4,), generator=generator(2)),
        ClassLoss(),
        rows,
        rows.take(torch.arange(10)),
        [torch.zeros(d) for d in WIDTHS],
        Failures(noise, names, reference, source, [energy] * 3),
        None,
        lambda_capacity=lambda_capacity,
        lambda_energy=lambda_energy,
        subset_weight=subset_weight,
        generator=source,
    )


@pytest.fixture
def task():
    return make_task()


class Alone:
    """One setting, trained as EpochNet does."""

    def __init__(self, task, setting):
        self.gate, self.network = copy.deepcopy(task.gate), copy.deepcopy(task.network)
        self.gate.coldness, *strengths = setting.values()
        self.strengths = Strengths(*strengths)
        self.optimizer = torch.optim.Adam(
            [
                {"params": list(self.network.parameters())},
                {"params": list(self.gate.parameters()), "weight_decay": 0.0},
            ],
            lr=0.05,
            weight_decay=0.1,
            fused=True,
        )

    def loss(self, batch, with_parts):
        return gated_loss(self.gate, self.network, ClassLoss(), self.strengths, batch, with_parts)

    def learn(self, batch):
        self.optimizer.zero_grad()
        loss = self.loss(batch, self.strengths.subset_weight > 0)
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
    return FusedAdam(groups, lr=0.05, weight_decay=0.1, stacked=True)


def batches(task, n):
    for _ in range(n):
        yield task.epoch_data()


@pytest.mark.parametrize("parts", [True, False])
def test_losses_and_gradients_are_those_of_each_setting_alone(task, parts):
    settings = {i: s if parts else {**s, "subset_weight": 0.0} for i, s in SETTINGS.items()}
    chunk = Chunk(Model(task), settings)
    (batch,) = batches(task, 1)
    losses = chunk.learn(batch)
    for place, setting in enumerate(settings.values()):
        alone = Alone(task, setting)
        torch.testing.assert_close(losses[place], alone.learn(batch))
        for name, parameter in alone.parameters().items():
            torch.testing.assert_close(chunk.learned[name].grad[place], parameter.grad)


def test_steps_are_those_of_each_setting_alone_also_after_some_have_gone(task):
    chunk = Chunk(Model(task), SETTINGS)
    optimizer = optimizer_of(chunk)
    alone = {number: Alone(task, setting) for number, setting in SETTINGS.items()}
    for i, batch in enumerate(batches(task, 8)):
        if i == 4:
            chunk.keep([0, 2], optimizer)
            for group, new in zip(
                optimizer.param_groups, optimizer_of(chunk).param_groups, strict=True
            ):
                group["params"] = new["params"]
            assert chunk.numbers == [0, 2]
        chunk.learn(batch)
        optimizer.step()
        chunk.after_step()
        for model in alone.values():
            model.learn(batch)
            model.step()
    for place, number in enumerate(chunk.numbers):
        state = chunk.state(place)
        for name, parameter in alone[number].parameters().items():
            torch.testing.assert_close(state[name], parameter.detach(), rtol=1e-5, atol=1e-5)
    (batch,) = batches(task, 1)
    held_out = torch.stack([alone[number].loss(batch, False).detach() for number in chunk.numbers])
    torch.testing.assert_close(chunk.loss(batch), held_out, rtol=1e-4, atol=1e-5)


def test_a_setting_does_not_depend_on_the_others_of_its_chunk(task):
    (batch,) = batches(task, 1)
    together = Chunk(Model(task), SETTINGS).learn(batch)
    apart = [Chunk(Model(task), {i: SETTINGS[i]}).learn(batch) for i in SETTINGS]
    torch.testing.assert_close(together, torch.cat(apart))


def test_gates_keep_their_constraints(task):
    chunk = Chunk(Model(task), SETTINGS)
    for name in chunk.learned:
        chunk.learned[name] = chunk.learned[name] - 10.0
    chunk.after_step()
    assert (chunk.learned["gate.self_weight"] == 1).all()
    assert (chunk.learned["gate.coupling_degree"] == 0).all()
    assert (chunk.learned["gate.coupling_weight"].diagonal(dim1=1, dim2=2) == 0).all()
    assert (chunk.learned["network.head.biases.0"] < -5).all()


def test_what_is_told_of_the_gates(task):
    chunk = Chunk(Model(task), SETTINGS)
    expected = list(task.state_of_interest().values())
    for told in chunk.state_of_interest():
        assert told.tolist() == pytest.approx(expected, rel=1e-6)


def test_states_are_copies(task):
    chunk = Chunk(Model(task), SETTINGS)
    before = chunk.state(1)["gate.gain"].clone()
    state = chunk.state(1)
    chunk.learned["gate.gain"] += 1
    assert torch.equal(state["gate.gain"], before)


@pytest.mark.parametrize(("limit", "n_chunks"), [(1, 4), (2**40, 1)])
def test_chunks_hold_what_fits_in_memory(task, monkeypatch, limit, n_chunks):
    monkeypatch.setitem(stacked._CHUNK, "cpu", limit)
    together = StackedTask(task, SETTINGS, batch_size=N)
    assert len(together.chunks) == n_chunks
    assert [number for number, _, _ in together.places()] == list(SETTINGS)
    groups = together.parameter_groups()
    learned = [p for chunk in together.chunks for p in chunk.learned.values()]
    assert sum(len(group["params"]) for group in groups) == len(learned)
    # weights decay, biases and gates do not
    assert all(p.ndim > 2 for p in groups[0]["params"])
    assert all(group["weight_decay"] == 0.0 for group in groups[1:])


def test_the_task_is_left_as_it_was(task):
    before = {name: value.clone() for name, value in task.state_dict().items()}
    together = StackedTask(task, SETTINGS, batch_size=N)
    together.loss(*together.epoch_data())
    optimizer = FusedAdam(together.parameter_groups(), lr=1.0, weight_decay=0.0, stacked=True)
    optimizer.step()
    for name, value in task.state_dict().items():
        assert torch.equal(value, before[name])


# --- whole trainings ---


def training(**params):
    defaults = {
        "cross_modal": False,
        "learning_rate": 0.02,
        "weight_decay": 0.01,
        "batch_size": 16,
        "max_epochs": 12,
        "pretrain_epochs": 0,
        "early_stopping": False,
        "n_iter_no_change": 1,
        "tol": 0.0,
        "verbose": 0,
    }
    return Settings(**(SETTINGS[0] | defaults | params))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_training_is_that_of_each_setting_alone(early_stopping):
    candidates = [*SETTINGS.values(), {"subset_weight": 0.0}, {"coldness": 0.05}]
    settings = training(early_stopping=early_stopping)
    together = make_task()
    lengths = set()
    for candidate, (state, history) in zip(
        candidates, train_stacked(together, settings, candidates), strict=True
    ):
        alone = make_task(**SETTINGS[0] | candidate)
        expected = train_task(alone, settings)
        assert list(history) == list(expected)
        for name, values in history.items():
            assert values == pytest.approx(expected[name], rel=1e-4, abs=1e-5)
        lengths.add(len(history["train_loss"]))
        load_state(together, state)
        for module in ("gate", "network"):
            reached = getattr(together, module).state_dict()
            for name, value in getattr(alone, module).state_dict().items():
                torch.testing.assert_close(reached[name], value, rtol=1e-3, atol=1e-4)
    assert (len(lengths) > 1) is early_stopping


def test_a_setting_that_diverges_leaves_the_others_alone():
    candidates = [{"coldness": 0.3}, {"lambda_energy": 1e39}, {"coldness": 0.1}]
    good, bad, last = train_stacked(make_task(), training(), candidates)
    assert isinstance(bad, ValueError)
    with pytest.raises(ValueError) as alone:
        train_task(make_task(lambda_energy=1e39), training())
    assert str(bad) == str(alone.value)
    for (state, history), candidate in ((good, candidates[0]), (last, candidates[2])):
        expected = train_task(make_task(**candidate), training())
        assert history["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-5)
        assert all(value.isfinite().all() for value in state.values())


def test_a_setting_that_ends_hopelessly_is_an_error_too():
    # at full speed the regularizer is no excuse: the capacity is small change
    candidates = [{}, {"coldness": 0.1}]
    settings = training(learning_rate=100.0, max_epochs=3)
    for outcome in train_stacked(make_task(), settings, candidates):
        assert isinstance(outcome, ValueError)
        assert "Training diverged" in str(outcome)
