"""Training samples cut into modalities, on the device, and the energies that they get."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sklearn_emma.energy.protocol import Potential
from sklearn_emma.engine.batches import energy_block
from sklearn_emma.gate.inputs import read_modality


def fill(modalities: Sequence[Tensor], fills: Sequence[Tensor]) -> list[Tensor]:
    """Replace NaN.

    Parameters
    ----------
    modalities : sequence of Tensor of shape (n_samples, n_features)
        Values, NaN where missing.
    fills : sequence of Tensor of shape (n_features,)
        What takes the place of NaN.

    Returns
    -------
    list of Tensor of shape (n_samples, n_features)
        Complete values.
    """
    return [torch.where(x.isnan(), values, x) for x, values in zip(modalities, fills, strict=True)]


@dataclass(frozen=True)
class Samples:
    """Training samples.

    Attributes
    ----------
    modalities : list of Tensor of shape (n_samples, n_features)
        Standardised values, NaN where missing.
    target : Tensor of shape (n_samples,) or (n_samples, n_outputs)
        What the prediction loss takes: class indices, or standardised values.
    weight : Tensor of shape (n_samples,)
        Weights.
    blocks : list of list of Tensor, or None
        Places of the indicators of each categorical column, by modality; None where no column is
        categorical.
    """

    modalities: list[Tensor]
    target: Tensor
    weight: Tensor
    blocks: list[list[Tensor]] | None = None

    def value_shares(self) -> list[Tensor] | None:
        """Return the share of each feature in the values of its modality.

        Returns
        -------
        list of Tensor of shape (n_features,), or None
            All indicators of a category are one value. None where each feature is a value.
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
        As in :class:`Samples`.
    potential : Tensor of shape (n_samples, n_modalities)
        Potentials, each modality by itself.
    """

    modalities: list[Tensor]
    target: Tensor
    weight: Tensor
    potential: Tensor

    def take(self, index: Tensor) -> "ScoredSamples":
        """Return some of the samples."""
        return ScoredSamples(
            [x[index] for x in self.modalities],
            self.target[index],
            self.weight[index],
            self.potential[index],
        )


@dataclass(frozen=True)
class Energies:
    """Energies of the modalities on the device of the training samples.

    Attributes
    ----------
    names : list of str
        Names of the modalities.
    potentials : list of Potential
        One per modality, for samples in float32.
    fills : list of Tensor of shape (n_features,)
        What gaps are filled with.
    scale : Tensor of shape (n_modalities,)
        :math:`s_i`, in double precision on the CPU; zeros before it is known.
    value_shares : list of Tensor of shape (n_features,), or None
        Share of each feature in the values of its modality; None where all are the same.
    """

    names: list[str]
    potentials: list[Potential]
    fills: list[Tensor]
    scale: Tensor
    value_shares: list[Tensor] | None = None

    @torch.no_grad()
    def of_modality(self, i: int, x: Tensor) -> Tensor:
        """Return the potentials (n_samples,) of modality i, block by block."""
        energy, fills, scale = self.potentials[i], self.fills[i], self.scale[i]
        shares = None if self.value_shares is None else self.value_shares[i]
        found = []
        for block in x.split(energy_block()):
            found.append(read_modality(energy, block, fills, scale, shares))
        return torch.cat(found)

    def score(self, samples: Samples) -> ScoredSamples:
        """Return the samples with their potentials."""
        potentials = [self.of_modality(i, x) for i, x in enumerate(samples.modalities)]
        return ScoredSamples(
            samples.modalities, samples.target, samples.weight, torch.stack(potentials, 1)
        )

    def rescore(
        self, samples: ScoredSamples, modalities: list[Tensor], changed: Tensor
    ) -> ScoredSamples:
        """Return samples with other values.

        Parameters
        ----------
        samples : ScoredSamples
            The samples as they were.
        modalities : list of Tensor of shape (n_samples, n_features)
            Their new values.
        changed : Tensor of bool of shape (n_samples, n_modalities)
            Where the potential is computed anew.

        Returns
        -------
        ScoredSamples
            The samples as they are now.
        """
        potential = samples.potential.clone()
        for i, x in enumerate(modalities):
            where = changed[:, i].nonzero().squeeze(1)
            if len(where):
                potential[where, i] = self.of_modality(i, x[where])
        return ScoredSamples(modalities, samples.target, samples.weight, potential)
