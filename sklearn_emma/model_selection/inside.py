"""Find the estimator inside searches, pipelines and wrappers."""

from typing import Any

from sklearn.pipeline import Pipeline


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
