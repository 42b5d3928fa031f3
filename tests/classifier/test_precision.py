"""Samples in float32 are evaluated in single precision, and give what they give in double."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.mixture import GaussianMixture

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, EMMARegressor
from sklearn_emma.gate import inputs

MODALITIES = {"a": [0, 1, 2], "b": [3, 4], "c": [5, 6, 7]}
TINY = {"hidden_layer_sizes": (16, 8), "max_epochs": 5, "pretrain_epochs": 1, "random_state": 0}
QUICK = DAEEnergyScorer(calibration_fraction=0, max_epochs=10)


def make_samples(n_samples, seed):
    """Return samples that are hard for single precision, classes and values.

    Columns are far from zero for their spread, constant, heavy-tailed, nearly equal to each other,
    or in odd units, and a few values are missing.
    """
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n_samples)
    t, noise = rng.normal(size=(2, n_samples, 3)) + [y[:, None], 0 * y[:, None]]
    columns = [
        t[:, 0],
        t[:, 0] + 0.01 * noise[:, 0],
        1e6 + t[:, 1],
        np.full(n_samples, 7.0),
        t[:, 1] + rng.standard_cauchy(n_samples),
        1e-12 * t[:, 2],
        t[:, 2] + 0.3 * noise[:, 1],
        1e12 * (1.0 + 1e-3 * t[:, 0]),
    ]
    X = np.column_stack(columns)
    X[rng.uniform(size=X.shape) < 0.03] = np.nan
    return X.astype(np.float32), y, 1e6 + 2.0 * y + t[:, 0]


def make_wild(X):
    """Return samples with values as large and as small as float32 has, and modalities missing."""
    X = X.copy()
    for i, value in enumerate([1e20, -1e20, 1e38, -1e38, 3.4e38, 1e-38, -9999.0, 1e6]):
        X[8 * i : 8 * i + 8][np.eye(8, dtype=bool)] = value
    X[64:70], X[70:80, :3] = 1e38, np.nan
    return X


TRAINING, FRESH = make_samples(400, 0), make_samples(200, 1)[0]
SAMPLES = {"clean": FRESH, "wild": make_wild(FRESH)}
samples = pytest.mark.parametrize("X", SAMPLES.values(), ids=SAMPLES)


@pytest.fixture(scope="module")
def fitted():
    X, y, values = TRAINING
    complete = np.nan_to_num(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the constant column
        return {
            "classifier": EMMAClassifier(MODALITIES, energy=QUICK, **TINY).fit(X, y),
            "regressor": EMMARegressor(MODALITIES, energy=QUICK, **TINY).fit(X, values),
            "scorer": DAEEnergyScorer(MODALITIES, max_epochs=10, random_state=0).fit(complete),
        }


def both(method, X):
    """Return what a method gives in single and in double precision."""
    return method(X), method(X.astype(np.float64))


@samples
@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_predictions_and_gates_are_those_of_double_precision(fitted, kind, X):
    estimator = fitted[kind]
    predict = {"classifier": "predict_proba", "regressor": "predict"}[kind]
    for method in (predict, "importance", "attention", "modal_energy", "total_energy", "transform"):
        single, double = both(getattr(estimator, method), X)
        np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-4, err_msg=method)
    single, double = both(estimator.predict, X)
    np.testing.assert_allclose(single, double, rtol=1e-6)
    # the gate measures energies in these
    single, double = (e / estimator.potential_scale_ for e in both(estimator.energies, X))
    np.testing.assert_allclose(single, double, rtol=1e-3, atol=1e-3)


@samples
def test_energies_and_scores_are_those_of_double_precision(fitted, X):
    scorer, X = fitted["scorer"], np.nan_to_num(X)
    for method in ("transform", "score_samples", "decision_function"):
        single, double = both(getattr(scorer, method), X)
        # in interquartile ranges of the training samples
        np.testing.assert_allclose(single, double, rtol=1e-3, atol=0.05, err_msg=method)
        assert np.median(np.abs(single - double)) < 2e-3
    clear = np.abs(scorer.decision_function(X)) > 0.05
    np.testing.assert_array_equal(scorer.predict(X)[clear], scorer.predict(X.astype(float))[clear])
    # these are compared with energies in double precision, one by one
    for method in ("p_values", "predict_modality", "reconstruct", "attribution"):
        np.testing.assert_array_equal(*both(getattr(scorer, method), X))


def test_probabilities_and_gated_columns_have_the_dtype_of_the_samples(fitted):
    classifier, regressor, scorer = fitted.values()
    for dtype in (np.float32, np.float64):
        X = FRESH.astype(dtype)
        assert classifier.predict_proba(X).dtype == dtype
        assert classifier.transform(X).dtype == dtype
        for method in ("energies", "importance", "attention", "modal_energy", "total_energy"):
            assert getattr(classifier, method)(X).dtype == np.float64
        assert regressor.predict(X).dtype == np.float64  # y has its own units
        for method in ("transform", "score_samples", "decision_function", "p_values"):
            assert getattr(scorer, method)(np.nan_to_num(X)).dtype == np.float64
    assert classifier.predict_proba(np.nan_to_num(FRESH).astype(int)).dtype == np.float64
    np.testing.assert_allclose(classifier.predict_proba(FRESH).sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_samples_are_independent_of_each_other(fitted, dtype, monkeypatch):
    X = np.tile(FRESH, (3, 1)).astype(dtype)
    close = {np.float64: {"rtol": 1e-9}, np.float32: {"rtol": 1e-4, "atol": 1e-5}}[dtype]
    for method in ("predict_proba", "energies", "attention", "transform"):
        score = getattr(fitted["classifier"], method)
        together = score(X)
        np.testing.assert_allclose(score(X[:7]), together[:7], **close)
        with monkeypatch.context() as patch:
            patch.setattr(inputs, "evaluation_block", lambda *args: 70)
            np.testing.assert_allclose(score(X), together, **close)


class Sum(torch.nn.Module):
    """Notes the precision that it is evaluated in."""

    seen = set()

    def __init__(self, n_features, n_outputs):
        super().__init__()
        self.layer = torch.nn.Linear(sum(n_features), n_outputs)

    def forward(self, modalities):
        x = torch.cat(modalities, 1)
        self.seen.add((x.dtype, self.layer.weight.dtype))
        return self.layer(x)


class Mixture(GaussianMixture):
    """Notes the precision of what it scores."""

    seen = set()

    def score_samples(self, X):
        self.seen.add(X.dtype)
        return super().score_samples(X)


def test_modules_of_the_user_get_the_precision_of_the_samples_and_energies_float64():
    X, y, _ = TRAINING
    X = np.nan_to_num(X[:, [0, 6]])
    estimator = EMMAClassifier({"a": [0], "c": [1]}, module=Sum, energy=Mixture(), **TINY)
    estimator.fit(X, y)
    for dtype, precision in ((np.float32, torch.float32), (np.float64, torch.float64)) * 2:
        Sum.seen.clear(), Mixture.seen.clear()
        estimator.predict_proba(X.astype(dtype))
        assert Sum.seen == {(precision, precision)}
        assert Mixture.seen == {np.dtype(np.float64)}
