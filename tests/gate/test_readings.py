"""What a fitted gate and predictor say of samples."""

import math

import numpy as np
import pytest
import torch

from sklearn_emma.gate.inputs import Inputs
from sklearn_emma.gate.readings import Readings, read_out
from sklearn_emma.nn import EnergyAttention, FusionNetwork

WIDTHS = (2, 3, 1)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def inputs():
    """Thirty samples, one of which lacks a modality."""
    g = generator(3)
    own, gap, cross_modal = torch.rand(3, 30, 3, generator=g, dtype=torch.float64)
    gap[0, 1] = math.inf
    modalities = [torch.randn(30, d, generator=g) for d in WIDTHS]
    read = torch.ones(30, 6, dtype=torch.float64)
    return Inputs(modalities, own, gap, cross_modal, own + gap + cross_modal, read)


@pytest.fixture
def gate():
    return EnergyAttention(3, 0.3, generator=generator(1)).double()


@pytest.fixture
def predictor():
    return FusionNetwork(WIDTHS, 2, (5,), (4,), generator=generator(2)).requires_grad_(False)


@torch.no_grad()
def test_everything_is_that_of_gate_and_predictor(inputs, gate, predictor):
    found = read_out(inputs, gate, predictor, Readings._fields)
    assert set(Readings._fields) <= set(found)
    parts = ("own_energy", "gap_energy", "cross_modal_energy")
    for name in parts:
        assert found[name] is getattr(inputs, name)
    assert found["energies"] is inputs.potential
    torch.testing.assert_close(found["energies"], sum(found[name] for name in parts))
    state = gate.state(inputs.potential)
    torch.testing.assert_close(found["modal_energy"], state.modal_energy)
    torch.testing.assert_close(found["importance"], state.importance)
    torch.testing.assert_close(found["attention"], state.attention)
    torch.testing.assert_close(found["total_energy"], gate.total_energy(inputs.potential))
    torch.testing.assert_close(found["energy_threshold"], gate.energy_threshold(inputs.potential))
    attention = state.attention.float()
    torch.testing.assert_close(found["output"], predictor(inputs.modalities, attention))
    assert found["output"].dtype == torch.float32


@torch.no_grad()
def test_gated_columns_are_the_modalities_times_their_attention(inputs, gate):
    gated = read_out(inputs, gate, None, ["gated"])["gated"]
    attention = gate.state(inputs.potential).attention.float()
    expected = torch.cat(inputs.modalities, 1) * attention.repeat_interleave(
        torch.tensor(WIDTHS), 1
    )
    torch.testing.assert_close(gated, expected)
    assert (gated[0, 2:5] == 0).all()


@torch.no_grad()
def test_energies_alone_do_without_the_gate(inputs):
    found = read_out(inputs, None, None, ["energies", "gap_energy"])
    assert found["energies"] is inputs.potential


@torch.no_grad()
def test_what_is_not_wanted_and_costs_time_is_not_computed(inputs, gate):
    found = read_out(inputs, gate, None, ["attention"])
    assert not {"output", "gated", "total_energy", "energy_threshold"} & set(found)


# --- of an estimator ---


def test_readings_are_what_the_methods_return(fitted, table, lose):
    X = table[0].copy()
    X.iloc[80:] = lose(X, "modality1").iloc[80:]
    X.iloc[3, 0] = np.nan
    readings = fitted.readings(X)
    assert type(readings) is Readings
    methods = (
        "energies",
        "modal_energy",
        "importance",
        "attention",
        "total_energy",
        "energy_threshold",
    )
    for name in methods:
        np.testing.assert_array_equal(getattr(readings, name), getattr(fitted, name)(X))
    assert {len(values) for values in readings} == {len(X)}
    parts = readings.own_energy, readings.gap_energy, readings.cross_modal_energy
    np.testing.assert_allclose(sum(parts), readings.energies)
    assert np.isfinite(readings.own_energy).all()
    assert (readings.gap_energy[80:, 1] == np.inf).all()
    assert readings.gap_energy[3, 0] > 0
    assert (readings.gap_energy[4:80] == 0).all()
    assert (readings.cross_modal_energy >= 0).all()
    # the output is the logits
    odds = np.exp(readings.output - readings.output.max(axis=1, keepdims=True))
    np.testing.assert_allclose(
        odds / odds.sum(axis=1, keepdims=True), fitted.predict_proba(X), rtol=1e-12
    )
