"""Rows cut into modalities, and the failures that befall them while gate and predictor learn."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sklearn_emma.corruption import Corruption, Reference

# Rows whose energies are computed together, as many as when rows are predicted: an energy keeps
# many more numbers of a row than the row has.
_SCORED_TOGETHER = 2**15


@dataclass(frozen=True)
class Rows:
    """Rows of a table, cut into modalities.

    Parameters
    ----------
    modalities : list of Tensor of shape (n_samples, n_features)
        Standardised values, NaN where missing.
    potential : Tensor of shape (n_samples, n_modalities)
        Their potential energies, each modality by itself.
    target : Tensor of shape (n_samples,) or (n_samples, n_outputs)
        What the criterion takes: class indices, or standardised values.
    weight : Tensor of shape (n_samples,)
        Weights.
    """

    modalities: list[Tensor]
    potential: Tensor
    target: Tensor
    weight: Tensor

    def take(self, index: Tensor) -> "Rows":
        """Return some of the rows."""
        return Rows(
            [x[index] for x in self.modalities],
            self.potential[index],
            self.target[index],
            self.weight[index],
        )


class Failures:
    """Draws failures and knows the energies that result.

    Parameters
    ----------
    corruption : Corruption
        What may befall a modality.
    names : list of str
        Names of the modalities.
    reference : Reference
        Units and donors of the corruption.
    generator : torch.Generator
        On the device of the rows.
    potentials : sequence of callable, default=()
        For each modality: rows, NaN where missing, to potential energies. Set by :meth:`score`.
    """

    def __init__(
        self,
        corruption: Corruption,
        names: list[str],
        reference: Reference,
        generator: torch.Generator,
        potentials: Sequence[Callable[[Tensor], Tensor]] = (),
    ):
        self.corruption = corruption
        self.names = names
        self.reference = reference
        self.generator = generator
        self.potentials = potentials

    def score(self, rows: Rows, potentials: Sequence[Callable[[Tensor], Tensor]]) -> Rows:
        """Set the energies, and return the rows with their potentials."""
        self.potentials = potentials
        pairs = zip(potentials, rows.modalities, strict=True)
        scored = [_in_blocks(energy, x) for energy, x in pairs]
        return replace(rows, potential=torch.stack(scored, 1))

    def draw(self, rows: Rows) -> tuple[Rows, Tensor]:
        """Let some modalities of some rows fail.

        Parameters
        ----------
        rows : Rows
            Intact rows, left as they are.

        Returns
        -------
        rows : Rows
            The rows with failures; energies are computed anew only where something changed.
        indicator : Tensor of shape (n_samples, n_modalities)
            +1 intact, -1 corrupted.
        """
        modalities, indicator = self.corruption.corrupt_tensors(
            rows.modalities,
            generator=self.generator,
            reference=self.reference,
            names=self.names,
        )
        return self.rescore(replace(rows, modalities=modalities), indicator < 0), indicator

    def rescore(self, rows: Rows, changed: Tensor) -> Rows:
        """Return the rows with new potentials where changed, (n_samples, n_modalities), is True."""
        potential = rows.potential.clone()
        for i, (energy, x) in enumerate(zip(self.potentials, rows.modalities, strict=True)):
            where = changed[:, i].nonzero().squeeze(1)
            if len(where):
                potential[where, i] = _in_blocks(energy, x[where])
        return replace(rows, potential=potential)


def _in_blocks(energy: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Return the energies of rows, of so many at a time that memory does not matter."""
    return torch.cat([energy(block) for block in x.split(_SCORED_TOGETHER)])


def fill(modalities: list[Tensor], fills: list[Tensor]) -> list[Tensor]:
    """Put the fill values where modalities are NaN."""
    return [torch.where(x.isnan(), values, x) for x, values in zip(modalities, fills, strict=True)]
