"""Validation of tables and parameters."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.utils.validation import validate_data

from sklearn_emma.engine.training import gradients
from sklearn_emma.explanations import explain
from sklearn_emma.tables import (
    add_missing_modalities,
    blank,
    check_unique_names,
    encode_categories,
    plain_table,
    plain_target,
    refuse_empty_tables,
    refuse_non_tables,
    unused_columns,
)
from sklearn_emma.user_warnings import warn_of_unknown_levels


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


def copy_attributes(source: Any, target: Any, names: Sequence[str]) -> None:
    """Copy fitted attributes, and delete those that the source does not have.

    Parameters
    ----------
    source, target : estimator
        Estimators to copy from and to.
    names : sequence of str
        Names of the attributes.
    """
    for name in names:
        if hasattr(source, name):
            setattr(target, name, getattr(source, name))
        else:
            vars(target).pop(name, None)


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
    refuse_non_tables(X)
    X, args = plain_table(X), tuple(map(plain_target, args))
    check_unique_names(X)
    at_fit = kwargs.get("reset", True)
    if not at_fit:
        X = add_missing_modalities(estimator, X)
    refuse_empty_tables(X)
    X = encode_categories(estimator, X, at_fit)
    checked = _validate(estimator, X, args, dtype=dtype, **kwargs)
    if not at_fit:
        warn_of_unknown_levels(estimator, checked[0] if args else checked)
    return checked


def read_samples(estimator: Any, X: Any, *args: Any, dtype: Any = np.float64, **kwargs: Any) -> Any:
    """Validate samples for a fitted estimator, and convert them to numbers. NaN is allowed.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples; NaN marks missing values.
    *args, dtype, **kwargs : objects
        As in :func:`check_table`.

    Returns
    -------
    ndarray, or tuple
        As in :func:`check_table`. An array that needs no conversion is returned as it is.

    Raises
    ------
    TypeError, ValueError
        As in :func:`check_table`.
    """
    if not args and not kwargs and _is_valid(estimator, X, dtype):
        return X
    return check_table(
        estimator, X, *args, dtype=dtype, ensure_all_finite="allow-nan", reset=False, **kwargs
    )


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


def check_refits(search: Any, name: str) -> None:
    """Raise ValueError if an estimator is a search that fits nothing with the best setting.

    Parameters
    ----------
    search : estimator
        Any estimator.
    name : str
        Name of the argument, for the message.
    """
    if not getattr(search, "refit", True):
        raise ValueError(
            f"{name} has refit=False, so that no classifier is fitted with the best setting. Set "
            "refit=True."
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
