"""Validate the estimators and arrays that are passed to displays and reports."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.energy.scorer import DAEEnergyScorer

GATED = (
    "a fitted EMMAClassifier or EMMARegressor, a gated classifier or regressor, or a Pipeline or "
    "search that ends in one"
)

# Largest rounding error of weights, for instance of their means in single precision.
_ROUNDING = 1e-6


def check_gated(estimator: Any, who: str, attribute: str = "attention") -> None:
    """Raise an error if an estimator has no gate or is not fitted."""
    if not hasattr(type(estimator), attribute) and not hasattr(estimator, attribute):
        raise TypeError(f"{who} needs {GATED}, got {estimator!r}.")
    check_is_fitted(estimator)


def column_labels(estimator: Any, X: Any) -> np.ndarray:
    """Return the labels of the columns: of fit if they are strings, else of X, else positions."""
    if hasattr(estimator, "feature_names_in_"):
        return estimator.feature_names_in_
    n_columns = estimator.n_features_in_
    labels = np.asarray(getattr(X, "columns", np.arange(n_columns)), dtype=object)
    return labels if labels.shape == (n_columns,) else np.arange(n_columns)


def read_energies(estimator: Any, X: Any, who: str) -> np.ndarray:
    """Return energies (n_samples, n_modalities) of a gated estimator or an energy scorer."""
    if isinstance(estimator, DAEEnergyScorer):
        return np.asarray(estimator.transform(X), dtype=float)
    check_gated(estimator, f"{who} (unless given a DAEEnergyScorer)", "energies")
    return estimator.energies(X)


def check_weights(weights: Any, what: str) -> np.ndarray:
    """Validate importance or attention of shape (..., n_modalities), and return it."""
    weights = np.asarray(weights, dtype=float)
    bad = ~(np.abs(weights - 0.5) <= 0.5 + _ROUNDING)  # also NaN
    if bad.any():
        raise ValueError(
            f"{what} must be numbers from 0 to 1, but {int(bad.sum())} of them are not."
        )
    return weights


def check_matrix(values: Any, what: str, *, allow_inf: bool = False) -> np.ndarray:
    """Validate a matrix of shape (n_samples, n_modalities) without NaN, and return it."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"{what} must be of shape (n_samples, n_modalities), got shape {values.shape}."
        )
    bad = np.isnan(values) if allow_inf else ~np.isfinite(values)
    if bad.any():
        raise ValueError(f"{what} must be numbers, but {int(bad.sum())} of them are not.")
    return values


def check_names(names: Sequence | None, n_modalities: int) -> list[str]:
    """Validate and return the names of the modalities, by default ``modality0`` and so on."""
    if names is None:
        return [f"modality{i}" for i in range(n_modalities)]
    if isinstance(names, str):
        raise TypeError(f"modality_names must be a list of names, got {names!r}.")
    names = [str(name) for name in names]
    if len(names) != n_modalities:
        raise ValueError(
            f"modality_names must hold {n_modalities} name(s), one per modality, got {names}."
        )
    if len(set(names)) < n_modalities:
        raise ValueError(f"modality_names must differ from each other, got {names}.")
    return names


def check_member(value: Any, allowed: Sequence, name: str) -> Any:
    """Return a value if it is one of the allowed values, else raise ValueError."""
    if value not in allowed:
        *most, last = (repr(choice) for choice in allowed)
        choices = f"{', '.join(most)} or {last}" if most else last
        raise ValueError(f"{name}={value!r} must be {choices}.")
    return value
