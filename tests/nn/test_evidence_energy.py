"""One price for all evidence against a modality."""

import math

import pytest
import torch

from sklearn_emma.nn import EnergyAttention
from sklearn_emma.nn.evidence_energy import (
    NAT,
    gap_evidence,
    potential_of_evidence,
    relative_potential,
)


def test_evidence_of_gaps_is_the_logarithm_of_what_is_left():
    missing = torch.tensor([0.0, 0.25, 0.5, 0.9, 1.0], dtype=torch.float64)
    expected = [0.0, -math.log(0.75), math.log(2.0), -math.log(0.1), math.inf]
    assert gap_evidence(missing).tolist() == pytest.approx(expected)
    assert gap_evidence(torch.tensor(1e-7)).item() == pytest.approx(1e-7)


def test_a_nat_costs_three_scales():
    assert NAT == 3
    evidence = torch.tensor([[0.0, 1.0], [2.0, 0.5]])
    priced = potential_of_evidence(evidence, torch.tensor([1.0, 10.0]))
    torch.testing.assert_close(priced, torch.tensor([[0.0, 30.0], [6.0, 15.0]]))
    torch.testing.assert_close(potential_of_evidence(evidence, 2.0), 6.0 * evidence)
    assert not potential_of_evidence(evidence, 0.0).any()


def test_relative_potential_is_in_scales_above_the_minimum():
    potential = torch.tensor([[5.0, -1.0], [math.inf, 4.0]])
    relative = relative_potential(potential, torch.tensor([1.0, -2.0]), torch.tensor([2.0, 0.5]))
    torch.testing.assert_close(relative, torch.tensor([[2.0, 2.0], [math.inf, 12.0]]))


def test_with_a_coldness_of_a_third_a_nat_divides_the_importance_by_e():
    scale = torch.tensor([0.5, 4.0])
    gate = EnergyAttention(2, coldness=1 / 3, potential_scale=scale)
    with torch.no_grad():
        gate.coupling_weight.zero_()
    evidence = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 2.0]])
    importance = gate.state(potential_of_evidence(evidence, scale)).importance
    odds = importance[:, 0] / importance[:, 1]
    torch.testing.assert_close(odds, torch.tensor([1.0, math.exp(-1), math.exp(1)]))
