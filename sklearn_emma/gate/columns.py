"""Attention to columns: fit it, apply it to samples, and corrupt columns in training."""

from collections.abc import Callable, Sequence
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

#: Fraction of the samples without a failing modality in which single columns fail.
FAILING_COLUMNS = 0.25


def learn_columns(
    energies: Sequence[Potential], modalities: Sequence[Tensor], weight: Tensor
) -> nn.ModuleList:
    """Fit the attention to the columns of each modality.

    Parameters
    ----------
    energies : sequence of Potential
        Energy of each modality.
    modalities : sequence of Tensor of shape (n_samples, n_features)
        Standardized training samples whose missing values are filled.
    weight : Tensor of shape (n_samples,)
        Weights of the samples.

    Returns
    -------
    ModuleList of ColumnAttention
        Attention to the columns of each modality.
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
        Fitted estimator.
    precision : torch.dtype
        Dtype of the values.
    device : torch.device or str, default="cpu"
        Device of the modules.

    Returns
    -------
    ModuleList of ColumnAttention or None
        Attention to the columns of each modality, or None if the estimator does not use it.
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
    fill: Callable[[Tensor], Tensor],
    constants: tuple[Tensor | float, Tensor | float],
) -> ColumnReading:
    r"""Fill the missing values of a modality, and replace its corrupted columns.

    Parameters
    ----------
    attend : ColumnAttention
        Attention to the columns of the modality.
    energy : Potential
        Energy of the modality.
    x : Tensor of shape (n_samples, n_features)
        Standardized values. NaN marks missing values.
    fill : GapFilling
        Gap filling of the modality.
    constants : tuple of Tensor of shape () or float
        Minimum :math:`\Psi_{min,i}` and scale :math:`s_i` of the potential in the gate.

    Returns
    -------
    ColumnReading
        Filled values, attention to columns, and energy.
    """
    values = fill(x)
    return attend(energy.potential, values, x.isnan(), energy.potential(values), *constants)


class ColumnReader:
    """Apply the attention to columns to all modalities of a table.

    Parameters
    ----------
    attend : ModuleList of ColumnAttention
        Attention to the columns of each modality.
    energies : sequence of Potential
        Energy of each modality.
    columns : sequence of ndarray of int
        Columns of each modality.
    """

    def __init__(
        self, attend: nn.ModuleList, energies: Sequence[Potential], columns: Sequence[np.ndarray]
    ):
        # torch warns about arrays that cannot be written to, such as memory-mapped ones
        own = [np.array(positions) for positions in columns]
        self.modalities: list[tuple[Any, Potential, np.ndarray]] = list(
            zip(attend, energies, own, strict=True)
        )

    def read(
        self,
        filled: Tensor,
        gaps: Tensor,
        energies: ModalityEnergies,
        minimum: Tensor,
        scale: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        r"""Replace the corrupted columns of samples.

        Parameters
        ----------
        filled : Tensor of float64 of shape (n_samples, n_columns)
            Standardized samples whose missing values are filled.
        gaps : Tensor of bool of shape (n_samples, n_columns)
            True for missing values.
        energies : ModalityEnergies
            The energies of all modalities, for a whole table.
        minimum, scale : Tensor of shape (n_modalities,)
            Minimum :math:`\Psi_{min,i}` and scale :math:`s_i` of the potential in the gate.

        Returns
        -------
        complete : Tensor of shape (n_samples, n_columns)
            Values, with corrupted columns replaced.
        own : Tensor of shape (n_samples, n_modalities)
            Potential of each modality, without the gap energy of missing values.
        attention : Tensor of shape (n_samples, n_columns)
            Attention to columns, zero for missing values.
        """
        complete, attention = filled.clone(), (~gaps).to(filled.dtype)
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
    """Corrupt single columns in some of the samples without a failing modality.

    Parameters
    ----------
    modalities : sequence of Tensor of shape (n_samples, n_features)
        Samples.
    intact : Tensor of bool of shape (n_samples,)
        True for samples without a failing modality.
    corruption : Corruption
        Corruption that is applied to the columns.
    reference : Reference
        Units and donor samples of the corruption.
    names : list of str
        Names of the modalities.
    generator : torch.Generator
        Random number generator on the device of the samples.

    Returns
    -------
    modalities : list of Tensor of shape (n_samples, n_features)
        Samples with corrupted columns.
    changed : Tensor of bool of shape (n_samples, n_modalities)
        True for modalities with a corrupted column. Modalities with a single column are not
        changed.
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
