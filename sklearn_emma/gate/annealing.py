r"""Annealing: the gate starts as the identity, and cools.

At a coldness of zero every importance is 1/M, whatever the energies, and every attention
:math:`\tanh(g_a / M)`. A predictor that has learned with open gates, and whose first layer behind
the gate is divided by that, predicts as before. Then the coldness rises in equal steps to its final
value, which it reaches half-way through the training.

Proposed as future work by Werenne, A. (2019), Energy-based multi-modal attention, University of
Liege.
"""

from typing import Any

import torch

from sklearn_emma.nn import EnergyAttention, GatedInputs, GatedPredictor

#: Names of the schedules.
COLDNESS_SCHEDULES = ("constant", "annealed")


def cooled_fraction(epoch: int, n_epochs: int) -> float:
    """Return the fraction of the coldness that is reached in an epoch.

    Parameters
    ----------
    epoch : int
        From 0.
    n_epochs : int
        Number of epochs.

    Returns
    -------
    float
        From 0 in the first epoch to 1 from the middle on; 1 where there is one epoch.
    """
    return 1.0 if n_epochs == 1 else min(1.0, epoch / max(1.0, (n_epochs - 1) / 2))


@torch.no_grad()
def start_as_identity(gate: EnergyAttention, predictor: GatedPredictor) -> None:
    """Let a predictor behind a gate without coldness predict as it does behind open gates.

    Parameters
    ----------
    gate : EnergyAttention
        As it starts.
    predictor : GatedPredictor
        Its first layer behind the gate is changed in place.

    Raises
    ------
    ValueError
        If a module of the user's own does not say what its first layer is.
    """
    module: Any = predictor.network if isinstance(predictor, GatedInputs) else predictor
    if not hasattr(module, "divide_first_layer"):
        raise ValueError(
            'coldness_schedule="annealed" divides the first layer behind the gate by its attention '
            f"at the start, and {type(module).__name__} has no method divide_first_layer(factor). "
            'Add one that divides the weights that the inputs meet first, or use "constant".'
        )
    start = torch.tanh(gate.gain / len(gate.potential_min) - gate.bias)
    module.divide_first_layer(float(start))
