"""Convert a trained gate and predictor to fitted attributes of an estimator, and back."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from sklearn_emma.engine.weights import to_arrays
from sklearn_emma.gate.build_gate import count_units
from sklearn_emma.gate.objective import GatedObjective

#: Parameters and constants of :class:`~sklearn_emma.nn.EnergyAttention`.
GATE = (
    "potential_min",
    "potential_scale",
    "potential_max",
    "self_weight",
    "self_bias",
    "coupling_weight",
    "coupling_degree",
    "gain",
    "bias",
)
# Prefix of the parameters of the score of a gate.
_OF_SCORE = "score."


def fitted_attributes(objective: GatedObjective, coldness: float) -> dict[str, Any]:
    """Return the fitted attributes of a trained gate and predictor.

    Parameters
    ----------
    objective : GatedObjective
        Trained objective.
    coldness : float
        Final coldness of the gate, at the end of annealing.

    Returns
    -------
    dict of str to object
        Arrays and numbers, by the name of the attribute.
    """
    gate, cross_modal = objective.gate, objective.cross_modal
    columns = objective.failures.energies.columns
    arrays, found = to_arrays(gate), dict[str, Any]()
    for name in GATE:
        value = arrays.pop(name)
        found[f"{name}_"] = value if value.ndim else float(value)
    # the remaining arrays are the weights of a score
    of_score = {name.removeprefix(_OF_SCORE): value for name, value in arrays.items()}
    return found | {
        "n_units_": count_units(objective.network, objective.samples.filled),
        "score_weights_": of_score if gate.reads_embeddings else None,
        "capacity_": float(gate.capacity().detach()),
        "coldness_": float(coldness) * float(objective.cooled),
        "network_weights_": to_arrays(objective.network),
        "cross_modal_weights_": None if cross_modal is None else to_arrays(cross_modal),
        "column_weights_": None if columns is None else to_arrays(columns),
    }


def gate_arrays(attributes: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return the arrays of a gate, by their names in the gate.

    Parameters
    ----------
    attributes : mapping of str to object
        Fitted attributes, which include those of :func:`fitted_attributes`.

    Returns
    -------
    dict of str to ndarray
        Parameters and constants of the gate, and the weights of its score if there is one.
    """
    score = attributes["score_weights_"] or {}
    arrays = {name: attributes[f"{name}_"] for name in GATE}
    return arrays | {f"{_OF_SCORE}{name}": values for name, values in score.items()}
