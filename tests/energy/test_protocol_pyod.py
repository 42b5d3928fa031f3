"""Detectors of PyOD as energies: their scores have the opposite sign."""

import numpy as np
import pytest

from sklearn_emma import EMMAClassifier
from sklearn_emma.corruption import Noise
from sklearn_emma.datasets import make_multimodal_classification

knn = pytest.importorskip("pyod.models.knn", reason="needs PyOD, of the extra bench")


@pytest.fixture(scope="module")
def fitted():
    X, y = make_multimodal_classification(400, n_features=3, random_state=0, return_X_y=True)
    energy = knn.KNN(n_neighbors=5)
    classifier = EMMAClassifier(
        "prefix", energy=energy, cross_modal=False, max_epochs=10, random_state=0
    ).fit(X, y)
    return classifier, X, y


def test_energy_is_the_outlier_score(fitted):
    classifier, X, _ = fitted
    first = classifier.modality_columns_[0]
    standard = ((X.to_numpy() - classifier.mean_) / classifier.scale_)[:, first]
    detector = next(iter(classifier.energy_scorers_.values()))
    np.testing.assert_allclose(
        classifier.energies(X)[:, 0], detector.decision_function(standard), rtol=1e-6, atol=1e-6
    )


def test_the_gate_closes_on_what_the_detector_finds_odd(fitted):
    classifier, X, _ = fitted
    name = classifier.modality_names_[0]
    noisy, _ = Noise(8, only=name).corrupt(X, "prefix", random_state=1, reference=X)
    intact, failing = (classifier.attention(samples).mean(axis=0) for samples in (X, noisy))
    assert failing[0] < 0.2 * intact[0]
    assert (classifier.attention(noisy).argmin(axis=1) == 0).mean() > 0.9


def test_the_detector_passed_in_stays_unfitted(fitted):
    classifier, _, _ = fitted
    assert not hasattr(classifier.energy, "decision_scores_")
