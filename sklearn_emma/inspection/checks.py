"""What Displays and reports ask of estimators and arrays, with messages for people."""

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_emma.energy.readouts import ScoredModalities

GATED = "a fitted EMMAClassifier or EMMARegressor, or a Pipeline or search that ends in one"


def open_up(estimator, X=None):
    """Look into searches and pipelines.

    Parameters
    ----------
    estimator : estimator
        Fitted.
    X : array-like or DataFrame, default=None
        Rows as the estimator takes them.

    Returns
    -------
    estimator : estimator
        What the search found, or the last step of the pipeline.
    X : array-like or DataFrame or None
        Rows as that takes them.
    """
    while True:
        if hasattr(estimator, "best_estimator_"):
            estimator = estimator.best_estimator_
        elif isinstance(estimator, Pipeline):
            if X is not None and len(estimator) > 1:
                X = estimator[:-1].transform(X)
            estimator = estimator[-1]
        else:
            return estimator, X


def check_gated(estimator, who, attribute="attention"):
    """Raise unless an estimator is fitted and has a gate."""
    if not hasattr(type(estimator), attribute) and not hasattr(estimator, attribute):
        raise TypeError(f"{who} needs {GATED}, got {estimator!r}.")
    check_is_fitted(estimator)


def read_energies(estimator, X, who):
    """Return energies (n_samples, n_modalities) of a gated estimator or an energy scorer."""
    if isinstance(estimator, ScoredModalities):
        return np.asarray(estimator.transform(X), dtype=float)
    check_gated(estimator, f"{who} (unless given a DAEEnergyScorer)", "energies")
    return estimator.energies(X)


def check_matrix(values, what, *, allow_inf=False):
    """Return a matrix (n_samples, n_modalities) of numbers, none of them NaN."""
    values = np.asarray(values, dtype=float)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"{what} must be of shape (n_samples, n_modalities), got shape {values.shape}."
        )
    bad = np.isnan(values) if allow_inf else ~np.isfinite(values)
    if bad.any():
        raise ValueError(f"{what} must be numbers, but {int(bad.sum())} of them are not.")
    return values


def check_names(names, n_modalities):
    """Return names of modalities, made up where there are none."""
    if names is None:
        return [f"modality{i}" for i in range(n_modalities)]
    names = [str(name) for name in names]
    if len(names) != n_modalities:
        raise ValueError(
            f"modality_names must hold {n_modalities} name(s), one per modality, got {names}."
        )
    return names


def check_member(value, allowed, name):
    """Raise ValueError unless a value is among those allowed; return it."""
    if value not in allowed:
        *most, last = (repr(choice) for choice in allowed)
        choices = f"{', '.join(most)} or {last}" if most else last
        raise ValueError(f"{name}={value!r} must be {choices}.")
    return value
