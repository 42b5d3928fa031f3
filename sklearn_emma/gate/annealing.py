r"""Annealing: the coldness of the gate increases from zero during training.

At a coldness of zero, every importance is 1/M, whatever the energies, and every attention is
:math:`\tanh(g_a / M)`. A predictor that was trained with open gates keeps its predictions if its
first layer after the gate is divided by this attention. During training, the coldness then
increases in equal steps. It reaches its final value after half of the epochs.

This was proposed as future work by Werenne, A. (2019), Energy-based multi-modal attention,
University of Liege.
"""

from typing import Any

import torch

from sklearn_emma.nn import EnergyAttention, GatedInputs, GatedPredictor

#: Names of the schedules.
COLDNESS_SCHEDULES = ("constant", "annealed")


def cooled_fraction(epoch: int, n_epochs: int) -> float:
    """Return the coldness in an epoch, as a fraction of the final coldness.

    Parameters
    ----------
    epoch : int
        Number of the epoch, counted from 0.
    n_epochs : int
        Number of epochs.

    Returns
    -------
    float
        Fraction, from 0 in the first epoch to 1 in the second half. It is 1 if there is only one
        epoch.
    """
    return 1.0 if n_epochs == 1 else min(1.0, epoch / max(1.0, (n_epochs - 1) / 2))


@torch.no_grad()
def start_as_identity(gate: EnergyAttention, predictor: GatedPredictor) -> None:
    """Rescale a predictor so that a gate with a coldness of zero has the effect of open gates.

    Parameters
    ----------
    gate : EnergyAttention
        Gate with its initial parameters.
    predictor : GatedPredictor
        Predictor, whose first layer after the gate is changed in place.

    Raises
    ------
    ValueError
        If a custom module has no method ``divide_first_layer``.
    """
    module: Any = predictor.network if isinstance(predictor, GatedInputs) else predictor
    if not hasattr(module, "divide_first_layer"):
        raise ValueError(
            'coldness_schedule="annealed" divides the first layer after the gate by the initial '
            f"attention, but {type(module).__name__} has no method divide_first_layer(factor). "
            'Add one that divides the weights of the first layer, or use "constant".'
        )
    start = torch.tanh(gate.gain / len(gate.potential_min) - gate.bias)
    module.divide_first_layer(float(start))
