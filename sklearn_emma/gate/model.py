"""What a fitted gate and predictor say of samples."""

from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.gate.inputs import Inputs
from sklearn_emma.gate.objective import Predictor
from sklearn_emma.nn import EnergyAttention

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


class Readings(NamedTuple):
    r"""Everything that a fitted estimator computes for samples, in order of computation.

    Attributes
    ----------
    own_energy : ndarray of shape (n_samples, n_modalities)
        Potential of each modality, gaps filled.
    gap_energy : ndarray of shape (n_samples, n_modalities)
        What gaps add; infinite where the modality is missing altogether.
    cross_modal_energy : ndarray of shape (n_samples, n_modalities)
        What inconsistency with the other modalities adds.
    energies : ndarray of shape (n_samples, n_modalities)
        Their sum, the potential energies :math:`\Psi_i`.
    modal_energy : ndarray of shape (n_samples, n_modalities)
        Modal energies :math:`E_i`.
    importance : ndarray of shape (n_samples, n_modalities)
        :math:`\alpha_i`.
    attention : ndarray of shape (n_samples, n_modalities)
        :math:`\beta_i`.
    total_energy : ndarray of shape (n_samples,)
        :math:`\sum_i E_i`.
    energy_threshold : ndarray of shape (n_samples,)
        Modal energy below which a modality passes the gate.
    output : ndarray of shape (n_samples, n_outputs)
        What the network returns: unnormalised log probabilities, or standardised values.
    """

    own_energy: np.ndarray
    gap_energy: np.ndarray
    cross_modal_energy: np.ndarray
    energies: np.ndarray
    modal_energy: np.ndarray
    importance: np.ndarray
    attention: np.ndarray
    total_energy: np.ndarray
    energy_threshold: np.ndarray
    output: np.ndarray


_ENERGIES = frozenset(("own_energy", "gap_energy", "cross_modal_energy", "energies"))


def read_out(
    inputs: Inputs, gate: EnergyAttention, predictor: Predictor | None, wanted: Collection[str]
) -> dict[str, Tensor]:
    """Compute what is wanted of some samples.

    Parameters
    ----------
    inputs : Inputs
        The samples.
    gate : EnergyAttention
        In double precision.
    predictor : FusionNetwork or GatedInputs or None
        In the precision of the inputs; None where no output is wanted.
    wanted : collection of str
        Fields of :class:`Readings`, and "gated" for the gated features.

    Returns
    -------
    dict of str to Tensor of shape (n_samples, ...)
        What was wanted, and possibly more.
    """
    found = {
        "own_energy": inputs.own_energy,
        "gap_energy": inputs.gap_energy,
        "cross_modal_energy": inputs.cross_modal_energy,
        "energies": inputs.potential,
    }
    if _ENERGIES.issuperset(wanted):
        return found
    state = gate.state(inputs.potential)
    found["modal_energy"] = state.modal_energy
    found["importance"] = state.importance
    found["attention"] = state.attention
    if "total_energy" in wanted:
        found["total_energy"] = gate.total_energy(inputs.potential)
    if "energy_threshold" in wanted:
        found["energy_threshold"] = gate.energy_threshold(inputs.potential)
    attention = state.attention.to(inputs.modalities[0].dtype)
    if "gated" in wanted:
        pairs = zip(inputs.modalities, attention.unbind(1), strict=True)
        found["gated"] = torch.cat([x * beta.unsqueeze(1) for x, beta in pairs], 1)
    if predictor is not None:
        encoded: Any = predictor.encode(inputs.modalities)
        found["output"] = predictor.fuse(encoded, attention)
    return found
