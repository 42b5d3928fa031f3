"""What the estimator behind a gate accepts and predicts, according to its tags and parameters."""

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

# Parts of the names of losses that are not minimised by the mean.
_NOT_THE_MEAN = ("quantile", "absolute", "l1", "mape", "mae", "huber", "fair", "epsilon")
# Parameters of searches that hold the values of other parameters.
_GRIDS = ("param_grid", "param_distributions")


def takes_nan(estimator: Any) -> bool:
    """Return whether an estimator supports missing values according to its tags.

    Parameters
    ----------
    estimator : estimator
        The estimator.

    Returns
    -------
    bool
        Value of its tag ``input_tags.allow_nan``. For a Pipeline, True if it is True for all steps.
    """
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        return all(map(takes_nan, steps))
    return bool(get_tags(estimator).input_tags.allow_nan)


def takes_categories(estimator: Any) -> bool:
    """Return whether an estimator accepts columns of the pandas type ``category``.

    Parameters
    ----------
    estimator : estimator
        The estimator. For a Pipeline, its first step is examined.

    Returns
    -------
    bool
        True for encoders, for a ColumnTransformer, and for estimators that recognise categorical
        columns by their type, like histogram gradient boosting with
        ``categorical_features="from_dtype"``.
    """
    while isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        if not steps:
            return False
        estimator = steps[0]
    if isinstance(estimator, ColumnTransformer):
        return True
    tags, params = get_tags(estimator).input_tags, estimator.get_params(deep=False)
    by_type = isinstance(params.get("categorical_features"), str)
    by_library = type(estimator).__module__.startswith("lightgbm")
    return bool(tags.categorical or tags.string or by_type or by_library) or bool(
        params.get("enable_categorical")
    )


def refuse_positions(estimator: Any, *, ignored: bool, categorical: bool) -> None:
    """Raise ValueError if an estimator refers to columns by position, and positions change.

    Parameters
    ----------
    estimator : estimator
        The estimator behind a gate.
    ignored : bool
        Whether there are columns that do not belong to any modality, which are left out.
    categorical : bool
        Whether there are categorical columns, which may be replaced by indicators.
    """
    if not ignored and (not categorical or takes_categories(estimator)):
        return
    for name, value in estimator.get_params().items():
        specs = [value] if name.rpartition("__")[2] == "categorical_features" else []
        if isinstance(value, ColumnTransformer):
            specs = [columns for _, _, columns in value.transformers]
        if any(map(_is_position, specs)):
            raise ValueError(
                f"{name} of the estimator refers to columns by position, but the estimator gets "
                "other columns than X: ignored columns are left out, and categorical columns may "
                "be replaced by indicators of their levels. Refer to columns of numbers by name, "
                'or convert columns of X to the pandas type "category" and set '
                'categorical_features="from_dtype". Without names, pass only the columns of the '
                "modalities."
            )


def _is_position(columns: Any) -> bool:
    if isinstance(columns, slice):
        return isinstance(columns.start, Integral) or isinstance(columns.stop, Integral)
    return not callable(columns) and np.asarray(columns).dtype.kind in "iub"


def predicts_mean(estimator: Any) -> bool:
    """Return whether a regressor predicts the mean of the target, according to its parameters.

    Parameters
    ----------
    estimator : estimator
        The regressor, which may be nested in a Pipeline or search.

    Returns
    -------
    bool
        False if its loss is that of a quantile or of a robust location, for instance for
        ``loss="absolute_error"`` of scikit-learn or ``objective="quantile"`` of LightGBM. For a
        search, False if any value in its grid is such a loss.
    """
    params = estimator.get_params()
    # a quantile without a loss is that of a quantile regressor; otherwise the loss decides
    decided = {
        name
        for name in params
        if name.endswith("quantile") and f"{name.removesuffix('quantile')}loss" in params
    }
    return all(_is_of_mean(name, value) for name, value in params.items() if name not in decided)


def _is_of_mean(name: str, value: Any) -> bool:
    """Return whether a parameter, or every value in a grid, lets a regressor predict the mean."""
    own = name.rpartition("__")[2]
    if own in _GRIDS:
        grids = [value] if isinstance(value, Mapping) else _values(value)
        choices = [pair for grid in grids if isinstance(grid, Mapping) for pair in grid.items()]
        return all(_is_of_mean(key, one) for key, several in choices for one in _values(several))
    if own == "quantile":
        return value is None
    if own in ("loss", "criterion", "objective") and isinstance(value, str):
        return not any(word in value for word in _NOT_THE_MEAN)
    return isinstance(value, type) or not hasattr(value, "get_params") or predicts_mean(value)


def _values(choice: Any) -> list:
    """Return the values of a list in a grid, or a distribution itself."""
    return list(choice) if isinstance(choice, Iterable) else [choice]


def needs_columns(estimator: Any) -> bool:
    """Return whether a regressor refuses a target of one dimension, according to its tags.

    Parameters
    ----------
    estimator : estimator
        The regressor, such as MultiOutputRegressor. For a Pipeline, its last step is examined.

    Returns
    -------
    bool
        True if the target must have the shape (n_samples, n_outputs).
    """
    while isinstance(estimator, Pipeline):
        estimator = estimator.steps[-1][1]
    return not get_tags(estimator).target_tags.single_output
