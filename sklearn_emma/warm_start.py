"""Warm starts: what must be as in the previous fit, and the gate and weights it starts from."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sklearn_emma.engine.weights import load_arrays
from sklearn_emma.gate.fitted import gate_arrays
from sklearn_emma.nn import GatedPredictor

# Fitted attributes of the inputs that must not change in a warm start.
_KEPT_INPUTS = (
    "modality_names_",
    "modality_columns_",
    "modality_shapes_",
    "feature_names_in_",
    "categories_",
)
# Parameters of the gate that a warm start cannot change.
_KEPT = ("attention_score", "cross_modal", "column_attention", "potential_calibration")


def kept_parameters(estimator: Any) -> tuple:
    """Return the values of the parameters that a warm start cannot change.

    Parameters
    ----------
    estimator : EMMAClassifier or EMMARegressor
        The estimator.

    Returns
    -------
    tuple
        Values of `attention_score`, `cross_modal`, `column_attention` and `potential_calibration`.
    """
    return tuple(getattr(estimator, parameter) for parameter in _KEPT)


def starting_gate(
    estimator: Any, previous: Mapping[str, Any], outputs: tuple[str, ...]
) -> Mapping[str, np.ndarray] | None:
    """Return the gate that training starts from, or None if it starts from scratch.

    Parameters
    ----------
    estimator : EMMAClassifier or EMMARegressor
        Estimator with its parameters, and the fitted attributes of inputs and outputs.
    previous : mapping of str to object
        Attributes of the previous fit.
    outputs : tuple of str
        Fitted attributes of the outputs, which must not change.

    Returns
    -------
    mapping of str to ndarray, or None
        Parameters and constants of the gate.

    Raises
    ------
    ValueError
        If modalities, outputs or parameters of the gate have changed since the previous fit.
    """
    if not estimator.warm_start or "network_weights_" not in previous:
        return None
    for attribute in (*outputs, *_KEPT_INPUTS):
        before, now = previous.get(attribute), getattr(estimator, attribute, None)
        if not _same(before, now):
            raise ValueError(
                "warm_start=True needs the outputs and modalities of the previous fit: "
                f"{attribute} was {before} and now is {now}. "
                "Set warm_start=False to train from scratch."
            )
    pairs = zip(_KEPT, previous["_kept"], kept_parameters(estimator), strict=True)
    for parameter, before, now in pairs:
        if before != now:
            raise ValueError(
                f"warm_start=True needs the gate of the previous fit: {parameter} was "
                f"{before!r} and now is {now!r}. Set warm_start=False to train from scratch."
            )
    return gate_arrays(previous)


def load_previous(network: GatedPredictor, weights: dict[str, np.ndarray]) -> None:
    """Load the weights of the previous fit into a network.

    Parameters
    ----------
    network : GatedPredictor
        The network. It is changed in place.
    weights : dict of str to ndarray
        Weights of the previous fit.

    Raises
    ------
    ValueError
        If the network is of another architecture.
    """
    try:
        load_arrays(network, weights)
    except RuntimeError as error:
        raise ValueError(
            "warm_start=True needs the network of the previous fit, but module, "
            "hidden_layer_sizes, n_networks or periodic_features changed. Set "
            "warm_start=False to train from scratch."
        ) from error


def _same(a: Any, b: Any) -> bool:
    """Return whether two fitted attributes are equal."""
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(np.array_equal, a, b))
    return np.array_equal(a, b)
