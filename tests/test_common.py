"""scikit-learn's own checks, for every estimator of the package."""

import pytest
from sklearn.base import clone
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import parametrize_with_checks

from sklearn_emma import DAEEnergyScorer, EMMAClassifier

SAMPLE_WEIGHT_REASON = (
    "Trained in mini-batches: a row of weight two meets other rows, and other noise, than a row "
    "that is there twice."
)
EXPECTED_FAILED_CHECKS = {
    "check_sample_weight_equivalence_on_dense_data": SAMPLE_WEIGHT_REASON,
}
ESTIMATORS = [
    DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=5),
    EMMAClassifier(
        energy=DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=2),
        hidden_layer_sizes=(16,),
        pretrain_epochs=2,
        learning_rate=0.03,
        max_epochs=10,
    ),
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


@parametrize_with_checks(
    ESTIMATORS, expected_failed_checks=lambda estimator: EXPECTED_FAILED_CHECKS
)
def test_estimator_check(estimator, check):
    check(estimator)


# some of these fit on a DataFrame and go on with an array
@pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names")
@pytest.mark.parametrize("estimator", ESTIMATORS, ids=lambda estimator: type(estimator).__name__)
@pytest.mark.parametrize("check", FURTHER_CHECKS)
def test_further_estimator_check(estimator, check):
    getattr(estimator_checks, check)(type(estimator).__name__, clone(estimator))
