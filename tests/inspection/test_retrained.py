"""Matched training: retrained on exactly the failure of the test."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.linear_model import LogisticRegression

from sklearn_emma.corruption import Noise, Stuck
from sklearn_emma.inspection.retrained import EvaluationProtocol, matched_training_scores

GROUPS = {"a": [0, 1], "b": [2, 3]}
SPLIT = [(np.arange(200), np.arange(200, 300))]


@pytest.fixture(scope="module")
def samples():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=300)
    return rng.normal(size=(300, 4)) + 2 * y[:, None], y


def protocol(**params):
    settings = {"modalities": GROUPS, "corruption": Noise, "scoring": None, "cv": SPLIT}
    return EvaluationProtocol(**settings | {"n_repeats": 1, "n_jobs": None, "seed": 0} | params)


class Witness(ClassifierMixin, BaseEstimator):
    """Scores the share of training and of test samples in which the first column is 9."""

    def fit(self, X, y):
        self.share_ = (X[:, 0] == 9).mean()
        self.classes_ = np.unique(y)
        return self

    def score(self, X, y):
        return self.share_ + 10 * (X[:, 0] == 9).mean()


def test_training_and_test_samples_fail_in_the_same_way(samples):
    stuck = protocol(corruption=lambda level: Stuck(value=9, fraction=level))
    scores = matched_training_scores(Witness(), *samples, ["a", "b"], np.array([0, 0.5]), stuck)
    np.testing.assert_allclose(scores, [[0, 5.5], [0, 0]])


def test_where_nothing_fails_the_estimator_is_trained_as_it_is(samples):
    scores = matched_training_scores(
        LogisticRegression(), *samples, ["a"], np.array([0.0]), protocol()
    )
    X, y = samples
    expected = LogisticRegression().fit(X[:200], y[:200]).score(X[200:], y[200:])
    assert scores == pytest.approx(expected)
