"""Stage 2 from start to end: corruption, scales of the energies, warm start, training."""

import math

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator

from sklearn_emma.corruption import Missing, Mixture, Noise, Reference, Swapped
from sklearn_emma.energy.fit import ModalityEnergy
from sklearn_emma.engine.weights import to_arrays
from sklearn_emma.gate.failures import Failures, Rows
from sklearn_emma.gate.fit import (
    Settings,
    calibrate,
    quantile,
    train_stage2,
    training_corruption,
)
from sklearn_emma.gate.prediction_loss import ClassLoss
from sklearn_emma.nn import FusionNetwork
from sklearn_emma.nn.cross_modal import NAT

NAMES = ["a", "b", "c"]
WIDTHS = (2, 3)
SETTINGS = {
    "coldness": 1.0,
    "lambda_capacity": 0.0,
    "lambda_energy": 0.0,
    "cross_modal": True,
    "subset_weight": 1.0,
    "learning_rate": 0.01,
    "weight_decay": 1e-4,
    "batch_size": 32,
    "max_epochs": 4,
    "pretrain_epochs": 2,
    "early_stopping": False,
    "n_iter_no_change": 3,
    "tol": 0.0,
    "verbose": 0,
}


class Norm(BaseEstimator):
    """Score: minus the squared norm, times a factor."""

    def __init__(self, factor=1.0, offset=0.0):
        self.factor = factor
        self.offset = offset

    def score_samples(self, X):
        return -self.factor * (X**2).sum(axis=1) - self.offset


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def make_rows(n_samples=120, widths=WIDTHS):
    g = generator(5)
    target = torch.randint(0, 2, (n_samples,), generator=g)
    modalities = [
        torch.randn(n_samples, d, generator=g) + 1.5 * target[:, None] - 0.75 for d in widths
    ]
    return Rows(modalities, None, target, torch.ones(n_samples))


def make_energies(factor=1.0, offset=0.0, widths=WIDTHS):
    return [
        ModalityEnergy(name, Norm(factor, offset), np.zeros(d))
        for name, d in zip(NAMES, widths, strict=False)
    ]


def calibrated(rows, energies, corruption, seed=0):
    names = NAMES[: len(rows.modalities)]
    reference = Reference.from_tensors(rows.modalities, rows.weight, names)
    failures = Failures(corruption, names, reference, generator(seed))
    return *calibrate(rows, energies, failures), failures


def train_all(
    rows=None,
    held_out=None,
    start=None,
    energies=None,
    corruption=None,
    seed=0,
    cross_modal_start=None,
    **settings,
):
    """Return gate, cross-modal energy, history and network."""
    rows = rows or make_rows()
    widths = [x.shape[1] for x in rows.modalities]
    network = FusionNetwork(widths, 2, (6,), (6,), generator=generator(1))
    gate, cross_modal, history = train_stage2(
        network,
        ClassLoss(),
        rows,
        held_out,
        [torch.zeros(d) for d in widths],
        NAMES[: len(widths)],
        energies or make_energies(widths=widths),
        training_corruption(corruption),
        Settings(**(SETTINGS | settings)),
        generator(seed),
        generator(seed),
        start,
        cross_modal_start,
    )
    return gate, cross_modal, history, network


def train(*args, **settings):
    """Return gate, history and network."""
    gate, _, history, network = train_all(*args, **settings)
    return gate, history, network


# --- which corruption ---


def test_the_default_corruption_is_noise_absence_or_a_swap_in_half_of_the_rows():
    corruption = training_corruption(None)
    assert isinstance(corruption, Mixture)
    assert [type(part) for part in corruption.corruptions] == [Noise, Missing, Swapped]
    assert corruption.probabilities == [0.375, 0.375, 0.25]
    assert corruption.corruptions[0].sigma == (0.25, 2.0)
    assert corruption.fraction == 0.5
    assert corruption.n_corrupted is None


def test_a_corruption_without_fraction_befalls_half_of_the_rows():
    swapped = Swapped(only="a")
    corruption = training_corruption(swapped)
    assert corruption.fraction == 0.5
    assert corruption.only == "a"
    assert swapped.fraction is None
    chosen = Swapped(fraction=0.9)
    assert training_corruption(chosen) is chosen


# --- scales ---


def test_the_scale_is_the_median_rise_under_corruption():
    rows, energies = make_rows(2000), make_energies()
    constants, scored, failures = calibrated(rows, energies, Noise(3.0, fraction=1.0))
    for i, x in enumerate(rows.modalities):
        intact = x.square().sum(1)
        torch.testing.assert_close(scored.potential[:, i], intact)
        # a tenth of the intact rows are beyond what counts as intact
        assert (intact > constants["potential_min"][i]).sum() == pytest.approx(200, abs=1)
        room = constants["potential_max"][i] - constants["potential_min"][i]
        assert room == pytest.approx(constants["potential_scale"][i])
        # squared norm of x and of noise of three standard deviations
        d = x.shape[1]
        chi2 = {2: 1.386, 3: 2.366}[d]
        expected = (1 + 9) * float(x.var(0).mean()) * chi2 - float(intact.median())
        assert constants["potential_scale"][i] == pytest.approx(expected, rel=0.1)
        assert energies[i].gap_cost == NAT * constants["potential_scale"][i]
    assert len(failures.potentials) == 2


def test_the_scale_is_at_least_the_spread_of_intact_rows():
    rows = make_rows()
    constants, _, _ = calibrated(rows, make_energies(), Swapped(fraction=1.0))
    for i, x in enumerate(rows.modalities):
        intact = x.square().sum(1)
        spread = quantile(intact, 0.75) - quantile(intact, 0.25)
        assert constants["potential_scale"][i] >= spread


def test_energies_that_do_not_vary_have_scale_one():
    constants, _, _ = calibrated(make_rows(), make_energies(factor=0.0), Noise(1.0))
    np.testing.assert_array_equal(constants["potential_scale"], 1.0)


def test_gaps_cost_the_nats_that_are_lost():
    rows, energies = make_rows(), make_energies()
    rows.modalities[1][0, 0] = math.nan
    rows.modalities[0][1] = math.nan
    constants, scored, _ = calibrated(rows, energies, Noise(2.0, fraction=1.0))
    rest = rows.modalities[1][0, 1:].square().sum()
    cost = -NAT * constants["potential_scale"][1] * math.log(1 - 1 / 3)
    assert float(scored.potential[0, 1]) == pytest.approx(float(rest) + cost, rel=1e-5)
    assert scored.potential[1, 0] == math.inf
    assert all(np.isfinite(values).all() for values in constants.values())


def test_missing_modalities_alone_leave_the_spread():
    rows = make_rows()
    constants, _, _ = calibrated(rows, make_energies(), Missing(fraction=1.0))
    intact = rows.modalities[0].square().sum(1)
    spread = quantile(intact, 0.75) - quantile(intact, 0.25)
    assert constants["potential_scale"][0] == pytest.approx(spread)
    assert constants["potential_max"][0] == pytest.approx(quantile(intact, 0.9) + spread)


def test_the_units_of_an_energy_do_not_matter():
    plain, _, _ = train()
    scaled, _, _ = train(energies=make_energies(factor=64.0, offset=-1024.0))
    rows = torch.tensor([[1.0, 3.0], [30.0, 0.5]])
    torch.testing.assert_close(plain(rows), scaled(rows * 64 - 1024), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("q", "expected"), [(0.0, 1.0), (0.25, 2.0), (0.5, 3.0), (1.0, 5.0)])
def test_quantiles(q, expected):
    assert quantile(torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0]), q) == expected


# --- training ---


def test_training_learns_and_keeps_the_record():
    rows = make_rows()
    gate, history, network = train(rows, max_epochs=15)
    assert {values.shape for values in history.values()} == {(15,)}
    assert history["train_loss"][-1] < 0.8 * history["train_loss"][0]
    assert history["gain"][-1] == pytest.approx(float(gate.gain.detach()))
    potential = torch.stack([x.square().sum(1) for x in rows.modalities], 1)
    predicted = network(rows.modalities, gate(potential)).argmax(1)
    assert (predicted == rows.target).float().mean() > 0.85


def test_the_same_generator_gives_the_same_training():
    (gate, _, network), (other_gate, _, other_network) = train(), train()
    for a, b in ((gate, other_gate), (network, other_network)):
        for name, value in to_arrays(a).items():
            np.testing.assert_array_equal(value, to_arrays(b)[name])
    different, _, _ = train(seed=1)
    assert not np.allclose(different.gain.detach(), gate.gain.detach(), atol=1e-7)


def test_the_warm_up_helps_and_can_be_left_out():
    _, with_warm_up, _ = train(pretrain_epochs=10)
    _, without, _ = train(pretrain_epochs=0)
    assert with_warm_up["train_loss"][0] < without["train_loss"][0]


def test_held_out_rows_are_not_learned_from():
    rows = make_rows()
    held_out = torch.arange(0, 120, 4)
    _, history, network = train(rows, held_out, early_stopping=True)
    assert history["valid_loss"].shape == (4,)
    # other labels of the held-out rows change what is measured, not what is learned
    other = make_rows()
    other.target[held_out] = 1 - other.target[held_out]
    _, other_history, _ = train(other, held_out, early_stopping=True)
    np.testing.assert_array_equal(history["train_loss"], other_history["train_loss"])
    assert not np.allclose(history["valid_loss"], other_history["valid_loss"])


def test_the_start_is_where_training_begins(capsys):
    gate, history, _ = train(max_epochs=10)
    start = to_arrays(gate)
    start["potential_scale"] = start["potential_scale"] * 3
    energies = make_energies()
    for energy in energies:
        energy.gap_cost = 17.0
    once = {"max_epochs": 1, "learning_rate": 1e-6, "verbose": 1}
    again, _, _ = train(start=start, energies=energies, **once)
    assert "warm start" not in capsys.readouterr().err  # the predictor has been trained already
    for name, value in to_arrays(again).items():
        np.testing.assert_allclose(value, start[name], atol=1e-4, err_msg=name)
    # gaps go on to cost what they cost before
    assert [energy.gap_cost for energy in energies] == [17.0, 17.0]


def test_modalities_testify_from_three_on_unless_told_not_to():
    three = (2, 3, 1)
    assert train_all(make_rows(widths=three), cross_modal=False, max_epochs=1)[1] is None
    assert train_all(make_rows(), max_epochs=1)[1] is None
    gate, cross_modal, history, _ = train_all(make_rows(widths=three))
    assert cross_modal.n_features == list(three)
    assert cross_modal.bound == pytest.approx(math.log(120))
    assert not any(parameter.requires_grad for parameter in cross_modal.parameters())
    # the gate learned with what they say
    without = train_all(make_rows(widths=three), cross_modal=False)
    assert not np.allclose(history["train_loss"], without[2]["train_loss"])
    # a start brings its own
    start = to_arrays(gate)
    again = train_all(make_rows(widths=three), start=start, cross_modal_start=cross_modal)
    assert again[1] is cross_modal
    assert train_all(make_rows(widths=three), start=start, max_epochs=1)[1] is None


def test_coldness_is_that_of_the_settings():
    gate, _, _ = train(coldness=0.25, max_epochs=1)
    assert gate.coldness == 0.25


def test_progress_goes_to_stderr(capsys):
    train(verbose=1)
    out, err = capsys.readouterr()
    assert out == ""
    assert "warm start: epoch 2/2" in err
    assert "gate and predictor: epoch 4/4" in err
    train()
    assert capsys.readouterr() == ("", "")
