"""Training samples on the device, split into modalities, and their energies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_emma.energy.protocol import Potential
from sklearn_emma.engine.batches import energy_block
from sklearn_emma.gate.columns import read_columns
from sklearn_emma.gate.inputs import read_modality
from sklearn_emma.nn.evidence_energy import add_gap_energy, gap_energy


@dataclass(frozen=True)
class Samples:
    """Training samples.

    Attributes
    ----------
    modalities : list of Tensor of shape (n_samples, n_features)
        Standardized values. NaN marks missing values.
    target : Tensor of shape (n_samples,) or (n_samples, n_outputs)
        Target of the prediction loss: class indices, or standardized values.
    weight : Tensor of shape (n_samples,)
        Weights of the samples in the loss.
    blocks : list of list of Tensor, or None
        Positions of the indicators of each categorical column, by modality. None if no column is
        categorical.
    sample_weight : Tensor of shape (n_samples,), default=None
        Weights of the samples in everything that does not depend on targets, such as energies:
        without class weights, and not zero for unlabeled samples. None means `weight`.
    """

    modalities: list[Tensor]
    target: Tensor
    weight: Tensor
    blocks: list[list[Tensor]] | None = None
    sample_weight: Tensor | None = None

    @property
    def energy_weight(self) -> Tensor:
        """Weights of the samples in energies, and in everything that does not depend on targets."""
        return self.weight if self.sample_weight is None else self.sample_weight

    def value_shares(self) -> list[Tensor] | None:
        """Return the weight of each feature in the fraction of missing values of its modality.

        Returns
        -------
        list of Tensor of shape (n_features,), or None
            Weights. All indicators of a category together have the weight of one value. None if no
            column is categorical.
        """
        if self.blocks is None:
            return None
        shares = []
        for x, blocks in zip(self.modalities, self.blocks, strict=True):
            share = torch.ones_like(x[0])
            for block in blocks:
                share[block] = 1.0 / len(block)
            shares.append(share / share.sum())
        return shares


@dataclass(frozen=True)
class ScoredSamples:
    """Training samples with their potentials.

    Attributes
    ----------
    modalities, target, weight : objects
        Attributes of :class:`Samples`.
    potential : Tensor of shape (n_samples, n_modalities)
        Own potential of each modality.
    filled : list of Tensor of shape (n_samples, n_features)
        Complete values, with missing values filled and corrupted columns replaced.
    """

    modalities: list[Tensor]
    target: Tensor
    weight: Tensor
    potential: Tensor
    filled: list[Tensor]

    def take(self, index: Tensor | slice) -> "ScoredSamples":
        """Return a subset of the samples."""
        return ScoredSamples(
            [x[index] for x in self.modalities],
            self.target[index],
            self.weight[index],
            self.potential[index],
            [x[index] for x in self.filled],
        )


@dataclass(frozen=True)
class Energies:
    r"""Energies of the modalities on the device of the training samples.

    Attributes
    ----------
    names : list of str
        Names of the modalities.
    potentials : list of Potential
        Energy of each modality, for samples in float32.
    fillings : list of GapFilling
        Gap filling of each modality, for samples in float32.
    scale : Tensor of shape (n_modalities,)
        Scale :math:`s_i` of the potential, in double precision on the CPU. Zero before calibration.
    value_shares : list of Tensor of shape (n_features,), or None
        Weight of each feature in the fraction of missing values, see :meth:`Samples.value_shares`.
    columns : ModuleList of ColumnAttention, default=None
        Attention to the columns of each modality, if it is used.
    minimum : Tensor of shape (n_modalities,), default=None
        Minimum :math:`\Psi_{min,i}` of the potential. Only needed for the attention to columns.
    """

    names: list[str]
    potentials: list[Potential]
    fillings: Sequence[Callable[[Tensor], Tensor]]
    scale: Tensor
    value_shares: list[Tensor] | None = None
    columns: nn.ModuleList | None = None
    minimum: Tensor | None = None

    @torch.no_grad()
    def of_modality(self, i: int, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return the own potentials, of shape (n_samples,), and complete values of modality i."""
        read = self._read if self.columns is None else self._read_columns
        potentials, filled = zip(
            *[read(i, block) for block in x.split(energy_block())], strict=True
        )
        return torch.cat(potentials), torch.cat(filled)

    def _read(self, i: int, x: Tensor) -> tuple[Tensor, Tensor]:
        shares = None if self.value_shares is None else self.value_shares[i]
        return read_modality(self.potentials[i], x, self.fillings[i], self.scale[i], shares)

    def _read_columns(self, i: int, x: Tensor) -> tuple[Tensor, Tensor]:
        assert self.columns is not None
        assert self.minimum is not None
        attend: Any = self.columns[i]
        constants = self.minimum[i], self.scale[i]
        read = read_columns(attend, self.potentials[i], x, self.fillings[i], constants)
        missing = 1.0 - read.attention.mean(1)
        return add_gap_energy(read.potential, gap_energy(missing, self.scale[i])), read.values

    def score(self, samples: Samples) -> ScoredSamples:
        """Return the samples with their potentials."""
        read = [self.of_modality(i, x) for i, x in enumerate(samples.modalities)]
        potentials, filled = zip(*read, strict=True)
        return ScoredSamples(
            samples.modalities,
            samples.target,
            samples.weight,
            torch.stack(potentials, 1),
            list(filled),
        )

    def rescore(
        self, samples: ScoredSamples, modalities: list[Tensor], changed: Tensor
    ) -> ScoredSamples:
        """Return samples with new values, and recompute potentials only where needed.

        Parameters
        ----------
        samples : ScoredSamples
            Samples with their previous values.
        modalities : list of Tensor of shape (n_samples, n_features)
            New values.
        changed : Tensor of bool of shape (n_samples, n_modalities)
            True where the potential of a modality must be recomputed.

        Returns
        -------
        ScoredSamples
            Samples with the new values.
        """
        potential, filled = samples.potential.clone(), list(samples.filled)
        for i, x in enumerate(modalities):
            where = changed[:, i].nonzero().squeeze(1)
            if len(where):
                potential[where, i], values = self.of_modality(i, x[where])
                filled[i] = filled[i].index_copy(0, where, values)
        return ScoredSamples(modalities, samples.target, samples.weight, potential, filled)
