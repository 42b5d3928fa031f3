"""An exported model takes categories as codes, and says what the estimator says of their levels."""

import json

import numpy as np
import pandas as pd
import pytest

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, EMMARegressor
from sklearn_emma.export import to_onnx

pytest.importorskip("onnx", reason="needs onnx, of the extra onnx")

QUICK = {"energy": DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=3), "random_state": 0}
QUICK |= {"max_epochs": 2, "pretrain_epochs": 1, "remainder": "drop"}
MODALITIES = {
    "line": ["product", "on"],
    "press": ["mode", "force"],
    "shift": ["crew"],
    "heat": ["in", "out"],
}


@pytest.fixture(scope="module")
def training():
    rng = np.random.RandomState(0)
    y = rng.randint(2, size=300)
    X = pd.DataFrame(
        {
            "in": y + rng.normal(size=300),
            "product": np.array(["red", "green", "blue"])[rng.randint(3, size=300)],
            "on": rng.uniform(size=300) < 0.5 + 0.4 * y,
            "name": "left out",
            "mode": pd.Categorical(rng.choice(["hot", "cold"], 300), ["hot", "off", "cold"]),
            "force": rng.normal(size=300),
            "crew": pd.Categorical(rng.choice([10, 7, 30], 300, p=[0.97, 0.02, 0.01])),
            "out": rng.normal(size=300) - y,
        }
    )
    X.loc[:1, "product"] = "rare"  # shares an indicator with nothing but levels never seen
    return X, y


@pytest.fixture(scope="module")
def samples(training):
    """Clean samples, missing values and modalities, levels never seen, and nothing at all."""
    X = training[0][:60].astype(object)
    X.iloc[10:20, 1] = None
    X.iloc[15:25, [4, 5]] = np.nan
    X.iloc[25:35, 1] = "mauve"
    X.iloc[30:40, 4] = "off"
    X.iloc[35:38, 6] = 99
    X.iloc[40:44, [0, 7]] = np.nan
    X.iloc[44:46] = np.nan
    return X


def encode(model, X):
    """Encode a table as the guide says, from the metadata of the model alone."""
    metadata = {entry.key: json.loads(entry.value) for entry in model.metadata_props}

    def code(value, levels):
        if value is None or value != value:
            return np.nan
        if levels is None:
            return value
        return levels.index(value) if value in levels else len(levels)

    table = X.assign(name=0.0)[metadata["features"]].to_numpy(dtype=object)
    codes = [
        [code(*pair) for pair in zip(row, metadata["categories"], strict=True)] for row in table
    ]
    return np.array(codes, dtype=float)


def compare(outputs, estimator, samples, tolerance=1e-9):
    for name, found in outputs.items():
        expected = getattr(estimator, name)(samples)
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_a_classifier_answers_as_before(training, samples, run):
    clf = EMMAClassifier(MODALITIES, **QUICK).fit(*training)
    model = to_onnx(clf)
    outputs = run(model, encode(model, samples))
    compare(outputs, clf, samples)
    assert np.isinf(outputs["energies"][18, 0]) == samples.iloc[18][["product", "on"]].isna().all()
    clean, unseen = outputs["energies"][:10, 0], outputs["energies"][26:35, 0]
    assert np.median(unseen) > np.median(clean)
    # a number between two codes is not the code of a level
    between, beyond = encode(model, samples)[:1], encode(model, samples)[:1]
    column = min(clf.categories_)
    between[0, column], beyond[0, column] = 0.5, 1000.0
    for name, found in run(model, between).items():
        np.testing.assert_array_equal(found, run(model, beyond)[name])


def test_a_regressor_answers_as_before(training, samples, run):
    X, y = training
    model = EMMARegressor(MODALITIES, loss="quantile", **QUICK).fit(X, y + X["force"])
    onnx_model = to_onnx(model)
    compare(run(onnx_model, encode(onnx_model, samples)), model, samples)


@pytest.fixture(scope="module")
def scorer(training):
    scorer = DAEEnergyScorer(MODALITIES, remainder="drop", max_epochs=3, random_state=0)
    return scorer.fit(training[0])


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-9), ("float32", 1e-3)])
def test_a_scorer_answers_as_before(scorer, samples, run, dtype, tolerance):
    model = to_onnx(scorer, dtype)
    complete = samples.iloc[np.r_[:10, 25:40]]
    complete = complete.astype(dict.fromkeys(["in", "force", "out"], dtype))
    outputs = run(model, encode(model, complete).astype(dtype))
    assert list(outputs) == ["energies", "score_samples", "p_values"]
    expected = {"energies": scorer.transform(complete), "p_values": scorer.p_values(complete)}
    expected["score_samples"] = -expected["energies"].sum(axis=1)
    for name, values in expected.items():
        np.testing.assert_allclose(outputs[name], values, rtol=tolerance, atol=tolerance)


def test_missing_levels_of_a_scorer(scorer, samples, run):
    model = to_onnx(scorer)
    outputs = run(model, encode(model, samples))
    energies = scorer.transform(samples)
    assert np.isinf(energies).any()
    np.testing.assert_allclose(outputs["energies"], energies, rtol=1e-9, atol=1e-9)
    scores = scorer.score_samples(samples)
    np.testing.assert_allclose(outputs["score_samples"], scores, rtol=1e-9, atol=1e-9)


def test_levels_are_in_the_metadata(scorer):
    found = {entry.key: json.loads(entry.value) for entry in to_onnx(scorer).metadata_props}
    levels = dict(zip(found["features"], found["categories"], strict=True))
    assert levels["product"] == ["blue", "green", "rare", "red"]
    assert levels["on"] == [False, True]
    assert levels["mode"] == ["hot", "cold"]
    assert levels["crew"] == [7, 10, 30]
    assert levels["in"] is levels["name"] is None


@pytest.mark.parametrize("code", [-1, 4, 1e30, np.inf, -np.inf])
def test_any_code_of_no_level_is_a_level_never_seen(scorer, training, run, code):
    model = to_onnx(scorer)
    X = encode(model, training[0][:5])
    X[:, 1] = code
    expected = scorer.transform(training[0][:5].assign(product="mauve"))
    np.testing.assert_allclose(run(model, X)["energies"], expected, rtol=1e-9, atol=1e-9)


def test_levels_that_json_has_not_are_refused(training):
    X = training[0].assign(mode=pd.cut(training[0]["force"], 3))
    scorer = DAEEnergyScorer(MODALITIES, remainder="drop", max_epochs=1, random_state=0).fit(X)
    with pytest.raises(ValueError, match="must be strings, numbers or booleans"):
        to_onnx(scorer)
