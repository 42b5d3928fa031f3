"""A small classifier, and a monitor around it."""

import pickle

import pytest

from sklearn_emma import DAEEnergyScorer, EMMAClassifier
from sklearn_emma.datasets import make_multimodal_classification
from sklearn_emma.monitoring import ModalityMonitor


@pytest.fixture(scope="session")
def table():
    """Samples of three modalities, and their classes."""
    return make_multimodal_classification(1600, redundancy=0.5, random_state=0, return_X_y=True)


@pytest.fixture(scope="session")
def fitted(table):
    """A classifier, fitted on the first 600 samples."""
    X, y = table
    classifier = EMMAClassifier(
        "prefix",
        energy=DAEEnergyScorer(max_epochs=10),
        max_epochs=8,
        l2_regularization=3.0,  # not chosen, which takes time
        periodic_features=False,
        random_state=0,
    )
    return classifier.fit(X[:600], y[:600])


@pytest.fixture(scope="session")
def _calibrated(fitted, table):
    X, _ = table
    return pickle.dumps(ModalityMonitor(fitted, random_state=0).fit(X[600:900], reference=X[:600]))


@pytest.fixture
def monitor(_calibrated):
    """A monitor of its own for each test, calibrated on samples 600 to 900."""
    return pickle.loads(_calibrated)


@pytest.fixture
def stream(table):
    """Clean samples that neither classifier nor monitor knows."""
    X, y = table
    return X[1000:].reset_index(drop=True), y[1000:]
