"""What the estimators ask of labels, values, weights and evidence."""

from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.utils.multiclass import check_classification_targets

from sklearn_emma.compat import _check_sample_weight
from sklearn_emma.tables import plain_target


def check_labels(y: np.ndarray) -> None:
    """Raise ValueError unless y holds class labels that can be put in order.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        The labels.
    """
    if y.dtype == object and not all(isinstance(label, str) for label in y):
        kinds = ", ".join(sorted({type(label).__name__ for label in y}))
        raise ValueError(
            "Unknown label type: y must hold labels of one kind, all strings or all numbers, none "
            f"missing, but is an array of objects of type {kinds}. Leave out samples without a "
            "label, and convert the others, for instance with y.astype(int), or y.astype(str) for "
            "names."
        )
    check_classification_targets(y)


def check_values(y: Any) -> np.ndarray:
    """Return what a regression predicts as numbers.

    Parameters
    ----------
    y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        The values.

    Returns
    -------
    ndarray of float64
        The same values.

    Raises
    ------
    ValueError
        If they are not numbers, or not finite.
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
    """Return the levels of quantiles as an array.

    Parameters
    ----------
    levels : float or array-like of float
        What the user passed.

    Returns
    -------
    ndarray of shape (n_quantiles,)
        The levels.

    Raises
    ------
    ValueError
        Unless they increase from above 0 to below 1.
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


def check_weights(sample_weight: Any, X: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Validate sample weights and say which samples count.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), number or None
        Weights. None stands for ones.
    X : ndarray of shape (n_samples, n_features)
        The samples.

    Returns
    -------
    weight : ndarray of shape (n_kept,)
        Weights of the samples that count, scaled to mean one.
    keep : ndarray of shape (n_samples,)
        True where the weight is not zero.

    Raises
    ------
    ValueError
        If a weight is negative, or all are zero.
    """
    weight = _check_sample_weight(plain_target(sample_weight), X, dtype=np.float64)
    if (weight < 0).any():
        raise ValueError(
            "Negative values in data passed to `sample_weight`: weights must not be negative, got "
            f"{weight.min():g}. Leave a sample out with weight zero."
        )
    keep = weight > 0
    if not keep.any():
        raise ValueError(
            "Sample weights must contain at least one non-zero number: all weights are zero, so "
            "there is nothing to learn from."
        )
    return weight[keep] / weight[keep].mean(), keep


def check_evidence(evidence: Any, n_samples: int, n_modalities: int) -> np.ndarray:
    """Validate evidence against modalities.

    Parameters
    ----------
    evidence : array-like of shape (n_samples, n_modalities)
        In nats.
    n_samples, n_modalities : int
        The shape that it must have.

    Returns
    -------
    ndarray of shape (n_samples, n_modalities)
        In double precision.

    Raises
    ------
    ValueError
        If it has another shape, or a value is negative or NaN.
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
