"""Validation of tables and parameters, and warnings about them."""

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from types import FrameType
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split
from sklearn.utils.validation import validate_data

from sklearn_emma.energy.column_scale import limit_extreme_values, mean_and_deviation
from sklearn_emma.engine.training import gradients
from sklearn_emma.explanations import explain
from sklearn_emma.indicators import indicators_of
from sklearn_emma.nn.coordinates import FAR
from sklearn_emma.tables import (
    add_missing_modalities,
    blank,
    check_unique_names,
    encode_categories,
    plain_table,
    plain_target,
    refuse_no_columns,
    refuse_no_table,
    unused_columns,
)


@contextmanager
def all_or_nothing(estimator: Any) -> Iterator[dict[str, Any]]:
    """Restore the attributes of an estimator if its fit fails or is interrupted.

    Inside the context, torch records gradients, even if the caller has disabled them.

    Parameters
    ----------
    estimator : estimator
        Estimator to fit.

    Yields
    ------
    dict
        Attributes before the fit. The fit may assign new values to attributes, but must not modify
        the old values in place.
    """
    before = vars(estimator).copy()
    try:
        with gradients():
            yield before.copy()
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


# Smallest number of samples for a warning that all their levels in a column are unknown.
_MANY = 20
# Parameters of the validation at prediction time.
_TO_READ = {"ensure_all_finite": "allow-nan", "reset": False}


def _is_valid(estimator: Any, X: Any, dtype: Any) -> bool:
    """Return quickly whether a table needs no conversion; validation is slow for single samples."""
    return (
        type(X) is np.ndarray
        and isinstance(dtype, list)
        and X.dtype in dtype
        and X.ndim == 2
        and len(X) > 0
        and X.shape[1] == estimator.n_features_in_
        and not hasattr(estimator, "feature_names_in_")
        and not getattr(estimator, "categories_", None)
        and not np.isinf(X).any()
    )


def check_table(estimator: Any, X: Any, *args: Any, dtype: Any = np.float64, **kwargs: Any) -> Any:
    """Validate a table of numeric and categorical columns, and convert it to numbers.

    Levels of categorical columns are converted to codes. During fit, the levels are learned and
    stored in the attribute ``categories_`` of the estimator. Masked values are treated as missing.
    Columns that the estimator ignores may have values of any type. If these are not finite numbers,
    all ignored columns are zero in the returned table. Error messages name the invalid columns.

    Parameters
    ----------
    estimator : estimator
        Estimator that validates the table.
    X : array-like or DataFrame of shape (n_samples, n_features)
        The table.
    *args : objects
        Further arguments of :func:`sklearn.utils.validation.validate_data`, such as y.
    dtype : type or list of type, default=float64
        Dtype of the result. With a list, numbers with one of its dtypes are not converted, and all
        others are converted to the first one.
    **kwargs : objects
        Further keyword arguments of validate_data.

    Returns
    -------
    ndarray, or tuple
        Result of validate_data.

    Raises
    ------
    TypeError, ValueError
        If validate_data raises an error, if X is not a table, if columns have the same name, or if
        values of y are masked.
    """
    if not args and kwargs == _TO_READ and _is_valid(estimator, X, dtype):
        return X
    refuse_no_table(X)
    X, args = plain_table(X), tuple(map(plain_target, args))
    check_unique_names(X)
    at_fit = kwargs.get("reset", True)
    if not at_fit:
        X = add_missing_modalities(estimator, X)
    refuse_no_columns(X)
    X = encode_categories(estimator, X, at_fit)
    checked = _validate(estimator, X, args, dtype=dtype, **kwargs)
    if not at_fit:
        warn_of_unknown_levels(estimator, checked[0] if args else checked)
    return checked


def _validate(estimator: Any, X: Any, args: tuple, **kwargs: Any) -> Any:
    """Validate encoded data. If this fails, set ignored columns to zero and try again."""
    at_fit = kwargs.get("reset", True)
    try:
        return validate_data(estimator, X, *args, **kwargs)
    except (TypeError, ValueError) as error:
        unused = unused_columns(estimator, X, at_fit)
        if not len(unused):
            explained = explain(error, estimator, X, at_fit)
            if explained is error:
                raise
            raise explained from error
    # ignored columns may have values of any type
    X = blank(X, unused)
    try:
        return validate_data(estimator, X, *args, **kwargs)
    except (TypeError, ValueError) as error:
        raise explain(error, estimator, X, at_fit) from None


def warn_of_one_modality(estimator: Any) -> None:
    """Warn if a fitted estimator has several columns, but its modalities were not specified.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator with the parameter `modalities`.
    """
    if estimator.modalities is None and estimator.n_features_in_ > 1:
        warnings.warn(
            f"modalities=None makes one modality of all {estimator.n_features_in_} columns: if "
            "some of them fail, there is no other modality to predict from. Specify which columns "
            'belong together, for instance modalities={"radar": [0, 1], "camera": [2, 3]}.',
            UserWarning,
            stacklevel=stacklevel_of_user(),
        )


def check_layer_sizes(sizes: Sequence[int]) -> None:
    """Raise ValueError unless sizes has at least one element and all are positive integers."""
    if len(sizes) == 0 or not all(
        isinstance(n, Integral) and not isinstance(n, bool) and n >= 1 for n in sizes
    ):
        raise ValueError(
            "hidden_layer_sizes must hold at least one positive number of units, such as (64,), "
            f"got {sizes!r}."
        )


def column_statistics(
    table: np.ndarray,
    weight: np.ndarray,
    estimator: Any,
    used: np.ndarray,
    in_order: Sequence[np.ndarray] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column, and warn about constant columns.

    NaN is ignored, and extreme values are limited.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Training samples.
    weight : ndarray of shape (n_samples,)
        Sample weights.
    estimator : estimator
        Estimator that may have the names of the columns.
    used : ndarray of int of shape (n_used,)
        Positions of the columns that belong to a modality.
    in_order : sequence of ndarray of int, default=()
        Column positions of signals and images. There is no warning if one of their columns is
        constant.

    Returns
    -------
    mean, scale : ndarray of shape (n_features,)
        Mean and standard deviation. The scale of a constant column is one. Columns that are not
        used have a mean of zero and a scale of one.

    Raises
    ------
    ValueError
        If all values of a used column are NaN.
    """
    unused = ~np.isin(np.arange(table.shape[1]), used)
    mean, scale, constant = mean_and_deviation(limit_extreme_values(table, weight), weight)
    empty = np.isnan(mean) & ~unused
    if empty.any():
        raise ValueError(
            f"Column(s) {_listed(estimator, empty)} hold no value at all (NaN in every sample of "
            "positive weight). Leave them out."
        )
    constant &= ~unused
    places = np.concatenate([*in_order, np.zeros(0, dtype=np.intp)])
    _warn_of_constants(constant & ~np.isin(np.arange(table.shape[1]), places), estimator)
    return np.where(unused, 0.0, mean), np.where(constant | unused, 1.0, scale)


def warn_of_infrequent_levels(estimator: Any) -> None:
    """Warn about categorical columns without any frequent level.

    Parameters
    ----------
    estimator : estimator
        Estimator with the attribute ``category_counts_``.
    """
    indicators = indicators_of(estimator)
    if indicators is None:
        return
    useless = np.zeros(estimator.n_features_in_, dtype=bool)
    for column, category in indicators.categories.items():
        useless[column] = _is_name(category)
    if useless.any():
        warnings.warn(
            "Nearly every training sample has another level in the column(s) "
            f"{_listed(estimator, useless)}, which therefore carry no information. Leave out names "
            "and identifiers.",
            UserWarning,
            stacklevel=stacklevel_of_user(),
        )


def warn_of_unknown_levels(estimator: Any, X: Any) -> None:
    """Warn about categorical columns in which all of at least 20 values are unseen levels.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator.
    X : ndarray of shape (n_samples, n_features)
        Samples, with codes in the categorical columns.
    """
    indicators = None if len(X) < _MANY else indicators_of(estimator)
    if indicators is None:
        return
    levels, unknown = estimator.categories_, np.zeros(estimator.n_features_in_, dtype=bool)
    for column, category in indicators.categories.items():
        if not _is_name(category):
            codes = X[:, column]
            known = (codes < len(levels[column])).any()
            unknown[column] = not known and (~np.isnan(codes)).sum() >= _MANY
    if unknown.any():
        column = int(unknown.argmax())
        warnings.warn(
            f"None of the values of the categorical column(s) {_listed(estimator, unknown)} occurs "
            f"in the training samples, which have levels such as {levels[column][0]!r}. The values "
            "therefore count as a failure. Check their spelling and their type.",
            UserWarning,
            stacklevel=stacklevel_of_user(),
        )


def _is_name(category: Any) -> bool:
    """Return whether a categorical column has no frequent level, like a column of names."""
    return len(category.groups) == 1 and len(category.groups[0]) > 1


def warn_of_constants(table: np.ndarray, estimator: Any, used: np.ndarray) -> None:
    """Warn about constant columns.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Training samples.
    estimator : estimator
        Estimator that may have the names of the columns.
    used : ndarray of int of shape (n_used,)
        Positions of the columns that belong to a modality.
    """
    _, _, constant = mean_and_deviation(table, np.ones(len(table)))
    _warn_of_constants(constant & np.isin(np.arange(table.shape[1]), used), estimator)


def _warn_of_constants(constant: np.ndarray, estimator: Any) -> None:
    if constant.any():
        warn_uninformative(f"column(s) {_listed(estimator, constant)}")


def warn_uninformative(what: str) -> None:
    """Warn that columns or channels are constant.

    Parameters
    ----------
    what : str
        Names of the columns or channels.
    """
    warnings.warn(
        f"Constant in the training samples, and therefore uninformative: {what}.",
        UserWarning,
        stacklevel=stacklevel_of_user(),
    )


def stacklevel_of_user() -> int:
    """Return the stack level of the first caller outside of this package and scikit-learn.

    Returns
    -------
    int
        Argument `stacklevel` of ``warnings.warn``.
    """
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and _is_library(frame):
        level, frame = level + 1, frame.f_back
    return level


def _is_library(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__", "").partition(".")[0] in ("sklearn", "sklearn_emma")


def standardise(table: np.ndarray, mean: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Standardise an array or tensor; values are limited so that their squares do not overflow."""
    return ((table - mean) / scale).clip(-FAR, FAR)


def _listed(estimator: Any, chosen: np.ndarray) -> str:
    """Return a list of the names of chosen columns, or of their positions if there are no names."""
    positions = np.flatnonzero(chosen)
    names = getattr(estimator, "feature_names_in_", None)
    return ", ".join(str(i) if names is None else repr(str(names[i])) for i in positions)


def hold_out(n_samples: int, strata: np.ndarray | None, fraction: float, seed: int) -> np.ndarray:
    """Return positions of held-out samples, stratified by class where possible.

    Parameters
    ----------
    n_samples : int
        Number of samples.
    strata : ndarray of int of shape (n_samples,) or None
        Class of each sample.
    fraction : float
        Fraction of the samples to hold out.
    seed : int
        Seed of the random choice.

    Returns
    -------
    ndarray of int of shape (n_held_out,)
        Positions of the held-out samples.

    Raises
    ------
    ValueError
        If too few samples are left for training.
    """
    n_classes = 1 if strata is None else len(np.unique(strata))
    n_held_out = max(n_classes, round(fraction * n_samples))
    if n_samples - n_held_out < n_classes:
        what = "" if strata is None else f" {n_classes} classes"
        raise ValueError(
            f"early_stopping=True with validation_fraction={fraction:g} would hold out {n_held_out}"
            f" of {n_samples} samples, and leave too few to learn{what} from. Lower "
            "validation_fraction, or set early_stopping=False."
        )
    if strata is not None and np.unique(strata, return_counts=True)[1].min() < 2:
        strata = None
    _, held_out = train_test_split(
        np.arange(n_samples), test_size=n_held_out, stratify=strata, random_state=seed
    )
    return held_out
