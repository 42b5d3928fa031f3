"""Scaled energies of modalities. Those of the same architecture are computed in one product."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.energy.protocol import Potential
from sklearn_emma.nn import EnergyEnsemble, SignalEnergy
from sklearn_emma.nn.ensemble import stack_ensembles


@dataclass(frozen=True)
class ScaledEnergy:
    """Energy of one modality: its potential on the scale of the training data.

    Attributes
    ----------
    module : EnergyEnsemble or SignalEnergy
        Module that computes the potential.
    median, iqr : float
        Median and interquartile range of the potentials of the training samples.
    """

    module: EnergyEnsemble | SignalEnergy
    median: float
    iqr: float

    def potential(self, x: Tensor) -> Tensor:
        """Return the energies of samples, of shape (n_samples,)."""
        return (self.module.potential(x) - self.median) / self.iqr

    def gradient(self, x: Tensor) -> Tensor:
        """Return the gradients of the energies of samples, of shape (n_samples, n_features)."""
        return self.module.gradient(x) / self.iqr


@dataclass(frozen=True)
class _Group:
    """Modalities whose energies are computed in one batched product.

    Attributes
    ----------
    modalities : list of int
        Positions of the modalities.
    columns : ndarray of int of shape (n_modalities, n_features)
        Columns of each modality, padded to the same number.
    module : EnergyEnsemble
        Stacked potentials.
    median, iqr : Tensor of shape (n_modalities, 1)
        Medians and interquartile ranges of the training potentials.
    """

    modalities: list[int]
    columns: np.ndarray
    module: EnergyEnsemble
    median: Tensor
    iqr: Tensor


class ModalityEnergies:
    """Energies of all modalities of a table.

    Parameters
    ----------
    energies : sequence of Potential
        Energy of each modality.
    columns : sequence of ndarray of int
        Columns of each modality.
    """

    def __init__(self, energies: Sequence[Potential], columns: Sequence[np.ndarray]):
        self.n_modalities = len(energies)
        self.others: dict[int, tuple[Potential, np.ndarray]] = {}
        alike: dict[tuple, list[int]] = {}
        for i, energy in enumerate(energies):
            if isinstance(energy, ScaledEnergy) and isinstance(energy.module, EnergyEnsemble):
                alike.setdefault(energy.module.stack_key(), []).append(i)
            else:
                self.others[i] = energy, columns[i]
        self.groups = [
            _stack({i: (energies[i], columns[i]) for i in group}) for group in alike.values()
        ]
        order = [i for group in self.groups for i in group.modalities] + list(self.others)
        # position of each modality in the energies that are computed group by group
        self.places = torch.tensor(order).argsort()

    def potential(self, table: np.ndarray | Tensor) -> Tensor:
        """Return the energies of complete samples.

        Parameters
        ----------
        table : ndarray or Tensor of float64 of shape (n_samples, n_columns)
            Standardized samples without missing values.

        Returns
        -------
        Tensor of shape (n_samples, n_modalities)
            Energies, contiguous in memory for each modality.
        """
        found = []
        for group in self.groups:
            x = torch.as_tensor(table[:, group.columns]).movedim(0, 1)
            found.append((group.module.potential(x) - group.median) / group.iqr)
        for energy, columns in self.others.values():
            found.append(energy.potential(torch.as_tensor(table[:, columns]))[None])
        return found[0].mT if len(found) == 1 else torch.cat(found)[self.places].mT


def _stack(energies: dict[int, tuple[Potential, np.ndarray]]) -> _Group:
    """Stack energies of the same architecture."""
    own = [energy for energy, _ in energies.values() if isinstance(energy, ScaledEnergy)]
    modules = [energy.module for energy in own if isinstance(energy.module, EnergyEnsemble)]
    width = max(len(columns) for _, columns in energies.values())
    columns = np.zeros((len(energies), width), dtype=np.intp)
    for row, (_, positions) in zip(columns, energies.values(), strict=True):
        row[: len(positions)] = positions
    return _Group(
        list(energies),
        columns,
        stack_ensembles(modules),
        torch.tensor([[energy.median] for energy in own], dtype=torch.float64),
        torch.tensor([[energy.iqr] for energy in own], dtype=torch.float64),
    )
