"""The loss of a prediction, and of a constant one."""

import math

import numpy as np
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


def test_the_loss_of_classes_is_their_cross_entropy():
    logits = torch.tensor([[2.0, -1.0], [0.5, 0.0], [0.0, 3.0], [1.0, 1.0]])
    target = torch.tensor([0, 1, 1, 0])
    expected = weighted_cross_entropy(logits, target, WEIGHT)
    assert ClassLoss()(logits, target, WEIGHT) == expected


def test_the_baseline_of_classes_is_the_logarithm_of_their_number():
    loss = ClassLoss()
    assert loss.baseline_loss(torch.arange(4), WEIGHT) == pytest.approx(2 * math.log(4))
    one_class = torch.zeros(4, dtype=torch.long)
    assert loss.baseline_loss(one_class, WEIGHT) == pytest.approx(2 * math.log(2))


def test_the_loss_of_values_is_the_one_named():
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
def test_the_baseline_of_values_is_the_loss_of_their_center(loss, expected):
    target = torch.tensor([[10.0], [1.0]])
    baseline = ValueLoss(loss, (0.3, 0.5)).baseline_loss(target, torch.ones(2))
    assert baseline == pytest.approx(expected)


@pytest.mark.parametrize(
    ("loss", "expected"), [("squared_error", 1.0), ("absolute_error", 1.0), ("quantile", 0.6)]
)
def test_the_baseline_of_a_constant_is_an_error_of_one(loss, expected):
    target = torch.zeros(3, 2 if loss != "quantile" else 1)
    baseline = ValueLoss(loss, (0.3, 0.5)).baseline_loss(target, torch.ones(3))
    assert baseline == pytest.approx(expected)


def test_likelihoods_do_not_depend_on_the_unit_of_errors():
    means = torch.tensor([1.0, 1.1])
    for loss, power in (("squared_error", 0.5), ("absolute_error", 1.0)):
        one, small = (ValueLoss(loss).log_likelihood(u * means, 50.0) for u in (1.0, 1e-4))
        torch.testing.assert_close(one.diff(), small.diff(), rtol=1e-4, atol=1e-4)
        assert one.diff().item() == pytest.approx(-50.0 * power * np.log(1.1), rel=1e-4)
    assert ClassLoss().log_likelihood(means, 50.0).tolist() == pytest.approx([-50.0, -55.0])
