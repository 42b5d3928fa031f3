"""scikit-learn's own checks, for every estimator of the package."""

import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_emma import (
    DAEEnergyScorer,
    EMMAClassifier,
    EMMAClassifierCV,
    EMMARegressor,
    GatedClassifier,
    GatedRegressor,
    SignalEnergyScorer,
)

SAMPLE_WEIGHT_REASON = (
    "Trained in mini-batches: a sample of weight two is in other batches, with other noise, than a "
    "sample that is there twice."
)
EXPECTED_FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": SAMPLE_WEIGHT_REASON,
}
QUICK = {
    "energy": DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=2),
    "hidden_layer_sizes": (16,),
    "pretrain_epochs": 2,
    "learning_rate": 0.03,
    "max_epochs": 10,
}
# a search fits several times, and only the classifier alone has to choose its regularization
FIXED = QUICK | {"l2_regularization": 1.0, "periodic_features": False}
QUICK_GATE = FIXED | {"hidden_layer_sizes": (4,), "max_epochs": 2}
SEARCH = {"param_grid": {"coldness": [0.1, 0.3]}, "cv": 2}
ESTIMATORS = [
    DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=5),
    SignalEnergyScorer(n_filters=2, max_epochs=2),
    EMMAClassifier(**QUICK),
    EMMAClassifierCV(**FIXED | {"max_epochs": 3}, **SEARCH),
    EMMARegressor(**FIXED),
    GatedClassifier(DecisionTreeClassifier(), gate=EMMAClassifier(**QUICK_GATE), blend=0.5),
    GatedRegressor(LinearRegression(), gate=EMMARegressor(**QUICK_GATE), threshold="mean"),
]
#: Whose checks are much like those of another.
FURTHER_ESTIMATORS = [EMMARegressor(**FIXED, loss="quantile")]
# for checks of what goes in and comes out, whatever was learned
BARELY_TRAINED = [
    *ESTIMATORS[:2],
    EMMAClassifier(**QUICK_GATE),
    EMMAClassifierCV(**QUICK_GATE, **SEARCH),
    EMMARegressor(**QUICK_GATE),
    *ESTIMATORS[-2:],
]

#: Checks that scikit-learn has but does not run through `parametrize_with_checks`.
FURTHER_CHECKS = [
    "check_dataframe_column_names_consistency",
    pytest.param("check_global_output_transform_pandas", marks=pytest.mark.slow),
    pytest.param("check_global_set_output_transform_polars", marks=pytest.mark.slow),
    "check_inplace_ensure_writeable",
    "check_param_validation",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    pytest.param("check_set_output_transform_polars", marks=pytest.mark.slow),
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
]


# the checks know of no modalities
ONE_MODALITY = "ignore:modalities=None makes one modality"


@pytest.mark.filterwarnings(ONE_MODALITY)
@parametrize_with_checks(ESTIMATORS, expected_failed_checks=lambda _: EXPECTED_FAILED_CHECKS)
def test_estimator_check(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.filterwarnings(ONE_MODALITY)
@parametrize_with_checks(
    FURTHER_ESTIMATORS, expected_failed_checks=lambda _: EXPECTED_FAILED_CHECKS
)
def test_check_of_a_further_estimator(estimator, check):
    check(estimator)


# some of these fit on a DataFrame and go on with an array
@pytest.mark.filterwarnings(ONE_MODALITY)
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
@pytest.mark.parametrize(
    "estimator", BARELY_TRAINED, ids=lambda estimator: type(estimator).__name__
)
@pytest.mark.parametrize("check", FURTHER_CHECKS)
def test_further_estimator_check(estimator, check):
    getattr(estimator_checks, check)(type(estimator).__name__, clone(estimator))
