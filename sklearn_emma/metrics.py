"""Metrics of uncertainty: risk-coverage curves and calibration.

A classifier that may abstain has two performance measures: its *coverage*, the fraction of samples
that it accepts, and its *risk*, the mean loss on the accepted samples. Samples with the highest
rejection scores are rejected first. The score is, for instance, a total energy, or one minus the
largest probability.
"""

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from sklearn_emma.tables import plain_target
from sklearn_emma.targets import check_weights, one_column

__all__ = ["area_under_risk_coverage", "expected_calibration_error", "risk_coverage_curve"]

# Probabilities may exceed 0 and 1 by this much, as sums in single precision do.
_ROUNDING = 1e-6


def risk_coverage_curve(
    y_true: Any,
    y_pred: Any,
    reject_score: Any,
    *,
    sample_weight: Any = None,
    loss: str | Callable = "zero_one",
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute coverage and risk of a classifier with rejection, for all thresholds of a score.

    Samples whose score does not exceed the threshold are accepted [1]_. Samples with equal scores
    are accepted together, so the curve has one point for each distinct score.

    Read more in the :doc:`how-to guide </howto/abstain>`.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_pred : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Predictions: labels, or any form that `loss` accepts.
    reject_score : array-like of shape (n_samples,)
        Rejection scores. Samples with the highest scores are rejected first. Scores may be
        infinite.
    sample_weight : array-like of shape (n_samples,), default=None
        Sample weights. None means equal weights. Samples with zero weight are ignored.
    loss : "zero_one" or callable, default="zero_one"
        "zero_one" is 1 where the prediction differs from the label and 0 elsewhere. A callable
        takes `y_true` and `y_pred`, as arrays, and returns the loss of each sample.

    Returns
    -------
    coverage : ndarray of shape (n_thresholds,)
        Fraction of the samples that are accepted, in increasing order. The last value is 1.
    risk : ndarray of shape (n_thresholds,)
        Mean loss of the accepted samples.
    thresholds : ndarray of shape (n_thresholds,)
        Distinct scores, in increasing order.

    Raises
    ------
    ValueError
        If the arrays have different lengths or are empty, if a score is NaN, if a weight is
        negative, or if `loss` does not return a number for each sample.

    See Also
    --------
    area_under_risk_coverage : Summary of the curve as a single number.
    sklearn_emma.model_selection.AbstainingClassifier : Classifier with such a threshold.

    References
    ----------
    .. [1] Geifman, Y., & El-Yaniv, R. (2017). Selective classification for deep neural networks.
       Advances in Neural Information Processing Systems, 30.

    Examples
    --------
    >>> from sklearn_emma.metrics import risk_coverage_curve
    >>> coverage, risk, thresholds = risk_coverage_curve(
    ...     y_true=[0, 1, 1, 0], y_pred=[0, 1, 0, 1], reject_score=[0.1, 0.2, 0.9, 0.2]
    ... )
    >>> coverage, risk.round(2), thresholds
    (array([0.25, 0.75, 1.  ]), array([0.  , 0.33, 0.5 ]), array([0.1, 0.2, 0.9]))
    """
    score = column_or_1d(plain_target(reject_score, "reject_score")).astype(float)
    y_true = np.asarray(plain_target(y_true, "y_true"))
    y_pred = np.asarray(plain_target(y_pred, "y_pred"))
    check_consistent_length(y_true, y_pred, score)
    if len(score) == 0:
        raise ValueError("There are no samples, so the risk is undefined.")
    if np.isnan(score).any():
        raise ValueError(
            f"reject_score is NaN in {np.isnan(score).sum()} sample(s). To reject a sample before "
            "all others give it an infinite score."
        )
    losses = _losses(loss, y_true, y_pred)
    weight, keep = check_weights(sample_weight, score[:, None])
    thresholds, group = np.unique(score[keep], return_inverse=True)
    accepted = np.bincount(group, weight).cumsum()
    lost = np.bincount(group, weight * losses[keep]).cumsum()
    return accepted / accepted[-1], lost / accepted, thresholds


def area_under_risk_coverage(
    y_true: Any,
    y_pred: Any,
    reject_score: Any,
    *,
    sample_weight: Any = None,
    loss: str | Callable = "zero_one",
) -> float:
    """Compute the area under the risk-coverage curve (AURC). Lower values are better.

    The area is the mean over the samples of the risk at the smallest threshold at which the sample
    is accepted [1]_. It is near zero if errors are rare and have the highest scores. For a score
    that is independent of the errors, the expected area is the risk at full coverage.

    Read more in the :doc:`how-to guide </howto/abstain>`.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_pred : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Predictions: labels, or any form that `loss` accepts.
    reject_score : array-like of shape (n_samples,)
        Rejection scores. Samples with the highest scores are rejected first, and samples with equal
        scores are accepted together.
    sample_weight : array-like of shape (n_samples,), default=None
        Sample weights. None means equal weights.
    loss : "zero_one" or callable, default="zero_one"
        The loss of each sample, as in :func:`risk_coverage_curve`.

    Returns
    -------
    float
        The area.

    See Also
    --------
    risk_coverage_curve : The curve, with a list of the errors that are raised.

    References
    ----------
    .. [1] Geifman, Y., Uziel, G., & El-Yaniv, R. (2019). Bias-reduced uncertainty estimation for
       deep neural classifiers. International Conference on Learning Representations.

    Examples
    --------
    >>> from sklearn_emma.metrics import area_under_risk_coverage
    >>> y_true, y_pred = [0, 1, 1, 0], [0, 1, 1, 1]  # the last is wrong
    >>> area_under_risk_coverage(y_true, y_pred, reject_score=[1, 2, 3, 4])
    0.0625
    >>> area_under_risk_coverage(y_true, y_pred, reject_score=[0, 0, 0, 0])
    0.25
    """
    coverage, risk, _ = risk_coverage_curve(
        y_true, y_pred, reject_score, sample_weight=sample_weight, loss=loss
    )
    return float(np.diff(coverage, prepend=0.0) @ risk)


def expected_calibration_error(
    y_true: Any,
    y_proba: Any,
    *,
    n_bins: int = 15,
    strategy: str = "uniform",
    labels: Any = None,
    sample_weight: Any = None,
) -> float:
    r"""Compute the expected calibration error (ECE): how much probabilities and frequencies differ.

    Samples are grouped into bins b by their confidence c:

    .. math:: ECE = \sum_b \frac{n_b}{n} | \mathrm{accuracy}_b - \bar c_b |

    If `y_proba` is a matrix, the confidence is the largest probability of the sample, and the
    accuracy is the fraction of samples in which the class with this probability is correct [1]_. If
    `y_proba` is a vector with the probabilities of the positive class of two classes, the
    confidence is this probability, and the accuracy is the frequency of the positive class [2]_.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_proba : array-like of shape (n_samples, n_classes) or (n_samples,)
        Class probabilities, as returned by ``predict_proba``, or probabilities of the positive
        class.
    n_bins : int, default=15
        Number of bins.
    strategy : "uniform" or "quantile", default="uniform"
        How the bins are defined. "uniform" means bins of equal width on [0, 1]; they include their
        upper bound. "quantile" means bins of approximately equal total weight; samples with equal
        confidence are always in the same bin.
    labels : array-like of shape (n_classes,), default=None
        Class labels in the order of the columns of `y_proba`, usually ``classes_`` of the
        classifier. If `y_proba` is a vector, the second label is the positive class. None means the
        sorted labels of `y_true`, which must then contain all classes.
    sample_weight : array-like of shape (n_samples,), default=None
        Sample weights. None means equal weights.

    Returns
    -------
    float
        Calibration error, from 0 (perfect calibration) to 1.

    Raises
    ------
    ValueError
        If probabilities are out of range, if `labels` does not match the columns or the true
        labels, or if a parameter is out of range.

    Notes
    -----
    The error depends on the bins, and is biased upwards if bins contain few samples.
    Compare classifiers on the same samples, with the same bins.

    References
    ----------
    .. [1] Guo, C., Pleiss, G., Sun, Y., & Weinberger, K. Q. (2017). On calibration of modern neural
       networks. International Conference on Machine Learning, 1321-1330.
    .. [2] Naeini, M. P., Cooper, G. F., & Hauskrecht, M. (2015). Obtaining well calibrated
       probabilities using Bayesian binning. AAAI Conference on Artificial Intelligence, 2901-2907.

    Examples
    --------
    >>> from sklearn_emma.metrics import expected_calibration_error
    >>> y_proba = [[0.75, 0.25], [0.75, 0.25], [0.75, 0.25], [0.75, 0.25]]
    >>> expected_calibration_error([0, 0, 0, 1], y_proba)
    0.0
    >>> expected_calibration_error([0, 1, 1, 1], y_proba)
    0.5
    """
    if isinstance(n_bins, bool) or not isinstance(n_bins, Integral) or n_bins < 1:
        raise ValueError(f"n_bins={n_bins!r} must be a positive integer.")
    if strategy not in ("uniform", "quantile"):
        raise ValueError(f'strategy={strategy!r} must be "uniform" or "quantile".')
    y_true = one_column(y_true, "y_true")
    y_proba = plain_target(y_proba, "y_proba")
    y_proba = check_array(y_proba, ensure_2d=False, dtype=float, input_name="y_proba")
    check_consistent_length(y_true, y_proba)
    confidence, right = _confidence(y_true, y_proba, labels)
    weight, keep = check_weights(sample_weight, y_proba.reshape(len(y_proba), -1))
    confidence, right = confidence[keep], right[keep]
    inner = np.arange(1, n_bins) / n_bins
    if strategy == "quantile":
        order = confidence.argsort(kind="stable")
        below = weight[order].cumsum() / weight.sum()
        inner = confidence[order][below.searchsorted(inner - 1e-12)]
    group = inner.searchsorted(confidence, side="left")
    return float(np.abs(np.bincount(group, weight * (right - confidence))).sum() / weight.sum())


def _losses(loss: str | Callable, y_true: np.ndarray, y_pred: np.ndarray) -> np.ndarray:
    """Return the loss of each sample."""
    if not callable(loss) and loss != "zero_one":
        raise ValueError(f'loss={loss!r} must be "zero_one" or a callable of y_true and y_pred.')
    if callable(loss):
        losses = np.asarray(loss(y_true, y_pred), dtype=float)
    elif y_true.ndim == 1 and y_pred.ndim == 1:
        y_true, y_pred = one_column(y_true, "y_true"), one_column(y_pred, "y_pred")
        if _are_strings(y_true) != _are_strings(y_pred):
            raise ValueError(
                "y_true and y_pred must both hold strings, or both numbers, got "
                f"{y_true.tolist()[0]!r} and {y_pred.tolist()[0]!r}."
            )
        losses = np.asarray(y_true != y_pred, dtype=float)
    else:
        raise ValueError(
            'loss="zero_one" compares labels: y_true and y_pred must be 1D, got shapes '
            f"{y_true.shape} and {y_pred.shape}. Pass a callable as loss for anything else."
        )
    if losses.shape != (len(y_true),) or np.isnan(losses).any():
        raise ValueError(
            f"loss must give one number for each of the {len(y_true)} samples, none of them NaN, "
            f"got an array of shape {losses.shape}."
        )
    return losses


def _are_strings(labels: np.ndarray) -> bool:
    return all(isinstance(label, str) for label in labels.tolist())


def _confidence(
    y_true: np.ndarray, y_proba: np.ndarray, labels: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Return the confidence of each sample, and whether its class is the true one."""
    if y_proba.ndim > 2 or y_proba.min() < -_ROUNDING or y_proba.max() > 1 + _ROUNDING:
        raise ValueError(
            "y_proba must hold probabilities, from 0 to 1, in a vector or a matrix with one column "
            f"per class, got shape {y_proba.shape} and values from {y_proba.min():g} to "
            f"{y_proba.max():g}."
        )
    y_proba = y_proba.clip(0, 1)
    n_classes = 2 if y_proba.ndim == 1 else y_proba.shape[1]
    classes = np.unique(y_true) if labels is None else column_or_1d(labels)
    if len(classes) != n_classes:
        source = "y_true has" if labels is None else "labels holds"
        raise ValueError(
            f"{source} {len(classes)} class(es), but y_proba has shape {y_proba.shape}, which is "
            f"for {n_classes}. Pass the classes in the order of the columns as labels."
        )
    unknown = np.setdiff1d(y_true, classes)
    if unknown.size:
        raise ValueError(f"y_true holds {unknown.tolist()[0]!r}, which is not among the labels.")
    if y_proba.ndim == 1:
        return y_proba, y_true == classes[1]
    if not np.allclose(y_proba.sum(axis=1), 1, atol=1e-3):
        raise ValueError("The probabilities of a sample must sum to one in y_proba.")
    return y_proba.max(axis=1), y_true == classes[y_proba.argmax(axis=1)]
