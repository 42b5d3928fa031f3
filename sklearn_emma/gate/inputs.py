r"""Where a table becomes standardised, filled modalities with potentials.

Gaps are filled with the training median, and count as evidence of failure: the potential of a
modality is

.. math:: \Psi_i(x_{filled}) + 3\, s_i\, \bigl(-\log(1 - n_i / D_i)\bigr) + 3\, s_i \max(0, A_i)

with :math:`n_i` of :math:`D_i` values missing and the disagreement :math:`A_i` with the other
modalities; see :mod:`sklearn_emma.nn.evidence` and :class:`~sklearn_emma.nn.CrossModalEnergy`. It
is infinite where the modality is missing altogether.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.energy.protocol import Potential
from sklearn_emma.modalities import split_columns
from sklearn_emma.nn import CrossModalEnergy
from sklearn_emma.nn.evidence import gap_evidence, potential_of_evidence
from sklearn_emma.validation import standardise


class ModalityInput(NamedTuple):
    """One modality of some samples.

    Attributes
    ----------
    x : Tensor of shape (n_samples, n_features)
        Standardised values, gaps filled.
    own_energy : Tensor of shape (n_samples,)
        Potential of the filled values.
    gap_energy : Tensor of shape (n_samples,)
        What gaps add; infinite where all values are missing.
    """

    x: Tensor
    own_energy: Tensor
    gap_energy: Tensor

    def potential(self) -> Tensor:
        """Return the potential of the modality by itself."""
        missing = self.gap_energy == math.inf
        return torch.where(missing, math.inf, self.own_energy + self.gap_energy)


def read_modality(
    energy: Potential, x: Tensor, fill: Tensor, scale: Tensor | float
) -> ModalityInput:
    """Fill the gaps of a modality, and find its potential.

    Parameters
    ----------
    energy : Potential
        Of the modality.
    x : Tensor of shape (n_samples, n_features)
        Standardised values, NaN where missing.
    fill : Tensor of shape (n_features,)
        What gaps are filled with.
    scale : Tensor of shape () or float
        :math:`s_i`; zero for no price of gaps but that of a missing modality.

    Returns
    -------
    ModalityInput
        Filled values and energies.
    """
    gaps = x.isnan()
    if not gaps.any():
        own = energy.potential(x)
        return ModalityInput(x, own, torch.zeros_like(own))
    x = torch.where(gaps, fill, x)
    share = gaps.to(x.dtype).mean(1)
    price = potential_of_evidence(gap_evidence(share), scale)
    return ModalityInput(x, energy.potential(x), torch.where(share < 1, price, math.inf))


class Inputs(NamedTuple):
    """What the gate and the predictor take.

    Attributes
    ----------
    modalities : list of Tensor of shape (n_samples, n_features)
        Standardised values, gaps filled, in the precision of the predictor.
    own_energy, gap_energy, cross_modal_energy : Tensor of shape (n_samples, n_modalities)
        Parts of the potential.
    potential : Tensor of shape (n_samples, n_modalities)
        Potentials, in double precision.
    """

    modalities: list[Tensor]
    own_energy: Tensor
    gap_energy: Tensor
    cross_modal_energy: Tensor
    potential: Tensor


@dataclass(frozen=True)
class InputReader:
    """Reads tables as a fitted estimator sees them.

    Attributes
    ----------
    columns : list of ndarray of int
        Columns of each modality.
    mean, scale, median : ndarray of shape (n_columns,)
        What columns are standardised with, and what gaps are filled with.
    energies : list of Potential
        Of each modality, for samples in double precision.
    potential_min, potential_scale : Tensor of shape (n_modalities,)
        Constants of the gate.
    cross_modal : CrossModalEnergy or None
        Consistency of the modalities.
    precision : torch.dtype
        Of the predictor and the cross-modal energy.
    """

    columns: Sequence[np.ndarray]
    mean: np.ndarray
    scale: np.ndarray
    median: np.ndarray
    energies: Sequence[Potential]
    potential_min: Tensor
    potential_scale: Tensor
    cross_modal: CrossModalEnergy | None
    precision: torch.dtype

    def read(self, table: np.ndarray) -> Inputs:
        """Standardise and fill samples, and find their potentials.

        Parameters
        ----------
        table : ndarray of shape (n_samples, n_columns)
            Samples; NaN marks missing values.

        Returns
        -------
        Inputs
            What the gate and the predictor take.
        """
        standard = standardise(table, self.mean, self.scale)
        found = []
        for x, fill, energy, scale in zip(
            split_columns(standard, self.columns),
            split_columns(self.median[None], self.columns),
            self.energies,
            self.potential_scale,
            strict=True,
        ):
            x = torch.from_numpy(np.ascontiguousarray(x, dtype=np.float64))
            found.append(read_modality(energy, x, torch.from_numpy(fill[0]), scale))
        # one modality after another in memory, which is how the gate reads them
        own = torch.stack([modality.own_energy for modality in found]).mT
        gap = torch.stack([modality.gap_energy for modality in found]).mT
        potential = torch.stack([modality.potential() for modality in found]).mT
        modalities = [modality.x.to(self.precision) for modality in found]
        if self.cross_modal is None:
            return Inputs(modalities, own, gap, torch.zeros_like(own), potential)
        cross_modal = self.cross_modal.energy(
            modalities, potential, self.potential_min, self.potential_scale
        )
        return Inputs(modalities, own, gap, cross_modal, potential + cross_modal)


# Blocks of samples that are remembered at most.
_N_REMEMBERED = 256


@dataclass(frozen=True)
class RememberingReader(InputReader):
    """Remembers what it has read, for estimators that read the same samples alike."""

    remembered: dict[bytes, Inputs] = field(default_factory=dict)

    def read(self, table: np.ndarray) -> Inputs:
        """Return what :meth:`InputReader.read` returned for the same samples."""
        key = blake2b(table.tobytes()).digest()
        found = self.remembered.get(key)
        if found is None:
            found = super().read(table)
            if len(self.remembered) >= _N_REMEMBERED:
                self.remembered.clear()
            self.remembered[key] = found
        return found
