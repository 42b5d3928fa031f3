"""Estimators whose gate scores embeddings: fits, read-outs, copies, searches and exports."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from sklearn_emma import (
    DAEEnergyScorer,
    EMMAClassifier,
    EMMAClassifierCV,
    EMMARegressor,
    GatedClassifier,
)
from sklearn_emma.corruption import Adversarial
from sklearn_emma.inspection import CouplingDisplay, modality_report
from sklearn_emma.model_selection import robustness_curve
from sklearn_emma.monitoring import ModalityMonitor
from sklearn_emma.nn import Concatenated, MultiHeadScore

SCORES = ["additive", "dot", "multi_head+energy", "key_value+energy"]


@pytest.fixture(scope="module")
def fits(table, quick):
    """A classifier with each score, fitted for a few epochs; to be read only."""
    params = {"max_epochs": 5, "pretrain_epochs": 1}
    return {name: quick(attention_score=name, **params).fit(*table) for name in SCORES}


@pytest.mark.parametrize("name", SCORES)
def test_every_read_out_works(fits, table, lose, name):
    X = table[0].copy()
    X.iloc[:5] = lose(X, "modality1").iloc[:5]
    X.iloc[7, 0] = np.nan
    model = fits[name]
    readings = model.readings(X)
    for field in ("energies", "modal_energy", "importance", "attention", "total_energy"):
        np.testing.assert_array_equal(getattr(readings, field), getattr(model, field)(X))
    assert (readings.attention[:5, 1] == 0).all()
    assert (readings.attention[5:] > 0).all()
    np.testing.assert_allclose(readings.importance.sum(1), 1.0)
    assert np.isfinite(readings.total_energy).all()
    assert np.isnan(model.energy_threshold(X)).all()
    single = model.attention(X.astype(np.float32))
    np.testing.assert_allclose(single, readings.attention, atol=1e-4)


@pytest.mark.parametrize("name", SCORES)
def test_copies_predict_the_same_and_hold_no_modules(fits, table, name):
    model, X = fits[name], table[0]
    state = pickle.dumps(model)
    assert b"torch" not in state
    for copied in (pickle.loads(state), copy.deepcopy(model), clone(model).fit(*table)):
        np.testing.assert_array_equal(copied.predict_proba(X), model.predict_proba(X))


def test_a_failing_modality_closes_with_energies_only(fits, table, add_noise):
    X = table[0]
    failing = add_noise(X, "modality0", 8.0)
    for name in ("additive", "key_value+energy"):
        assert fits[name].attention(X).mean() > 0.8
    assert fits["additive"].attention(failing)[:, 0].mean() > 0.5
    assert fits["key_value+energy"].attention(failing)[:, 0].mean() < 0.2


def test_scores_learn_and_replaced_weights_change_the_attention(fits, table):
    model, X = copy.deepcopy(fits["additive"]), table[0]
    assert (model.score_weights_["direction"] != 0).all()
    assert (model.coupling_weight_ == 0).all()
    before = model.attention(X)
    old = model.score_weights_
    model.score_weights_ = {name: -3.0 * values for name, values in old.items()}
    assert not np.allclose(model.attention(X), before)
    model.set_params(attention_score="energy")  # the fit stays as it is
    model.score_weights_ = old
    np.testing.assert_array_equal(model.attention(X), before)


def test_the_default_has_no_score(fitted):
    assert fitted.attention_score_ == "energy"
    assert fitted.score_weights_ is None


def test_evidence_needs_energies(fits, table):
    X, y = table
    evidence = np.full((len(X), 3), 2.0)
    evidence[:, 1:] = 0.0
    plain, moved = (fits["key_value+energy"].readings(X, e).attention for e in (None, evidence))
    assert (moved[:, 0] < plain[:, 0]).all()
    with pytest.raises(ValueError, match=r'append "\+energy" to the name'):
        fits["dot"].readings(X, evidence)
    monitor = ModalityMonitor(fits["key_value+energy"]).fit(X, y)
    assert monitor.predict(X[:20]).shape == (20,)


def test_reports_and_curves_take_scores(fits, table):
    X, y = table
    model = fits["additive"]
    assert modality_report(model, X).shape[0] == len(X)
    curve = robustness_curve(model, X, y, modalities="prefix", levels=[0.0, 2.0], cv=2)
    assert (curve.test_scores > 0.5).all()
    assert CouplingDisplay.from_estimator(model).coupling_weight.shape == (3, 3)


@pytest.mark.parametrize("name", ["additive", "key_value+energy"])
def test_the_gradient_of_the_loss_goes_through_the_score(fits, table, assert_gradient, name):
    assert_gradient(fits[name], table[0][:20], table[1][:20])


def test_training_on_attacks_takes_scores(table, quick):
    model = quick(attention_score="dot+energy", adversarial=Adversarial((0.0, 1.0)), max_epochs=3)
    assert model.fit(*table).score(*table) > 0.7


def test_a_warm_start_goes_on_with_the_score(table, quick):
    X, y = table
    model = quick(attention_score="additive", warm_start=True, max_epochs=3).fit(X, y)
    before = model.score_weights_
    model.set_params(max_epochs=1, learning_rate=1e-8).fit(X, y)
    for name, values in model.score_weights_.items():
        np.testing.assert_allclose(values, before[name], atol=1e-5)
    with pytest.raises(ValueError, match="was 'additive' and now is 'dot'"):
        model.set_params(attention_score="dot").fit(X, y)


def test_settings_of_a_search_train_as_alone(table):
    X, y = table
    params = {
        "modalities": "prefix",
        "attention_score": "multi_head+energy",
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


def test_the_score_is_searched_as_any_parameter(table, quick):
    grid = {"attention_score": ["energy", "dot"]}
    search = GridSearchCV(quick(max_epochs=2), grid, cv=2, error_score="raise").fit(*table)
    assert search.best_params_["attention_score"] in grid["attention_score"]


def test_another_classifier_behind_a_gate_of_scores(table, quick):
    X, y = table
    gate = quick(attention_score="scaled_dot", modalities=None, max_epochs=3)
    model = GatedClassifier(LogisticRegression(), "prefix", gate=gate, blend=0.5, random_state=0)
    model.fit(X, y)
    np.testing.assert_array_equal(model.attention(X), model.gate_.attention(X))
    assert model.score(X, y) > 0.7


def test_a_regressor_takes_scores(table):
    X, y = table
    params = {
        "attention_score": "multi_head+energy",
        "max_epochs": 3,
        "l2_regularization": 5.0,
        "periodic_features": False,
    }
    energy = DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=5)
    model = EMMARegressor("prefix", energy=energy, **params, random_state=0)
    model.fit(X, np.asarray(y, dtype=float))
    assert (model.attention(X) > 0).all()


@pytest.mark.parametrize("name", ["additive", "multi_head+energy"])
def test_exported_gates_say_the_same(fits, table, lose, name):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from sklearn_emma.export import to_onnx

    X = table[0].copy()
    X.iloc[:9] = lose(X, "modality2").iloc[:9]
    session = runtime.InferenceSession(to_onnx(fits[name]).SerializeToString())
    outputs = session.run(["attention", "predict_proba"], {"X": X.to_numpy()})
    np.testing.assert_allclose(outputs[0], fits[name].attention(X), atol=1e-9)
    np.testing.assert_allclose(outputs[1], fits[name].predict_proba(X), atol=1e-9)


class Relevance(torch.nn.Module):
    """A score of one's own: a number for each modality, whatever the sample."""

    def __init__(self, n_modalities, n_units):
        super().__init__()
        self.number = torch.nn.Parameter(torch.zeros(n_modalities))

    def forward(self, keys, present):
        return self.number.expand(present.shape)


@pytest.mark.parametrize("score", [Relevance, Relevance(3, 0), partial(MultiHeadScore, n_heads=2)])
def test_scores_of_ones_own(table, quick, score):
    X, y = table
    model = quick(attention_score=score, max_epochs=3).fit(X, y)
    again = clone(model).fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    copied = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copied.attention(X), model.attention(X))
    assert all(isinstance(values, np.ndarray) for values in model.score_weights_.values())


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"attention_score": "luong"}, "attention_score"),
        ({"attention_score": "dot", "module": Concatenated}, "module=None"),
        ({"attention_score": "dot", "coldness_schedule": "annealed"}, "constant"),
    ],
)
def test_what_does_not_go_together_is_refused(table, quick, params, message):
    with pytest.raises(ValueError, match=message):
        quick(**params).fit(*table)


def test_one_modality_takes_scores(table, quick):
    X, y = table
    modality = {"all": list(X.columns)}
    model = quick(modalities=modality, attention_score="multi_head", max_epochs=2)
    assert (model.fit(X, y).importance(X) == 1).all()
