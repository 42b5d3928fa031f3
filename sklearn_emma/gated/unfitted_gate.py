"""The gate that another estimator is to stand behind, before it is fitted."""

from typing import Any

from sklearn.base import clone

from sklearn_emma.base import BaseEMMA
from sklearn_emma.gate.predictor_selection import strength_unit

# Without a blend, the gate needs a predictor to be trained with, and not the best one.
_QUICK_GATE: dict[str, Any] = {
    "hidden_layer_sizes": (16,),
    "periodic_features": False,
    "l2_regularization": 3.0,
    "pretrain_epochs": 3,
    "max_epochs": 10,
}


def unfitted_gate(gated: Any, gate_type: type[BaseEMMA], alone: bool, seed: int) -> BaseEMMA:
    """Return the gate, with the modalities of the estimator that it belongs to.

    Parameters
    ----------
    gated : GatedClassifier or GatedRegressor
        What the user passed to it counts.
    gate_type : type
        The kind of gate that it takes.
    alone : bool
        Whether the network of the gate has no say in the prediction.
    seed : int
        Random state of a gate without one.

    Returns
    -------
    EMMAClassifier or EMMARegressor
        Unfitted.

    Raises
    ------
    TypeError
        If the gate is of another kind.
    ValueError
        If it has modalities of its own.
    """
    if gated.gate is None:
        gate = gate_type(**(_QUICK_GATE if alone else {}))
    elif isinstance(gated.gate, gate_type):
        gate = clone(gated.gate)
    else:
        kind = gate_type.__name__
        raise TypeError(
            f"gate must be an unfitted {kind}, such as {kind}(coldness=0.3), or None, got "
            f"{gated.gate!r}."
        )
    if gate.modalities is not None:
        raise ValueError(
            f"gate has modalities of its own, {gate.modalities!r}. Give them to "
            f"{type(gated).__name__}, and set those of the gate to None."
        )
    gate.set_params(modalities=gated.modalities, remainder=gated.remainder)
    return gate if gate.random_state is not None else gate.set_params(random_state=seed)


def with_choices_of(gate: BaseEMMA, n_before: int, n_now: int) -> BaseEMMA:
    """Return a gate to be fitted again, without choosing hyperparameters of its network again.

    Parameters
    ----------
    gate : EMMAClassifier or EMMARegressor
        Fitted on some of the samples.
    n_before, n_now : int
        Numbers of samples it was fitted on, and is to be fitted on.

    Returns
    -------
    EMMAClassifier or EMMARegressor
        Unfitted.
    """
    unfitted = clone(gate)
    if gate.l2_regularization == "auto":
        ratio = strength_unit(n_now) / strength_unit(n_before)
        unfitted.set_params(l2_regularization=ratio * gate.l2_regularization_)
    return unfitted.set_params(periodic_features=gate.periodic_features_)
