"""Validation of labels, target values, sample weights and evidence."""

from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import issparse
from sklearn.utils import assert_all_finite, column_or_1d
from sklearn.utils.multiclass import check_classification_targets

from sklearn_emma.compat import _check_sample_weight
from sklearn_emma.corruption.virtual_adversarial import VirtualAdversarial
from sklearn_emma.tables import plain_target


def one_column(y: Any, name: str = "y", *, warn: bool = False) -> np.ndarray:
    """Convert targets to an array of one dimension without missing values.

    Parameters
    ----------
    y : array-like of shape (n_samples,)
        Labels or values.
    name : str, default="y"
        Name of the argument, for messages.
    warn : bool, default=False
        Whether to warn if there are two dimensions, of which the second is one.

    Returns
    -------
    ndarray of shape (n_samples,)
        The same labels or values.

    Raises
    ------
    ValueError
        If there are several columns, or if a value is missing, masked or infinite.
    """
    y = column_or_1d(plain_target(y, name), warn=warn)
    missing = pd.isna(y)
    if missing.any():
        raise ValueError(
            f"Input {name} contains NaN: {int(missing.sum())} of its values are missing. Leave out "
            "samples without a value."
        )
    assert_all_finite(y, input_name=name)
    return y


def check_labels(y: np.ndarray) -> None:
    """Raise ValueError unless y contains valid class labels that can be sorted.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        The labels.
    """
    if y.dtype == object and not all(isinstance(label, str) for label in y):
        kinds = ", ".join(sorted({type(label).__name__ for label in y}))
        raise ValueError(
            f"Unknown label type: y is an array of objects of type {kinds}, but must be an array "
            "of numbers, or hold only strings. Leave out samples without a label, and convert the "
            "others, for instance with y.astype(int), or y.astype(str) for names."
        )
    check_classification_targets(y)


def labeled_before_fit(y: np.ndarray, adversarial: Any) -> np.ndarray:
    """Return which samples have a label, for an estimator of this package that is being fitted.

    Its parameters decide: -1 is a class, unless virtual adversarial training is requested, which
    can learn from samples without labels.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Class labels.
    adversarial : Adversarial, VirtualAdversarial or None
        Parameter `adversarial` of the classifier.

    Returns
    -------
    ndarray of bool of shape (n_samples,)
        False for samples of class -1, with virtual adversarial training.
    """
    semi_supervised = isinstance(adversarial, VirtualAdversarial)
    if semi_supervised and y.dtype.kind in "if":
        return y != -1
    return np.ones(len(y), dtype=bool)


def labeled_after_fit(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return which samples have a label, for any classifier that was fitted on them.

    Its classes decide: they do not contain -1 if the classifier is semi-supervised.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Labels of the samples that the classifier was fitted on.
    classes : ndarray of shape (n_classes,)
        Classes of the classifier.

    Returns
    -------
    ndarray of bool of shape (n_samples,)
        False for samples of class -1, if the classifier does not predict this class.
    """
    if y.dtype.kind in "if" and -1 not in classes:
        return y != -1
    return np.ones(len(y), dtype=bool)


def check_values(y: Any) -> np.ndarray:
    """Validate the target values of a regression, and convert them to float64.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        Target values.

    Returns
    -------
    ndarray of float64
        The same values.

    Raises
    ------
    ValueError
        If the values are not numbers, or not finite.
    """
    if issparse(y):
        raise ValueError("y must be dense, but is sparse. Pass y.toarray().")
    if y.dtype.kind not in "biufO":
        raise ValueError(f"y must hold numbers, but is an array of {y.dtype}.")
    try:
        y = y.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"y must hold numbers: {error}.") from error
    if not np.isfinite(y).all():
        raise ValueError(
            f"y must be finite, but {int((~np.isfinite(y)).sum())} of its values are not. Leave "
            "out samples without a value to predict."
        )
    return y


def check_quantiles(levels: Any) -> np.ndarray:
    """Validate the levels of quantiles, and convert them to an array.

    Parameters
    ----------
    levels : float or array-like of float
        Levels of the quantiles.

    Returns
    -------
    ndarray of shape (n_quantiles,)
        The levels.

    Raises
    ------
    ValueError
        If the levels are not between 0 and 1, or not strictly increasing.
    """
    message = (
        "quantile must be a number between 0 and 1, or several that increase, such as "
        f"(0.05, 0.5, 0.95), got {levels!r}."
    )
    try:
        array = np.atleast_1d(np.asarray(levels, dtype=np.float64))
    except (TypeError, ValueError) as error:
        raise ValueError(message) from error
    inside = array.ndim == 1 and array.size and ((array > 0) & (array < 1)).all()
    if not inside or (np.diff(array) <= 0).any():
        raise ValueError(message)
    return array


def check_weights(sample_weight: Any, X: np.ndarray) -> tuple[np.ndarray, np.ndarray | slice]:
    """Validate sample weights, and find the samples with positive weight.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), number or None
        Sample weights. None means equal weights.
    X : ndarray of shape (n_samples, n_features)
        The samples.

    Returns
    -------
    weight : ndarray of shape (n_kept,)
        Weights of the samples with positive weight, scaled to a mean of one.
    keep : slice or ndarray of bool of shape (n_samples,)
        Selects the samples with positive weight, without a copy if these are all samples.

    Raises
    ------
    ValueError
        If a weight is negative, or all are zero.
    """
    weight = _check_sample_weight(plain_target(sample_weight, "sample_weight"), X, dtype=np.float64)
    if (weight < 0).any():
        raise ValueError(
            "Negative values in data passed to `sample_weight`: weights must not be negative, got "
            f"{weight.min():g}. Leave a sample out with weight zero."
        )
    positive = weight > 0
    if not positive.any():
        raise ValueError(
            "Sample weights must contain at least one non-zero number: all weights are zero, so "
            "there is nothing to learn from."
        )
    keep = slice(None) if positive.all() else positive
    weight = weight[keep] / weight.max()  # whose mean cannot overflow
    return weight / weight.mean(), keep


def check_evidence(evidence: Any, n_samples: int, n_modalities: int) -> np.ndarray:
    """Validate evidence against modalities.

    Parameters
    ----------
    evidence : array-like of shape (n_samples, n_modalities)
        Evidence against each modality, in nats.
    n_samples, n_modalities : int
        Required shape.

    Returns
    -------
    ndarray of shape (n_samples, n_modalities)
        Evidence in double precision.

    Raises
    ------
    ValueError
        If the shape is not as required, or if a value is negative or NaN.
    """
    values = np.array(evidence, dtype=np.float64)
    if values.shape != (n_samples, n_modalities):
        raise ValueError(
            "evidence must have one row per sample and one column per modality, that is shape "
            f"({n_samples}, {n_modalities}), got {values.shape}."
        )
    if not (values >= 0).all():
        raise ValueError("evidence is in nats against a modality: it must not be negative or NaN.")
    return values
