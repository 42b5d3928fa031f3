"""Stage 1 as a task: an energy learns to undo Gaussian noise."""

from collections.abc import Sequence

import torch
from torch import Tensor

from sklearn_emma._training.net import Task
from sklearn_emma.nn import DAEEnergy


class Denoising(Task):
    r"""Minimise the mean over rows of :math:`\lVert r(x + \epsilon) - x \rVert^2`.

    Parameters
    ----------
    energy : DAEEnergy
        What to train.
    rows : Tensor of shape (n_samples, n_features)
        Standardised training rows.
    weight : Tensor of shape (n_samples,)
        Weights of the rows, of mean one.
    held_out : Tensor of shape (n_held_out, n_features) or None
        Rows of the validation loss, noise drawn once.
    noise : float
        Standard deviation of the noise.
    generator : torch.Generator
        On the device of the rows.
    """

    def __init__(
        self,
        energy: DAEEnergy,
        rows: Tensor,
        weight: Tensor,
        held_out: Tensor | None,
        noise: float,
        generator: torch.Generator,
    ):
        super().__init__(generator)
        self.energy = energy
        self.rows = rows
        self.weight = weight
        self.noise = noise
        self.held_out = held_out
        if held_out is not None:
            self.held_out_noisy = self._corrupt(held_out)
        # of a reconstruction that is zero everywhere
        self.ignorant_loss = float((weight * rows.square().sum(1)).mean()) + noise**2

    def _corrupt(self, x: Tensor) -> Tensor:
        noise = torch.randn(x.shape, generator=self.generator, device=x.device, dtype=x.dtype)
        return torch.add(x, noise, alpha=self.noise)

    def epoch_data(self) -> Sequence[Tensor]:
        """Return clean rows, noisy rows and weights."""
        return self.rows, self._corrupt(self.rows), self.weight

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the weighted mean squared norm of what is left of the noise."""
        clean, noisy, weight = batch
        return (weight * (self.energy.reconstruct(noisy) - clean).square().sum(1)).mean()

    def validation_loss(self) -> Tensor | None:
        """Return the mean squared norm on the held-out rows."""
        if self.held_out is None:
            return None
        return (self.energy.reconstruct(self.held_out_noisy) - self.held_out).square().sum(1).mean()
