"""The fit of gate and predictor from start to end."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sklearn_emma.engine.objective import TrainingConfig
from sklearn_emma.engine.weights import to_arrays
from sklearn_emma.gate.fit import (
    GateConfig,
    GateProblem,
    GateStart,
    Generators,
    prepare_gate,
    train_gate,
)
from sklearn_emma.gate.prediction_loss import ClassLoss
from sklearn_emma.nn import FusionNetwork

TRAINING = {"batch_size": 32, "learning_rate": 0.01, "max_epochs": 4, "weight_decay": 1e-4}
CONFIG = {
    "coldness": 1.0,
    "lambda_capacity": 0.0,
    "lambda_energy": 0.0,
    "subset_weight": 1.0,
    "cross_modal": True,
    "corruption": None,
    "pretrain_epochs": 2,
}


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def samples(make_samples):
    return two_modalities(make_samples)


def two_modalities(make_samples):
    return replace(make_samples(120, (2, 3), shift=0.75), weight=torch.ones(120))


@pytest.fixture
def fit(make_energies):
    """Fit gate and predictor; return the trained objective and the history."""

    def fit_all(samples, held_out=None, start=None, energies=None, seed=0, **params):
        training = TRAINING | {k: v for k, v in params.items() if k not in CONFIG}
        config = CONFIG | {k: v for k, v in params.items() if k in CONFIG}
        config = GateConfig(**config, training=TrainingConfig(**training))
        widths = [x.shape[1] for x in samples.modalities]
        problem = GateProblem(
            FusionNetwork(widths, 2, (6,), (6,), generator=generator(1)),
            ClassLoss(),
            samples,
            held_out,
            energies or make_energies(samples),
            config,
            Generators(generator(seed), generator(seed)),
            start,
        )
        objective = prepare_gate(problem)
        return objective, train_gate(objective, config)

    return fit_all


def test_training_learns_and_keeps_the_history(samples, fit):
    objective, history = fit(samples, max_epochs=15)
    assert {values.shape for values in history.values()} == {(15,)}
    assert history["train_loss"][-1] < 0.8 * history["train_loss"][0]
    assert history["gain"][-1] == pytest.approx(float(objective.gate.gain.detach()))
    potential = torch.stack([x.square().sum(1) for x in samples.modalities], 1)
    predicted = objective.network(samples.modalities, objective.gate(potential)).argmax(1)
    assert (predicted == samples.target).float().mean() > 0.85


def test_the_units_of_an_energy_do_not_matter(samples, fit, make_energies):
    plain, _ = fit(samples)
    scaled, _ = fit(samples, energies=make_energies(samples, factor=64.0, offset=-1024.0))
    potential = torch.tensor([[1.0, 3.0], [30.0, 0.5]])
    torch.testing.assert_close(
        plain.gate(potential), scaled.gate(potential * 64 - 1024), rtol=1e-3, atol=1e-3
    )


def test_the_same_generator_gives_the_same_training(samples, fit):
    (one, _), (other, _) = fit(samples), fit(samples)
    for a, b in ((one.gate, other.gate), (one.network, other.network)):
        for name, value in to_arrays(a).items():
            np.testing.assert_array_equal(value, to_arrays(b)[name])
    different, _ = fit(samples, seed=1)
    assert not np.allclose(different.gate.gain.detach(), one.gate.gain.detach(), atol=1e-7)


def test_the_warm_up_helps_and_can_be_left_out(samples, fit):
    _, with_warm_up = fit(samples, pretrain_epochs=10)
    _, without = fit(samples, pretrain_epochs=0)
    assert with_warm_up["train_loss"][0] < without["train_loss"][0]


def test_held_out_samples_are_not_learned_from(samples, fit, make_samples):
    held_out = torch.arange(0, 120, 4)
    objective, history = fit(samples, held_out, early_stopping=True, n_iter_no_change=3)
    assert history["valid_loss"].shape == (4,)
    assert objective.n_samples == 90
    # other labels of the held-out samples change what is measured, not what is learned
    other = two_modalities(make_samples)
    other.target[held_out] = 1 - other.target[held_out]
    _, other_history = fit(other, held_out, early_stopping=True, n_iter_no_change=3)
    np.testing.assert_array_equal(history["train_loss"], other_history["train_loss"])
    assert not np.allclose(history["valid_loss"], other_history["valid_loss"])


def test_the_start_is_where_training_begins(samples, fit, make_energies, capsys):
    objective, _ = fit(samples, max_epochs=10)
    start = to_arrays(objective.gate)
    start["potential_scale"] = start["potential_scale"] * 3
    energies = make_energies(samples, scale=17.0 / 3.0)
    once = {"max_epochs": 1, "learning_rate": 1e-6, "verbose": 1}
    again, _ = fit(samples, start=GateStart(start, None), energies=energies, **once)
    assert "pretraining" not in capsys.readouterr().err  # the predictor has been trained already
    for name, value in to_arrays(again.gate).items():
        np.testing.assert_allclose(value, start[name], atol=1e-4, err_msg=name)
    # gaps go on to cost what they cost before
    assert again.failures.energies is energies


def test_gaps_of_training_samples_and_of_failures_are_priced(samples, fit):
    samples.modalities[1][0, 0] = math.nan
    objective, _ = fit(samples, max_epochs=1)
    gate, energies = objective.gate, objective.failures.energies
    np.testing.assert_allclose(energies.scale, gate.potential_scale)
    cost = -3 * float(gate.potential_scale[1]) * math.log(1 - 1 / 3)
    rest = float(samples.modalities[1][0, 1:].square().sum())
    assert float(objective.samples.potential[0, 1]) == pytest.approx(rest + cost, rel=1e-5)


def test_there_is_a_cross_modal_energy_of_three_modalities_unless_it_is_off(
    samples, fit, make_samples
):
    three = make_samples(120, (2, 3, 1), shift=0.75)
    assert fit(three, cross_modal=False, max_epochs=1)[0].cross_modal is None
    assert fit(samples, max_epochs=1)[0].cross_modal is None
    objective, history = fit(three)
    cross_modal = objective.cross_modal
    assert cross_modal.n_features == [2, 3, 1]
    assert cross_modal.bound == pytest.approx(math.log(120))
    assert not any(parameter.requires_grad for parameter in cross_modal.parameters())
    # the gate learned with it
    _, without = fit(three, cross_modal=False)
    assert not np.allclose(history["train_loss"], without["train_loss"])
    # a start brings its own
    start = GateStart(to_arrays(objective.gate), cross_modal)
    assert fit(three, start=start)[0].cross_modal is cross_modal
    start = replace(start, cross_modal=None)
    assert fit(three, start=start, max_epochs=1)[0].cross_modal is None


def test_coldness_is_that_of_the_config(samples, fit):
    assert fit(samples, coldness=0.25, max_epochs=1)[0].gate.coldness == 0.25


def test_progress_goes_to_stderr(samples, fit, capsys):
    fit(samples, verbose=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "pretraining: epoch 2/2" in err
    assert "gate and predictor: epoch 4/4" in err
    fit(samples)
    assert capsys.readouterr() == ("", "")
