r"""Train the cross-modal energy by distinguishing samples from shuffled ones.

With many columns, the network can memorize which values occur in the same sample. Its log
ratios are then too large for new samples. They are therefore multiplied by a factor
:math:`\tau \le 1`, which is chosen on held-out samples (shrinkage; for classifiers: Guo, C. et al.
(2017). On calibration of modern neural networks. ICML).
"""

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
# Largest number of columns of which the network memorizes so little that nothing is held out for a
# gate: of independent modalities, at most a few per cent of new samples seem inconsistent.
_FEW_COLUMNS = 32
# The table is divided into blocks of successive samples, since neighbors may be similar. Every
# fourth block is held out, or fewer, such that about 1,000 samples at most are held out.
_N_BLOCKS, _HELD_OUT, _MOST_HELD_OUT = 20, 4, 1000
# If at most this fraction of the samples is held out, the network is not trained again on all.
_FEW_HELD_OUT = 0.1
# Factors of the log ratios, number of shuffled samples per held-out sample, and number of parts of
# the held-out samples from which the error of the loss is estimated.
_FACTORS = [k / 20 for k in range(20, -1, -1)]
_N_APART, _N_PARTS = 4, 10
# Largest number of pairs of modalities in all held-out samples that are judged.
_MOST_PAIRS = 2**24


class Contrast(Objective):
    """Objective of distinguishing samples from samples with shuffled modalities.

    Parameters
    ----------
    cross_modal : CrossModalEnergy
        Cross-modal energy, which is trained in place.
    modalities : list of Tensor of shape (n_samples, n_features)
        Standardized samples without missing values.
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
        order = torch.cat([_shuffle(embeddings, self.generator) for _ in range(_N_SHUFFLES)])
        apart = self.cross_modal.pair_log_ratios(_take(embeddings, order))
        return noise_contrastive_loss(together, apart, weight, weight[order])


def _shuffle(embeddings: Tensor, generator: torch.Generator) -> Tensor:
    """Draw a random permutation of the samples for every modality."""
    kind: dict[str, Any] = {"dtype": torch.float32, "device": embeddings.device}
    return torch.rand(*embeddings.shape[:2], generator=generator, **kind).argsort(0)


def _take(embeddings: Tensor, order: Tensor) -> Tensor:
    """Combine the embeddings of different samples, given the sample of each modality."""
    return embeddings.gather(0, order.unsqueeze(2).expand(-1, -1, embeddings.shape[2]))


def train_cross_modal(
    modalities: list[Tensor],
    weight: Tensor,
    config: TrainingConfig,
    generator: torch.Generator,
    weights_generator: torch.Generator,
    few_columns: int = _FEW_COLUMNS,
) -> CrossModalEnergy:
    """Train the cross-modal energy.

    Parameters
    ----------
    modalities : list of Tensor of shape (n_samples, n_features)
        Standardized samples without missing values.
    weight : Tensor of shape (n_samples,)
        Weights of the samples.
    config : TrainingConfig
        Batch size, number of epochs (at most 50), progress display and cache, as for gate and
        predictor.
    generator : torch.Generator
        Source of shuffling and noise, on the device of the samples.
    weights_generator : torch.Generator
        Source of initial weights, on the CPU.
    few_columns : int, default=32
        Largest number of columns with which nothing is held out, and the factor is one.

    Returns
    -------
    CrossModalEnergy
        Trained cross-modal energy, on the device of the samples.
    """
    config = TrainingConfig(
        config.batch_size,
        _LEARNING_RATE,
        min(config.max_epochs, _MAX_EPOCHS),
        verbose=config.verbose,
        memory=config.memory,
    )
    generators = generator, weights_generator
    held_out = _held_out(len(weight)).to(weight.device)
    n_held_out = int(held_out.sum())
    n_columns = sum(x.shape[1] for x in modalities)
    if n_columns <= few_columns or n_held_out < _N_PARTS:
        return _train(modalities, weight, config, *generators)
    few = n_held_out <= _FEW_HELD_OUT * len(weight)
    # the network that is trained on all samples does not depend on the choice of the factor
    first = generators if few else tuple(map(_copy, generators))
    rest = [x[~held_out] for x in modalities]
    cross_modal = _train(rest, weight[~held_out], config, *first)
    judged = [x[held_out] for x in modalities]
    factor = _choose_factor(cross_modal, judged, weight[held_out], first[0])
    if not few:
        cross_modal = _train(modalities, weight, config, *generators)
    return cross_modal.scale_(factor)


def _held_out(n_samples: int) -> Tensor:
    """Return a mask of the held-out samples."""
    every = max(_HELD_OUT, math.ceil(n_samples / _MOST_HELD_OUT))
    n_blocks = _N_BLOCKS // _HELD_OUT * every
    block = torch.arange(n_samples) * n_blocks // max(n_samples, n_blocks)
    return block % every == every - 1


def _copy(generator: torch.Generator) -> torch.Generator:
    """Copy a random number generator."""
    copy = torch.Generator(generator.device)
    copy.set_state(generator.get_state())
    return copy


def _train(
    modalities: list[Tensor],
    weight: Tensor,
    config: TrainingConfig,
    generator: torch.Generator,
    weights_generator: torch.Generator,
) -> CrossModalEnergy:
    """Train the network on all given samples."""
    widths = [x.shape[1] for x in modalities]
    cross_modal = CrossModalEnergy(
        widths, bound=math.log(len(weight)), generator=weights_generator
    ).to(weight.device)
    contrast = Contrast(cross_modal, modalities, weight, generator)
    train_once(contrast, "stage 2 of 2, cross-modal energy", config)
    return cross_modal.requires_grad_(False)


@torch.no_grad()
def _choose_factor(
    cross_modal: CrossModalEnergy,
    modalities: list[Tensor],
    weight: Tensor,
    generator: torch.Generator,
) -> float:
    """Choose the factor of the log ratios on held-out samples.

    It is the largest one whose loss exceeds the lowest one by at most one standard error of the
    difference. In most tables, it is therefore one.
    """
    embeddings = cross_modal.encode(modalities)
    orders = torch.stack([_shuffle(embeddings, generator) for _ in range(_N_APART)])
    n_judged = max(_N_PARTS, _MOST_PAIRS // len(modalities) ** 2)
    losses = []
    for part in torch.arange(len(weight), device=weight.device)[:n_judged].chunk(_N_PARTS):
        order = orders[:, part].flatten(0, 1)
        together = cross_modal.pair_log_ratios(embeddings[part])
        apart = cross_modal.pair_log_ratios(_take(embeddings, order))
        of_part = weight[part], weight[order]
        losses.append([noise_contrastive_loss(f * together, f * apart, *of_part) for f in _FACTORS])
    by_part = torch.tensor(losses)
    excess = by_part - by_part[:, by_part.mean(0).argmin(), None]
    acceptable = excess.mean(0) <= excess.std(0) / math.sqrt(len(losses))
    return _FACTORS[int(acceptable.int().argmax())]


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
        Standardized samples without missing values.
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
