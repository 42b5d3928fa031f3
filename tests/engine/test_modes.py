"""A fit is the same in every mode of torch that its caller may be in."""

import pickle
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from sklearn_emma import DAEEnergyScorer, EMMAClassifierCV, EMMARegressor, Modality
from sklearn_emma.corruption import Adversarial, Episodes, Mixture, Noise, Stuck, Swapped
from sklearn_emma.engine.training import gradients


@contextmanager
def double_by_default():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


MODES = {"no_grad": torch.no_grad, "inference": torch.inference_mode, "double": double_by_default}


@pytest.fixture(params=[pytest.param("no_grad", marks=pytest.mark.slow), "inference", "double"])
def mode(request):
    return MODES[request.param]


def test_gradients_are_recorded_within(mode):
    with mode(), gradients():
        x = torch.ones(2, requires_grad=True)
        assert torch.is_grad_enabled()
        assert not x.is_inference()
        (x * x).sum().backward()
    np.testing.assert_array_equal(x.grad, [2.0, 2.0])


def test_classifier(table, quick, fitted, mode):
    X, y = table
    with mode():
        classifier = quick().fit(X, y)
        inside = classifier.predict_proba(X)
    for found in (inside, classifier.predict_proba(X)):
        np.testing.assert_array_equal(found, fitted.predict_proba(X))
    for name, values in fitted.network_weights_.items():
        assert classifier.network_weights_[name].dtype == values.dtype
    np.testing.assert_array_equal(classifier.attention(X), fitted.attention(X))


def test_classifier_that_chooses_its_penalty(table, quick, mode):
    X, y = table
    params = {"l2_regularization": "auto", "early_stopping": True, "lambda_capacity": 0.01}
    with mode():
        classifier = quick(**params).fit(X, y)
    expected = quick(**params).fit(X, y)
    np.testing.assert_array_equal(classifier.predict_proba(X), expected.predict_proba(X))


def test_search_and_warm_start(table, quick, mode):
    X, y = table
    params = quick().get_params(deep=False) | {"max_epochs": 2}
    params |= {"param_grid": {"coldness": [0.1, 1.0]}, "cv": 2}
    del params["warm_start"], params["adversarial"]
    with mode():
        search = EMMAClassifierCV(**params).fit(X, y)
        warm = quick(warm_start=True, max_epochs=2).fit(X, y).fit(X, y)
    expected = EMMAClassifierCV(**params).fit(X, y)
    np.testing.assert_array_equal(search.predict_proba(X), expected.predict_proba(X))
    expected = quick(warm_start=True, max_epochs=2).fit(X, y).fit(X, y)
    np.testing.assert_array_equal(warm.predict_proba(X), expected.predict_proba(X))


def test_regressor(table, quick, mode):
    X = table[0]
    params = quick().get_params(deep=False)
    del params["class_weight"]
    with mode():
        regressor = EMMARegressor(**params).fit(X, X.iloc[:, 0])
    expected = EMMARegressor(**params).fit(X, X.iloc[:, 0])
    np.testing.assert_array_equal(regressor.predict(X), expected.predict(X))


def test_scorer_and_stream(table, mode):
    X = table[0]
    scorer, expected = (
        DAEEnergyScorer("prefix", hidden_layer_sizes=(8,), max_epochs=3, random_state=0)
        for _ in range(2)
    )
    with mode():
        scorer.fit(X).partial_fit(X[:50])
        inside = scorer.attribution(X), scorer.nearest_typical(X)
    expected.fit(X).partial_fit(X[:50])
    np.testing.assert_array_equal(scorer.transform(X), expected.transform(X))
    np.testing.assert_array_equal(inside[0], expected.attribution(X))
    np.testing.assert_array_equal(inside[1], expected.nearest_typical(X))


class OwnScore(torch.nn.Module):
    def __init__(self, n_modalities, n_units):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(n_units, dtype=torch.float32))

    def forward(self, keys, present):
        return (keys @ self.weight).movedim(0, -1).expand(present.shape)


@pytest.mark.parametrize(
    "params",
    [
        {"adversarial": Adversarial(1.0)},
        {"attention_score": OwnScore},
        {"modalities": {"signal": Modality(range(8), shape=(1, 8)), "rest": [8]}},
    ],
    ids=["adversarial", "score", "signal"],
)
def test_less_common_fits_with_another_default_dtype(table, quick, params):
    X, y = table[0].iloc[:, :9], table[1]
    with double_by_default():
        classifier = quick(**params).fit(X, y)
    expected = quick(**params).fit(X, y)
    np.testing.assert_array_equal(classifier.predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize(
    "corruption",
    [
        Mixture([Noise((0.5, 2.0)), Swapped()], fraction=0.7),
        Episodes(Stuck(), 3, 0.1, growing=True),
    ],
    ids=["mixture", "episodes"],
)
def test_corruption(table, mode, corruption):
    X = table[0]
    with mode():
        corrupted, indicator = corruption.corrupt(X, "prefix", random_state=0)
    expected = corruption.corrupt(X, "prefix", random_state=0)
    np.testing.assert_array_equal(corrupted, expected[0])
    np.testing.assert_array_equal(indicator, expected[1])


def test_gradients_of_models_that_were_used_before(table, quick, mode):
    X, y = table
    expected = quick().fit(X, y).loss_gradient(X, y)
    fitted = pickle.loads(pickle.dumps(quick().fit(X, y)))
    with mode():
        fitted.predict_proba(X)
        inside = fitted.loss_gradient(X, y)
    for gradient in (inside, fitted.loss_gradient(X, y)):
        np.testing.assert_array_equal(gradient, expected)
