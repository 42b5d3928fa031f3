r"""Constants of the gate, which give the coldness the same meaning for every table.

:math:`\Psi_{min,i}` is the 90 % quantile of the potentials of clean samples. Below it, differences
in potential are not related to failures, and would only disturb the comparison of modalities. The
scale :math:`s_i` is the difference between the median potentials of corrupted and of clean samples,
but at least the interquartile range of the clean samples. Otherwise, failures that do not affect
the energy (such as swapped samples) would inflate the differences between clean samples.

The thesis uses another rule: :math:`\Psi_{min,i}` is the minimum over the training samples,
:math:`s_i = 1`, and the effect of a potential on the other modalities is not limited.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.gate.columns import learn_columns
from sklearn_emma.gate.samples import Energies, Samples, ScoredSamples
from sklearn_emma.gate.training_failures import Failures
from sklearn_emma.nn.numerics import quantile

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
        Samples with potentials that include the gap energy of missing values.
    energies : Energies
        Energies that include the gap energy of missing values.
    constants : mapping of str to ndarray
        Initial constants (and, for a fitted gate, parameters) of the gate, by name.
    """

    samples: ScoredSamples
    energies: Energies
    constants: Mapping[str, np.ndarray]


#: Parameter `min_slope` of the gate, for each rule for its constants.
MIN_SLOPES = {"failures": 0.5, "minimum": -math.inf}
#: Names of the rules.
CALIBRATIONS = tuple(MIN_SLOPES)


def calibrate_gate(
    samples: Samples, probe: Failures, rule: str = "failures", with_columns: bool = False
) -> Calibrated:
    """Compute the constants of the gate, and add the gap energy to the potentials.

    Parameters
    ----------
    samples : Samples
        Clean training samples.
    probe : Failures
        Failures that corrupt every sample. Its energies do not yet include the gap energy of
        missing values.
    rule : {"failures", "minimum"}, default="failures"
        Rule for the constants: by the training failures, or as in the thesis.
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
    weight = samples.energy_weight
    typical = [_finite(potential, weight) for potential in clean.potential.unbind(1)]
    for name, (potential, _) in zip(energies.names, typical, strict=True):
        if not len(potential):
            raise ValueError(
                f"The energy of modality {name!r} is infinite for every training sample. Use an "
                "energy that is finite where there are samples, such as a wider kernel."
            )
    if rule == "minimum":
        constants = _of_minimum(typical)
    else:
        failed, indicator = probe.draw(clean)
        failing = [
            _finite(potential[broken], weight[broken])
            for potential, broken in zip(
                failed.potential.unbind(1), (indicator < 0).unbind(1), strict=True
            )
        ]
        constants = _of_failures(typical, failing)
    with_gap_energy = replace(energies, scale=torch.from_numpy(constants.potential_scale))
    if with_columns:
        columns = learn_columns(energies.potentials, clean.filled, weight)
        minimum = torch.from_numpy(constants.potential_min)
        with_gap_energy = replace(with_gap_energy, columns=columns, minimum=minimum)
        return Calibrated(with_gap_energy.score(samples), with_gap_energy, constants._asdict())
    gaps = torch.stack([x.isnan().any(1) for x in samples.modalities], 1)
    scored = with_gap_energy.rescore(clean, samples.modalities, gaps)
    return Calibrated(scored, with_gap_energy, constants._asdict())


class _Weighted(NamedTuple):
    """Potentials of samples, and the weights of these samples."""

    values: Tensor
    weight: Tensor

    def quantile(self, q: float) -> float:
        return quantile(self.values, q, self.weight)


def _of_failures(typical: Sequence[_Weighted], failing: Sequence[_Weighted]) -> GateConstants:
    """Return constants from the potentials of clean and of failing modalities."""
    minima, scales, maxima = [], [], []
    for clean, failed in zip(typical, failing, strict=True):
        scale = clean.quantile(0.75) - clean.quantile(0.25)
        highest = failed.quantile(0.5) if len(failed.values) else -math.inf
        scale = max(scale, highest - clean.quantile(0.5))
        scale = scale if scale > 1e-6 else 1.0
        minimum = clean.quantile(_CLEAN)
        # the effect on other modalities is limited to that of a typical failure in training
        minima.append(minimum)
        scales.append(scale)
        maxima.append(max(highest, minimum + scale))
    return GateConstants(np.array(minima), np.array(scales), np.array(maxima))


def _of_minimum(typical: Sequence[_Weighted]) -> GateConstants:
    """Return the constants of the thesis."""
    minima = np.array([float(clean.values.min()) for clean in typical])
    return GateConstants(minima, np.ones(len(minima)), np.full(len(minima), np.inf))


def _finite(potential: Tensor, weight: Tensor) -> _Weighted:
    finite = torch.isfinite(potential)
    return _Weighted(potential[finite], weight[finite])
