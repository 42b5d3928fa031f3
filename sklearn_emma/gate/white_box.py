"""Gradient of the prediction loss with respect to samples, through energies, gate and predictor."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sklearn_emma.energy.protocol import Potential
from sklearn_emma.gate.objective import GateModel
from sklearn_emma.nn import EnergyAttention, GatedPredictor
from sklearn_emma.nn.evidence_energy import add_gap_energy


@dataclass(frozen=True)
class WhiteBox:
    """Model whose gradients are available to an attack.

    Attributes
    ----------
    model : GateModel
        Gate, predictor, cross-modal energy and prediction loss.
    potentials : sequence of Potential
        Energy of each modality. Energies without a method ``gradient``, from other libraries, are
        treated as constant.
    """

    model: GateModel
    potentials: Sequence[Potential]

    def potential(self, modalities: Sequence[Tensor], own: Tensor, gap: Tensor) -> Tensor:
        """Return the potentials that are the input of the gate.

        Parameters
        ----------
        modalities : list of Tensor of shape (n_samples, n_features)
            Standardized samples whose missing values are filled.
        own : Tensor of shape (n_samples, n_modalities)
            Own potential of each modality.
        gap : Tensor of shape (n_samples, n_modalities)
            Energy of missing values, infinite for missing modalities.

        Returns
        -------
        Tensor of shape (n_samples, n_modalities)
            Potentials.
        """
        gate, cross_modal = self.model.gate, self.model.cross_modal
        total = add_gap_energy(own, gap)
        if cross_modal is None:
            return total
        return cross_modal(modalities, total, gate.potential_min, gate.potential_scale)

    @torch.no_grad()
    def own_energy(self, modalities: Sequence[Tensor]) -> Tensor:
        """Return the own potential of each modality, of shape (n_samples, n_modalities)."""
        pairs = zip(self.potentials, modalities, strict=True)
        return torch.stack([energy.potential(x) for energy, x in pairs], 1)

    def gradient(self, modalities: Sequence[Tensor], gap: Tensor, target: Tensor) -> list[Tensor]:
        """Return the gradient of the loss of each sample, up to a positive factor.

        Parameters
        ----------
        modalities : list of Tensor of shape (n_samples, n_features)
            Standardized samples whose missing values are filled.
        gap : Tensor of shape (n_samples, n_modalities)
            Energy of missing values, infinite for missing modalities.
        target : Tensor of shape (n_samples,) or (n_samples, n_outputs)
            Target of the prediction loss.

        Returns
        -------
        list of Tensor of shape (n_samples, n_features)
            Gradient with respect to each modality. It is the gradient of the mean loss over
            samples.
        """
        found = []
        with torch.inference_mode(False), torch.enable_grad():
            leaves = [x.detach().clone().requires_grad_() for x in modalities]
            own = self.own_energy(modalities).clone().requires_grad_()
            potential = self.potential(leaves, own, gap)
            output = _predict(self.model.gate, self.model.network, leaves, potential)
            loss = self.model.prediction_loss(output, target, torch.ones_like(own[:, 0]))
            *direct, by_energy = torch.autograd.grad(loss, [*leaves, own], allow_unused=True)
        with torch.no_grad():
            for i, (x, energy) in enumerate(zip(modalities, self.potentials, strict=True)):
                slope = torch.zeros_like(x) if direct[i] is None else direct[i]
                if hasattr(energy, "gradient") and by_energy is not None:
                    slope = slope + by_energy[:, i, None].to(x.dtype) * energy.gradient(x)
                found.append(slope.nan_to_num())
        return found


def _predict(
    gate: EnergyAttention, network: GatedPredictor, modalities: Sequence[Tensor], potential: Tensor
) -> Tensor:
    encoded: Any = network.encode(modalities)
    attention = gate(potential, network.embeddings_for(gate, encoded))
    return network.fuse(encoded, attention.to(modalities[0].dtype))
