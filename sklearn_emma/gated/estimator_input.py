"""Input of the estimator behind a gate: NaN or medians, categories or indicators, weights."""

from collections.abc import Iterable, Mapping
from inspect import Parameter, signature
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from sklearn import get_config
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.validation import has_fit_parameter

from sklearn_emma.categories import decode_table
from sklearn_emma.indicators import feature_columns, indicators_of

# Parts of the names of losses that are not minimised by the mean.
_NOT_THE_MEAN = ("quantile", "absolute", "l1", "mape", "huber", "fair", "epsilon")
# Parameters of searches that hold the values of other parameters.
_GRIDS = ("param_grid", "param_distributions")


def estimator_input(table: np.ndarray, gated: Any, estimator: Any) -> Any:
    """Convert samples to the input of the estimator behind a gate.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Samples, with codes in categorical columns and NaN in closed modalities.
    gated : GatedClassifier or GatedRegressor
        Estimator with the fitted attributes of its gate and ``fills_nan_``.
    estimator : estimator
        The estimator behind the gate, fitted or not.

    Returns
    -------
    ndarray or DataFrame of shape (n_samples, n_used_features)
        The columns that belong to a modality. Missing values are filled if ``fills_nan_`` is True.
        Categorical columns have the type ``category`` if the estimator accepts it, and otherwise
        are replaced by indicators of their levels. A DataFrame is returned if the training samples
        had column names, or if there are columns of the type ``category``.
    """
    if gated.fills_nan_:
        median = gated.mean_ + gated.scale_ * gated.median_
        table = np.where(np.isnan(table), median.astype(table.dtype), table)
    used = np.sort(np.concatenate(gated.modality_columns_))
    names = getattr(gated, "feature_names_in_", None)
    indicators = indicators_of(gated)
    if indicators is not None and takes_categories(estimator):
        return decode_table(table, gated.categories_, names).iloc[:, used]
    if indicators is not None:
        table = indicators.expand(table)
        used = np.sort(np.concatenate(feature_columns(gated)))
        names = None if names is None else indicators.names(names, gated.categories_)
    if len(used) < table.shape[1]:
        table = table[:, used]
    return table if names is None else pd.DataFrame(table, columns=names[used])


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


def refuse_positions(estimator: Any) -> None:
    """Raise ValueError if an estimator that gets indicators refers to columns by position.

    Parameters
    ----------
    estimator : estimator
        The estimator behind a gate, for a table with categorical columns.
    """
    if takes_categories(estimator):
        return
    for name, value in estimator.get_params().items():
        specs = [value] if name.rpartition("__")[2] == "categorical_features" else []
        if isinstance(value, ColumnTransformer):
            specs = [columns for _, _, columns in value.transformers]
        if any(map(_is_position, specs)):
            raise ValueError(
                f"{name} of the estimator refers to columns by position, but X has categorical "
                "columns. The estimator gets these as indicators of their levels, which changes "
                "the positions of the others. Refer to columns of numbers by name, or convert "
                'columns of X to the pandas type "category" and set '
                'categorical_features="from_dtype".'
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
    decided = {name for name in params if f"{name.removesuffix('quantile')}loss" in params}
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


def weight_params(estimator: Any, weight: np.ndarray) -> dict[str, np.ndarray]:
    """Return the keyword arguments that pass sample weights to ``fit`` of an estimator.

    Parameters
    ----------
    estimator : estimator
        Estimator whose ``fit`` accepts `sample_weight`, or a Pipeline whose last step does, or a
        search over one of them.
    weight : ndarray of shape (n_samples,)
        Sample weights.

    Returns
    -------
    dict of str to ndarray
        Keyword arguments. It is empty if all weights are equal.

    Raises
    ------
    ValueError
        If the weights are not equal and the estimator does not support weights, or, with metadata
        routing, if it is not set whether one of its parts requests them.
    TypeError
        With metadata routing, if no part of the estimator requests weights.
    """
    if np.ptp(weight) == 0:
        return {}
    prefix, inner, own = "", estimator, has_fit_parameter(estimator, "sample_weight")
    if _passes_on(inner) and not own and get_config()["enable_metadata_routing"]:
        process_routing(estimator, "fit", sample_weight=weight)  # an error now, not after the gate
        return {"sample_weight": weight}
    while _passes_on(inner) and (part := _part(inner)) is not None:
        if isinstance(inner, Pipeline) and not own:
            prefix += f"{inner.steps[-1][0]}__"
        inner = part
        own = own or has_fit_parameter(inner, "sample_weight")
    if not (_passes_on(inner) or has_fit_parameter(inner, "sample_weight")):
        raise ValueError(
            f"sample_weight was given, but {type(inner).__name__} does not support it. Leave "
            "it out, or choose another estimator."
        )
    return {f"{prefix}sample_weight": weight}


def _part(estimator: Any) -> Any:
    """Return the estimator that a Pipeline, a search or similar passes parameters of fit to."""
    if isinstance(estimator, Pipeline):
        return estimator.steps[-1][1]
    return getattr(estimator, "estimator", getattr(estimator, "regressor", None))


def _passes_on(estimator: Any) -> bool:
    """Return whether ``fit`` accepts any parameter, and passes it on, as searches do."""
    parameters = signature(estimator.fit).parameters.values()
    return any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters)
