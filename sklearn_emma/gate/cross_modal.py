"""Train the cross-modal energy by distinguishing samples from shuffled ones."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sklearn_emma.engine.batches import pair_block
from sklearn_emma.engine.objective import Objective, TrainingConfig
from sklearn_emma.engine.training_memory import train_once
from sklearn_emma.nn import CrossModalEnergy, EnergyAttention, noise_contrastive_loss

# Largest standard deviation of the noise that is added to training samples. It makes the log ratios
# smooth and prevents overfitting to small tables.
_NOISE = 0.5
# Number of shuffled samples per training sample.
_N_SHUFFLES = 2
_MAX_EPOCHS = 50
_LEARNING_RATE = 3e-3


class Contrast(Objective):
    """Objective of distinguishing samples from samples with shuffled modalities.

    Parameters
    ----------
    cross_modal : CrossModalEnergy
        Cross-modal energy, which is trained in place.
    modalities : list of Tensor of shape (n_samples, n_features)
        Standardised samples without missing values.
    weight : Tensor of shape (n_samples,)
        Weights of the samples.
    generator : torch.Generator
        Random number generator on the device of the samples.
    """

    def __init__(
        self,
        cross_modal: CrossModalEnergy,
        modalities: list[Tensor],
        weight: Tensor,
        generator: torch.Generator,
    ):
        super().__init__(generator)
        self.cross_modal = cross_modal
        self.modalities = modalities
        self.weight = weight
        self.n_samples = len(weight)
        self.baseline_loss = 2.0 * math.log(2.0)

    def training_samples(self) -> Sequence[Tensor]:
        """Return sample weights and modalities."""
        return self.weight, *self.modalities

    def epoch_data(self) -> Sequence[Tensor]:
        """Return sample weights and modalities, with newly drawn noise."""
        g, drawn = self.generator, self.samples_of_epoch()
        weight, *modalities = [tensor[drawn] for tensor in self.training_samples()]
        kind: dict[str, Any] = {"dtype": torch.float32, "device": weight.device}
        sigma = _NOISE * torch.rand(len(weight), 1, generator=g, **kind)
        noise = [torch.randn(x.shape, generator=g, **kind) for x in modalities]
        noisy = [torch.addcmul(x, sigma, z) for x, z in zip(modalities, noise, strict=True)]
        return weight, *noisy

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the contrastive loss."""
        weight, *modalities = batch
        embeddings = self.cross_modal.encode(modalities)
        together = self.cross_modal.pair_log_ratios(embeddings)
        order = torch.cat([self._shuffle(embeddings) for _ in range(_N_SHUFFLES)])
        shuffled = embeddings.gather(0, order.unsqueeze(2).expand(-1, -1, embeddings.shape[2]))
        apart = self.cross_modal.pair_log_ratios(shuffled)
        return noise_contrastive_loss(together, apart, weight, weight[order])

    def _shuffle(self, embeddings: Tensor) -> Tensor:
        """Draw a random permutation of the samples for every modality."""
        n, m = embeddings.shape[:2]
        return torch.rand(
            n, m, generator=self.generator, dtype=torch.float32, device=embeddings.device
        ).argsort(0)


def train_cross_modal(
    modalities: list[Tensor],
    weight: Tensor,
    config: TrainingConfig,
    generator: torch.Generator,
    weights_generator: torch.Generator,
) -> CrossModalEnergy:
    """Train the cross-modal energy.

    Parameters
    ----------
    modalities : list of Tensor of shape (n_samples, n_features)
        Standardised samples without missing values.
    weight : Tensor of shape (n_samples,)
        Weights of the samples.
    config : TrainingConfig
        Batch size, number of epochs (at most 50), progress display and cache, as for gate and
        predictor.
    generator : torch.Generator
        Source of shuffling and noise, on the device of the samples.
    weights_generator : torch.Generator
        Source of initial weights, on the CPU.

    Returns
    -------
    CrossModalEnergy
        Trained cross-modal energy, on the device of the samples.
    """
    cross_modal = CrossModalEnergy(
        [x.shape[1] for x in modalities], bound=math.log(len(weight)), generator=weights_generator
    ).to(weight.device)
    own = TrainingConfig(
        config.batch_size,
        _LEARNING_RATE,
        min(config.max_epochs, _MAX_EPOCHS),
        verbose=config.verbose,
        memory=config.memory,
    )
    contrast = Contrast(cross_modal, modalities, weight, generator)
    train_once(contrast, "stage 2 of 2, cross-modal energy", own)
    return cross_modal.requires_grad_(False)


@torch.no_grad()
def add_cross_modal_energy(
    cross_modal: CrossModalEnergy | None,
    modalities: Sequence[Tensor],
    potential: Tensor,
    gate: EnergyAttention,
) -> Tensor:
    """Add the cross-modal energy to the potentials of training samples, block by block.

    Parameters
    ----------
    cross_modal : CrossModalEnergy or None
        Trained cross-modal energy. None adds nothing.
    modalities : sequence of Tensor of shape (n_samples, n_features)
        Standardised samples without missing values.
    potential : Tensor of shape (n_samples, n_modalities)
        Own potential of each modality.
    gate : EnergyAttention
        Gate, whose constants are used.

    Returns
    -------
    Tensor of shape (n_samples, n_modalities)
        Potentials including the cross-modal energy.
    """
    if cross_modal is None:
        return potential
    size = pair_block(len(modalities))
    blocks = zip(potential.split(size), *(x.split(size) for x in modalities), strict=True)
    minimum, scale = gate.potential_min, gate.potential_scale
    return torch.cat([cross_modal(block, psi, minimum, scale) for psi, *block in blocks])
