"""Further evidence against modalities, given to the gate with the samples."""

import numpy as np
import pytest

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, EMMARegressor
from sklearn_emma.datasets import make_multimodal_classification

QUICK = {"energy": DAEEnergyScorer(max_epochs=2), "max_epochs": 2, "pretrain_epochs": 1}


@pytest.fixture(scope="module")
def table():
    return make_multimodal_classification(200, random_state=0, return_X_y=True)


@pytest.fixture(scope="module")
def fitted(table):
    return EMMAClassifier("prefix", **QUICK, random_state=0).fit(*table)


def test_no_evidence_changes_nothing(fitted, table):
    X, _ = table
    zero = np.zeros((len(X), 3))
    np.testing.assert_array_equal(fitted.predict_proba(X, zero), fitted.predict_proba(X))
    for given, plain in zip(fitted.readings(X, zero), fitted.readings(X), strict=True):
        np.testing.assert_array_equal(given, plain)


def test_a_nat_has_its_price(fitted, table):
    X, _ = table
    evidence = np.tile([0.0, 1.0, 2.0], (len(X), 1))
    rise = fitted.readings(X, evidence).energies - fitted.readings(X).energies
    np.testing.assert_allclose(rise, 3 * fitted.potential_scale_ * evidence, atol=1e-9)


def test_certain_evidence_closes_a_modality(fitted, table):
    X, _ = table
    evidence = np.zeros((len(X), 3))
    evidence[:, 0] = np.inf
    gone = X.copy()
    gone.iloc[:, fitted.modality_columns_[0]] = np.nan
    readings = fitted.readings(X, evidence)
    assert (readings.attention[:, 0] == 0).all()
    assert (fitted.attention(X)[:, 0] > 0).any()
    np.testing.assert_array_equal(
        fitted.predict(X, evidence), fitted.classes_[readings.output.argmax(axis=1)]
    )


def test_regressors_take_it_too(table):
    X, y = table
    regressor = EMMARegressor("prefix", **QUICK, random_state=0).fit(X, y.astype(float))
    evidence = np.zeros((len(X), 3))
    evidence[:, 1] = 8.0
    assert np.abs(regressor.predict(X, evidence) - regressor.predict(X)).max() > 1e-3


def test_parts_sum_to_the_energies(fitted, table):
    X = table[0].copy()
    X.iloc[:5, 0] = np.nan
    np.testing.assert_allclose(sum(fitted.energy_parts(X)), fitted.energies(X))


@pytest.mark.parametrize(
    ("evidence", "message"),
    [
        (np.zeros((3, 2)), r"shape \(200, 3\), got \(3, 2\)"),
        (np.full((200, 3), -1.0), "must not be negative or NaN"),
        (np.full((200, 3), np.nan), "must not be negative or NaN"),
    ],
)
def test_wrong_evidence_is_explained(fitted, table, evidence, message):
    with pytest.raises(ValueError, match=message):
        fitted.predict(table[0], evidence)
