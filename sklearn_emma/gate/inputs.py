r"""Convert tables to standardized, filled modalities with potentials.

Missing values are filled (:mod:`sklearn_emma.nn.gap_filling`), and count as evidence of a failure.
The potential of a modality is

.. math:: \Psi_i(x_{filled}) + 3\, s_i\, \bigl(-\log(1 - n_i / D_i)\bigr) + 3\, s_i \max(0, A_i)

where :math:`n_i` of :math:`D_i` values are missing, and :math:`A_i` is the disagreement with the
other modalities (:class:`~sklearn_emma.nn.CrossModalEnergy`). The potential is infinite if all
values of the modality are missing. Categories are converted to indicators
(:mod:`sklearn_emma.indicators`). An unseen level is additional evidence, which is included in
:math:`\Psi_i` (:mod:`sklearn_emma.nn.evidence_energy`).
"""

from collections.abc import Callable, Sequence
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
from sklearn_emma.gap_fillings import fill_features, missing_shares
from sklearn_emma.gate.columns import ColumnReader
from sklearn_emma.indicators import Indicators
from sklearn_emma.nn import CrossModalEnergy
from sklearn_emma.nn.coordinates import standardize
from sklearn_emma.nn.evidence_energy import add_gap_energy, gap_energy, potential_of_evidence


def read_modality(
    energy: Potential,
    x: Tensor,
    fill: Callable[[Tensor], Tensor],
    scale: Tensor | float,
    shares: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Fill the missing values of a modality, and compute its own potential.

    Parameters
    ----------
    energy : Potential
        Energy of the modality.
    x : Tensor of shape (n_samples, n_features)
        Standardized values. NaN marks missing values.
    fill : GapFilling
        Gap filling of the modality.
    scale : Tensor of shape () or float
        Scale :math:`s_i` of the potential.
    shares : Tensor of shape (n_features,), default=None
        Weight of each feature in the fraction of missing values. None weights all features
        equally.

    Returns
    -------
    potential : Tensor of shape (n_samples,)
        Own potential of the modality, including the gap energy of missing values.
    filled : Tensor of shape (n_samples, n_features)
        Complete values. This is `x` itself if no value is missing.
    """
    gaps = x.isnan()
    if not gaps.any():
        return energy.potential(x), x
    filled = fill(x)
    missing = gaps.to(x.dtype)
    # exactly one for a missing modality, despite rounding errors in the sum of shares
    share = missing.mean(1) if shares is None else (missing @ shares).masked_fill(gaps.all(1), 1.0)
    own = energy.potential(filled)
    return add_gap_energy(own, gap_energy(share, scale)), filled


class Inputs(NamedTuple):
    """Inputs of the gate and the predictor.

    Attributes
    ----------
    modalities : list of Tensor of shape (n_samples, n_features)
        Standardized and filled values, in the dtype of the predictor.
    own_energy, gap_energy, cross_modal_energy : Tensor of shape (n_samples, n_modalities)
        Terms of the potential.
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
class InputReader:
    """Convert tables to the inputs of the gate and predictor of a fitted estimator.

    Attributes
    ----------
    columns : list of slice or ndarray of int
        Columns of each modality in the table.
    features : list of slice or ndarray of int
        Features of each modality: its columns, with categories replaced by their indicators.
    indicators : Indicators
        Conversion of columns to features.
    mean, scale : ndarray of shape (n_columns,)
        Mean and scale with which columns are standardized.
    fillings : list of GapFilling
        Gap filling of each modality, in double precision.
    energies : ModalityEnergies
        Energies of the modalities, for samples in double precision.
    potential_min, potential_scale : Tensor of shape (n_modalities,)
        Constants of the gate.
    cross_modal : CrossModalEnergy or None
        Cross-modal energy, if there is one.
    precision : torch.dtype
        Dtype of the predictor and the cross-modal energy.
    attend : ColumnReader or None
        Attention to columns, if it is used.
    """

    columns: Sequence[slice | np.ndarray]
    features: Sequence[slice | np.ndarray]
    indicators: Indicators
    mean: np.ndarray
    scale: np.ndarray
    fillings: Sequence[Callable[[Tensor], Tensor]]
    energies: ModalityEnergies
    potential_min: Tensor
    potential_scale: Tensor
    cross_modal: CrossModalEnergy | None
    precision: torch.dtype
    attend: ColumnReader | None = None

    @cached_property
    def used(self) -> np.ndarray:
        """Positions of all columns that belong to a modality, in the order of the table."""
        return np.sort(np.concatenate([np.arange(len(self.mean))[c] for c in self.columns]))

    @property
    def block_size(self) -> int:
        """Number of samples that are read together."""
        others, search = bool(self.energies.others), self.attend is not None
        return evaluation_block(self.precision, len(self.columns), others, search)

    def read(self, table: np.ndarray) -> Inputs:
        """Standardize and fill samples, and compute their potentials.

        Parameters
        ----------
        table : ndarray of shape (n_samples, n_columns)
            Samples. NaN marks missing values.

        Returns
        -------
        Inputs
            Inputs of the gate and the predictor.
        """
        standard = standardize(table, self.mean, self.scale)
        gaps = np.isnan(standard)
        complete, missing = self.indicators.expand(standard), None
        if gaps.any():
            complete = fill_features(complete, self.features, self.fillings)
            missing = missing_shares(gaps, self.columns)
        if self.attend is not None:
            return self._read_columns(torch.from_numpy(complete), torch.from_numpy(gaps))
        own = self.energies.potential(complete)
        if self.indicators.categories:
            unseen = self.indicators.unseen_by_modality(standard, self.columns)
            own = own + potential_of_evidence(torch.from_numpy(unseen), self.potential_scale)
        inputs = self.join(torch.from_numpy(complete), own, missing)
        return inputs._replace(column_attention=torch.from_numpy(1.0 - gaps[:, self.used]))

    def _read_columns(self, complete: Tensor, gaps: Tensor) -> Inputs:
        """Read complete samples with attention to columns."""
        assert self.attend is not None
        constants = self.potential_min, self.potential_scale
        complete, own, attention = self.attend.read(complete, gaps, self.energies, *constants)
        missing = None
        if not bool(attention.all()):
            missing = torch.stack([1.0 - attention[:, c].mean(1) for c in self.columns], 1)
        inputs = self.join(complete, own, missing)
        return inputs._replace(column_attention=attention[:, self.used])

    def join(self, complete: Tensor, own: Tensor, missing: Tensor | None) -> Inputs:
        """Add the energy of missing values and the cross-modal energy to the own energies.

        Parameters
        ----------
        complete : Tensor of float64 of shape (n_samples, n_features)
            Standardized samples whose missing values are filled.
        own : Tensor of float64 of shape (n_samples, n_modalities)
            Own potential of each modality.
        missing : Tensor of float64 of shape (n_samples, n_modalities) or None
            Fraction of the values of a modality that were missing. None if no value was missing.

        Returns
        -------
        Inputs
            Inputs of the gate and the predictor.
        """
        gap, cross_modal = torch.zeros_like(own), torch.zeros_like(own)
        potential = own
        if missing is not None:
            gap = gap_energy(missing, self.potential_scale)
            potential = add_gap_energy(own, gap)
        values = complete.to(self.precision)
        modalities = [values[:, features] for features in self.features]
        if self.cross_modal is not None:
            minimum, scale = self.potential_min, self.potential_scale
            cross_modal = self.cross_modal.energy(modalities, potential, minimum, scale)
            potential = potential + cross_modal
        return Inputs(modalities, own, gap, cross_modal, potential)


# Largest size of the cache, in bytes.
_MOST_CACHED = 256_000_000


@dataclass(frozen=True)
class CachingReader(InputReader):
    """Reader with a cache, which is shared by estimators with identical inputs."""

    cache: dict[bytes, Inputs] = field(default_factory=dict)

    def read(self, table: np.ndarray) -> Inputs:
        """Return the result of :meth:`InputReader.read`, from the cache if possible."""
        key = blake2b(table.tobytes()).digest()
        found = self.cache.get(key)
        if found is None:
            found = super().read(table)
            # blocks have the same size; threads may share the cache
            if (len(self.cache) + 1) * _n_bytes(found) > _MOST_CACHED:
                self.cache.clear()
            self.cache[key] = found
        return found


def _n_bytes(inputs: Inputs) -> int:
    """Return the size of the inputs of a block of samples."""
    tensors: list[Tensor | None] = [*inputs.modalities, *inputs[1:]]
    return sum(tensor.nbytes for tensor in tensors if tensor is not None)
