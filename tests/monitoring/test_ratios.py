"""Likelihood ratios, learned from examples."""

import numpy as np
import pytest
import torch

from sklearn_emma.monitoring.ratio_network import RatioNetwork


def test_ratios_do_not_depend_on_how_many_examples_there_are():
    # normal distributions with means 0, 1 and -1: the logarithms of their ratios are ±x - 1/2
    rng = np.random.RandomState(0)
    x = np.linspace(-0.5, 1.5, 5)
    for numbers in ([1500, 500, 500], [500, 1500, 500]):
        labels = np.repeat([0, 1, 2], numbers)
        values = rng.standard_normal(len(labels)) + np.array([0, 1, -1])[labels]
        network = RatioNetwork(values[:, None], labels, 0)
        np.testing.assert_allclose(network(x[:, None])[:, 0], x - 0.5, atol=0.5)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_training_does_not_depend_on_the_mode_of_torch(mode):
    values = np.random.RandomState(0).standard_normal((60, 2))
    labels = (values[:, 0] > 0).astype(int)
    expected = RatioNetwork(values, labels, 0)(values)
    with mode():
        np.testing.assert_array_equal(RatioNetwork(values, labels, 0)(values), expected)
