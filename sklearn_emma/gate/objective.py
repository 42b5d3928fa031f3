"""Objective of stage 2: gate and predictor on clean and on corrupted samples."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sklearn_emma.engine.batches import pair_block
from sklearn_emma.engine.objective import Objective
from sklearn_emma.gate.annealing import cooled_fraction
from sklearn_emma.gate.cross_modal import add_cross_modal_energy
from sklearn_emma.gate.plain_objective import predictor_groups
from sklearn_emma.gate.prediction_loss import PredictionLoss
from sklearn_emma.gate.samples import ScoredSamples
from sklearn_emma.gate.training_failures import Failures
from sklearn_emma.nn import (
    CrossModalEnergy,
    EnergyAttention,
    GatedPredictor,
    capacity_penalty,
    energy_alignment,
)

#: Fraction of samples without any modality in the subset loss. From them, class priors are learned.
NOTHING_LEFT = 0.05


def random_subset(n_samples: int, n_modalities: int, generator: torch.Generator) -> Tensor:
    """Draw a random subset of modalities for each sample.

    The size of the subset is uniformly distributed from 1 to M - 1. For 5 % of the samples it is
    zero.

    Parameters
    ----------
    n_samples, n_modalities : int
        Number of samples, and number M of modalities, at least two.
    generator : torch.Generator
        Random number generator.

    Returns
    -------
    Tensor of shape (n_samples, n_modalities)
        True for modalities of the subset, on the device of the generator.
    """
    n, m, device = n_samples, n_modalities, generator.device
    kind: dict[str, Any] = {"generator": generator, "dtype": torch.float32, "device": device}
    size = torch.randint(1, m, (n, 1), generator=generator, device=device)
    size *= torch.rand(n, 1, **kind) >= NOTHING_LEFT
    rank = torch.rand(n, m, **kind).argsort(1).argsort(1)
    return rank < size


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms of the loss.

    Attributes
    ----------
    lambda_capacity, lambda_energy, subset_weight : float, or Tensor of shape ()
        Weights of the two regularization terms, and of the subset loss.
    importance_floor : float
        Importance below which the reward of a corrupted modality does not increase further.
    """

    lambda_capacity: float | Tensor
    lambda_energy: float | Tensor
    subset_weight: float | Tensor
    importance_floor: float = 0.01


def regularization(
    gate: EnergyAttention,
    log_importance: Tensor,
    weights: LossWeights,
    indicator: Tensor,
    sample_weight: Tensor,
) -> Tensor:
    """Return the sum of the capacity penalty and the negative energy alignment."""
    total = torch.zeros((), dtype=sample_weight.dtype, device=sample_weight.device)
    if not _is_off(weights.lambda_capacity):
        total = total + weights.lambda_capacity * capacity_penalty(gate)
    if not _is_off(weights.lambda_energy):
        alignment = energy_alignment(
            log_importance, indicator, sample_weight, weights.importance_floor
        )
        total = total - weights.lambda_energy * alignment
    return total


def _is_off(weight: float | Tensor) -> bool:
    # a tensor may stand for the weights of many models at once
    return not isinstance(weight, Tensor) and weight == 0


def gated_loss(
    gate: EnergyAttention,
    network: GatedPredictor,
    prediction_loss: PredictionLoss,
    weights: LossWeights,
    batch: Sequence[Tensor],
    with_subsets: bool,
) -> Tensor:
    """Return the prediction loss and regularization of a gate and a predictor.

    Parameters
    ----------
    gate : EnergyAttention
        The gate.
    network : GatedPredictor
        The predictor.
    prediction_loss : PredictionLoss
        The prediction loss.
    weights : LossWeights
        Weights of the regularization terms and of the subset loss.
    batch : sequence of Tensor of shape (n_batch, ...)
        A batch of the tensors that :meth:`GatedObjective.epoch_data` returns.
    with_subsets : bool
        Whether there is a subset loss.

    Returns
    -------
    Tensor of shape ()
        Loss.
    """
    subset, potential, indicator, target, sample_weight, *modalities = batch
    encoded: Any = network.encode(modalities)
    embeddings = network.embeddings_for(gate, encoded)
    if with_subsets:
        # outputs with all modalities and with a subset of them in one call
        both = gate.state(potential, torch.stack([torch.ones_like(subset), subset]), embeddings)
        outputs = network.fuse_each(encoded, both.attention)
        both_weights = torch.stack([sample_weight, weights.subset_weight * sample_weight])
        loss = 2.0 * prediction_loss.of_several(outputs, target, both_weights.unsqueeze(1))
        log_importance = both.log_importance[0]
    else:
        state = gate.state(potential, encoded=embeddings)
        outputs = network.fuse_each(encoded, state.attention)
        loss = prediction_loss.of_several(outputs, target, sample_weight)
        log_importance = state.log_importance
    return loss + regularization(gate, log_importance, weights, indicator, sample_weight)


@torch.no_grad()
def baseline_loss(
    gate: EnergyAttention,
    network: GatedPredictor,
    prediction_loss: PredictionLoss,
    weights: LossWeights,
    samples: ScoredSamples,
) -> float:
    """Return the loss of the initial gate and a constant prediction."""
    # include the regularization terms, which may also be large in a good fit
    cost, size = 0.0, pair_block(samples.potential.shape[1])
    tensors = samples.potential, samples.weight, *samples.filled
    blocks = zip(*(tensor.split(size) for tensor in tensors), strict=True)
    for potential, sample_weight, *modalities in blocks:
        embeddings: Any = None
        if gate.reads_embeddings:
            embeddings = network.embeddings(network.encode(modalities))
        log_importance = gate.state(potential, encoded=embeddings).log_importance
        clean = torch.ones_like(potential)
        mean = float(regularization(gate, log_importance, weights, clean, sample_weight))
        cost += mean * len(potential) / len(samples.potential)
    loss = prediction_loss.baseline_loss(samples.target, samples.weight)
    return float(1.0 + weights.subset_weight) * loss + max(cost, 0.0)


@dataclass(frozen=True)
class GateModel:
    """Gate and predictor of stage 2, with the cross-modal energy and the prediction loss.

    Attributes
    ----------
    gate : EnergyAttention
        The gate.
    network : GatedPredictor
        The predictor.
    cross_modal : CrossModalEnergy or None
        Trained cross-modal energy, if there is one.
    prediction_loss : PredictionLoss
        The prediction loss.
    """

    gate: EnergyAttention
    network: GatedPredictor
    cross_modal: CrossModalEnergy | None
    prediction_loss: PredictionLoss


class GatedObjective(Objective):
    r"""Objective of gate and predictor on clean and corrupted samples.

    It minimizes the loss of :mod:`sklearn_emma.nn.losses`, plus ``subset_weight`` times the
    prediction loss of the same samples with a random subset of their modalities. Thus the predictor
    is trained for all combinations of modalities.

    Parameters
    ----------
    model : GateModel
        Gate and predictor to be trained.
    weights : LossWeights
        Weights of the regularization terms and of the subset loss.
    samples, held_out : ScoredSamples, ScoredSamples or None
        Clean training samples, and clean samples of the validation loss.
    failures : Failures
        Failures that are drawn for the samples.
    generator : torch.Generator
        Random number generator on the device of the samples.
    redraw : bool, default=True
        Whether new failures are drawn in every epoch. If False, all epochs use the same corrupted
        copy of the samples.
    annealed : bool, default=False
        Whether the coldness increases from zero, see :mod:`sklearn_emma.gate.annealing`.
    """

    cooled: Tensor

    def __init__(
        self,
        model: GateModel,
        weights: LossWeights,
        samples: ScoredSamples,
        held_out: ScoredSamples | None,
        failures: Failures,
        generator: torch.Generator,
        redraw: bool = True,
        annealed: bool = False,
    ):
        super().__init__(generator)
        self.gate = model.gate
        self.network = model.network
        self.cross_modal = model.cross_modal
        self.prediction_loss = model.prediction_loss
        self.samples = samples
        self.n_samples = len(samples.target)
        self.failures = failures
        if samples.potential.shape[1] == 1:  # there is no subset of one modality
            weights = replace(weights, subset_weight=0.0)
        self.weights = weights
        self.baseline_loss = baseline_loss(
            self.gate, self.network, self.prediction_loss, self.weights, samples
        )
        self.held_out = None if held_out is None else self._with_failures(held_out)
        self.copy = None if redraw else self._with_failures(samples)
        self.annealed = annealed
        self.coldness = self.gate.coldness
        # current fraction of the coldness, a buffer that early stopping restores
        self.register_buffer("cooled", torch.ones((), dtype=torch.float32, device=generator.device))

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameter groups of the predictor, and of the gate.

        Only weights have an L2 penalty. Biases represent the mean of the target, and the parameters
        of the gate have constraints.

        Returns
        -------
        list of dict
            Parameter groups in the format of torch optimizers.
        """
        gate = {"params": list(self.gate.parameters()), "weight_decay": 0.0}
        return [*predictor_groups(self.network), gate]

    def begin_epoch(self, epoch: int, n_epochs: int) -> None:
        """Set the coldness of the gate in an epoch."""
        if self.annealed:
            self.cooled.fill_(cooled_fraction(epoch, n_epochs))
            self.gate.coldness = self.coldness * float(self.cooled)

    def after_step(self) -> None:
        """Project the parameters of the gate onto their constraints."""
        self.gate.project_()

    def monitored(self) -> dict[str, float]:
        """Return gain, bias and capacity of the gate."""
        gate = self.gate
        return {
            "gain": float(gate.gain.detach()),
            "bias": float(gate.bias.detach()),
            "capacity": float(gate.capacity().detach()),
        }

    def _with_failures(self, samples: ScoredSamples) -> list[Tensor]:
        samples, indicator = self.failures.draw(samples)
        modalities = samples.filled
        potential = add_cross_modal_energy(
            self.cross_modal, modalities, samples.potential, self.gate
        )
        all_kept = torch.ones_like(indicator, dtype=torch.bool)
        return [all_kept, potential, indicator, samples.target, samples.weight, *modalities]

    def epoch_data(self) -> Sequence[Tensor]:
        """Return the samples of an epoch, see :meth:`draw_epoch`."""
        return self.draw_epoch(bool(self.weights.subset_weight))

    def draw_epoch(self, with_subsets: bool) -> list[Tensor]:
        """Return the samples of an epoch, with new failures if `redraw` is True.

        Parameters
        ----------
        with_subsets : bool
            Whether to draw a random subset of the modalities of each sample for the subset loss.

        Returns
        -------
        list of Tensor of shape (n_samples, ...)
            Subset, potential, indicator, target, weight and the modalities.
        """
        drawn = self.samples_of_epoch()
        if self.copy is None:
            subset, *rest = self._with_failures(self.samples.take(drawn))
        else:
            subset, *rest = [tensor[drawn] for tensor in self.copy]
        if with_subsets:
            n_samples, n_modalities = subset.shape
            subset = random_subset(n_samples, n_modalities, self.generator)
        return [subset, *rest]

    def loss(self, *batch: Tensor) -> Tensor:
        """Return prediction loss and regularization."""
        subsets = bool(self.weights.subset_weight) and self.training
        return gated_loss(
            self.gate, self.network, self.prediction_loss, self.weights, batch, subsets
        )

    def validation_loss(self) -> Tensor | None:
        """Return the loss of held-out samples, with failures that are the same in all epochs."""
        return None if self.held_out is None else self.loss(*self.held_out)
