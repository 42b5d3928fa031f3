"""Find the estimator inside searches, pipelines and wrappers."""

from typing import Any

import pandas as pd
from sklearn.pipeline import Pipeline

from sklearn_emma.categories import as_pandas


def unwrap(estimator: Any, X: Any = None) -> tuple[Any, Any]:
    """Return the final estimator of nested searches and pipelines.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator, search or pipeline.
    X : array-like or DataFrame, default=None
        Samples in the format of `estimator`.

    Returns
    -------
    estimator : estimator
        Best estimator of the search, or last step of the pipeline.
    X : array-like or DataFrame or None
        Samples in the format of this estimator, transformed by all previous steps.
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


def gated_inside(estimator: Any) -> Any:
    """Return the estimator or the one inside that has a gate; None if there is none.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator, search, or wrapper with the attribute ``estimator_``.

    Returns
    -------
    estimator or None
        Estimator with the method ``attention``, for the same samples.
    """
    estimator = getattr(estimator, "best_estimator_", estimator)
    inside = (estimator, getattr(estimator, "estimator_", None))
    return next((gated for gated in inside if hasattr(gated, "attention")), None)


def with_categories(estimator: Any, X: Any) -> Any:
    """Declare the columns that are categorical for a fitted estimator.

    Whether text is categorical would otherwise be decided for each table: all text of a part of the
    training table may look like numbers.

    Parameters
    ----------
    estimator : estimator
        Fitted estimator, search or wrapper, but not a Pipeline, whose steps may change the columns.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples for this estimator. Arrays are returned unchanged.

    Returns
    -------
    array-like or DataFrame
        DataFrame whose columns with levels have the type ``category``. Anything but a DataFrame,
        or an estimator without categorical columns, leaves X unchanged.
    """
    gated = gated_inside(estimator)
    levels = getattr(gated, "categories_", None)
    if not levels or not hasattr(X, "columns") or len(X.columns) != gated.n_features_in_:
        return X
    X = as_pandas(X).copy(deep=False)
    for column in levels:
        values = X.iloc[:, column]
        if not isinstance(values.dtype, pd.CategoricalDtype) and values.dtype.kind != "b":
            X.isetitem(column, values.astype("category"))
    return X
