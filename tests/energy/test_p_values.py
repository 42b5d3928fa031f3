"""Conformal p-values: a share of calibration energies, valid whatever these are."""

import numpy as np
import pytest

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.energy.p_values import conformal_p_values


def test_p_values_are_the_share_of_calibration_energies_that_are_as_high():
    calibration = np.array([[1.0, 40.0], [2.0, 10.0], [2.0, 30.0], [5.0, 20.0]])
    energies = np.array([[0.0, 45.0], [2.0, 40.0], [2.5, 25.0], [5.0, 10.0], [9.0, -1.0]])
    expected = np.array([[5, 1], [4, 2], [2, 3], [2, 5], [1, 5]]) / 5
    np.testing.assert_allclose(conformal_p_values(calibration, energies), expected)


def test_infinite_energies_are_compared_with_all_and_finite_ones_with_finite_ones():
    p_values = conformal_p_values(np.array([[0.0], [np.inf]]), np.array([[1.0], [np.inf]]))
    np.testing.assert_allclose(p_values, [[1 / 2], [2 / 3]])
    p_values = conformal_p_values(np.array([[0.0], [1.0]]), np.array([[np.inf]]))
    np.testing.assert_allclose(p_values, [[1 / 3]])


def test_without_calibration_everything_is_usual():
    np.testing.assert_array_equal(conformal_p_values(np.empty((0, 2)), np.ones((3, 2))), 1.0)


@pytest.mark.parametrize("alpha", [0.05, 0.2, 0.5])
def test_samples_like_those_of_the_calibration_are_flagged_as_often_as_asked_for(alpha):
    rng = np.random.default_rng(0)
    flagged = [
        conformal_p_values(rng.standard_cauchy((99, 1)), rng.standard_cauchy((1, 1))) <= alpha
        for _ in range(4_000)
    ]
    # with 99 energies exactly alpha
    error = np.sqrt(alpha * (1 - alpha) / 4_000)
    assert np.mean(flagged) == pytest.approx(alpha, abs=4 * error)


def test_equal_samples_have_equal_p_values_however_many_are_read_together():
    X = np.random.default_rng(0).integers(0, 3, size=(700, 4)).astype(float)
    scorer = DAEEnergyScorer({"a": [0, 1], "b": [2, 3]}, max_epochs=3, random_state=0)
    scorer = scorer.set_params(contamination=0.1).fit(X[:500])
    together, labels = scorer.p_values(X[500:]), scorer.predict(X[500:])
    one_by_one = np.vstack([scorer.p_values(x[None]) for x in X[500:]])
    np.testing.assert_array_equal(one_by_one, together)
    np.testing.assert_array_equal([scorer.predict(x[None])[0] for x in X[500:]], labels)
