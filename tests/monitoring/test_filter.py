"""The forward filter: exact, and rarely wrong on clean samples."""

from itertools import product

import numpy as np

from sklearn_emma.monitoring.filter import Comparison, forward, transitions


def test_rows_of_the_transitions_sum_to_one():
    A = transitions(0.01, 0.2, np.array([0.25, 0.75]))
    np.testing.assert_allclose(A.sum(axis=1), 1)
    np.testing.assert_allclose(A[0], [0.99, 0.0025, 0.0075])


def test_probabilities_are_those_of_all_paths_together():
    rng = np.random.RandomState(0)
    A = transitions(0.1, 0.3, np.array([0.4, 0.6]))
    likelihoods = rng.rand(4, 1, 3)
    weight = np.zeros(3)
    for path in product(range(3), repeat=4):
        p, last = 1.0, 0
        for t, state in enumerate(path):
            p *= A[last, state] * likelihoods[t, 0, state]
            last = state
        weight[last] += p
    found = forward(np.array([[1.0, 0.0, 0.0]]), A, likelihoods)
    np.testing.assert_allclose(found[-1, 0], weight / weight.sum())


def test_clean_samples_raise_no_more_alarms_than_promised():
    # five hundred streams of likelihood ratios of mean one
    rng = np.random.RandomState(0)
    n_samples, n_streams, rate, hazard = 1000, 500, 1e-3, 1e-2
    ratios = np.exp(rng.standard_normal((n_samples, n_streams)) - 0.5)
    likelihoods = np.stack([np.ones_like(ratios), ratios], axis=-1)
    A = transitions(hazard, 0.02, np.ones(1))
    p = forward(np.tile([1.0, 0.0], (n_streams, 1)), A, likelihoods)
    up = p[..., 1] >= hazard / rate * p[..., 0]
    alarms = (up & ~np.vstack([up[:1] & False, up[:-1]])).sum()
    assert alarms / (n_samples * n_streams) <= rate


def test_who_does_not_fit_a_stuck_modality_is_not_to_blame():
    # clean, mismatch, stuck; from the tenth sample on both modalities seem not to fit
    A = transitions(0.001, 0.01, np.array([0.5, 0.5]))
    comparison = Comparison(np.array([False, True, False]), np.array([False, False, True]))
    likelihoods = np.ones((40, 2, 3))
    likelihoods[10:, :, 1] = 2.0
    start = np.tile([1.0, 0.0, 0.0], (2, 1))
    both = forward(start, A, likelihoods, comparison)
    assert (both[-1, :, 1] > 0.9).all()
    likelihoods[5:, 0, 2] = 100.0
    likelihoods[5:, 1, 2] = 0.01
    stuck = forward(start, A, likelihoods, comparison)
    assert stuck[-1, 0, 2] > 0.99
    assert stuck[-1, 1, 1] < 0.05
