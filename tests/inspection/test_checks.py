"""Checks of estimators and arrays."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_emma import DAEEnergyScorer
from sklearn_emma.inspection.checks import (
    check_gated,
    check_matrix,
    check_member,
    check_names,
    read_energies,
)
from sklearn_emma.model_selection.inside import unwrap


def test_searches_and_pipelines_are_unwrapped_with_their_samples():
    X, y = np.random.default_rng(0).normal(size=(20, 2)), np.arange(20) % 2
    pipeline = make_pipeline(StandardScaler(), LogisticRegression())
    search = GridSearchCV(pipeline, {"logisticregression__C": [1.0]}, cv=2).fit(X, y)
    inner, transformed = unwrap(search, X)
    assert inner is search.best_estimator_[-1]
    np.testing.assert_allclose(transformed, StandardScaler().fit_transform(X))
    assert unwrap(search) == (inner, None)


def test_energies_are_those_of_a_classifier_or_of_a_scorer(fitted, table):
    X, y = table
    scorer = DAEEnergyScorer("prefix", hidden_layer_sizes=(4,), max_epochs=2, random_state=0).fit(X)
    np.testing.assert_array_equal(read_energies(fitted, X, "a Display"), fitted.energies(X))
    np.testing.assert_array_equal(read_energies(scorer, X, "a Display"), scorer.transform(X))
    with pytest.raises(TypeError, match=r"a Display \(unless given a DAEEnergyScorer\) needs"):
        read_energies(LogisticRegression().fit(X, y), X, "a Display")


def test_an_estimator_without_a_gate_is_refused():
    with pytest.raises(TypeError, match="a Display needs a fitted EMMAClassifier .* got Logistic"):
        check_gated(LogisticRegression(), "a Display")


def test_matrices_hold_numbers_and_infinity_where_allowed():
    assert check_matrix([[1, np.inf]], "energies", allow_inf=True).shape == (1, 2)
    with pytest.raises(ValueError, match="attention must be numbers, but 1 of them are not"):
        check_matrix([[1, np.inf]], "attention")
    with pytest.raises(ValueError, match=r"got shape \(0, 2\)"):
        check_matrix(np.ones((0, 2)), "attention")


def test_names_are_made_for_modalities_without():
    assert check_names(None, 2) == ["modality0", "modality1"]
    assert check_names(("a", 1), 2) == ["a", "1"]
    with pytest.raises(ValueError, match=r"must hold 2 name\(s\)"):
        check_names(["a"], 2)


def test_a_value_that_is_not_allowed_is_named_with_those_that_are():
    assert check_member("a", ("a", "b"), "kind") == "a"
    with pytest.raises(ValueError, match="kind='c' must be 'a' or 'b'"):
        check_member("c", ("a", "b"), "kind")
