"""The training loop: what it minimizes, when it stops, and what it does not swallow."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

from sklearn_emma.engine.objective import Objective, TrainingConfig
from sklearn_emma.engine.trainer import Trainer


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


class Line(Objective):
    """Fit y = 2 x with noise drawn every epoch; validation losses may be scripted."""

    def __init__(self, seed=0, n_samples=64, valid=None):
        super().__init__(generator(seed))
        self.slope = nn.Parameter(torch.zeros(()))
        self.x = torch.randn(n_samples, generator=generator(7))
        self.valid = valid
        self.n_samples = n_samples
        self.baseline_loss = float((4 * self.x**2).mean())
        self.n_steps = 0
        self.slopes = []

    def epoch_data(self):
        noise = 0.1 * torch.randn(self.x.shape, generator=self.generator)
        return self.x, 2.0 * self.x + noise

    def loss(self, *batch):
        x, y = batch
        return (self.slope * x - y).square().mean()

    def validation_loss(self):
        assert not self.training
        if self.valid is None:
            return None
        self.slopes.append(self.slope.item())
        return torch.tensor(float(self.valid[len(self.slopes) - 1]))

    def after_step(self):
        self.n_steps += 1

    def monitored(self):
        return {"slope": float(self.slope)}


def train(objective, callbacks=None, **changes):
    settings = {"batch_size": 16, "learning_rate": 0.1, "max_epochs": 20, **changes}
    return Trainer(objective, TrainingConfig(**settings), callbacks).train()


def test_training_finds_the_minimum_and_tells_its_history():
    objective = Line()
    history = train(objective)
    assert objective.slope.item() == pytest.approx(2.0, abs=0.05)
    assert sorted(history) == ["slope", "train_loss"]
    assert all(isinstance(values, np.ndarray) and len(values) == 20 for values in history.values())
    assert history["train_loss"][-1] < 0.02 < history["train_loss"][0]
    assert history["slope"][-1] == objective.slope.item()
    assert objective.n_steps == 20 * 4


def test_same_generator_same_result():
    first, second, other = Line(1), Line(1), Line(2)
    histories = [train(objective) for objective in (first, second, other)]
    np.testing.assert_array_equal(histories[0]["train_loss"], histories[1]["train_loss"])
    assert first.slope.item() == second.slope.item() != other.slope.item()


def test_global_generators_are_left_alone():
    torch_state, numpy_state = torch.random.get_rng_state(), np.random.get_state()
    train(Line(), max_epochs=2)
    assert torch.equal(torch.random.get_rng_state(), torch_state)
    np.testing.assert_array_equal(np.random.get_state()[1], numpy_state[1])


@pytest.mark.parametrize("max_epochs", [1, 2, 3, 5, 9, 10, 11, 20])
def test_any_number_of_steps_makes_a_cycle(max_epochs):
    rates = []

    class Rates(Callback):
        def on_epoch_end(self, net, **kwargs):
            rates.append(net.optimizer_.param_groups[0]["lr"])

    objective = Line(n_samples=8)
    train(objective, max_epochs=max_epochs, callbacks=[("rates", Rates())])
    assert objective.n_steps == max_epochs
    assert all(0 < rate <= 0.1 + 1e-12 for rate in rates)


def test_early_stopping_goes_back_to_the_best_epoch():
    valid = [5.0, 4.0, 1.0, 2.0, 1.5, 3.0] + [0.0] * 20
    objective = Line(valid=valid)
    history = train(objective, early_stopping=True, n_iter_no_change=3)
    np.testing.assert_array_equal(history["valid_loss"], valid[:6])
    assert objective.slope.item() == objective.slopes[2]
    assert objective.slopes[2] != objective.slopes[5]


def test_early_stopping_goes_back_even_when_the_epochs_run_out():
    objective = Line(valid=[3.0, 1.0, 2.0])
    train(objective, early_stopping=True, max_epochs=3)
    assert objective.slope.item() == objective.slopes[1]


def test_tolerance_is_relative_to_the_best_loss():
    valid = [100.0, 95.0, 94.0, 93.0, 80.0]
    history = train(Line(valid=valid), early_stopping=True, n_iter_no_change=3, tol=0.1)
    assert len(history["valid_loss"]) == 4
    history = train(
        Line(valid=valid), early_stopping=True, n_iter_no_change=3, tol=0.01, max_epochs=5
    )
    assert len(history["valid_loss"]) == 5


def test_without_early_stopping_the_last_epoch_counts():
    objective = Line(valid=[1.0, 2.0, 3.0, 4.0])
    history = train(objective, max_epochs=4, n_iter_no_change=1)
    assert len(history["valid_loss"]) == 4
    assert objective.slope.item() == objective.slopes[-1]


class Grouped(Line):
    def __init__(self):
        super().__init__()
        self.idle = nn.ParameterList([nn.Parameter(torch.ones(())) for _ in range(2)])

    def loss(self, *batch):
        return super().loss(*batch) + 0.0 * sum(self.idle)

    def parameter_groups(self):
        return [
            {"params": [self.slope, self.idle[0]]},
            {"params": [self.idle[1]], "weight_decay": 0.0},
        ]


def test_weight_decay_acts_where_the_objective_lets_it():
    objective = Grouped()
    train(objective, weight_decay=0.5, max_epochs=5)
    decayed, spared = (parameter.item() for parameter in objective.idle)
    assert decayed < 0.9
    assert spared == 1.0


class Diverging(Line):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def loss(self, *batch):
        return super().loss(*batch) * self.factor ** (self.n_steps + 1)


@pytest.mark.parametrize("factor", [1e6, float("nan")], ids=["infinite", "nan"])
def test_a_loss_that_is_not_finite_is_divergence(factor):
    with pytest.raises(ValueError, match="Training diverged: .* after epoch [0-9].*learning_rate"):
        train(Diverging(factor), max_epochs=30)


def test_a_loss_that_ends_finite_but_hopeless_is_divergence():
    objective = Diverging(1.3)
    with pytest.raises(ValueError, match="Training diverged.*which was 0.1"):
        train(objective, max_epochs=20)
    # a loss bad at the start only is none
    train(Diverging(0.5), max_epochs=5)


class Ears(Callback):
    def __init__(self, interrupt_after=None):
        self.interrupt_after = interrupt_after
        self.heard = []

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        self.heard.append("train begins")

    def on_epoch_end(self, net, **kwargs):
        self.heard.append("epoch ends")
        if len(net.history) == self.interrupt_after:
            raise KeyboardInterrupt

    def on_train_end(self, net, X=None, y=None, **kwargs):
        self.heard.append("train ends")


def test_callbacks_hear_of_training_and_epochs():
    ears = Ears()
    train(Line(), max_epochs=2, callbacks=[("ears", ears)])
    assert ears.heard == ["train begins", "epoch ends", "epoch ends", "train ends"]


def test_an_interrupt_is_not_swallowed_and_the_display_is_closed():
    ears = Ears(interrupt_after=2)
    with pytest.raises(KeyboardInterrupt):
        train(Line(), callbacks=[("ears", ears)])
    assert ears.heard == ["train begins", "epoch ends", "epoch ends", "train ends"]
