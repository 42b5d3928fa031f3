"""Sample weights of the estimator behind a gate, through Pipelines, searches and routing."""

from inspect import Parameter, signature
from typing import Any

import numpy as np
from sklearn import get_config
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.metadata_routing import MetadataRouter, process_routing
from sklearn.utils.validation import has_fit_parameter

# Estimators that accept any parameter, but raise an error unless metadata routing is enabled.
_NEED_ROUTING = OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier


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
    if _passes_on(inner) and not own and _is_router(inner):
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


def _is_router(estimator: Any) -> bool:
    """Return whether an estimator routes metadata to its parts, with metadata routing enabled."""
    if not get_config()["enable_metadata_routing"] or not hasattr(
        estimator, "get_metadata_routing"
    ):
        return False
    return isinstance(estimator.get_metadata_routing(), MetadataRouter)


def _part(estimator: Any) -> Any:
    """Return the estimator that a Pipeline, a search or similar passes parameters of fit to."""
    if isinstance(estimator, Pipeline):
        return estimator.steps[-1][1]
    return getattr(estimator, "estimator", getattr(estimator, "regressor", None))


def _passes_on(estimator: Any) -> bool:
    """Return whether ``fit`` accepts any parameter, and passes it on, as searches do."""
    parameters = signature(estimator.fit).parameters.values()
    accepts = any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters)
    routes = get_config()["enable_metadata_routing"] or not isinstance(estimator, _NEED_ROUTING)
    return accepts and routes
