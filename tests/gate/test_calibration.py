"""The constants of the gate, and the price of gaps."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sklearn_emma.corruption import Missing, Noise, Swapped
from sklearn_emma.gate.calibration import calibrate, quantile
from sklearn_emma.nn.evidence_price import NAT

WIDTHS = (2, 3)


@pytest.fixture
def run(make_energies, make_failures):
    """Calibrate with squared norms as energies."""

    def calibrate_with(samples, corruption, **params):
        energies = make_energies(samples, **params)
        return calibrate(samples, make_failures(samples, corruption, energies=energies))

    return calibrate_with


def test_the_scale_is_the_median_rise_under_corruption(make_samples, run):
    samples = make_samples(2000, WIDTHS)
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
    calibrated = calibrate(samples, make_failures(samples, Noise(2.0), energies=energies))
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
        spread = quantile(clean, 0.75) - quantile(clean, 0.25)
        assert constants["potential_scale"][i] >= spread


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
    samples = make_samples(120, WIDTHS)
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
        calibrate(samples, make_failures(samples, Noise(1.0), energies=energies))


@pytest.mark.parametrize(("q", "expected"), [(0.0, 1.0), (0.25, 2.0), (0.5, 3.0), (1.0, 5.0)])
def test_quantiles(q, expected):
    assert quantile(torch.tensor([5.0, 1.0, 4.0, 2.0, 3.0]), q) == expected
