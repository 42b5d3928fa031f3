"""Spectrum and local power show what the values of a signal do not."""

import math

import pytest
import torch

from sklearn_emma.nn.signal_features import local_power, log_spectrum

SHAPES = [(1, 1), (2, 3), (3, 64), (2, 1000), (1, 1, 4), (1, 8, 8), (2, 40, 33)]
#: What is returned for silence.
SILENT = math.log(1e-4)


def waves(frequencies, phase=0.0, length=128):
    """Return one channel with a sine per sample, of a number of cycles."""
    t = torch.arange(length, dtype=torch.float64) / length
    cycles = torch.tensor(frequencies, dtype=torch.float64)[:, None]
    return torch.sin(2 * math.pi * cycles * t + phase)[:, None]


@pytest.mark.parametrize("features", [log_spectrum, local_power])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_has_finite_features(features, shape):
    signal = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
    found = features(signal)
    assert found.ndim == 2
    assert len(found) == 3
    assert bool(found.isfinite().all())
    torch.testing.assert_close(features(signal[:1]), found[:1])


@pytest.mark.parametrize("features", [log_spectrum, local_power])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_constant_signal_is_silent_everywhere(features, shape):
    found = features(torch.full((1, *shape), 3.0, dtype=torch.float64))
    torch.testing.assert_close(found, torch.full_like(found, SILENT))


@pytest.mark.parametrize("shape", [(1, 7), (2, 79), (1, 95), (1, 40, 33)])
def test_the_local_power_depends_on_every_value(shape):
    signal = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    local_power(signal).sum().backward()
    assert bool((signal.grad != 0.0).all())


def test_the_spectrum_finds_the_frequency_whatever_the_phase():
    early, late = (log_spectrum(waves([5.0, 41.0], phase), 32) for phase in (0.0, 1.0))
    assert early.argmax(1).tolist() == late.argmax(1).tolist() == [2, 20]


def test_a_tone_between_two_frequencies_does_not_leak_into_bands_far_away():
    bands = log_spectrum(waves([5.5]), 32)[0]
    assert int(bands.argmax()) == 2
    assert bool(bands[10:].max() < SILENT + 0.1)


def test_the_power_of_a_spectrum_is_that_of_the_signal():
    noise = torch.randn(200, 1, 62, generator=torch.Generator().manual_seed(0)).double()
    power = log_spectrum(noise).exp().mean(0)
    assert float(power[1:-1].mean()) == pytest.approx(1.0, abs=0.1)


def test_a_part_that_drops_out_is_silent():
    signal = waves([30.0])
    signal[..., 64:] = 0.0
    variance, steps = local_power(signal).unflatten(1, (2, -1))[0]
    for power in variance, steps:
        assert bool((power[:7] > SILENT + 5).all())
        assert bool((power[8:] < SILENT + 1e-6).all())


def test_variance_is_that_within_a_window():
    ramp = torch.arange(128, dtype=torch.float64).reshape(1, 1, -1)
    variance, steps = local_power(ramp).unflatten(1, (2, -1))[0]
    within = torch.arange(16.0).var(correction=0).double()  # windows of sixteen of 128
    torch.testing.assert_close(variance.exp(), within.expand(15), rtol=1e-4, atol=0.0)
    torch.testing.assert_close(steps.exp(), torch.ones(15).double(), rtol=1e-3, atol=0.0)


def test_images_have_steps_along_both_axes():
    stripes = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    stripes[..., ::2] = 1.0
    _, down, across = local_power(stripes).unflatten(1, (3, -1))[0]
    torch.testing.assert_close(down, torch.full_like(down, SILENT))
    assert bool((across > -0.01).all())


def test_a_large_offset_does_not_hide_what_varies():
    signal = waves([9.0]).float()
    torch.testing.assert_close(
        local_power(signal + 1000.0), local_power(signal), atol=0.02, rtol=0.0
    )
