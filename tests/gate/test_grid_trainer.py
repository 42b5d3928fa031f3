"""Settings trained together: every training is that of the setting alone."""

import pytest
import torch

from sklearn_emma.corruption import Noise
from sklearn_emma.engine.objective import TrainingConfig
from sklearn_emma.gate.fit import GateConfig, train_gate
from sklearn_emma.gate.grid import STACKABLE
from sklearn_emma.gate.grid_trainer import load_state, train_settings
from sklearn_emma.gate.objective import GatedObjective, GateModel, LossWeights
from sklearn_emma.gate.prediction_loss import ClassLoss
from sklearn_emma.nn import EnergyAttention, FusionNetwork

DEFAULT = {"coldness": 0.3, "lambda_capacity": 0.0, "lambda_energy": 0.0, "subset_weight": 2.0}
SETTINGS = [
    dict(zip(STACKABLE, values, strict=True))
    for values in [
        (0.3, 0.0, 0.0, 2.0),
        (1.0, 0.1, 0.0, 1.0),
        (0.01, 0.1, 0.1, 2.0),
        (0.0, 0.0, 0.5, 0.5),
    ]
]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def make_objective(scored, make_failures):
    """Make the objective of a setting, always with the same samples and random numbers."""

    def make(coldness=0.3, lambda_capacity=0.0, lambda_energy=0.0, subset_weight=2.0):
        source = generator(4)
        failures = make_failures(scored, Noise(1.0, fraction=0.5))
        failures.generator = source
        return GatedObjective(
            GateModel(
                EnergyAttention(3, coldness, generator=generator(1)),
                FusionNetwork((2, 3, 1), 2, (16, 5), (4,), generator=generator(2)),
                None,
                ClassLoss(),
            ),
            LossWeights(lambda_capacity, lambda_energy, subset_weight),
            scored,
            scored.take(torch.arange(10)),
            failures,
            source,
        )

    return make


def config(**params):
    training = {
        "batch_size": 16,
        "learning_rate": 0.02,
        "max_epochs": 12,
        "weight_decay": 0.01,
        "n_iter_no_change": 1,
    }
    return GateConfig(
        **DEFAULT,
        cross_modal=False,
        corruption=None,
        pretrain_epochs=0,
        training=TrainingConfig(**training | params),
    )


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_training_is_that_of_each_setting_alone(make_objective, early_stopping):
    settings = [*SETTINGS, {"subset_weight": 0.0}, {"coldness": 0.05}]
    how = config(early_stopping=early_stopping)
    together = make_objective()
    lengths = set()
    for setting, (state, history) in zip(
        settings, train_settings(together, how, settings), strict=True
    ):
        alone = make_objective(**DEFAULT | setting)
        expected = train_gate(alone, how)
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


def test_a_setting_that_diverges_leaves_the_others_alone(make_objective):
    settings = [{"coldness": 0.3}, {"lambda_energy": 1e39}, {"coldness": 0.1}]
    good, bad, last = train_settings(make_objective(), config(), settings)
    assert isinstance(bad, ValueError)
    with pytest.raises(ValueError) as alone:
        train_gate(make_objective(lambda_energy=1e39), config())
    assert str(bad) == str(alone.value)
    for (state, history), setting in ((good, settings[0]), (last, settings[2])):
        expected = train_gate(make_objective(**setting), config())
        assert history["train_loss"] == pytest.approx(expected["train_loss"], rel=1e-5)
        assert all(value.isfinite().all() for value in state.values())


def test_a_setting_that_ends_far_above_the_baseline_is_an_error_too(make_objective):
    # the regularization is no excuse: the capacity is small
    how = config(learning_rate=100.0, max_epochs=3)
    for outcome in train_settings(make_objective(), how, [{}, {"coldness": 0.1}]):
        assert isinstance(outcome, ValueError)
        assert "Training diverged" in str(outcome)


def test_the_objective_has_the_parameters_of_no_setting_until_they_are_loaded(make_objective):
    objective = make_objective()
    before = {name: value.clone() for name, value in objective.state_dict().items()}
    ((state, _),) = train_settings(objective, config(max_epochs=2), [{}])
    for name, value in objective.state_dict().items():
        assert torch.equal(value, before[name])
    load_state(objective, state)
    assert not torch.equal(objective.gate.gain, before["gate.gain"])
