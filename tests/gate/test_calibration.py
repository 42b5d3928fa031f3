"""The constants of the gate, and the price of gaps."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sklearn_emma.corruption import Missing, Noise, Swapped
from sklearn_emma.gate.calibration import calibrate_gate
from sklearn_emma.nn.evidence_energy import NAT
from sklearn_emma.nn.numerics import quantile

WIDTHS = (2, 3)


@pytest.fixture
def run(make_energies, make_failures):
    """Calibrate with squared norms as energies."""

    def calibrate_with(samples, corruption, **params):
        energies = make_energies(samples, **params)
        return calibrate_gate(samples, make_failures(samples, corruption, energies=energies))

    return calibrate_with


def equally_weighted(samples):
    return replace(samples, weight=torch.ones_like(samples.weight))


def test_the_scale_is_the_median_rise_under_corruption(make_samples, run):
    samples = equally_weighted(make_samples(2000, WIDTHS))
    calibrated = run(samples, Noise(3.0, fraction=1.0))
    constants = calibrated.constants
    for i, x in enumerate(samples.modalities):
        clean = x.square().sum(1)
        torch.testing.assert_close(calibrated.samples.potential[:, i], clean)
        # a tenth of the clean samples are beyond what counts as clean
        assert (clean > constants["potential_min"][i]).sum() == pytest.approx(200, abs=1)
        room = constants["potential_max"][i] - constants["potential_min"][i]
        assert room == pytest.approx(constants["potential_scale"][i])
        # squared norm of x and of noise of three standard deviations
        d = x.shape[1]
        chi2 = {2: 1.386, 3: 2.366}[d]
        expected = (1 + 9) * float(x.var(0).mean()) * chi2 - float(clean.median())
        assert constants["potential_scale"][i] == pytest.approx(expected, rel=0.1)


def test_the_energies_price_gaps_by_the_scale_and_nothing_else_changes(
    make_samples, make_energies, make_failures
):
    samples = make_samples(200, WIDTHS)
    energies = make_energies(samples)
    calibrated = calibrate_gate(samples, make_failures(samples, Noise(2.0), energies=energies))
    np.testing.assert_allclose(calibrated.energies.scale, calibrated.constants["potential_scale"])
    assert (calibrated.energies.scale > 0).all()
    assert (energies.scale == 0).all()
    assert calibrated.energies.potentials is energies.potentials
    assert calibrated.samples.target is samples.target
    assert calibrated.samples.weight is samples.weight


def test_the_scale_is_at_least_the_spread_of_clean_samples(make_samples, run):
    samples = make_samples(120, WIDTHS)
    constants = run(samples, Swapped(fraction=1.0)).constants
    for i, x in enumerate(samples.modalities):
        clean = x.square().sum(1)
        low, high = (quantile(clean, q, samples.weight) for q in (0.25, 0.75))
        assert constants["potential_scale"][i] >= high - low


def test_energies_that_do_not_vary_have_scale_one(make_samples, run):
    constants = run(make_samples(120, WIDTHS), Noise(1.0), factor=0.0).constants
    np.testing.assert_array_equal(constants["potential_scale"], 1.0)


def test_gaps_cost_the_nats_that_are_lost(make_samples, run):
    samples = make_samples(120, WIDTHS)
    samples.modalities[1][0, 0] = math.nan
    samples.modalities[0][1] = math.nan
    calibrated = run(samples, Noise(2.0, fraction=1.0))
    constants, potential = calibrated.constants, calibrated.samples.potential
    rest = samples.modalities[1][0, 1:].square().sum()
    cost = -NAT * constants["potential_scale"][1] * math.log(1 - 1 / 3)
    assert float(potential[0, 1]) == pytest.approx(float(rest) + cost, rel=1e-5)
    assert potential[1, 0] == math.inf
    assert all(np.isfinite(values).all() for values in constants.values())


def test_missing_modalities_alone_leave_the_spread(make_samples, run):
    samples = equally_weighted(make_samples(120, WIDTHS))
    constants = run(samples, Missing(fraction=1.0)).constants
    clean = samples.modalities[0].square().sum(1)
    spread = quantile(clean, 0.75) - quantile(clean, 0.25)
    assert constants["potential_scale"][0] == pytest.approx(spread)
    assert constants["potential_max"][0] == pytest.approx(quantile(clean, 0.9) + spread)


class Infinite:
    """An energy that finds every sample impossible."""

    def potential(self, x):
        return torch.full((len(x),), math.inf)


def test_an_energy_that_is_infinite_everywhere_is_refused(
    make_samples, make_energies, make_failures
):
    samples = make_samples(120, WIDTHS)
    energies = make_energies(samples)
    energies = replace(energies, potentials=[energies.potentials[0], Infinite()])
    with pytest.raises(ValueError, match="modality 'b' is infinite for every training sample"):
        calibrate_gate(samples, make_failures(samples, Noise(1.0), energies=energies))


def test_samples_of_little_weight_have_little_effect(make_samples, run):
    few = make_samples(200, WIDTHS)
    weight = torch.cat([few.weight, torch.full((200,), 1e-6)])
    both = replace(
        few,
        modalities=[torch.cat([x, 5.0 * x]) for x in few.modalities],
        target=few.target.repeat(2),
        weight=weight,
    )
    expected = run(few, Noise(3.0, fraction=1.0)).constants
    for name, values in run(both, Noise(3.0, fraction=1.0)).constants.items():
        np.testing.assert_allclose(values, expected[name], rtol=0.3, err_msg=name)
    # weights of classes, and of samples without a label, have no effect on energies
    unlabeled = replace(both, weight=torch.arange(400) % 2, sample_weight=weight)
    found = run(unlabeled, Noise(3.0, fraction=1.0)).constants["potential_min"]
    np.testing.assert_allclose(found, expected["potential_min"], rtol=0.05)
