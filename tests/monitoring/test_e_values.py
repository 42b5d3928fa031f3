"""E-values: at most one on average over clean samples, large for failing ones."""

import numpy as np
import pytest

from sklearn_emma.monitoring.e_values import bound_ratios, conformal_e_values


def test_bounded_ratios_keep_their_proportions():
    bounded = bound_ratios(np.log([[1e9, 1e6], [0.1, 0.2]]), np.log(100))
    assert bounded.max() <= 100
    np.testing.assert_allclose(bounded[:, 0] / bounded[:, 1], [1e3, 0.5])


@pytest.mark.parametrize("n_clean", [20, 200])
def test_e_values_of_clean_samples_have_a_mean_of_one_at_most(n_clean):
    # also if samples are more frequent than in the calibration, by as much as is allowed
    allowance = np.array([0.5, 0.1])
    rng = np.random.RandomState(0)
    means = []
    for _ in range(300):
        log_ratios = np.log(rng.pareto(1.1, size=(n_clean + 100, 1, 2)))
        ratios = bound_ratios(log_ratios, np.log(n_clean))
        clean_mean = ratios[:n_clean].mean(axis=0)
        found = conformal_e_values(clean_mean, n_clean, ratios[n_clean:], allowance)
        means.append(found.mean(axis=(0, 1)))
    assert ((1 + allowance) * np.mean(means, axis=0) <= 1.05).all()
    assert ((1 + allowance) * np.mean(means, axis=0) >= 0.3).all()
