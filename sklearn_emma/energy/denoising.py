"""Objective of stage 1: train the members of an energy to remove noise."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_emma.engine.objective import Objective
from sklearn_emma.nn import ConvolutionalEnergy, DAEEnergy
from sklearn_emma.nn.module_stack import stack, stack_samples, unstack

# Replaced samples are drawn uniformly within this many scales of the center, well beyond the data.
_BOX = 5.0


@dataclass(frozen=True)
class TrainingNoise:
    """Corruption of training samples: noise between two levels, and replaced samples.

    Attributes
    ----------
    low, high : float
        Lowest and highest standard deviation of the noise.
    replaced : float
        Fraction of samples that are replaced by uniformly distributed ones.
    """

    low: float
    high: float
    replaced: float

    def draw(self, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Corrupt samples.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Clean samples.
        generator : torch.Generator
            Random number generator on the device of the samples.

        Returns
        -------
        corrupted : Tensor of shape (n_samples, n_features)
            Corrupted samples, each with its own level of noise.
        weight : Tensor of shape (n_samples,)
            Weight of each sample in the loss.
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
        if self.replaced:
            replaced = torch.rand(len(x), **kind) < self.replaced
            uniform = noise.uniform_(-_BOX, _BOX, generator=generator)
            corrupted = torch.where(replaced.unsqueeze(1), uniform, corrupted)
            weight = torch.where(replaced, 3.0 * (low / _BOX) ** 2, weight)
        return corrupted, weight

    def mean_weight(self) -> float:
        r"""Return the mean of the weights of :meth:`draw`."""
        noisy = 1.0
        if self.low < self.high:
            ratio = self.low / self.high
            noisy = (1.0 - ratio**2) / (-2.0 * math.log(ratio))
        return (1.0 - self.replaced) * noisy + self.replaced * 3.0 * (self.low / _BOX) ** 2


def denoising_loss(
    energies: Iterable[DAEEnergy | ConvolutionalEnergy],
    robust: Sequence[bool],
    batch: Sequence[Tensor],
) -> Tensor:
    """Return the sum of the denoising losses of several energies.

    Parameters
    ----------
    energies : sequence of DAEEnergy or ConvolutionalEnergy
        Energy of each view, or stacked energies of several modalities.
    robust : sequence of bool
        Whether each view uses the robust loss.
    batch : sequence of Tensor of shape (..., n_batch, n_features) or (..., n_batch)
        Clean samples, corrupted samples and weights of the first view, then of the next, and so on.

    Returns
    -------
    Tensor of shape (...)
        Loss, or the loss of each of the stacked energies.
    """
    losses = []
    for k, (energy, root) in enumerate(zip(energies, robust, strict=True)):
        clean, corrupted, weight = batch[3 * k : 3 * k + 3]
        error = weight * (energy.reconstruct(corrupted) - clean).square().sum(-1)
        losses.append((error.clamp(min=1e-12).sqrt() if root else error).mean(-1))
    return torch.stack(losses).sum(0)


@dataclass(frozen=True)
class View:
    """Training problem of one view of a modality.

    Attributes
    ----------
    energy : DAEEnergy or ConvolutionalEnergy
        Energy to be trained.
    samples : Tensor of shape (n_samples, n_features)
        Training samples, in the coordinates of the view.
    held_out : Tensor of shape (n_held_out, n_features) or None
        Samples of the validation loss, whose noise is drawn once.
    noise : TrainingNoise
        Noise that the energy is trained to remove.
    robust : bool
        Whether the loss is the distance instead of the squared distance.
    """

    energy: DAEEnergy | ConvolutionalEnergy
    samples: Tensor
    held_out: Tensor | None
    noise: TrainingNoise
    robust: bool


class Denoising(Objective):
    r"""Minimize the denoising losses of all views.

    .. math:: \sum_k \mathrm{mean}\,
        v\, (w \lVert r_k(\tilde z_k) - z_k \rVert^2)^{p_k/2}

    with the weight v of a sample. The corrupted sample :math:`\tilde z` is z plus noise of its own
    level :math:`\sigma`, drawn log-uniformly from the range of levels. It has the weight
    :math:`w = (\sigma_{low} / \sigma)^2`: as the squared norm is proportional to :math:`\sigma^2`,
    all levels have the same influence. Low noise determines the energy near the data, high noise
    its slope far away. Some samples are replaced by uniformly distributed ones in a box around the
    data. Their weight is that of noise of the same variance.

    p is two for the squared loss and one for the robust loss. With the robust loss, outliers among
    the training samples have no more influence than other samples.

    Parameters
    ----------
    views : sequence of View
        Energy, data and noise of each view.
    weight : Tensor of shape (n_samples,)
        Weights of the samples, of mean one.
    generator : torch.Generator
        Random number generator on the device of the samples.
    held_out_weight : Tensor of shape (n_held_out,), default=None
        Weights of the held-out samples, of mean one. None weights all of them equally.
    """

    def __init__(
        self,
        views: Sequence[View],
        weight: Tensor,
        generator: torch.Generator,
        held_out_weight: Tensor | None = None,
    ):
        super().__init__(generator)
        self.views = list(views)
        self.energies: Any = nn.ModuleList(view.energy for view in views)
        self.robust = [view.robust for view in views]
        self.n_samples = len(weight)
        self.weight = weight
        held_out = [view.held_out for view in views if view.held_out is not None]
        self.validation = None
        if held_out:
            if held_out_weight is None:
                held_out_weight = torch.ones_like(held_out[0][:, 0])
            self.validation = self._corrupt(held_out, held_out_weight)
        self.baseline_loss = sum(map(self._baseline_loss, views))

    def _baseline_loss(self, view: View) -> float:
        """Return the loss of a zero reconstruction, plus that of unchanged noise of level low."""
        square = float((self.weight * view.samples.square().sum(1)).mean())
        loss = view.noise.mean_weight() * square + view.samples.shape[1] * view.noise.low**2
        # by Jensen's inequality, this is an upper bound of the mean of the roots
        return math.sqrt(loss) if view.robust else loss

    def _corrupt(self, samples: Sequence[Tensor], weight: Tensor) -> list[Tensor]:
        """Return clean samples, corrupted samples and weights, view by view."""
        tensors = []
        for x, view in zip(samples, self.views, strict=True):
            corrupted, level = view.noise.draw(x, self.generator)
            # the robust loss takes the root, also of the weight
            tensors += [x, corrupted, level * (weight.square() if view.robust else weight)]
        return tensors

    def epoch_data(self) -> Sequence[Tensor]:
        """Return clean samples, corrupted samples and weights, view by view."""
        drawn = self.samples_of_epoch()
        return self._corrupt([view.samples[drawn] for view in self.views], self.weight[drawn])

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the sum of the losses of all views."""
        return denoising_loss(self.energies, self.robust, batch)

    def validation_loss(self) -> Tensor | None:
        """Return the loss of the held-out samples."""
        return None if self.validation is None else self.loss(*self.validation)


class StackedDenoising(Objective):
    """Objective of the stacked energies of several modalities.

    Every modality has its own samples, noise and order of samples, from its own generator, so each
    energy is trained as if it was alone. A step computes all of them in batched products.

    Parameters
    ----------
    objectives : sequence of Denoising
        Objective of each modality. They must have the same number of samples, the same layer sizes,
        and no held-out samples.
    """

    def __init__(self, objectives: Sequence[Denoising]):
        super().__init__(objectives[0].generator)
        self.objectives = list(objectives)  # not submodules: what is trained are copies
        self.n_samples = objectives[0].n_samples
        views = zip(*(objective.energies for objective in objectives), strict=True)
        self.stacked: Any = nn.ModuleList(map(stack, views))
        self.baseline_loss = np.array([o.baseline_loss for o in objectives]).tolist()

    def epoch_data(self) -> Sequence[Tensor]:
        """Return the shuffled data of all modalities, of shape (n_samples, n_modalities, ...)."""
        each = (objective.shuffled_data() for objective in self.objectives)
        return [
            stack_samples(tensors, 1) if tensors[0].ndim > 1 else torch.stack(tensors, 1)
            for tensors in zip(*each, strict=True)
        ]

    def shuffled_data(self) -> Sequence[Tensor]:
        """Return the data of an epoch, which is already shuffled."""
        return self.epoch_data()

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the loss of each modality."""
        by_modality = [tensor.transpose(0, 1) for tensor in batch]
        return denoising_loss(self.stacked, self.objectives[0].robust, by_modality)

    def unstack(self) -> None:
        """Copy the trained parameters to the energies of the objectives."""
        views = zip(*(objective.energies for objective in self.objectives), strict=True)
        for stacked, energies in zip(self.stacked, views, strict=True):
            unstack(stacked, energies)
