"""Warnings about tables and parameters, at the line of the user's code that caused them."""

import re
import sys
import warnings
from numbers import Integral
from types import FrameType
from typing import Any

import numpy as np
import pandas as pd

from sklearn_emma.indicators import indicators_of
from sklearn_emma.tables import plain_table

# Smallest number of samples for a warning that all their levels in a column are unseen, and of
# levels for a warning that they look like numbers.
_MANY = 20
# A number with a decimal comma, with separators of thousands, or followed by a unit.
_NUMBER = re.compile(
    r"\s*[-+−]?"
    r"(\d{1,3}((?P<separator>[.,' \u00a0\u202f])\d{3})+([.,]\d+)?|\d*((?P<comma>,)|\.)?\d+)"
    r"([eE][-+]?\d+)?\s*(?P<unit>[a-zA-Z%°µΩ€$£/²³]{1,8})?\s*"
)
# Fraction of the levels that must be numbers; the others may be marks of missing values.
_NEARLY_ALL = 0.9


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


def warn_of_unused_memory(estimator: Any) -> None:
    """Warn if results are cached that no other fit can use.

    Parameters
    ----------
    estimator : estimator
        Estimator with the parameters `memory` and `random_state`.
    """
    memory, random_state = estimator.memory, estimator.random_state
    if memory is not None and not isinstance(random_state, Integral):
        warnings.warn(
            f"memory={memory!r} has no effect with random_state={random_state!r}: each fit uses "
            "other random numbers, so that no cached result can be used again. Pass an int as "
            "random_state, or memory=None.",
            UserWarning,
            stacklevel=stacklevel_of_user(),
        )


def warn_of_numbers_as_text(estimator: Any, X: Any) -> None:
    """Warn about columns of numbers that are treated as categories, because they are text.

    Parameters
    ----------
    estimator : estimator
        Estimator with the attribute ``categories_``.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Training samples as passed by the user. Columns of the type ``category`` are meant to be
        categories.
    """
    if not estimator.categories_:
        return
    types = getattr(plain_table(X), "dtypes", None)
    numbers = np.zeros(estimator.n_features_in_, dtype=bool)
    for column, levels in estimator.categories_.items():
        meant = types is not None and isinstance(types.iloc[column], pd.CategoricalDtype)
        numbers[column] = not meant and _are_numbers(levels)
    if numbers.any():
        example = estimator.categories_[int(numbers.argmax())][0]
        warnings.warn(
            f"The values of the column(s) {named_columns(estimator, numbers)} look like numbers "
            f"written as text, such as {example!r}, and are treated as categories. Convert them to "
            'numbers, for instance by decimal="," or thousands="," of pandas.read_csv, and '
            "remove units; or to the type category, if they are categories.",
            UserWarning,
            stacklevel=stacklevel_of_user(),
        )


def warn_of_infrequent_levels(estimator: Any) -> None:
    """Warn about categorical columns without any frequent level.

    Parameters
    ----------
    estimator : estimator
        Estimator with the attribute ``category_counts_``.
    """
    useless = np.zeros(estimator.n_features_in_, dtype=bool)
    for column, category in indicators_of(estimator).categories.items():
        useless[column] = _is_name(category) and not _are_numbers(estimator.categories_[column])
    if useless.any():
        warnings.warn(
            "Nearly every training sample has a different level in the column(s) "
            f"{named_columns(estimator, useless)}, which therefore carry no information. Leave out "
            "names and identifiers.",
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
    if len(X) < _MANY:
        return
    levels, unknown = estimator.categories_, np.zeros(estimator.n_features_in_, dtype=bool)
    for column, category in indicators_of(estimator).categories.items():
        if not _is_name(category):
            codes = X[:, column]
            known = (codes < len(levels[column])).any()
            unknown[column] = not known and (~np.isnan(codes)).sum() >= _MANY
    if unknown.any():
        column = int(unknown.argmax())
        warnings.warn(
            f"None of the values of the categorical column(s) {named_columns(estimator, unknown)} "
            f"is a known level, such as {levels[column][0]!r}. The values therefore count as a "
            "failure. Check their spelling and their type.",
            UserWarning,
            stacklevel=stacklevel_of_user(),
        )


def warn_of_new_levels(estimator: Any, table: np.ndarray) -> None:
    """Warn about levels of categorical columns that a further partial fit cannot learn.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator.
    table : ndarray of shape (n_samples, n_features)
        The next training samples, with codes in the categorical columns.
    """
    new = np.zeros(table.shape[1], dtype=bool)
    for column, levels in estimator.categories_.items():
        unseen = table[:, column] >= len(levels)
        # warn_of_unknown_levels has warned if many values are all unseen
        new[column] = unseen.any() and not (unseen.all() and len(table) >= _MANY)
    if new.any():
        warnings.warn(
            f"The categorical column(s) {named_columns(estimator, new)} have levels that did not "
            "occur in the first call, which determines the levels. They count as unseen levels, "
            "however often they occur. To learn them, call fit on samples with all levels.",
            UserWarning,
            stacklevel=stacklevel_of_user(),
        )


def _are_numbers(levels: list) -> bool:
    """Return whether nearly all of many levels are numbers with separators, or with a unit."""
    if len(levels) < _MANY or not all(isinstance(level, str) for level in levels):
        return False
    found = [match for match in map(_NUMBER.fullmatch, levels) if match]
    units = {match["unit"] for match in found}
    written = units != {None} or any(match["separator"] or match["comma"] for match in found)
    return len(found) >= _NEARLY_ALL * len(levels) and len(units) == 1 and written


def _is_name(category: Any) -> bool:
    """Return whether a categorical column has no frequent level, like a column of names."""
    return len(category.groups) == 1 and len(category.groups[0]) > 1


def warn_of_constants(constant: np.ndarray, estimator: Any) -> None:
    """Warn about constant columns, if there are any.

    Parameters
    ----------
    constant : ndarray of bool of shape (n_features,)
        True for constant columns.
    estimator : estimator
        Estimator that may have the names of the columns.
    """
    if constant.any():
        warn_uninformative(f"column(s) {named_columns(estimator, constant)}")


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
    """Return the stack level of the first caller outside of this package, scikit-learn and joblib.

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
    package = frame.f_globals.get("__name__", "").partition(".")[0]
    return package in ("joblib", "sklearn", "sklearn_emma")


def named_columns(estimator: Any, chosen: np.ndarray) -> str:
    """Return a list of the names of chosen columns, or of their positions if there are no names.

    Parameters
    ----------
    estimator : estimator
        Estimator that may have the names of the columns.
    chosen : ndarray of bool of shape (n_features,)
        True for the chosen columns.

    Returns
    -------
    str
        The list.
    """
    positions = np.flatnonzero(chosen)
    names = getattr(estimator, "feature_names_in_", None)
    return ", ".join(str(i) if names is None else repr(str(names[i])) for i in positions)
