"""What estimators behind a gate take."""

import numpy as np
import pytest
from scipy.stats import randint, uniform
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, QuantileRegressor, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_emma.gated.estimator_traits import predicts_mean, takes_nan
from sklearn_emma.gated.sample_weights import weight_params


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [
        (HistGradientBoostingClassifier(), True),
        (RandomForestClassifier(), True),
        (LogisticRegression(), False),
        (make_pipeline(StandardScaler(), HistGradientBoostingClassifier()), True),
        (make_pipeline("passthrough", HistGradientBoostingClassifier()), True),
        (make_pipeline(StandardScaler(), LogisticRegression()), False),
        (make_pipeline(SimpleImputer(), LogisticRegression()), False),
    ],
)
def test_estimators_that_take_nan(estimator, expected):
    assert takes_nan(estimator) is expected


@pytest.mark.parametrize(
    ("grid", "expected"),
    [
        ({"hgb__loss": ["quantile"], "hgb__quantile": [0.9]}, False),
        ([{"hgb__max_iter": [5]}, {"hgb__loss": ["squared_error", "absolute_error"]}], False),
        ({"hgb": [Ridge(), QuantileRegressor()]}, False),
        ({"hgb": [Ridge(), HistGradientBoostingRegressor()]}, True),
        ({"hgb__loss": ["squared_error", "poisson"], "hgb__max_iter": np.arange(3)}, True),
    ],
)
@pytest.mark.parametrize("search", [GridSearchCV, RandomizedSearchCV])
def test_settings_of_a_search_tell_whether_it_predicts_the_mean(search, grid, expected):
    pipeline = Pipeline([("hgb", HistGradientBoostingRegressor())])
    assert predicts_mean(search(pipeline, grid)) is expected
    assert predicts_mean(make_pipeline(StandardScaler(), search(pipeline, grid))) is expected


def test_distributions_of_a_search():
    boosting = HistGradientBoostingRegressor()
    assert predicts_mean(RandomizedSearchCV(boosting, {"max_iter": randint(5, 9)}))
    assert not predicts_mean(RandomizedSearchCV(boosting, {"quantile": uniform()}))


def test_weights_are_passed_to_what_takes_them():
    weight = np.array([1.0, 3.0])
    assert list(weight_params(LogisticRegression(), weight)) == ["sample_weight"]
    pipeline = make_pipeline(StandardScaler(), make_pipeline(LogisticRegression()))
    (name,) = weight_params(pipeline, weight)
    assert name == "pipeline__logisticregression__sample_weight"
    search = GridSearchCV(pipeline, {})
    assert list(weight_params(search, weight)) == [name]
    assert list(weight_params(make_pipeline(search), weight)) == [f"gridsearchcv__{name}"]
    assert list(weight_params(BaggingClassifier(pipeline), weight)) == ["sample_weight"]
    assert list(weight_params(BaggingClassifier(), weight)) == ["sample_weight"]
    (name,) = weight_params(TransformedTargetRegressor(make_pipeline(Ridge())), weight)
    assert name == "ridge__sample_weight"
    assert weight_params(KNeighborsClassifier(), np.ones(3)) == {}
    with pytest.raises(ValueError, match="KNeighborsClassifier does not support it"):
        weight_params(KNeighborsClassifier(), weight)
