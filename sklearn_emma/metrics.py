"""Metrics of uncertainty: risk against coverage, and calibration.

A classifier that may abstain has two figures of merit: its *coverage*, the fraction of samples that
it answers, and its *risk*, the mean loss on those. Which samples it refuses is decided by a score,
high for those to be refused first: a total energy, or one minus the largest probability.
"""

from collections.abc import Callable
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from sklearn_emma.targets import check_weights

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
    """Risk of a classifier that refuses the samples of highest score, for every threshold.

    At a threshold the samples whose score does not exceed it are accepted [1]_. Samples of equal
    score are accepted together, so there are as many points as different scores.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_pred : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Predictions: labels, or whatever `loss` takes.
    reject_score : array-like of shape (n_samples,)
        High for samples to be refused first. May be infinite.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, by default equal. Samples of weight zero are left out.
    loss : "zero_one" or callable, default="zero_one"
        "zero_one" is 1 where the prediction differs from the label and 0 elsewhere. A callable
        takes `y_true` and `y_pred`, as arrays, and returns the loss of each sample.

    Returns
    -------
    coverage : ndarray of shape (n_thresholds,)
        Fraction of the samples that are accepted, increasing up to 1.
    risk : ndarray of shape (n_thresholds,)
        Mean loss of the accepted samples.
    thresholds : ndarray of shape (n_thresholds,)
        The different scores, increasing.

    Raises
    ------
    ValueError
        If the arrays differ in length or are empty, a score is NaN, a weight is negative, or `loss`
        does not give a number for each sample.

    See Also
    --------
    area_under_risk_coverage : The curve as one number.
    sklearn_emma.model_selection.AbstainingClassifier : Chooses a threshold and keeps to it.

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
    score = column_or_1d(reject_score).astype(float)
    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    check_consistent_length(y_true, y_pred, score)
    if len(score) == 0:
        raise ValueError("There are no samples, so the risk is undefined.")
    if np.isnan(score).any():
        raise ValueError(
            f"reject_score is NaN in {np.isnan(score).sum()} sample(s). To refuse a sample before "
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
    """Area under the curve of risk against coverage (AURC): the lower the better.

    The mean, over the samples, of the risk at the threshold that just accepts the sample [1]_. It
    is near zero where errors have the highest scores. A score that is independent of errors has on
    average the risk at full coverage.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_pred : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Predictions: labels, or whatever `loss` takes.
    reject_score : array-like of shape (n_samples,)
        High for samples to be refused first. Samples of equal score are accepted together.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, by default equal.
    loss : "zero_one" or callable, default="zero_one"
        The loss of each sample, as in :func:`risk_coverage_curve`.

    Returns
    -------
    float
        The area.

    See Also
    --------
    risk_coverage_curve : The curve, and what is raised.

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
    r"""Expected calibration error (ECE): how far probabilities are from frequencies.

    Samples are put into bins by their confidence c, and

    .. math:: ECE = \sum_b \frac{n_b}{n} | \mathrm{accuracy}_b - \bar c_b |

    For a matrix of probabilities the confidence is the largest one of the sample, and the accuracy
    that of the class it belongs to [1]_. For a vector, the probabilities of the positive class of
    two, the confidence is that probability, and the accuracy the frequency of that class [2]_.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        True labels.
    y_proba : array-like of shape (n_samples, n_classes) or (n_samples,)
        Probabilities of the classes, as ``predict_proba`` gives them, or of the positive class.
    n_bins : int, default=15
        Number of bins.
    strategy : "uniform" or "quantile", default="uniform"
        Bins of equal width on [0, 1], closed above, or of as equal weight as samples of equal
        confidence, which stay together, allow.
    labels : array-like of shape (n_classes,), default=None
        Classes in the order of the columns of `y_proba`, usually ``classes_`` of the classifier.
        For a vector the second is the positive one. By default the sorted labels of `y_true`, which
        must then hold all classes.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights of the samples, by default equal.

    Returns
    -------
    float
        From 0, calibrated, to 1.

    Raises
    ------
    ValueError
        If probabilities are out of range, `labels` do not match the columns or the true labels, or
        a parameter is out of range.

    Notes
    -----
    The error depends on the bins, and is biased upwards when few samples are in them: compare
    classifiers on the same samples, with the same bins.

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
    y_true = column_or_1d(y_true)
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
        raise ValueError(f"y_true holds {unknown[0]!r}, which is not among the labels.")
    if y_proba.ndim == 1:
        return y_proba, y_true == classes[1]
    if not np.allclose(y_proba.sum(axis=1), 1, atol=1e-3):
        raise ValueError("The probabilities of a sample must sum to one in y_proba.")
    return y_proba.max(axis=1), y_true == classes[y_proba.argmax(axis=1)]
