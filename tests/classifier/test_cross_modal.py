"""What the cross-modal energy is good for: it finds swapped and stuck modalities."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_emma import DAEEnergyScorer, EMMARegressor
from sklearn_emma.corruption import Stuck, Swapped
from sklearn_emma.datasets import make_multimodal_classification
from sklearn_emma.nn.evidence_energy import NAT

NAMES = ["modality0", "modality1", "modality2"]


@pytest.fixture(scope="module")
def alike():
    """Three modalities that show nearly the same, in six classes: training and test samples."""
    X, y = make_multimodal_classification(
        1500,
        n_modalities=3,
        n_features=3,
        n_classes=6,
        redundancy=0.9,
        separation=4.0,
        random_state=0,
        return_X_y=True,
    )
    return X[:900], y[:900], X[900:], y[900:]


@pytest.fixture(scope="module")
def classifiers(alike, quick):
    """One with a cross-modal energy, and one without."""
    params = {
        "energy": DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=5, batch_size=32),
        "hidden_layer_sizes": (32,),
        "max_epochs": 30,
        "batch_size": 32,  # so few epochs need many steps
        "learning_rate": 0.03,
        "l2_regularization": 2.0,
    }
    return [quick(cross_modal=c, **params).fit(*alike[:2]) for c in (True, False)]


def fail(corruption, alike):
    return corruption.corrupt(alike[2], "prefix", random_state=0, reference=alike[0])[0]


@pytest.mark.parametrize("kind", [Swapped, Stuck])
@pytest.mark.parametrize("i", range(3))
def test_plausible_values_of_another_sample_are_found(classifiers, alike, kind, i):
    _, _, X, y = alike
    broken = fail(kind(only=NAMES[i]), alike)
    for cross_modal, classifier in zip((True, False), classifiers, strict=True):
        nat = NAT * classifier.potential_scale_
        rise = (classifier.energies(broken) - classifier.energies(X)) / nat
        fall = (classifier.attention(X) - classifier.attention(broken))[:, i]
        if cross_modal:
            # by far the most of all; the others are hardly suspected
            assert rise.mean(axis=0)[i] > 1.5
            assert (np.delete(rise.mean(axis=0), i) < 0.3 * rise.mean(axis=0)[i]).all()
            assert fall.mean() > 0.3
        else:
            assert abs(rise[:, i].mean()) < 0.5
            assert (np.delete(rise, i, axis=1) == 0).all()
            assert abs(fall.mean()) < 0.04
    scores = [classifier.score(broken, y) for classifier in classifiers]
    assert scores[0] > scores[1] + 0.03


def test_clean_samples_are_predicted_as_well_as_without(classifiers, alike):
    _, _, X, y = alike
    with_, without = (classifier.score(X, y) for classifier in classifiers)
    assert with_ > without - 0.02
    # few clean modalities are suspected
    by_themselves = classifiers[1].energies(X)
    np.testing.assert_allclose(classifiers[0].potential_min_, classifiers[1].potential_min_)
    risen = classifiers[0].energies(X) > by_themselves + classifiers[0].potential_scale_
    assert risen.mean() < 0.1


def test_the_stuck_modality_gets_the_least_attention(classifiers, alike):
    broken = fail(Stuck(only="modality1"), alike)
    lowest = classifiers[0].attention(broken).argmin(axis=1)
    assert (lowest == 1).mean() > 0.5  # a third by chance


def test_missing_modalities_do_not_count_against_others(classifiers, alike, lose):
    X = alike[2]
    classifier = classifiers[0]
    without = lose(X, "modality0")
    energies = classifier.energies(without)
    assert (energies[:, 0] == np.inf).all()
    assert np.isfinite(energies[:, 1:]).all()
    assert np.isfinite(classifier.predict_proba(without)).all()
    # a single modality has no other to disagree with
    alone = classifier.energies(lose(without, "modality1"))[:, 2]
    np.testing.assert_array_equal(alone, classifiers[1].energies(X)[:, 2])


def test_weights_are_there_for_three_modalities_only(table, quick, fitted):
    X, y = table
    weights = fitted.cross_modal_weights_
    assert all(isinstance(values, np.ndarray) for values in weights.values())
    assert weights["pair_bias"].shape == (3, 3)
    assert weights["bound"] == pytest.approx(np.log(len(X)))
    two = quick(modalities={"a": slice(0, 3), "b": slice(3, 9)}).fit(X, y)
    assert two.cross_modal_weights_ is None
    assert quick(cross_modal=False).fit(X, y).cross_modal_weights_ is None
    assert "cross_modal" in fitted.get_params()


def test_copies_have_the_same_energies(table, fitted):
    X, y = table
    swapped = Swapped().corrupt(X, "prefix", random_state=0)[0]
    copied = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copied.energies(swapped), fitted.energies(swapped))
    again = clone(fitted).fit(X, y)
    np.testing.assert_array_equal(again.energies(swapped), fitted.energies(swapped))


def test_a_warm_start_keeps_the_cross_modal_energy(table, quick):
    X, y = table
    classifier = quick(warm_start=True).fit(X, y)
    weights, energies = classifier.cross_modal_weights_, classifier.energies(X)
    classifier.set_params(max_epochs=1).fit(X, y)
    for name, values in classifier.cross_modal_weights_.items():
        np.testing.assert_array_equal(values, weights[name], err_msg=name)
    np.testing.assert_array_equal(classifier.energies(X), energies)
    cold = quick(max_epochs=1, random_state=1).fit(X, y).cross_modal_weights_
    assert not np.allclose(cold["pair_bias"], weights["pair_bias"])


def test_regressors_have_a_cross_modal_energy_too(alike, quick):
    X, y, X_test, _ = alike
    params = {k: v for k, v in quick().get_params(deep=False).items() if k != "class_weight"}
    regressor = EMMARegressor(**params).fit(X, y)
    broken = fail(Swapped(only="modality1"), alike)
    rise = (regressor.energies(broken) - regressor.energies(X_test)).mean(axis=0)
    assert rise.argmax() == 1
    assert regressor.set_params(cross_modal=False).fit(X, y).cross_modal_weights_ is None


@pytest.mark.parametrize(
    "change",
    [{"cross_modal": False}, {"column_attention": True}, {"potential_calibration": "minimum"}],
)
def test_a_warm_start_cannot_change_the_gate(table, quick, change):
    classifier = quick(warm_start=True, max_epochs=1).fit(*table)
    with pytest.raises(ValueError, match=f"previous fit: {next(iter(change))} was"):
        classifier.set_params(**change).fit(*table)
