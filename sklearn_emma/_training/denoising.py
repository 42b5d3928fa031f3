"""Stage 1 as a task: an energy learns to undo Gaussian noise."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from sklearn_emma._training.net import Task
from sklearn_emma.nn import DAEEnergy


class Denoising(Task):
    r"""Minimise the mean over rows of :math:`\lVert r(x + \epsilon) - x \rVert^2`.

    With a range of noise levels each row draws its own :math:`\sigma`, log-uniformly, and counts
    :math:`(\sigma_{low} / \sigma)^2`: the norm grows as :math:`\sigma^2`, and every level is to
    matter as much. Small noise shapes the energy near the data, large noise the slopes far away.

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
    noise : (float, float)
        Lowest and highest standard deviation of the noise.
    generator : torch.Generator
        On the device of the rows.
    """

    def __init__(
        self,
        energy: DAEEnergy,
        rows: Tensor,
        weight: Tensor,
        held_out: Tensor | None,
        noise: tuple[float, float],
        generator: torch.Generator,
    ):
        super().__init__(generator)
        self.energy = energy
        self.rows = rows
        self.n_samples = len(rows)
        self.weight = weight
        self.noise = noise
        self.validation = None
        if held_out is not None:
            noisy, level = self._corrupt(held_out)
            self.validation = held_out, noisy, level
        # of a reconstruction that is zero everywhere, or that leaves all the noise
        low, high = noise
        mean_level = 1.0
        if low < high:
            mean_level = (1.0 - (low / high) ** 2) / (2.0 * math.log(high / low))
        nothing = float((weight * rows.square().sum(1)).mean())
        self.ignorant_loss = mean_level * nothing + rows.shape[1] * low**2

    def _corrupt(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return noisy rows and how much each counts."""
        low, high = self.noise
        noise = torch.randn(x.shape, generator=self.generator, device=x.device, dtype=x.dtype)
        if low == high:
            return torch.add(x, noise, alpha=low), torch.ones_like(x[:, 0])
        u = torch.rand(len(x), generator=self.generator, device=x.device, dtype=x.dtype)
        ratio = (u * math.log(high / low)).exp()
        return torch.addcmul(x, noise, (low * ratio).unsqueeze(1)), ratio**-2

    def epoch_data(self) -> Sequence[Tensor]:
        """Return clean rows, noisy rows and weights."""
        noisy, level = self._corrupt(self.rows)
        return self.rows, noisy, self.weight * level

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the weighted mean squared norm of what is left of the noise."""
        clean, noisy, weight = batch
        return (weight * (self.energy.reconstruct(noisy) - clean).square().sum(1)).mean()

    def validation_loss(self) -> Tensor | None:
        """Return the loss on the held-out rows."""
        return None if self.validation is None else self.loss(*self.validation)
