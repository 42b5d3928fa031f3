"""Stage 2 as a task: gate and predictor learn together on clean and corrupted rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sklearn_emma.engine.objective import Task
from sklearn_emma.gate.cross_modal import block_size, in_company
from sklearn_emma.gate.failures import Failures, Rows, fill
from sklearn_emma.gate.prediction_loss import Criterion
from sklearn_emma.nn import (
    CrossModalEnergy,
    EnergyAttention,
    FusionNetwork,
    GatedInputs,
    capacity_penalty,
    energy_alignment,
)

Predictor = FusionNetwork | GatedInputs

# Share of rows that lose all modalities in the loss on random parts: then the prior is to be said.
_NOTHING_LEFT = 0.05


def random_part(n_samples: int, n_modalities: int, generator: torch.Generator) -> Tensor:
    """Draw 1 to M - 1 modalities per row, all equally likely, and now and then none.

    Parameters
    ----------
    n_samples, n_modalities : int
        Number of rows and, two or more, of modalities M.
    generator : torch.Generator
        Source of random numbers.

    Returns
    -------
    Tensor of shape (n_samples, n_modalities)
        True for what is drawn, on the device of the generator.
    """
    n, m, device = n_samples, n_modalities, generator.device
    size = torch.randint(1, m, (n, 1), generator=generator, device=device)
    size *= torch.rand(n, 1, generator=generator, device=device) >= _NOTHING_LEFT
    rank = torch.rand(n, m, generator=generator, device=device).argsort(1).argsort(1)
    return rank < size


def names_of_weights(network: torch.nn.Module) -> set[str]:
    """Return the names of the parameters that are penalised: weights, but no biases."""
    named = network.named_parameters()
    return {name for name, p in named if p.ndim > 1 and "bias" not in name}


class PlainTask(Task):
    """Warm start: the predictor alone, on clean rows, every modality fully open.

    Parameters
    ----------
    network : FusionNetwork or GatedInputs
        The predictor.
    criterion : Criterion
        The prediction loss.
    rows : Rows
        Training rows.
    fills : list of Tensor of shape (n_features,)
        What stands in for missing values.
    generator : torch.Generator
        On the device of the rows.
    """

    def __init__(
        self,
        network: Predictor,
        criterion: Criterion,
        rows: Rows,
        fills: list[Tensor],
        generator: torch.Generator,
    ):
        super().__init__(generator)
        self.network = network
        self.criterion = criterion
        self.rows = rows
        self.n_samples = len(rows.target)
        self.modalities = fill(rows.modalities, fills)
        # a modality that is not there is shut here too
        self.attention = torch.isfinite(rows.potential).to(rows.weight.dtype)
        self.ignorant_loss = criterion.ignorant_loss(rows.target, rows.weight)

    def epoch_data(self) -> Sequence[Tensor]:
        """Return attention, target, weight and the modalities."""
        return self.attention, self.rows.target, self.rows.weight, *self.modalities

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the prediction loss."""
        attention, target, weight, *modalities = batch
        output = self.network(modalities, attention)
        return self.criterion(output, target, weight)

    def validation_loss(self) -> None:
        """Return nothing: the warm start is only a start."""
        return


@dataclass(frozen=True)
class Strengths:
    """What parts of the loss weigh.

    Parameters
    ----------
    lambda_capacity, lambda_energy, subset_weight : float, or Tensor of shape ()
        Strengths of the regularizers and of the loss on random parts.
    """

    lambda_capacity: float | Tensor
    lambda_energy: float | Tensor
    subset_weight: float | Tensor


def regularizers(
    gate: EnergyAttention,
    log_importance: Tensor,
    strengths: Strengths,
    indicator: Tensor,
    weight: Tensor,
) -> Tensor:
    """Return what the gate pays for its capacity and for unfaithful energies."""
    total = torch.zeros((), device=weight.device)
    if not _is_off(strengths.lambda_capacity):
        total = total + strengths.lambda_capacity * capacity_penalty(gate)
    if not _is_off(strengths.lambda_energy):
        alignment = energy_alignment(log_importance, indicator, weight)
        total = total - strengths.lambda_energy * alignment
    return total


def _is_off(strength: float | Tensor) -> bool:
    # a tensor may stand for the strengths of many models at once
    return not isinstance(strength, Tensor) and strength == 0


def gated_loss(
    gate: EnergyAttention,
    network: Predictor,
    criterion: Criterion,
    strengths: Strengths,
    batch: Sequence[Tensor],
    with_parts: bool,
) -> Tensor:
    """Prediction loss and regularizers of a gate and a predictor.

    Parameters
    ----------
    gate : EnergyAttention
        The gate.
    network : FusionNetwork or GatedInputs
        The predictor.
    criterion : Criterion
        The prediction loss.
    strengths : Strengths
        Of the regularizers and of the loss on random parts.
    batch : sequence of Tensor of shape (n_rows, ...)
        What :meth:`GatedTask.epoch_data` returns.
    with_parts : bool
        Whether there is a loss on random parts.

    Returns
    -------
    Tensor of shape ()
        The loss.
    """
    part, potential, indicator, target, weight, *modalities = batch
    encoded: Any = network.encode(modalities)
    if with_parts:
        # whole rows and their parts in one go
        both = gate.state(potential, torch.stack([torch.ones_like(part), part]))
        output = network.fuse(encoded, both.attention).flatten(0, 1)
        weights = torch.cat([weight, strengths.subset_weight * weight])
        loss = 2.0 * criterion(output, torch.cat([target, target]), weights)
        log_importance = both.log_importance[0]
    else:
        state = gate.state(potential)
        loss = criterion(network.fuse(encoded, state.attention), target, weight)
        log_importance = state.log_importance
    return loss + regularizers(gate, log_importance, strengths, indicator, weight)


@torch.no_grad()
def ignorant_loss(
    gate: EnergyAttention, criterion: Criterion, strengths: Strengths, rows: Rows
) -> float:
    """Return the loss of a gate as it starts and a predictor that knows nothing."""
    # the regularizers are no measure of success: they may be large however well it goes
    cost, size = 0.0, block_size(rows.potential.shape[1])
    for potential, weight in zip(rows.potential.split(size), rows.weight.split(size), strict=True):
        log_importance, intact = gate.state(potential).log_importance, torch.ones_like(potential)
        mean = float(regularizers(gate, log_importance, strengths, intact, weight))
        cost += mean * len(potential) / len(rows.potential)
    loss = criterion.ignorant_loss(rows.target, rows.weight)
    return float(1.0 + strengths.subset_weight) * loss + max(cost, 0.0)


class GatedTask(Task):
    r"""Gate and predictor on clean and corrupted rows.

    Minimises the loss of :mod:`sklearn_emma.nn.losses`, plus ``subset_weight`` times the prediction
    loss of the same rows with a random part of their modalities taken away, so that the predictor
    is at home with every combination of modalities gated off.

    Parameters
    ----------
    gate : EnergyAttention
        The gate.
    network : FusionNetwork or GatedInputs
        The predictor.
    criterion : Criterion
        The prediction loss.
    rows, held_out : Rows, Rows or None
        Training rows and rows of the validation loss, both intact.
    fills : list of Tensor of shape (n_features,)
        What stands in for missing values.
    failures : Failures
        Draws the corruption.
    cross_modal : CrossModalEnergy or None
        What the modalities of a row say of each other.
    lambda_capacity, lambda_energy, subset_weight : float
        Strengths of the regularizers and of the loss on random parts.
    generator : torch.Generator
        On the device of the rows.
    """

    def __init__(
        self,
        gate: EnergyAttention,
        network: Predictor,
        criterion: Criterion,
        rows: Rows,
        held_out: Rows | None,
        fills: list[Tensor],
        failures: Failures,
        cross_modal: CrossModalEnergy | None,
        *,
        lambda_capacity: float,
        lambda_energy: float,
        subset_weight: float,
        generator: torch.Generator,
    ):
        super().__init__(generator)
        self.gate = gate
        self.network = network
        self.criterion = criterion
        self.rows = rows
        self.n_samples = len(rows.target)
        self.fills = fills
        self.failures = failures
        self.cross_modal = cross_modal
        self.subset_weight = subset_weight if rows.potential.shape[1] > 1 else 0.0
        self.strengths = Strengths(lambda_capacity, lambda_energy, self.subset_weight)
        self.ignorant_loss = ignorant_loss(gate, criterion, self.strengths, rows)
        self.held_out = None if held_out is None else self._with_failures(held_out)

    def parameter_groups(self) -> list[dict]:
        """Return weights, biases and the gate apart: only weights are drawn towards zero.

        Biases hold the mean of the target, and the gate's parameters have constraints of their own.

        Returns
        -------
        list of dict
            As torch's optimizers take them.
        """
        penalised = names_of_weights(self.network)
        weights: list[Tensor] = []
        others: list[Tensor] = []
        for name, parameter in self.network.named_parameters():
            (weights if name in penalised else others).append(parameter)
        return [
            {"params": weights},
            {"params": others, "weight_decay": 0.0},
            {"params": list(self.gate.parameters()), "weight_decay": 0.0},
        ]

    def after_step(self) -> None:
        """Project the gate's parameters."""
        self.gate.project_()

    def state_of_interest(self) -> dict[str, float]:
        """Return the gate's gain, bias and capacity."""
        gate = self.gate
        return {
            "gain": float(gate.gain.detach()),
            "bias": float(gate.bias.detach()),
            "capacity": float(gate.capacity().detach()),
        }

    def _with_failures(self, rows: Rows) -> list[Tensor]:
        rows, indicator = self.failures.draw(rows)
        modalities = fill(rows.modalities, self.fills)
        potential = rows.potential
        if self.cross_modal is not None:
            minimum, scale = self.gate.potential_min, self.gate.potential_scale
            potential = in_company(self.cross_modal, modalities, potential, minimum, scale)
        whole = torch.ones_like(indicator, dtype=torch.bool)
        return [whole, potential, indicator, rows.target, rows.weight, *modalities]

    def epoch_data(self) -> Sequence[Tensor]:
        """Return what a row consists of in this epoch.

        Returns
        -------
        list of Tensor of shape (n_samples, ...)
            A random part, True where a modality is kept in the loss on parts, and, with fresh
            failures, potential, indicator, target, weight and the modalities.
        """
        part, *rows = self._with_failures(self.rows)
        if self.subset_weight:
            n_samples, n_modalities = part.shape
            part = random_part(n_samples, n_modalities, self.generator)
        return [part, *rows]

    def loss(self, *batch: Tensor) -> Tensor:
        """Return prediction loss and regularizers."""
        parts = bool(self.subset_weight) and self.training
        return gated_loss(self.gate, self.network, self.criterion, self.strengths, batch, parts)

    def validation_loss(self) -> Tensor | None:
        """Return the loss on held-out rows with the failures they drew at the start."""
        return None if self.held_out is None else self.loss(*self.held_out)
