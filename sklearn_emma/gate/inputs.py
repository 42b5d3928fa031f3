r"""Where a table becomes standardised, filled modalities with potentials.

Gaps are filled with the training median, and count as evidence of failure: the potential of a
modality is

.. math:: \Psi_i(x_{filled}) + 3\, s_i\, \bigl(-\log(1 - n_i / D_i)\bigr) + 3\, s_i \max(0, A_i)

with :math:`n_i` of :math:`D_i` values missing and the disagreement :math:`A_i` with the other
modalities. Categories become indicators (:mod:`sklearn_emma.indicators`), and a level that was
never seen is further evidence, in :math:`\Psi_i`; see :mod:`sklearn_emma.nn.evidence_price` and
:class:`~sklearn_emma.nn.CrossModalEnergy`. It is infinite where the modality is missing altogether.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.energy.modality_energies import ModalityEnergies
from sklearn_emma.energy.protocol import Potential
from sklearn_emma.engine.batches import evaluation_block
from sklearn_emma.gate.columns import ColumnReader
from sklearn_emma.indicators import Indicators
from sklearn_emma.nn import CrossModalEnergy
from sklearn_emma.nn.evidence_price import gap_evidence, potential_of_evidence
from sklearn_emma.validation import standardise


def gap_energy(missing: Tensor, scale: Tensor | float) -> Tensor:
    """Energy of missing values.

    Parameters
    ----------
    missing : Tensor of shape (n_samples, ...)
        Fraction of the values of a modality that are missing.
    scale : Tensor or float
        :math:`s_i`; zero for no price of gaps but that of a missing modality.

    Returns
    -------
    Tensor of shape (n_samples, ...)
        Infinite where a modality is missing altogether.
    """
    price = potential_of_evidence(gap_evidence(missing), scale)
    return torch.where(missing < 1, price, math.inf)


def add_gap_energy(own: Tensor, gap: Tensor) -> Tensor:
    """Return potentials, infinite where the modality is missing, whatever its filling."""
    return torch.where(gap < math.inf, own + gap, math.inf)


def read_modality(
    energy: Potential,
    x: Tensor,
    fill: Tensor,
    scale: Tensor | float,
    shares: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
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
        :math:`s_i`.
    shares : Tensor of shape (n_features,), default=None
        Share of each feature in the values of the modality; None where each is one value.

    Returns
    -------
    potential : Tensor of shape (n_samples,)
        Potentials of the modality by itself.
    filled : Tensor of shape (n_samples, n_features)
        Complete values; `x` itself where there are no gaps.
    """
    gaps = x.isnan()
    if not gaps.any():
        return energy.potential(x), x
    filled = torch.where(gaps, fill, x)
    missing = gaps.to(x.dtype)
    # of a missing modality exactly one, whatever shares add up to
    share = missing.mean(1) if shares is None else (missing @ shares).masked_fill(gaps.all(1), 1.0)
    own = energy.potential(filled)
    return add_gap_energy(own, gap_energy(share, scale)), filled


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
    column_attention : Tensor of shape (n_samples, n_used_columns) or None
        Attention to each column of the table that belongs to a modality, in double precision.
    """

    modalities: list[Tensor]
    own_energy: Tensor
    gap_energy: Tensor
    cross_modal_energy: Tensor
    potential: Tensor
    column_attention: Tensor | None = None


@dataclass(frozen=True)
class CategoryReader:
    """Reads the categorical columns of a table of codes.

    Attributes
    ----------
    indicators : Indicators
        Of the levels.
    columns : list of slice or ndarray of int
        Columns of each modality in the table.
    """

    indicators: Indicators
    columns: Sequence[slice | np.ndarray]

    def unseen(self, table: np.ndarray) -> Tensor:
        """Return the evidence (n_samples, n_modalities) of levels never seen, in nats."""
        evidence = self.indicators.unseen(table)
        sums = [evidence[:, positions].sum(axis=1) for positions in self.columns]
        return torch.from_numpy(np.array(sums)).mT


@dataclass(frozen=True)
class InputReader:
    """Reads tables as a fitted estimator sees them.

    Attributes
    ----------
    columns : list of slice or ndarray of int
        Features of each modality: its columns, with the indicators of its categories.
    mean, scale : ndarray of shape (n_columns,)
        What columns are standardised with.
    median : ndarray of shape (n_features,)
        What gaps are filled with.
    energies : ModalityEnergies
        Of samples in double precision.
    potential_min, potential_scale : Tensor of shape (n_modalities,)
        Constants of the gate.
    cross_modal : CrossModalEnergy or None
        Consistency of the modalities.
    precision : torch.dtype
        Of the predictor and the cross-modal energy.
    categories : CategoryReader or None
        Reads categorical columns; None where there are none.
    attend : ColumnReader or None
        Attention to columns, if there is any.
    """

    columns: Sequence[slice | np.ndarray]
    mean: np.ndarray
    scale: np.ndarray
    median: np.ndarray
    energies: ModalityEnergies
    potential_min: Tensor
    potential_scale: Tensor
    cross_modal: CrossModalEnergy | None
    precision: torch.dtype
    categories: CategoryReader | None = None
    attend: ColumnReader | None = None

    @cached_property
    def used(self) -> np.ndarray:
        """Positions in the table of the columns of all modalities, in its order."""
        columns = self.columns if self.categories is None else self.categories.columns
        return np.sort(np.concatenate([np.arange(len(self.mean))[c] for c in columns]))

    @property
    def block_size(self) -> int:
        """Samples that are read together."""
        others, search = bool(self.energies.others), self.attend is not None
        return evaluation_block(self.precision, len(self.columns), others, search)

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
        if self.categories is not None:
            return self._read_categories(standard, self.categories)
        gaps = np.isnan(standard)
        if self.attend is not None:
            return self._read_columns(torch.from_numpy(standard), torch.from_numpy(gaps))
        complete = np.where(gaps, self.median, standard) if gaps.any() else standard
        own = self.energies.potential(complete)
        missing = None
        if complete is not standard:
            missing = _missing_shares(gaps, self.columns)
        inputs = self.join(torch.from_numpy(complete), own, missing)
        return inputs._replace(column_attention=torch.from_numpy(1.0 - gaps[:, self.used]))

    def _read_columns(self, standard: Tensor, gaps: Tensor) -> Inputs:
        """Read samples with attention to columns."""
        assert self.attend is not None
        constants = self.potential_min, self.potential_scale
        complete, own, attention = self.attend.read(standard, gaps, self.energies, *constants)
        missing = None
        if not bool(attention.all()):
            missing = torch.stack([1.0 - attention[:, c].mean(1) for c in self.columns], 1)
        inputs = self.join(complete, own, missing)
        return inputs._replace(column_attention=attention[:, self.used])

    def _read_categories(self, standard: np.ndarray, categories: CategoryReader) -> Inputs:
        """Read samples whose categories are codes."""
        features = categories.indicators.expand(standard)
        complete = np.where(np.isnan(features), self.median, features)
        own = self.energies.potential(complete)
        own = own + potential_of_evidence(categories.unseen(standard), self.potential_scale)
        gaps = np.isnan(standard)
        missing = _missing_shares(gaps, categories.columns)
        inputs = self.join(torch.from_numpy(complete), own, missing)
        return inputs._replace(column_attention=torch.from_numpy(1.0 - gaps[:, self.used]))

    def join(self, complete: Tensor, own: Tensor, missing: Tensor | None) -> Inputs:
        """Add what gaps and the other modalities say to the energies of samples.

        Parameters
        ----------
        complete : Tensor of float64 of shape (n_samples, n_columns)
            Standardised samples, gaps filled.
        own : Tensor of float64 of shape (n_samples, n_modalities)
            Potential of each modality.
        missing : Tensor of float64 of shape (n_samples, n_modalities) or None
            Fraction of the values of a modality that were gaps; None where there were none.

        Returns
        -------
        Inputs
            What the gate and the predictor take.
        """
        gap, cross_modal = torch.zeros_like(own), torch.zeros_like(own)
        potential = own
        if missing is not None:
            gap = gap_energy(missing, self.potential_scale)
            potential = add_gap_energy(own, gap)
        values = complete.to(self.precision)
        modalities = [values[:, columns] for columns in self.columns]
        if self.cross_modal is not None:
            minimum, scale = self.potential_min, self.potential_scale
            cross_modal = self.cross_modal.energy(modalities, potential, minimum, scale)
            potential = potential + cross_modal
        return Inputs(modalities, own, gap, cross_modal, potential)


def _missing_shares(gaps: np.ndarray, columns: Sequence[slice | np.ndarray]) -> Tensor:
    """Return the share (n_samples, n_modalities) of the values of each modality that are gaps."""
    shares = [gaps[:, positions].mean(axis=1) for positions in columns]
    return torch.from_numpy(np.array(shares)).mT


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
