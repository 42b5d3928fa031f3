"""Risk against coverage, and calibration, against numbers worked out by hand."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_emma.metrics import (
    area_under_risk_coverage,
    expected_calibration_error,
    risk_coverage_curve,
)

Y_TRUE = np.array(["a", "b", "a", "b", "b"])
Y_PRED = np.array(["a", "b", "b", "a", "b"])  # the third and the fourth are wrong
SCORE = np.array([0.1, 0.4, 0.4, 0.9, 0.2])


# ---------------------------------------------------------------- risk against coverage


def test_curve_accepts_samples_of_low_score_first_and_equal_scores_together():
    coverage, risk, thresholds = risk_coverage_curve(Y_TRUE, Y_PRED, SCORE)
    assert_array_equal(thresholds, [0.1, 0.2, 0.4, 0.9])
    assert_allclose(coverage, [0.2, 0.4, 0.8, 1.0])
    assert_allclose(risk, [0, 0, 1 / 4, 2 / 5])


def test_curve_is_what_applying_each_threshold_gives():
    rng = np.random.default_rng(0)
    y_true, y_pred = rng.integers(3, size=(2, 200))
    score = rng.integers(20, size=200) / 7
    weight = rng.uniform(size=200)
    curve = risk_coverage_curve(y_true, y_pred, score, sample_weight=weight)
    for coverage, risk, threshold in zip(*curve, strict=True):
        accepted = score <= threshold
        assert coverage == pytest.approx(weight[accepted].sum() / weight.sum())
        wrong = (y_true != y_pred)[accepted]
        assert risk == pytest.approx(np.average(wrong, weights=weight[accepted]))


def test_a_weight_is_a_number_of_copies_and_zero_leaves_a_sample_out():
    copies = [2, 1, 3, 0, 1]
    weighted = risk_coverage_curve(Y_TRUE, Y_PRED, SCORE, sample_weight=copies)
    copied = risk_coverage_curve(*(np.repeat(a, copies) for a in (Y_TRUE, Y_PRED, SCORE)))
    for one, other in zip(weighted, copied, strict=True):
        assert_allclose(one, other)


def test_a_sample_of_infinite_score_is_accepted_last():
    coverage, risk, thresholds = risk_coverage_curve([0, 0], [0, 1], [3.0, np.inf])
    assert_array_equal(thresholds, [3, np.inf])
    assert_allclose(risk, [0, 0.5])


def test_loss_may_be_a_function_of_targets_and_predictions():
    _, risk, _ = risk_coverage_curve([1.0, 2], [1.0, 5], [0, 1], loss=lambda t, p: (t - p) ** 2)
    assert_allclose(risk, [0, 4.5])
    proba = [[0.5, 0.5], [0.25, 0.75]]
    _, risk, _ = risk_coverage_curve([0, 1], proba, [0, 1], loss=lambda t, p: 1 - p[[0, 1], t])
    assert_allclose(risk, [0.5, 0.375])


def test_area_is_the_mean_risk_at_the_coverage_of_each_sample():
    rng = np.random.default_rng(0)
    wrong = rng.uniform(size=100) < 0.3
    score = rng.permutation(100)
    risks = [wrong[score <= threshold].mean() for threshold in score]
    assert area_under_risk_coverage(np.zeros(100), wrong, score) == pytest.approx(np.mean(risks))


def test_area_is_least_when_errors_have_the_highest_scores():
    wrong = np.arange(100) >= 80
    truth = np.zeros(100)
    best = area_under_risk_coverage(truth, wrong, np.arange(100))
    worst = area_under_risk_coverage(truth, wrong, -np.arange(100))
    constant = area_under_risk_coverage(truth, wrong, np.zeros(100))
    assert best < constant < worst
    assert constant == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reject_score": [0, 1, np.nan, 2, 3]}, "NaN in 1 sample"),
        ({"reject_score": [0, 1]}, "inconsistent numbers of samples"),
        ({"loss": "hinge"}, "loss='hinge' must be"),
        ({"y_pred": np.arange(5)}, "both hold strings, or both numbers"),
        ({"y_true": [0, 1, np.nan, 1, 0]}, "y_true contains NaN"),
        ({"reject_score": np.ma.masked_less(np.arange(5), 1)}, "1 value.s. masked"),
        ({"loss": lambda t, p: 0.5}, "one number for each of the 5 samples"),
        ({"y_pred": np.zeros((5, 2))}, "must be 1D, got shapes"),
        ({"sample_weight": [1, 1, -1, 1, 1]}, "must not be negative"),
        ({"y_true": [], "y_pred": [], "reject_score": []}, "There are no samples"),
    ],
)
def test_wrong_input_to_the_curve_is_explained(change, message):
    with pytest.raises(ValueError, match=message):
        risk_coverage_curve(**{"y_true": Y_TRUE, "y_pred": Y_PRED, "reject_score": SCORE, **change})


# ---------------------------------------------------------------- calibration


def test_error_by_hand():
    proba = np.array([0.9, 0.9, 0.8, 0.6, 0.55])  # of the class that is predicted
    right = np.array([1, 0, 1, 1, 0])
    y_proba = np.column_stack([1 - proba, proba])
    # bins (0.5, 0.75] and (0.75, 1]
    expected = (abs(1 - 1.15) + abs(2 - 2.6)) / 5
    assert expected_calibration_error(right, y_proba, n_bins=4) == pytest.approx(expected)
    # of two bins of equal weight the first takes the median, 0.8, too
    expected = (abs(2 - 1.95) + abs(1 - 1.8)) / 5
    by_weight = expected_calibration_error(right, y_proba, n_bins=2, strategy="quantile")
    assert by_weight == pytest.approx(expected)


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_calibrated_probabilities_have_no_error_and_exaggerated_ones_do(strategy):
    rng = np.random.default_rng(0)
    p = rng.uniform(size=20_000)
    y = rng.uniform(size=p.size) < p
    for proba in (p, np.column_stack([1 - p, p])):
        assert expected_calibration_error(y, proba, strategy=strategy) < 0.015
        exaggerated = proba**3 / (proba**3 + (1 - proba) ** 3)
        assert expected_calibration_error(y, exaggerated, strategy=strategy) > 0.1


def test_a_vector_is_of_the_positive_class_not_of_the_predicted_one():
    # at 0.1 the class comes up half of the time: off by 0.4, and as confidence 0.9 too
    assert expected_calibration_error([0, 1], [0.1, 0.1]) == pytest.approx(0.4)
    # off by 0.4 in opposite directions, which confidence in the predicted class cannot tell apart
    y, p = [0, 1, 0, 1], [0.1, 0.1, 0.9, 0.9]
    assert expected_calibration_error(y, p) == pytest.approx(0.4)
    # one bin: positive class as frequent as said on average, predicted class not
    assert expected_calibration_error(y, p, n_bins=1) == pytest.approx(0)
    both = np.column_stack([1 - np.array(p), p])
    assert expected_calibration_error(y, both, n_bins=1) == pytest.approx(0.4)


def test_labels_are_the_columns_in_order():
    y_proba = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    assert expected_calibration_error(["x", "b"], y_proba, labels=["x", "b", "a"]) == 0
    assert expected_calibration_error(["x", "b"], y_proba, labels=["b", "x", "a"]) == 1


@pytest.mark.parametrize("strategy", ["uniform", "quantile"])
def test_a_weight_in_calibration_is_a_number_of_copies(strategy):
    rng = np.random.default_rng(0)
    y, p, copies = rng.integers(2, size=60), rng.uniform(size=60), rng.integers(4, size=60)
    how = {"strategy": strategy, "n_bins": 5}
    copied = expected_calibration_error(np.repeat(y, copies), np.repeat(p, copies), **how)
    weighted = expected_calibration_error(y, p, sample_weight=copies, **how)
    assert weighted == pytest.approx(copied)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_bins": 0}, "n_bins=0 must be a positive integer"),
        ({"n_bins": 2.5}, "n_bins=2.5 must be a positive integer"),
        ({"strategy": "kmeans"}, "strategy='kmeans'"),
        ({"y_proba": [[0.5, 0.6], [0.5, 0.5]]}, "must sum to one"),
        ({"y_proba": [[-0.5, 1.5], [0.5, 0.5]]}, "from -0.5 to 1.5"),
        ({"y_proba": [0.5, np.nan]}, "NaN"),
        ({"y_proba": [[0.2, 0.3, 0.5]] * 2}, r"y_true has 2 class\(es\)"),
        ({"labels": [0, 1, 2]}, r"labels holds 3 class\(es\)"),
        ({"labels": [0, 2]}, "which is not among the labels"),
    ],
)
def test_wrong_input_to_calibration_is_explained(change, message):
    with pytest.raises(ValueError, match=message):
        expected_calibration_error(
            **{"y_true": [0, 1], "y_proba": [[0.5, 0.5], [0.5, 0.5]], **change}
        )


def test_probabilities_may_be_off_by_rounding_and_no_more():
    y_proba = np.float32([[1.0, 0.0], [0.25, 0.75]])
    off = np.float32([[1.0000001, -1e-8], [0.25, 0.75]])
    y_true = [0, 1]
    expected = expected_calibration_error(y_true, y_proba)
    assert expected_calibration_error(y_true, off) == pytest.approx(expected)
    with pytest.raises(ValueError, match="must hold probabilities"):
        expected_calibration_error(y_true, [[1.001, -0.001], [0.25, 0.75]])
