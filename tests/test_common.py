"""scikit-learn's own checks, for every estimator of the package."""

import pytest
from sklearn.base import clone
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, EMMAClassifierCV, EMMARegressor

SAMPLE_WEIGHT_REASON = (
    "Trained in mini-batches: a sample of weight two is in other batches, with other noise, than a "
    "sample that is there twice."
)
# Of every estimator, and of the scorer besides.
EXPECTED_FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": SAMPLE_WEIGHT_REASON,
}
EXPECTED_FAILED_CHECKS_OF_SCORER = {
    "check_fit_score_takes_y": (
        "Calls partial_fit after fit, which keeps no samples to go on from: refused, with advice, "
        "see tests/energy/test_scorer_partial_fit.py."
    ),
}
QUICK = {
    "energy": DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=2),
    "hidden_layer_sizes": (16,),
    "pretrain_epochs": 2,
    "learning_rate": 0.03,
    "max_epochs": 10,
}
ESTIMATORS = [
    DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=5),
    EMMAClassifier(**QUICK),
    EMMAClassifierCV(**QUICK, param_grid={"coldness": [0.1, 0.3]}, cv=2),
    EMMARegressor(**QUICK),
    EMMARegressor(**QUICK, loss="quantile"),
]

#: Checks that scikit-learn has but does not run through `parametrize_with_checks`.
FURTHER_CHECKS = [
    "check_dataframe_column_names_consistency",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
    "check_inplace_ensure_writeable",
    "check_param_validation",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
]


def expected_failed_checks(estimator):
    if isinstance(estimator, DAEEnergyScorer):
        return EXPECTED_FAILED_CHECKS | EXPECTED_FAILED_CHECKS_OF_SCORER
    return EXPECTED_FAILED_CHECKS


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failed_checks)
def test_estimator_check(estimator, check):
    check(estimator)


# some of these fit on a DataFrame and go on with an array
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
@pytest.mark.parametrize("check", FURTHER_CHECKS)
def test_further_estimator_check(estimator, check):
    getattr(estimator_checks, check)(type(estimator).__name__, clone(estimator))
