"""Columns within modalities: learned from training samples, read, and made to fail in training."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_emma.corruption import Corruption, Reference, SomeColumns
from sklearn_emma.energy.modality_energies import ModalityEnergies
from sklearn_emma.energy.protocol import Potential
from sklearn_emma.engine.weights import load_arrays
from sklearn_emma.nn import ColumnAttention
from sklearn_emma.nn.column_attention import ColumnReading

#: Fraction of the training samples without a failing modality in which columns fail.
FAILING_COLUMNS = 0.25


def learn_columns(
    energies: Sequence[Potential], modalities: Sequence[Tensor], weight: Tensor
) -> nn.ModuleList:
    """Learn how the columns of each modality explain each other.

    Parameters
    ----------
    energies : sequence of Potential
        One per modality.
    modalities : sequence of Tensor of shape (n_samples, n_features)
        Standardised training samples, gaps filled.
    weight : Tensor of shape (n_samples,)
        Weights of the samples.

    Returns
    -------
    ModuleList of ColumnAttention
        One per modality.
    """
    columns = nn.ModuleList()
    for energy, x in zip(energies, modalities, strict=True):
        attend = ColumnAttention(x.shape[1]).to(weight.device)
        attend.learn(energy.potential, x, weight)
        columns.append(attend)
    return columns


def build_columns(
    estimator: Any, precision: torch.dtype, device: torch.device | str = "cpu"
) -> nn.ModuleList | None:
    """Build the attention to columns of a fitted estimator.

    Parameters
    ----------
    estimator : BaseEMMA
        Fitted.
    precision : torch.dtype
        Of the values.
    device : torch.device or str, default="cpu"
        Where it is.

    Returns
    -------
    ModuleList of ColumnAttention or None
        None where there is none.
    """
    if estimator.column_weights_ is None:
        return None
    columns = nn.ModuleList(ColumnAttention(len(c)) for c in estimator.modality_columns_)
    load_arrays(columns, estimator.column_weights_)
    return columns.to(device=device, dtype=precision)


def read_columns(
    attend: ColumnAttention,
    energy: Potential,
    x: Tensor,
    minimum: Tensor | float,
    scale: Tensor | float,
) -> ColumnReading:
    r"""Fill the gaps of a modality with what its other columns explain, and examine its columns.

    Parameters
    ----------
    attend : ColumnAttention
        Of the modality.
    energy : Potential
        Of the modality.
    x : Tensor of shape (n_samples, n_features)
        Standardised values, NaN where missing.
    minimum, scale : Tensor of shape () or float
        :math:`\Psi_{min,i}` and :math:`s_i`.

    Returns
    -------
    ColumnReading
        The modality as read.
    """
    gaps = x.isnan()
    if not gaps.any():
        return attend(energy.potential, x, gaps, energy.potential(x), minimum, scale)
    values = fill_gaps(attend, x, gaps)
    return attend(energy.potential, values, gaps, energy.potential(values), minimum, scale)


def fill_gaps(attend: ColumnAttention, x: Tensor, gaps: Tensor) -> Tensor:
    """Fill gaps with what the other columns explain, and with the mean where there are none.

    Parameters
    ----------
    attend : ColumnAttention
        Of the modality.
    x : Tensor of shape (n_samples, n_features)
        Standardised values.
    gaps : Tensor of bool of shape (n_samples, n_features)
        What is missing.

    Returns
    -------
    Tensor of shape (n_samples, n_features)
        Complete values.
    """
    values = torch.where(gaps, attend.mean, x)
    rows = (gaps.any(1) & ~gaps.all(1)).nonzero().squeeze(1)
    return values.index_copy(0, rows, attend.fill(values[rows], gaps[rows]))


class ColumnReader:
    """Reads the columns of all modalities of a table.

    Parameters
    ----------
    attend : ModuleList of ColumnAttention
        One per modality.
    energies : sequence of Potential
        One per modality.
    columns : sequence of ndarray of int
        Columns of each modality.
    """

    def __init__(
        self, attend: nn.ModuleList, energies: Sequence[Potential], columns: Sequence[np.ndarray]
    ):
        self.modalities: list[tuple[Any, Potential, np.ndarray]] = list(
            zip(attend, energies, columns, strict=True)
        )

    def read(
        self,
        standard: Tensor,
        gaps: Tensor,
        energies: ModalityEnergies,
        minimum: Tensor,
        scale: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        r"""Read samples.

        Parameters
        ----------
        standard : Tensor of float64 of shape (n_samples, n_columns)
            Standardised samples.
        gaps : Tensor of bool of shape (n_samples, n_columns)
            Where values are missing.
        energies : ModalityEnergies
            The same energies, for all samples.
        minimum, scale : Tensor of shape (n_modalities,)
            :math:`\Psi_{min,i}` and :math:`s_i`.

        Returns
        -------
        complete : Tensor of shape (n_samples, n_columns)
            The values as read.
        own : Tensor of shape (n_samples, n_modalities)
            Potential of each modality, without the price of missing values.
        attention : Tensor of shape (n_samples, n_columns)
            Attention to columns; zero for gaps.
        """
        complete, attention = standard.clone(), (~gaps).to(standard.dtype)
        if gaps.any():
            for attend, _, c in self.modalities:
                complete[:, c] = fill_gaps(attend, standard[:, c], gaps[:, c])
            complete.nan_to_num_()  # columns of no modality
        own = energies.potential(complete)
        for i, (attend, energy, c) in enumerate(self.modalities):
            of_modality = complete[:, c], gaps[:, c], own[:, i], minimum[i], scale[i]
            read = attend(energy.potential, *of_modality)
            if read.values is not of_modality[0]:
                complete[:, c], attention[:, c], own[:, i] = (
                    read.values,
                    read.attention,
                    read.potential,
                )
        return complete, own, attention


def fail_columns(
    modalities: Sequence[Tensor],
    intact: Tensor,
    corruption: Corruption,
    reference: Reference,
    names: list[str],
    generator: torch.Generator,
) -> tuple[list[Tensor], Tensor]:
    """Let some columns fail as modalities do, in some samples without a failing modality.

    Parameters
    ----------
    modalities : sequence of Tensor of shape (n_samples, n_features)
        Samples.
    intact : Tensor of bool of shape (n_samples,)
        Where no modality fails.
    corruption : Corruption
        What happens to the columns that fail.
    reference : Reference
        Units and donors of the corruption.
    names : list of str
        Names of the modalities.
    generator : torch.Generator
        On the device of the samples.

    Returns
    -------
    modalities : list of Tensor of shape (n_samples, n_features)
        The samples with failures.
    changed : Tensor of bool of shape (n_samples, n_modalities)
        Where a column failed. The only column of a modality does not.
    """
    kind: dict[str, Any] = {"generator": generator, "device": intact.device, "dtype": torch.float32}
    rows = (intact & (torch.rand(len(intact), **kind) < FAILING_COLUMNS)).nonzero().squeeze(1)
    some = SomeColumns(corruption, None, n_corrupted=corruption.n_corrupted, only=corruption.only)
    failed, indicator = some.corrupt_tensors(
        [x[rows] for x in modalities], generator=generator, reference=reference, names=names
    )
    changed = torch.zeros(len(intact), len(modalities), dtype=torch.bool, device=intact.device)
    changed[rows] = indicator < 0
    found = list(modalities)
    for i, values in enumerate(failed):
        if values.shape[1] > 1:
            found[i] = found[i].index_copy(0, rows, values)
        else:
            changed[:, i] = False
    return found, changed
