"""Estimators that use at most k modalities of a sample."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, EMMAClassifierCV, GatedClassifier
from sklearn_emma.datasets import make_multimodal_classification


@pytest.fixture(scope="module")
def hard(table, quick):
    """A classifier that uses two of three modalities; to be read only."""
    params = {"attention_score": "additive+energy", "max_modalities": 2, "max_epochs": 5}
    return quick(**params).fit(*table)


def used(model, X):
    return (model.attention(X) > 0).sum(axis=1)


def test_so_many_modalities_of_a_sample_are_used(hard, table):
    X, y = table
    attention = hard.attention(X)
    assert ((attention > 0).sum(axis=1) == 2).all()
    order = hard.importance(X).argsort(axis=1)
    assert (np.take_along_axis(attention, order[:, :1], 1) == 0).all()
    assert hard.score(X, y) > 0.8


def test_a_missing_modality_is_none_of_them(hard, table, lose):
    X = lose(table[0], "modality0")
    attention = hard.attention(X)
    assert (attention[:, 0] == 0).all()
    assert (attention[:, 1:] > 0).all()


def test_the_choice_is_that_of_the_fit_in_all_copies(hard, table):
    X, y = table
    expected = hard.attention(X)
    later = pickle.loads(pickle.dumps(hard)).set_params(max_modalities=1, modality_costs=None)
    np.testing.assert_array_equal(later.attention(X), expected)
    np.testing.assert_array_equal(clone(hard).fit(X, y).attention(X), expected)
    # which gates are open depends on the others
    assert np.isnan(hard.energy_threshold(X)).all()
    later.max_modalities_ = 1
    assert (used(later, X) == 1).all()
    later.modality_costs_ = np.array([50.0, 50.0, 0.0])
    assert (later.attention(X)[:, :2] == 0).all()


def test_what_costs_more_is_used_less(table, quick, hard):
    X, y = table
    costs = {"modality0": 2.0}
    model = quick(**{**hard.get_params(deep=False), "modality_costs": costs}).fit(X, y)
    assert model.modality_costs_.tolist() == [2.0, 0.0, 0.0]
    share = [(m.attention(X)[:, 0] > 0).mean() for m in (model, hard)]
    assert share[0] < share[1] - 0.2


def test_settings_of_a_search_train_as_alone(table):
    X, y = table
    params = {
        "modalities": "prefix",
        "max_modalities": 2,
        "energy": DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=5),
        "hidden_layer_sizes": (8,),
        "pretrain_epochs": 1,
        "max_epochs": 3,
        "l2_regularization": 5.0,
        "periodic_features": False,
        "random_state": 0,
    }
    grid = [{"lambda_energy": 0.0}, {"lambda_energy": 0.1, "coldness": 1.0}]
    found = []

    def keep(estimator, X, y):
        found.append(estimator.predict_proba(X))
        return len(found)

    folds = [(np.arange(100), np.arange(100, 160))]
    search = EMMAClassifierCV(**params, param_grid=grid, cv=folds, scoring=keep, refit=False)
    search.fit(X, y)
    for proba, setting in zip(found, search.cv_results_["params"], strict=True):
        alone = EMMAClassifier(**params, **setting).fit(X.iloc[:100], y[:100])
        np.testing.assert_allclose(proba, alone.predict_proba(X.iloc[100:]), rtol=1e-4, atol=1e-5)


def test_another_classifier_sees_no_more_either(table, quick):
    X, y = table
    gate = quick(modalities=None, max_modalities=1, max_epochs=3)
    model = GatedClassifier(LogisticRegression(), "prefix", gate=gate, blend=0.0, random_state=0)
    model.fit(X, y)
    assert (used(model, X) == 1).all()


def test_an_exported_model_uses_the_same(hard, table):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from sklearn_emma.export import to_onnx

    X = table[0]
    session = runtime.InferenceSession(to_onnx(hard).SerializeToString())
    found = session.run(["attention"], {"X": X.to_numpy()})[0]
    np.testing.assert_allclose(found, hard.attention(X), atol=1e-9)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"max_modalities": 0}, "max_modalities"),
        ({"max_modalities": 2, "modality_costs": {"sonar": 1.0}}, "sonar"),
        ({"max_modalities": 2, "modality_costs": {"modality0": -1.0}}, "zero or more"),
        ({"modality_costs": {"modality0": 1.0}}, "Set max_modalities"),
        ({"max_modalities": 2, "coldness_schedule": "annealed"}, "max_modalities=2"),
    ],
)
def test_what_makes_no_sense_is_refused(table, quick, params, message):
    with pytest.raises(ValueError, match=message):
        quick(**params).fit(*table)


def test_training_learns_which_modality_is_worth_using(quick):
    X, y = make_multimodal_classification(
        300,
        n_modalities=3,
        n_features=3,
        relevance=[0.0, 0.0, 1.0],
        random_state=0,
        return_X_y=True,
    )
    params = {"attention_score": "additive+energy", "max_modalities": 1, "max_epochs": 20}
    model = quick(**params, random_state=1).fit(X, y)
    assert (model.attention(X) > 0).mean(axis=0)[2] > 0.95
    assert model.score(X, y) > 0.9


def test_no_choice_is_made_of_as_many_as_there_are(table, quick):
    X, y = table
    everything, as_many, fewer = (
        quick(max_modalities=k, max_epochs=2).fit(X, y) for k in (None, 3, 2)
    )
    np.testing.assert_array_equal(as_many.predict_proba(X), everything.predict_proba(X))
    # training goes through the choice
    assert fewer.history_["train_loss"][0] != everything.history_["train_loss"][0]
