"""Likelihood ratios, learned from examples."""

import numpy as np

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
