"""Gate and predictor with virtual adversarial training; its equation stands beside its parameters.

See :mod:`sklearn_emma.corruption.virtual_adversarial`.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sklearn_emma.corruption import VirtualAdversarial
from sklearn_emma.gate.objective import GatedObjective

# Where the first gradient is taken, as a fraction of the change.
_START = 0.1


class VirtualAdversarialObjective(GatedObjective):
    """Gate and predictor on clean and corrupted samples, and equal predictions for neighbours.

    Parameters
    ----------
    smoothing : VirtualAdversarial
        Size, weight and schedule.
    **params : dict
        Those of :class:`GatedObjective`.
    """

    def __init__(self, smoothing: VirtualAdversarial, **params: Any):
        super().__init__(**params)
        self.smoothing = smoothing
        self.weight = smoothing.weight_in(0, 1)

    def begin_epoch(self, epoch: int, n_epochs: int) -> None:
        """Cool the gate, and raise the weight."""
        super().begin_epoch(epoch, n_epochs)
        self.weight = self.smoothing.weight_in(epoch, n_epochs)

    def loss(self, *batch: Tensor) -> Tensor:
        """Return prediction loss and regularization, in training with that of neighbours."""
        loss = super().loss(*batch)
        if not self.training or not self.weight:
            return loss
        return loss + self.weight * self.roughness(batch[1], batch[5:])

    def roughness(self, potential: Tensor, modalities: Sequence[Tensor]) -> Tensor:
        """Return how much predictions change between samples and their worst neighbours.

        Parameters
        ----------
        potential : Tensor of shape (n_batch, n_modalities)
            Potentials of the samples.
        modalities : sequence of Tensor of shape (n_batch, n_features)
            The samples.

        Returns
        -------
        Tensor of shape ()
            The mean divergence of the predictions.
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
