"""Simulated failures of modalities for the training of gate and predictor."""

import copy

import torch
from torch import Tensor

from sklearn_emma.corruption import (
    Adversarial,
    Corruption,
    Episodes,
    Missing,
    Mixture,
    Noise,
    Reference,
    Swapped,
    VirtualAdversarial,
)
from sklearn_emma.corruption.adversarial import NO_MODEL
from sklearn_emma.gate.columns import fail_columns
from sklearn_emma.gate.samples import Energies, Samples, ScoredSamples

# Default fraction of the training samples that are corrupted.
_FRACTION = 0.5


def training_corruption(corruption: Corruption | None) -> Corruption:
    """Return the corruption of training samples, the default one for None.

    Parameters
    ----------
    corruption : Corruption or None
        Parameter of the estimator.

    Returns
    -------
    Corruption
        Corruption whose `fraction` is not None.
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


def check_training_failures(
    corruption: Corruption | None,
    adversarial: Adversarial | VirtualAdversarial | None,
    names: list[str],
) -> None:
    """Raise ValueError if training samples cannot be corrupted in this way.

    Parameters
    ----------
    corruption : Corruption or None
        Parameter of the estimator.
    adversarial : Adversarial, VirtualAdversarial or None
        Parameter of the estimator.
    names : list of str
        Names of the modalities.
    """
    if isinstance(corruption, Episodes):
        raise ValueError(
            "Training samples have no order, so they cannot fail in episodes. Pass the corruption "
            f"of the episodes, corruption={corruption.corruption!r}."
        )
    if isinstance(corruption, Adversarial):
        raise ValueError(NO_MODEL)
    attack = [adversarial] if isinstance(adversarial, Adversarial) else []
    for failure in (training_corruption(corruption), *attack):
        failure.check_params()
        failure.check_modalities(names)


def with_fraction(corruption: Corruption, fraction: float) -> Corruption:
    """Return a copy of a corruption with another fraction of corrupted samples."""
    # clone is not used, as a custom corruption may not follow the conventions of scikit-learn
    changed = copy.copy(corruption)
    changed.fraction = fraction
    return changed


def training_reference(samples: Samples, names: list[str]) -> Reference:
    """Return the units and donor samples for the corruption of training samples.

    Parameters
    ----------
    samples : Samples
        Clean samples, standardized.
    names : list of str
        Names of the modalities.

    Returns
    -------
    Reference
        Reference with means of zero, and with standard deviations limited to one, so that they are
        not inflated by extreme values.
    """
    reference = Reference.from_tensors(samples.modalities, samples.energy_weight, names)
    means = [torch.zeros_like(mean) for mean in reference.means]
    stds = [std.clamp(max=1.0) for std in reference.stds]
    return Reference(means, stds, reference.donors, samples.blocks)


class Failures:
    """Simulate failures of modalities, and recompute the potentials.

    Parameters
    ----------
    corruption : Corruption
        Corruption of modalities.
    reference : Reference
        Units and donor samples of the corruption.
    energies : Energies
        Energies of the modalities.
    generator : torch.Generator
        Random number generator on the device of the samples.
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
        """Corrupt random modalities of random samples.

        Parameters
        ----------
        samples : ScoredSamples
            Clean samples.

        Returns
        -------
        samples : ScoredSamples
            Samples with failures. Potentials are recomputed only for changed modalities.
        indicator : Tensor of shape (n_samples, n_modalities)
            +1 for clean and -1 for corrupted modalities.
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
