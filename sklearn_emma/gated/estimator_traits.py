"""What the estimator behind a gate accepts and predicts, according to its tags and parameters."""

from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.model_selection import FixedThresholdClassifier, TunedThresholdClassifierCV
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from sklearn_emma.categories import as_pandas
from sklearn_emma.compat import BaseSearchCV, _get_column_indices, _safe_indexing
from sklearn_emma.lazy import load

# Parts of the names of losses that are not minimized by the mean.
_NOT_THE_MEAN = ("quantile", "absolute", "l1", "mape", "mae", "huber", "fair", "epsilon")
_THRESHOLDS = FixedThresholdClassifier, TunedThresholdClassifierCV
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
        The estimator. For a Pipeline, its first step is examined; for a search, its estimator.

    Returns
    -------
    bool
        True for encoders, for a ColumnTransformer, and for estimators that recognize categorical
        columns by their type, like histogram gradient boosting with
        ``categorical_features="from_dtype"``.
    """
    estimator = _first(estimator)
    if estimator is None:
        return False
    if isinstance(estimator, ColumnTransformer):
        return True
    tags, params = get_tags(estimator).input_tags, estimator.get_params(deep=False)
    by_type = isinstance(params.get("categorical_features"), str)
    by_library = type(estimator).__module__.startswith("lightgbm")
    return bool(tags.categorical or tags.string or by_type or by_library) or bool(
        params.get("enable_categorical")
    )


def _first(estimator: Any) -> Any:
    """Return the part of an estimator that gets the samples first, or None if there is none."""
    while True:
        if isinstance(estimator, Pipeline):
            steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
            estimator = steps[0] if steps else None
        elif isinstance(estimator, BaseSearchCV):
            estimator = estimator.estimator
        elif isinstance(estimator, TransformedTargetRegressor) and estimator.regressor is not None:
            estimator = estimator.regressor
        else:
            return estimator


def _last(estimator: Any) -> Any:
    """Return the predictor in a Pipeline or search."""
    while True:
        if isinstance(estimator, Pipeline):
            estimator = estimator.steps[-1][1]
        elif isinstance(estimator, BaseSearchCV):
            estimator = estimator.estimator
        else:
            return estimator


def class_weight_of(estimator: Any) -> dict | str | None:
    """Return the class weights that an estimator is trained with.

    Parameters
    ----------
    estimator : estimator
        The estimator. For a Pipeline, its last step is examined; for a search, its estimator.

    Returns
    -------
    dict, "balanced" or None
        Its parameter `class_weight`. None if it has none.
    """
    last = _last(estimator)
    given = last.get_params(deep=False).get("class_weight") if hasattr(last, "get_params") else None
    if isinstance(given, str):
        return "balanced"  # also for weights that are balanced within each bootstrap sample
    return dict(given) if isinstance(given, Mapping) else None


def refuse_threshold(estimator: Any) -> None:
    """Raise ValueError if a classifier predicts with a decision threshold of its own.

    Averages of its probabilities would be compared with another threshold.

    Parameters
    ----------
    estimator : estimator
        The estimator behind a gate.
    """
    last = _last(estimator)
    if isinstance(last, _THRESHOLDS):
        name = type(last).__name__
        raise ValueError(
            f"estimator={estimator!r} has a decision threshold, which is lost when probabilities "
            "are averaged. Set the threshold for the gated classifier instead: "
            f"{name}(GatedClassifier(...)). Nothing is averaged with blend=0 and a number as "
            "threshold of the gate."
        )


def refuse_selectors(estimator: Any, X: Any, behind_gate: pd.DataFrame) -> None:
    """Raise ValueError if a ColumnTransformer would select other columns than in X.

    Behind a gate, all categorical columns have the type ``category`` and all others are floating
    point numbers, so selecting text, booleans or integers by their type would find nothing.

    Parameters
    ----------
    estimator : estimator
        The estimator behind a gate. A ColumnTransformer that is its first step is examined.
    X : DataFrame of shape (n_samples, n_features)
        Samples as given by the user.
    behind_gate : DataFrame of shape (n_rows, n_used_features)
        Samples as the estimator gets them.
    """
    first = _first(estimator)
    if not isinstance(first, ColumnTransformer):
        return
    before = as_pandas(_safe_indexing(load(X), [0]))[behind_gate.columns]
    for name, _, select in first.transformers:
        if callable(select):
            given, found = (
                table.columns[_get_column_indices(table, select(table))].tolist()
                for table in (before, behind_gate)
            )
            if given != found:
                raise ValueError(
                    f"The selector of columns of {name!r} selects {given} in X, but {found} behind "
                    "the gate, where columns of text, booleans and categories all have the pandas "
                    "type category, and all others are float64. Select columns by name, or with "
                    'make_column_selector(dtype_include="category").'
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


def takes_several_outputs(estimator: Any) -> bool:
    """Return whether a regressor supports several outputs, according to its tags.

    Parameters
    ----------
    estimator : estimator
        The regressor. For Pipelines, searches and bagging, the regressor inside is examined, as
        not all of them pass on this tag.

    Returns
    -------
    bool
        True if the target may have the shape (n_samples, n_outputs).
    """
    from sklearn.ensemble import BaggingRegressor  # the import takes long

    estimator = _last(estimator)
    while isinstance(estimator, BaggingRegressor):
        if estimator.estimator is None:  # a decision tree
            return True
        estimator = _last(estimator.estimator)
    return bool(get_tags(estimator).target_tags.multi_output)


def needs_columns(estimator: Any) -> bool:
    """Return whether a regressor refuses a target of one dimension, according to its tags.

    Parameters
    ----------
    estimator : estimator
        The regressor, such as MultiOutputRegressor. For a Pipeline, its last step is examined; for
        a search, its estimator.

    Returns
    -------
    bool
        True if the target must have the shape (n_samples, n_outputs).
    """
    return not get_tags(_last(estimator)).target_tags.single_output
