"""What estimators behind a gate take."""

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_emma.gated.estimator_input import takes_nan, weight_params


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


def test_weights_are_passed_to_what_takes_them():
    weight = np.array([1.0, 3.0])
    assert list(weight_params(LogisticRegression(), weight)) == ["sample_weight"]
    pipeline = make_pipeline(StandardScaler(), make_pipeline(LogisticRegression()))
    (name,) = weight_params(pipeline, weight)
    assert name == "pipeline__logisticregression__sample_weight"
    assert weight_params(KNeighborsClassifier(), np.ones(3)) == {}
    with pytest.raises(ValueError, match="KNeighborsClassifier does not support it"):
        weight_params(KNeighborsClassifier(), weight)
