"""Stage 1 as a task: the members of an energy learn to undo noise, side by side."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_emma.engine.objective import Task
from sklearn_emma.nn import DAEEnergy

# Where lost rows are: uniform within this many scales of the centre, well beyond the training rows.
_BOX = 5.0


@dataclass(frozen=True)
class Corruption:
    """What is done to training rows: noise between two levels, and rows that are lost altogether.

    Attributes
    ----------
    low, high : float
        Lowest and highest standard deviation of the noise.
    lost : float
        Fraction of rows that are put anywhere.
    """

    low: float
    high: float
    lost: float

    def draw(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Corrupt rows.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Rows.
        generator : torch.Generator
            On the device of the rows.

        Returns
        -------
        corrupted : Tensor of shape (n_samples, n_features)
            The rows, each with noise of a level of its own.
        weight : Tensor of shape (n_samples,)
            How much each counts.
        """
        low, high = self.low, self.high
        kind: dict[str, Any] = {"generator": generator, "device": x.device, "dtype": x.dtype}
        noise = torch.randn(x.shape, **kind)
        if low == high:
            corrupted, weight = torch.add(x, noise, alpha=low), torch.ones_like(x[:, 0])
        else:
            ratio = (torch.rand(len(x), **kind) * math.log(high / low)).exp()
            corrupted = torch.addcmul(x, noise, (low * ratio).unsqueeze(1))
            weight = ratio**-2
        if self.lost:
            lost = torch.rand(len(x), **kind) < self.lost
            anywhere = noise.uniform_(-_BOX, _BOX, generator=generator)
            corrupted = torch.where(lost.unsqueeze(1), anywhere, corrupted)
            weight = torch.where(lost, 3.0 * (low / _BOX) ** 2, weight)
        return corrupted, weight

    def mean_level(self) -> float:
        r"""Return the mean of the weights of :meth:`draw`."""
        noisy = 1.0
        if self.low < self.high:
            ratio = self.low / self.high
            noisy = (1.0 - ratio**2) / (-2.0 * math.log(ratio))
        return (1.0 - self.lost) * noisy + self.lost * 3.0 * (self.low / _BOX) ** 2


def denoising_loss(
    energies: Iterable[DAEEnergy], robust: Sequence[bool], batch: Sequence[Tensor]
) -> Tensor:
    """Return the sum of the losses of some energies.

    Parameters
    ----------
    energies : sequence of DAEEnergy
        One for each view, or stacked ones.
    robust : sequence of bool
        Which loss each takes.
    batch : sequence of Tensor of shape (..., n_rows, n_features) or (..., n_rows)
        Clean rows, corrupted rows and weights of each view, one after another.

    Returns
    -------
    Tensor of shape (...)
        The loss, or one for each of the stacked energies.
    """
    losses = []
    for k, (energy, root) in enumerate(zip(energies, robust, strict=True)):
        clean, corrupted, weight = batch[3 * k : 3 * k + 3]
        error = weight * (energy.reconstruct(corrupted) - clean).square().sum(-1)
        losses.append((error.clamp(min=1e-12).sqrt() if root else error).mean(-1))
    return torch.stack(losses).sum(0)


class Denoising(Task):
    r"""Minimise :math:`\sum_k \mathrm{mean}\, (w \lVert r_k(\tilde z_k) - z_k \rVert^2)^{p_k/2}`.

    The corrupted row :math:`\tilde z` is z with noise of its own level :math:`\sigma`, log-uniform
    within the range, and counts :math:`w = (\sigma_{low} / \sigma)^2`: the norm grows as
    :math:`\sigma^2`, and every level is to matter as much. Small noise shapes the energy near the
    data, large noise the slopes far away. Some rows are lost altogether, uniform in a box around
    the data, and count as noise of as much variance.

    With the squared loss p is two, with the robust one p is one: the few rows that nothing
    explains, outliers among the training rows, then pull no more than any other.

    Parameters
    ----------
    energies : sequence of DAEEnergy
        What to train.
    rows : sequence of Tensor of shape (n_samples, n_features)
        Training rows, in the coordinates of each energy.
    weight : Tensor of shape (n_samples,)
        Weights of the rows, of mean one.
    held_out : sequence of Tensor of shape (n_held_out, n_features) or None
        Rows of the validation loss, noise drawn once.
    corruptions : sequence of Corruption
        What each energy learns to undo.
    robust : sequence of bool
        Which loss each takes.
    generator : torch.Generator
        On the device of the rows.
    """

    def __init__(
        self,
        energies: Sequence[DAEEnergy],
        rows: Sequence[Tensor],
        weight: Tensor,
        held_out: Sequence[Tensor] | None,
        corruptions: Sequence[Corruption],
        robust: Sequence[bool],
        generator: torch.Generator,
    ):
        super().__init__(generator)
        self.energies: Any = nn.ModuleList(energies)
        self.rows = list(rows)
        self.n_samples = len(weight)
        self.weight = weight
        self.corruptions = list(corruptions)
        self.robust = list(robust)
        self.validation = None
        if held_out is not None:
            even = torch.ones_like(held_out[0][:, 0])
            self.validation = self._corrupt(held_out, even)
        # of a reconstruction that is zero everywhere, or that leaves all the noise
        ignorant = [
            corruption.mean_level() * float((weight * x.square().sum(1)).mean())
            + x.shape[1] * corruption.low**2
            for x, corruption in zip(self.rows, self.corruptions, strict=True)
        ]
        # by Jensen's inequality no less than the mean of roots
        self.ignorant_loss = sum(
            math.sqrt(loss) if root else loss for loss, root in zip(ignorant, robust, strict=True)
        )

    def _corrupt(self, rows: Sequence[Tensor], weight: Tensor) -> list[Tensor]:
        """Return clean rows, corrupted rows and weights of each member, one after another."""
        tensors = []
        for x, corruption in zip(rows, self.corruptions, strict=True):
            corrupted, level = corruption.draw(x, self.generator)
            tensors += [x, corrupted, weight * level]
        return tensors

    def epoch_data(self) -> Sequence[Tensor]:
        """Return clean rows, corrupted rows and weights of each member, one after another."""
        return self._corrupt(self.rows, self.weight)

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the sum of the members' losses."""
        return denoising_loss(self.energies, self.robust, batch)

    def validation_loss(self) -> Tensor | None:
        """Return the loss on the held-out rows."""
        return None if self.validation is None else self.loss(*self.validation)
