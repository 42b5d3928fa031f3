"""Unfitted gates of GatedClassifier and GatedRegressor."""

from typing import Any

from sklearn.base import clone

from sklearn_emma.base import BaseEMMA
from sklearn_emma.gate.predictor_selection import strength_unit
from sklearn_emma.validation import check_refits

# Without a blend, the network is only needed to train the gate, and need not be accurate.
_QUICK_GATE: dict[str, Any] = {
    "hidden_layer_sizes": (16,),
    "periodic_features": False,
    "l2_regularization": 3.0,
    "pretrain_epochs": 3,
}


def unfitted_gate(gated: Any, gate_type: type[BaseEMMA], alone: bool, seed: int) -> BaseEMMA:
    """Return an unfitted gate with the modalities of the estimator that it belongs to.

    Parameters
    ----------
    gated : GatedClassifier or GatedRegressor
        Estimator that the gate belongs to, with its parameters.
    gate_type : type
        Class of the gate.
    alone : bool
        Whether the network of the gate is not used for the prediction.
    seed : int
        Random state of the gate, if its own random state is None.

    Returns
    -------
    EMMAClassifier or EMMARegressor
        Unfitted gate.

    Raises
    ------
    TypeError
        If the parameter `gate` is neither None nor an instance of `gate_type`.
    ValueError
        If the parameter `modalities` of the gate is not None, or if the gate is a search with
        ``refit=False``.
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
            f"gate has modalities of its own, {gate.modalities!r}. Pass them to "
            f"{type(gated).__name__}, and set modalities of the gate to None."
        )
    check_refits(gate, "gate")
    gate.set_params(modalities=gated.modalities, remainder=gated.remainder)
    return gate if gate.random_state is not None else gate.set_params(random_state=seed)


def with_choices_of(gate: BaseEMMA, n_before: int, n_now: int) -> BaseEMMA:
    """Return an unfitted copy of a gate that keeps the hyperparameters that its fit has chosen.

    Parameters
    ----------
    gate : EMMAClassifier or EMMARegressor
        Fitted gate. Of a search, only the best estimator is fitted again.
    n_before, n_now : int
        Number of samples that it was fitted on, and number of samples for the next fit.

    Returns
    -------
    EMMAClassifier or EMMARegressor
        Unfitted gate. A penalty that was chosen automatically is adapted to the number of samples.
    """
    fitted: Any = getattr(gate, "best_estimator_", gate)
    unfitted = clone(fitted)
    if fitted.l2_regularization == "auto":
        ratio = strength_unit(n_now) / strength_unit(n_before)
        unfitted.set_params(l2_regularization=ratio * fitted.l2_regularization_)
    return unfitted.set_params(periodic_features=fitted.periodic_features_)
