"""Unified attention: columns and modalities read each other behind the gate of energies."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from sklearn_emma import (
    DAEEnergyScorer,
    EMMAClassifier,
    EMMAClassifierCV,
    EMMARegressor,
    GatedClassifier,
    Modality,
)
from sklearn_emma.corruption import Adversarial, VirtualAdversarial

PARAMS = {"module": "transformer", "n_networks": 2, "max_epochs": 5, "pretrain_epochs": 2}


@pytest.fixture(scope="module")
def make(quick):
    """A classifier with the transformer behind its gate, few networks and epochs."""
    return lambda **params: quick(**PARAMS | params)


@pytest.fixture(scope="module")
def unified(table, make):
    """The whole configuration, fitted; to be read only."""
    return make(column_attention=True).fit(*table)


def test_it_learns_and_its_gate_closes_what_fails(wide, quick, add_noise):
    X, y, X_test, y_test = wide
    model = quick(**PARAMS | {"max_epochs": 15}, column_attention=True).fit(X, y)
    assert model.score(X_test, y_test) > 0.85
    failing = add_noise(X_test, "modality0", 8.0)
    assert model.attention(failing)[:, 0].mean() < 0.2 < 0.8 < model.attention(X_test).mean()
    assert model.score(failing, y_test) > 0.75


def test_a_missing_modality_is_not_read(unified, table, lose):
    X = table[0]
    missing = lose(X, "modality1")
    found = unified.predict_proba(missing)
    assert np.isfinite(found).all()
    nothing = X * np.nan
    constant = unified.predict_proba(nothing)
    assert (constant == constant[0]).all()
    assert np.isfinite(constant).all()


def test_single_gaps_are_filled(unified, table):
    X = table[0].copy()
    X.iloc[::2, 0] = np.nan
    assert np.isfinite(unified.predict_proba(X)).all()
    assert (unified.attention_to_columns(X)[::2, 0] == 0).all()


def test_copies_predict_the_same_and_hold_no_modules(unified, table):
    X = table[0]
    state = pickle.dumps(unified)
    assert b"torch" not in state
    for copied in (pickle.loads(state), clone(unified).fit(*table)):
        np.testing.assert_array_equal(copied.predict_proba(X), unified.predict_proba(X))
    # which columns are read may turn on the last digit
    apart = np.abs(unified.predict_proba(X.astype(np.float32)) - unified.predict_proba(X))
    assert (apart < 1e-4).mean() > 0.97
    part = unified.predict_proba(X.iloc[3:4])
    np.testing.assert_allclose(part, unified.predict_proba(X)[3:4], rtol=1e-7)


def test_a_warm_start_goes_on_and_needs_the_same_network(table, make):
    X, y = table
    model = make(warm_start=True).fit(X, y)
    before = model.predict_proba(X)
    model.set_params(max_epochs=1, learning_rate=1e-8).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), before, atol=1e-4)
    with pytest.raises(ValueError, match="n_networks or periodic_features changed"):
        model.set_params(module=None).fit(X, y)


def test_settings_of_a_search_train_as_alone(table, make):
    X, y = table
    params = make().get_params(deep=False)
    grid = [{"lambda_energy": 0.0}, {"lambda_energy": 0.1, "coldness": 1.0}]
    found = []

    def keep(estimator, X, y):
        found.append(estimator.predict_proba(X))
        return len(found)

    folds = [(np.arange(100), np.arange(100, 160))]
    own = {k: v for k, v in params.items() if k not in ("warm_start", "adversarial")}
    search = EMMAClassifierCV(**own, param_grid=grid, cv=folds, scoring=keep, refit=False)
    search.fit(X, y)
    for proba, setting in zip(found, search.cv_results_["params"], strict=True):
        alone = EMMAClassifier(**params | setting).fit(X.iloc[:100], y[:100])
        np.testing.assert_allclose(proba, alone.predict_proba(X.iloc[100:]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "params",
    [
        {"l2_regularization": "auto"},
        {"attention_score": "multi_head+energy"},
        {"max_modalities": 1},
        {"coldness_schedule": "annealed"},
        {"adversarial": Adversarial((0.0, 1.0))},
        {"adversarial": VirtualAdversarial()},
        {"hidden_layer_sizes": (5,)},
        {"modalities": None, "n_networks": 1},
        {"early_stopping": True},
    ],
    ids=str,
)
def test_it_goes_with_other_parameters(table, make, params):
    X, y = table
    model = make(**params)
    if model.modalities is None:
        with pytest.warns(UserWarning, match="modality"):
            model.fit(X, y)
    else:
        model.fit(X, y)
    assert model.score(X, y) > 0.7


def test_the_gradient_of_the_loss_goes_through_all_attention(table, make, assert_gradient):
    X, y = table
    assert_gradient(make().fit(X, y), X.iloc[:20], y[:20])


def test_categorical_columns_are_tokens_too(table, make):
    X, y = table
    X = X.assign(modality0__kind=pd.Categorical(np.where(X.iloc[:, 0] > 0, "high", "low")))
    model = make().fit(X, y)
    assert model.score(X, y) > 0.7
    with pytest.raises(ValueError, match="categorical"):
        make(column_attention=True).fit(X, y)


def test_a_regressor_and_a_gated_classifier_take_it(table, make):
    X, y = table
    energy = DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=5)
    common = PARAMS | {
        "l2_regularization": 5.0,
        "periodic_features": False,
        "hidden_layer_sizes": (8,),
        "random_state": 0,
    }
    model = EMMARegressor("prefix", energy=energy, **common).fit(X, X.iloc[:, 0])
    assert model.score(X, X.iloc[:, 0]) > 0.5
    gate = make(modalities=None)
    gated = GatedClassifier(LogisticRegression(), "prefix", gate=gate, blend=0.5, random_state=0)
    assert gated.fit(X, y).score(X, y) > 0.7


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_exported_it_says_the_same(table, make, lose, dtype):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    from sklearn_emma.export import to_onnx

    model = make().fit(*table)
    X = table[0].astype(dtype).copy()
    X.iloc[:9] = lose(X, "modality2").iloc[:9]
    X.iloc[9] = np.nan
    session = runtime.InferenceSession(to_onnx(model, dtype).SerializeToString())
    outputs = session.run(["attention", "predict_proba"], {"X": X.to_numpy()})
    atol = {"float64": 1e-9, "float32": 1e-5}[dtype]
    np.testing.assert_allclose(outputs[0], model.attention(X), atol=atol)
    np.testing.assert_allclose(outputs[1], model.predict_proba(X), atol=atol)


def test_signals_and_unknown_names_are_refused(table, make):
    X, y = table
    signal = Modality(list(X.columns[:3]), shape=(1, 3))
    modalities = {"a": signal, "b": list(X.columns[3:])}
    with pytest.raises(ValueError, match="'a' has the shape .* does not read. Use module=None"):
        make(modalities=modalities).fit(X, y)
    with pytest.raises(ValueError, match="'module' parameter"):
        make(module="unified").fit(X, y)
