r"""Adversarial training: gate and predictor are also trained on attacked samples.

.. math:: \mathcal{L}(x) + \mathcal{L}(x^{adv})

:math:`x^{adv}` are the clean samples of a batch, with modalities that are changed to mislead the
model with its current parameters (Goodfellow, I., Shlens, J. and Szegedy, C. (2015). Explaining and
harnessing adversarial examples. ICLR). An attacked modality is treated as corrupted.
"""

from typing import Any

import torch
from torch import Tensor

from sklearn_emma.corruption import Adversarial
from sklearn_emma.gate.objective import GatedObjective, GateModel, gated_loss
from sklearn_emma.gate.white_box import WhiteBox


class AdversarialObjective(GatedObjective):
    """Objective of gate and predictor on clean, corrupted and attacked samples.

    Parameters
    ----------
    attack : Adversarial
        Attack on the samples.
    **params : dict
        Parameters of :class:`GatedObjective`.
    """

    def __init__(self, attack: Adversarial, **params: Any):
        super().__init__(**params)
        self.attack = attack
        model = GateModel(self.gate, self.network, self.cross_modal, self.prediction_loss)
        self.box = WhiteBox(model, self.failures.energies.potentials)

    def loss(self, *batch: Tensor) -> Tensor:
        """Return prediction loss and regularization. In training, attacked samples are added."""
        loss = super().loss(*batch)
        attacked = self.attacked(*batch) if self.training else None
        if attacked is None:
            return loss
        return loss + gated_loss(
            self.gate, self.network, self.prediction_loss, self.weights, attacked, False
        )

    @torch.no_grad()
    def attacked(self, *batch: Tensor) -> list[Tensor] | None:
        """Attack the clean samples of a batch.

        Parameters
        ----------
        *batch : Tensor of shape (n_batch, ...)
            A batch of the tensors that :meth:`draw_epoch` returns.

        Returns
        -------
        list of Tensor of shape (n_intact, ...) or None
            The same tensors for the attacked samples, or None if no sample of the batch is clean.
        """
        intact = (batch[2] > 0).all(1)
        if not intact.any():
            return None
        subset, potential, _, target, weight, *modalities = (tensor[intact] for tensor in batch)
        # missing modalities have a gap energy here, single missing values do not
        gap = torch.zeros_like(potential).masked_fill(~potential.isfinite(), torch.inf)
        moved, indicator = self.attack.corrupt_tensors(
            modalities,
            generator=self.generator,
            reference=self.failures.reference,
            names=self.failures.energies.names,
            gradient=lambda changed: self.box.gradient(changed, gap, target),
        )
        found = self.box.potential(moved, self.box.own_energy(moved), gap)
        return [torch.ones_like(subset), found, indicator, target, weight, *moved]
