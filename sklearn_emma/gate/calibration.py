r"""Constants of the gate, which give coldness the same meaning for every table.

:math:`\Psi_{min,i}` is a high quantile of the potentials of clean samples: below it, differences of
potential say nothing of failures, and would only disturb the comparison of modalities. The scale
:math:`s_i` is the median rise of the potential from clean samples to corrupted ones, but at least
the interquartile range of the clean samples, so that failures that do not show in the energy
(swapped samples, say) do not inflate differences between clean samples.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.gate.columns import learn_columns
from sklearn_emma.gate.samples import Energies, Samples, ScoredSamples
from sklearn_emma.gate.training_failures import Failures

# Fraction of the clean samples whose potential is below potential_min.
_CLEAN = 0.9


class GateConstants(NamedTuple):
    """Constants of :class:`~sklearn_emma.nn.EnergyAttention`, each of shape (n_modalities,)."""

    potential_min: np.ndarray
    potential_scale: np.ndarray
    potential_max: np.ndarray


@dataclass(frozen=True)
class Calibrated:
    """Training samples, their energies and the constants of the gate.

    Attributes
    ----------
    samples : ScoredSamples
        With potentials that price gaps.
    energies : Energies
        Which price gaps.
    constants : GateConstants or mapping
        Where the gate starts from, by name.
    """

    samples: ScoredSamples
    energies: Energies
    constants: Mapping[str, np.ndarray]


def calibrate(samples: Samples, probe: Failures, with_columns: bool = False) -> Calibrated:
    """Find the constants of the gate, and price the gaps of training samples.

    Parameters
    ----------
    samples : Samples
        Clean training samples.
    probe : Failures
        Corrupts every sample; its energies do not price gaps yet.
    with_columns : bool, default=False
        Whether there is attention to columns.

    Returns
    -------
    Calibrated
        Samples, energies and constants.

    Raises
    ------
    ValueError
        If the energy of a modality is infinite for every sample.
    """
    energies = probe.energies
    clean = energies.score(samples)
    failed, indicator = probe.draw(clean)
    minima, scales, maxima = [], [], []
    for i, name in enumerate(energies.names):
        typical = _finite(clean.potential[:, i])
        if not len(typical):
            raise ValueError(
                f"The energy of modality {name!r} is infinite for every training sample. Use an "
                "energy that is finite where there are samples, such as a wider kernel."
            )
        failing = _finite(failed.potential[indicator[:, i] < 0, i])
        scale = quantile(typical, 0.75) - quantile(typical, 0.25)
        if len(failing):
            scale = max(scale, quantile(failing, 0.5) - quantile(typical, 0.5))
        scale = scale if scale > 1e-6 else 1.0
        minimum = quantile(typical, _CLEAN)
        # beyond a typical failure of the training, a modality says no more about the others
        highest = quantile(failing, 0.5) if len(failing) else -math.inf
        minima.append(minimum)
        scales.append(scale)
        maxima.append(max(highest, minimum + scale))
    constants = GateConstants(np.array(minima), np.array(scales), np.array(maxima))
    priced = replace(energies, scale=torch.tensor(scales, dtype=torch.float64))
    if with_columns:
        columns = learn_columns(energies.potentials, clean.filled, samples.weight)
        priced = replace(priced, columns=columns, minimum=torch.tensor(minima, dtype=torch.float64))
        return Calibrated(priced.score(samples), priced, constants._asdict())
    gaps = torch.stack([x.isnan().any(1) for x in samples.modalities], 1)
    scored = priced.rescore(clean, samples.modalities, gaps)
    return Calibrated(scored, priced, constants._asdict())


def quantile(values: Tensor, q: float) -> float:
    """Return the q-th quantile; torch.quantile takes no more than 2**24 values."""
    return float(values.sort().values[round(q * (len(values) - 1))])


def _finite(potential: Tensor) -> Tensor:
    return potential[torch.isfinite(potential)]
