"""Virtual adversarial training of gate and predictor.

The equation is given in :mod:`sklearn_emma.corruption.virtual_adversarial`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sklearn_emma.corruption import VirtualAdversarial
from sklearn_emma.gate.objective import GatedObjective

# Length of the random displacement at which the gradient is computed, as a fraction of eps.
_START = 0.1


class VirtualAdversarialObjective(GatedObjective):
    """Objective of gate and predictor with a penalty on changes of predictions near samples.

    Parameters
    ----------
    smoothing : VirtualAdversarial
        Size of the displacement, weight of the penalty, and schedule of the weight.
    **params : dict
        Parameters of :class:`GatedObjective`.
    """

    def __init__(self, smoothing: VirtualAdversarial, **params: Any):
        super().__init__(**params)
        self.smoothing = smoothing
        self.weight = smoothing.weight_in(0, 1)

    def begin_epoch(self, epoch: int, n_epochs: int) -> None:
        """Set the coldness of the gate and the weight of the penalty in an epoch."""
        super().begin_epoch(epoch, n_epochs)
        self.weight = self.smoothing.weight_in(epoch, n_epochs)

    def loss(self, *batch: Tensor) -> Tensor:
        """Return prediction loss and regularization, in training including the penalty."""
        loss = super().loss(*batch)
        if not self.training or not self.weight:
            return loss
        return loss + self.weight * self.roughness(batch[1], batch[5:])

    def roughness(self, potential: Tensor, modalities: Sequence[Tensor]) -> Tensor:
        """Return the change of predictions for displacements in the worst direction.

        Parameters
        ----------
        potential : Tensor of shape (n_batch, n_modalities)
            Potentials of the samples.
        modalities : sequence of Tensor of shape (n_batch, n_features)
            Samples.

        Returns
        -------
        Tensor of shape ()
            Mean divergence of the predictions.
        """
        with torch.no_grad():
            encoded: Any = self.network.encode(modalities)
            embeddings = self.network.embeddings_for(self.gate, encoded)
            attention = self.gate.state(potential, encoded=embeddings).attention
            expected = self.network.fuse_each(encoded, attention)

        def divergence(change: Tensor) -> Tensor:
            """Return the divergence of the predictions for changed samples."""
            moved = [x + r for x, r in zip(modalities, change.split(widths, dim=1), strict=True)]
            outputs = self.network.fuse_each(self.network.encode(moved), attention)
            return self.prediction_loss.divergence(expected, outputs)

        widths = [x.shape[1] for x in modalities]
        random = expected.new_empty(len(potential), sum(widths)).normal_(generator=self.generator)
        start = _START * self._of_length_eps(random).requires_grad_()
        (gradient,) = torch.autograd.grad(divergence(start), start)
        return divergence(self._of_length_eps(gradient))

    def _of_length_eps(self, direction: Tensor) -> Tensor:
        # gradients may be tiny, and those of samples without any modality are zero
        largest = direction.abs().amax(1, keepdim=True)
        scaled = direction / largest.clamp(min=torch.finfo(direction.dtype).tiny)
        return self.smoothing.eps * torch.nn.functional.normalize(scaled, dim=1)
