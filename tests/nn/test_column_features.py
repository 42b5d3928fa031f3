"""Value, normal score and periodic features of columns."""

import math

import pytest
import torch

from sklearn_emma.nn import ColumnFeatures, FusionNetwork
from sklearn_emma.nn.normal_scores import HIGHEST_SCORE


def test_features_are_those_of_the_formula():
    x = torch.tensor([[0.3, -1.2]])
    features = ColumnFeatures(2, normal_scores=True, periodic=True)
    q = features.normal_scores(x)
    waves = [w(2 * math.pi * f * q) for f in (0.25, 0.5, 1.0) for w in (torch.sin, torch.cos)]
    expected = torch.stack([x, q, *waves], 2)
    torch.testing.assert_close(features(x).view(1, 2, 8), expected)
    torch.testing.assert_close(
        ColumnFeatures(2, normal_scores=True)(x).view(1, 2, 2), expected[..., :2]
    )
    torch.testing.assert_close(ColumnFeatures(2)(x), x)


def test_beyond_the_training_samples_only_value_and_score_change():
    features = ColumnFeatures(1, normal_scores=True, periodic=True)
    far, farther = features(torch.tensor([[HIGHEST_SCORE], [HIGHEST_SCORE + 3.7]]))
    torch.testing.assert_close(far[2:], farther[2:])
    assert (farther[:2] > far[:2] + 3.0).all()


def test_periodic_features_need_scores():
    with pytest.raises(ValueError, match="Periodic features need normal_scores=True"):
        FusionNetwork([2], 1, periodic=True)
