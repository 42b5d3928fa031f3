"""The energies of the modalities of an estimator: before they are fitted, and as tensors.

The functions read public attributes of an estimator, and do not change it.
"""

from typing import Any

import numpy as np
import torch
from sklearn.base import clone

from sklearn_emma.energy.protocol import Precision, check_energy, tensor_energy
from sklearn_emma.energy.scorer import DAEEnergyScorer
from sklearn_emma.energy.signal_scorer import SignalEnergyScorer
from sklearn_emma.gap_fillings import gap_fillings_of
from sklearn_emma.gate.columns import build_columns
from sklearn_emma.gate.samples import Energies, Samples
from sklearn_emma.modalities import signals_of
from sklearn_emma.nn.convolutional_energy import signal_shape

# More epochs only improve outlier detection, see DAEEnergyScorer, and hardly change predictions.
_ENERGY_EPOCHS = 50


def unfitted_energies(estimator: Any, device: torch.device) -> dict[str, Any]:
    """Return the unfitted energy of each modality.

    Parameters
    ----------
    estimator : BaseEMMA
        Estimator with the attributes of modalities, and with the parameter `energy`.
    device : torch.device
        Device on which the energies of this library are trained.

    Returns
    -------
    dict of str to estimator
        Unfitted energy by name of the modality.

    Raises
    ------
    ValueError
        If the shape of a SignalEnergyScorer is not that of its modality.
    """
    names, verbose = estimator.modality_names_, estimator.verbose
    default = DAEEnergyScorer(
        max_epochs=_ENERGY_EPOCHS, calibration_fraction=0.0, device=str(device), verbose=verbose
    )
    defaults = dict.fromkeys(names, default)
    for name, _, shape in signals_of(estimator):
        defaults[name] = SignalEnergyScorer(
            shape, calibration_fraction=0.0, device=str(device), verbose=verbose
        )
    energy = {} if estimator.energy is None else estimator.energy
    if isinstance(energy, dict):
        energy = {name: scorer for name, scorer in energy.items() if scorer is not None}
    check_energy(energy, names)
    found = defaults | (energy if isinstance(energy, dict) else dict.fromkeys(names, energy))
    for name, _, shape in signals_of(estimator):
        scorer = found[name]
        if not isinstance(scorer, SignalEnergyScorer):
            continue
        if scorer.shape is None:
            found[name] = clone(scorer).set_params(shape=shape)
        elif signal_shape(scorer.shape) != shape:
            raise ValueError(
                f"The energy of modality {name!r} has shape={tuple(scorer.shape)}, but the "
                f"modality has the shape {shape}. Use this shape, or None, for the energy."
            )
    return found


def training_energies(estimator: Any, samples: Samples, fresh: bool) -> Energies:
    """Return the fitted energies on the device of the samples.

    Parameters
    ----------
    estimator : BaseEMMA
        Estimator with fitted energies.
    samples : Samples
        Training samples.
    fresh : bool
        Whether the gate is learned from scratch. If False, the constants of the previous fit are
        kept.

    Returns
    -------
    Energies
        Energies in single precision.
    """
    device = samples.target.device
    single = Precision(device, torch.float32, torch.float32)
    names = estimator.modality_names_
    minimum = None if fresh else torch.from_numpy(estimator.potential_min_.astype(np.float64))
    scale = np.zeros(len(names)) if fresh else estimator.potential_scale_.astype(np.float64)
    return Energies(
        names,
        [tensor_energy(estimator.energy_scorers_[name], name, single) for name in names],
        gap_fillings_of(estimator, torch.float32, device),
        torch.from_numpy(scale),
        samples.value_shares(),
        None if fresh else build_columns(estimator, torch.float32, device),
        minimum,
    )
