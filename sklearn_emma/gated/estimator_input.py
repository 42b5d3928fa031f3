"""What the estimator behind a gate takes: NaN or medians, categories or indicators, weights."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import has_fit_parameter

from sklearn_emma.categories import decode_table
from sklearn_emma.indicators import feature_columns, indicators_of


def estimator_input(table: np.ndarray, gated: Any, estimator: Any) -> Any:
    """Return samples as the estimator behind a gate takes them.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Samples, with codes of categories and NaN in closed modalities.
    gated : GatedClassifier or GatedRegressor
        With the fitted attributes of its gate and ``fills_nan_``.
    estimator : estimator
        The estimator behind the gate, fitted or not.

    Returns
    -------
    ndarray or DataFrame of shape (n_samples, n_used_features)
        Without columns of no modality: filled where the estimator takes no NaN, categories as it
        takes them, and named if the training samples were.
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
    """Tell whether an estimator says that it takes missing values; of a Pipeline, every step.

    Parameters
    ----------
    estimator : estimator
        The estimator.

    Returns
    -------
    bool
        By its tag ``input_tags.allow_nan``.
    """
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
        return all(map(takes_nan, steps))
    return bool(get_tags(estimator).input_tags.allow_nan)


def takes_categories(estimator: Any) -> bool:
    """Tell whether an estimator takes columns of the type ``category`` of pandas.

    Parameters
    ----------
    estimator : estimator
        The estimator; of a Pipeline, the first step counts.

    Returns
    -------
    bool
        True for encoders and ColumnTransformers; for estimators that take categories by the type of
        a column, as histogram gradient boosting does by ``categorical_features="from_dtype"``.
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


def weight_params(estimator: Any, weight: np.ndarray) -> dict[str, np.ndarray]:
    """Return what passes sample weights to ``fit`` of an estimator.

    Parameters
    ----------
    estimator : estimator
        Takes `sample_weight`, or is a Pipeline whose last step does.
    weight : ndarray of shape (n_samples,)
        The weights.

    Returns
    -------
    dict of str to ndarray
        Empty where all weights are equal.

    Raises
    ------
    ValueError
        If the estimator takes no weights.
    """
    if np.ptp(weight) == 0:
        return {}
    prefix = ""
    while isinstance(estimator, Pipeline):
        step, estimator = estimator.steps[-1]
        prefix += f"{step}__"
    if not has_fit_parameter(estimator, "sample_weight"):
        raise ValueError(
            f"sample_weight was given, but {type(estimator).__name__} does not take it. Leave it "
            "out, or choose another estimator."
        )
    return {f"{prefix}sample_weight": weight}
