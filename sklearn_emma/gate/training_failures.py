"""Failures of modalities, drawn afresh while gate and predictor learn."""

import copy

import torch
from torch import Tensor

from sklearn_emma.corruption import Corruption, Missing, Mixture, Noise, Reference, Swapped
from sklearn_emma.gate.columns import fail_columns
from sklearn_emma.gate.samples import Energies, Samples, ScoredSamples

# Fraction of the training samples that are corrupted unless the corruption says otherwise.
_FRACTION = 0.5


def training_corruption(corruption: Corruption | None) -> Corruption:
    """Return the corruption of training samples, the default one for None.

    Parameters
    ----------
    corruption : Corruption or None
        What the user passed.

    Returns
    -------
    Corruption
        With a `fraction`.
    """
    if corruption is None:
        return Mixture(
            [Noise((0.25, 2.0)), Missing(), Swapped()],
            [0.375, 0.375, 0.25],
            fraction=_FRACTION,
        )
    if corruption.fraction is None:
        return with_fraction(corruption, _FRACTION)
    return corruption


def with_fraction(corruption: Corruption, fraction: float) -> Corruption:
    """Return a copy of a corruption with another fraction of corrupted samples."""
    # not clone: a corruption of the user's own may store its parameters as it likes
    changed = copy.copy(corruption)
    changed.fraction = fraction
    return changed


def training_reference(samples: Samples, names: list[str]) -> Reference:
    """Return units and donors for the corruption of training samples.

    Parameters
    ----------
    samples : Samples
        Clean samples, standardised.
    names : list of str
        Names of the modalities.

    Returns
    -------
    Reference
        Means of zero, and standard deviations of at most one: extreme values do not stretch them.
    """
    reference = Reference.from_tensors(samples.modalities, samples.weight, names)
    means = [torch.zeros_like(mean) for mean in reference.means]
    stds = [std.clamp(max=1.0) for std in reference.stds]
    return Reference(means, stds, reference.donors, samples.blocks)


class Failures:
    """Draws failures, and finds the potentials that result.

    Parameters
    ----------
    corruption : Corruption
        What may happen to a modality.
    reference : Reference
        Units and donors of the corruption.
    energies : Energies
        Of the modalities.
    generator : torch.Generator
        On the device of the samples.
    """

    def __init__(
        self,
        corruption: Corruption,
        reference: Reference,
        energies: Energies,
        generator: torch.Generator,
    ):
        self.corruption = corruption
        self.reference = reference
        self.energies = energies
        self.generator = generator

    def draw(self, samples: ScoredSamples) -> tuple[ScoredSamples, Tensor]:
        """Let some modalities of some samples fail.

        Parameters
        ----------
        samples : ScoredSamples
            Clean samples.

        Returns
        -------
        samples : ScoredSamples
            The samples with failures; potentials are computed anew only where something changed.
        indicator : Tensor of shape (n_samples, n_modalities)
            +1 clean, -1 corrupted.
        """
        modalities, indicator = self.corruption.corrupt_tensors(
            samples.modalities,
            generator=self.generator,
            reference=self.reference,
            names=self.energies.names,
        )
        changed = indicator < 0
        if self.energies.columns is not None:
            modalities, columns_changed = fail_columns(
                modalities,
                ~changed.any(1),
                self.corruption,
                self.reference,
                self.energies.names,
                self.generator,
            )
            changed = changed | columns_changed
        return self.energies.rescore(samples, modalities, changed), indicator
