"""What a prediction costs, and what a constant one costs."""

import math

import pytest
import torch

from sklearn_emma.gate.prediction_loss import ClassLoss, ValueLoss
from sklearn_emma.nn import (
    weighted_absolute_error,
    weighted_cross_entropy,
    weighted_pinball_loss,
    weighted_squared_error,
)

WEIGHT = torch.tensor([0.5, 1.0, 2.5, 4.0])


def test_classes_cost_their_cross_entropy():
    logits = torch.tensor([[2.0, -1.0], [0.5, 0.0], [0.0, 3.0], [1.0, 1.0]])
    target = torch.tensor([0, 1, 1, 0])
    expected = weighted_cross_entropy(logits, target, WEIGHT)
    assert ClassLoss()(logits, target, WEIGHT) == expected


def test_ignorance_of_classes_costs_the_logarithm_of_their_number():
    loss = ClassLoss()
    assert loss.ignorant_loss(torch.arange(4), WEIGHT) == pytest.approx(2 * math.log(4))
    one_class = torch.zeros(4, dtype=torch.long)
    assert loss.ignorant_loss(one_class, WEIGHT) == pytest.approx(2 * math.log(2))


def test_values_cost_what_the_loss_says():
    output, target = torch.tensor([[1.0, -2.0, 3.0, 0.5]]).T, torch.tensor([[0.0, 1.0, 5.0, 0.5]]).T
    for name, function in (
        ("squared_error", weighted_squared_error),
        ("absolute_error", weighted_absolute_error),
    ):
        assert ValueLoss(name)(output, target, WEIGHT) == function(output, target, WEIGHT)
    quantiles = (0.1, 0.5)
    expected = weighted_pinball_loss(output.expand(4, 2), target, WEIGHT, quantiles)
    assert ValueLoss("quantile", quantiles)(output.expand(4, 2), target, WEIGHT) == expected


@pytest.mark.parametrize(
    ("loss", "expected"), [("squared_error", 50.5), ("absolute_error", 5.5), ("quantile", 2.2)]
)
def test_ignorance_of_values_costs_the_loss_of_their_centre(loss, expected):
    target = torch.tensor([[10.0], [1.0]])
    ignorant = ValueLoss(loss, (0.3, 0.5)).ignorant_loss(target, torch.ones(2))
    assert ignorant == pytest.approx(expected)


@pytest.mark.parametrize(
    ("loss", "expected"), [("squared_error", 1.0), ("absolute_error", 1.0), ("quantile", 0.6)]
)
def test_ignorance_of_a_constant_costs_an_error_of_one(loss, expected):
    target = torch.zeros(3, 2 if loss != "quantile" else 1)
    ignorant = ValueLoss(loss, (0.3, 0.5)).ignorant_loss(target, torch.ones(3))
    assert ignorant == pytest.approx(expected)
