"""What the tests of the classifier share: variants of fitted classifiers, and comparisons."""

import numpy as np
import pytest
from sklearn.base import clone


@pytest.fixture(scope="session")
def same_predictions():
    """Tell whether two classifiers give the same probabilities."""

    def same(a, b, X):
        return np.array_equal(a.predict_proba(X), b.predict_proba(X))

    return same


@pytest.fixture(scope="session")
def assert_constraints():
    """Check that the parameters of the gate are where they have to be."""

    def check(classifier):
        assert (classifier.self_weight_ >= 1).all()
        assert (classifier.self_bias_ >= 0).all()
        assert (np.abs(classifier.coupling_weight_) <= 1).all()
        assert (np.diag(classifier.coupling_weight_) == 0).all()
        assert (classifier.coupling_degree_ >= 0).all()
        assert (classifier.coupling_degree_ <= 1).all()
        assert classifier.gain_ > 0
        assert 0 <= classifier.bias_ <= 1

    return check


@pytest.fixture(scope="session")
def assert_gradient():
    """Check that the gradient of the loss is its slope, up to one positive factor."""

    def check(classifier, X, y):
        codes, step = np.searchsorted(classifier.classes_, y), 1e-5

        def loss(X):
            return -np.log(classifier.predict_proba(X)[np.arange(len(y)), codes])

        slopes = classifier.loss_gradient(X, y)
        shifts = step * np.eye(X.shape[1])
        expected = np.transpose([(loss(X + s) - loss(X - s)) / (2 * step) for s in shifts])
        factor = (slopes * expected).sum() / (expected**2).sum()
        np.testing.assert_allclose(slopes / factor, expected, atol=1e-3 * np.abs(expected).max())

    return check


@pytest.fixture(scope="session")
def variant(trained, wide):
    """Fit variants of the trained classifier, each once."""
    cache = {}

    def fit(**params):
        key = repr(sorted(params.items()))
        if key not in cache:
            cache[key] = clone(trained).set_params(**params).fit(*wide[:2])
        return cache[key]

    return fit


@pytest.fixture(scope="session")
def apart(table, quick):
    """A fitted classifier whose energies do not depend on the other modalities."""
    return quick(cross_modal=False).fit(*table)
