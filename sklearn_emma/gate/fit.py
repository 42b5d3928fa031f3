"""Stage 2 of a fit (`BaseEMMA._fit` has the whole order): calibrate, warm up, train the gate."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.corruption import Adversarial, Corruption, VirtualAdversarial
from sklearn_emma.engine.objective import TrainingConfig
from sklearn_emma.engine.training import train
from sklearn_emma.engine.training_memory import train_once
from sklearn_emma.engine.weights import load_arrays
from sklearn_emma.gate.adversarial import AdversarialObjective
from sklearn_emma.gate.annealing import start_as_identity
from sklearn_emma.gate.build_gate import build_gate, count_units, hard_attention
from sklearn_emma.gate.calibration import Calibrated, calibrate
from sklearn_emma.gate.cross_modal import train_cross_modal
from sklearn_emma.gate.objective import (
    GatedObjective,
    GateModel,
    LossWeights,
    PlainObjective,
)
from sklearn_emma.gate.prediction_loss import PredictionLoss
from sklearn_emma.gate.samples import Energies, Samples
from sklearn_emma.gate.training_failures import (
    Failures,
    training_corruption,
    training_reference,
    with_fraction,
)
from sklearn_emma.gate.virtual_adversarial import VirtualAdversarialObjective
from sklearn_emma.nn import CrossModalEnergy, FusionEnsemble, GatedPredictor

#: Name of the training of gate and predictor in the display of progress.
GATE_AND_PREDICTOR = "stage 2 of 2, gate and predictor"
# Of two modalities that are inconsistent, it is unknown which is wrong.
_MIN_MODALITIES = 3


@dataclass(frozen=True)
class GateConfig:
    """Hyperparameters of stage 2, under the names of the estimators' parameters.

    Attributes
    ----------
    coldness, lambda_capacity, lambda_energy, subset_weight : float
        Of the gate and its loss.
    cross_modal : bool
        Whether there is a cross-modal energy.
    corruption : Corruption or None
        Of training samples.
    pretrain_epochs : int
        Epochs of the warm-up.
    training : TrainingConfig
        How gate and predictor are trained.
    potential_calibration : {"failures", "minimum"}
        Where the constants of the gate come from.
    initial_gain : float or None
        Gain of the gate at the start; None stands for twice the number of modalities.
    importance_floor : float
        Of the energy alignment.
    redraw_corruption : bool
        Whether every epoch draws failures of its own.
    adversarial : Adversarial or VirtualAdversarial or None
        Attack on training samples.
    coldness_schedule : {"constant", "annealed"}
        Whether the gate cools as it learns; not one that is trained further.
    column_attention : bool, default=False
        Whether there is attention to columns.
    attention_score : str, torch.nn.Module instance, class or callable, default="energy"
        What decides on the importance of modalities.
    max_modalities : int or None, default=None
        How many modalities of a sample pass the gate.
    modality_costs : ndarray of shape (n_modalities,)
        Costs of modalities, in nats.
    """

    coldness: float
    lambda_capacity: float
    lambda_energy: float
    subset_weight: float
    cross_modal: bool
    corruption: Corruption | None
    pretrain_epochs: int
    training: TrainingConfig
    potential_calibration: str = "failures"
    initial_gain: float | None = None
    importance_floor: float = 0.01
    redraw_corruption: bool = True
    adversarial: Adversarial | VirtualAdversarial | None = None
    coldness_schedule: str = "constant"
    column_attention: bool = False
    attention_score: Any = "energy"
    max_modalities: int | None = None
    modality_costs: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def loss_weights(self) -> LossWeights:
        """Return the weights of the terms of the loss."""
        return LossWeights(
            self.lambda_capacity, self.lambda_energy, self.subset_weight, self.importance_floor
        )


@dataclass(frozen=True)
class GateStart:
    """A fitted gate to start from.

    Attributes
    ----------
    gate : mapping of str to ndarray
        Parameters and constants of the gate and, with a prefix, of its score.
    cross_modal : CrossModalEnergy or None
        What it was trained with.
    """

    gate: Mapping[str, np.ndarray]
    cross_modal: CrossModalEnergy | None


@dataclass(frozen=True)
class Generators:
    """Sources of random numbers of stage 2.

    Attributes
    ----------
    samples : torch.Generator
        Of shuffling and failures, on the device of the samples.
    weights : torch.Generator
        Of initial weights, on the CPU.
    """

    samples: torch.Generator
    weights: torch.Generator


@dataclass(frozen=True)
class GateProblem:
    """What the fit of gate and predictor starts from.

    Attributes
    ----------
    network : GatedPredictor
        The predictor.
    prediction_loss : PredictionLoss
        The prediction loss.
    samples : Samples
        Clean samples.
    held_out : Tensor of shape (n_held_out,) or None
        Positions of the samples that decide on early stopping.
    energies : Energies
        Of the modalities; without a price of gaps, unless there is a start.
    config : GateConfig
        Hyperparameters.
    generators : Generators
        Sources of random numbers.
    start : GateStart or None
        A gate to start from, together with the network's weights: then the predictor is not warmed
        up.
    """

    network: GatedPredictor
    prediction_loss: PredictionLoss
    samples: Samples
    held_out: Tensor | None
    energies: Energies
    config: GateConfig
    generators: Generators
    start: GateStart | None = None


def prepare_gate(problem: GateProblem) -> GatedObjective:
    """Do everything that comes before the training of gate and predictor.

    Parameters
    ----------
    problem : GateProblem
        Its network is trained in place.

    Returns
    -------
    GatedObjective
        What is to be trained.
    """
    samples, energies, config = problem.samples, problem.energies, problem.config
    start, generators = problem.start, problem.generators
    corruption = training_corruption(config.corruption)
    reference = training_reference(samples, energies.names)
    if start is None:
        probe = Failures(with_fraction(corruption, 1.0), reference, energies, generators.samples)
        calibrated = calibrate(
            samples, probe, config.potential_calibration, config.column_attention
        )
    else:
        calibrated = Calibrated(energies.score(samples), energies, start.gate)
    gate = build_gate(
        config.attention_score,
        count_units(problem.network, calibrated.samples.filled),
        config.coldness,
        len(energies.names),
        config.initial_gain,
        generators.weights,
    )
    gate.select = hard_attention(config.max_modalities, config.modality_costs)
    load_arrays(gate, calibrated.constants, strict=False)
    gate.to(samples.target.device)
    if start is not None:
        cross_modal = start.cross_modal
    elif config.cross_modal and len(energies.names) >= _MIN_MODALITIES:
        cross_modal = train_cross_modal(
            calibrated.samples.filled,
            samples.weight,
            config.training,
            generators.samples,
            generators.weights,
        )
    else:
        cross_modal = None
    scored, validation = calibrated.samples, None
    if problem.held_out is not None:
        learn = torch.ones(len(scored.target), dtype=torch.bool, device=scored.target.device)
        learn[problem.held_out] = False
        scored, validation = scored.take(learn.nonzero().squeeze(1)), scored.take(problem.held_out)
    if start is None and config.pretrain_epochs:
        plain = PlainObjective(problem.network, problem.prediction_loss, scored, generators.samples)
        warm_up = replace(config.training, max_epochs=config.pretrain_epochs, early_stopping=False)
        if not isinstance(problem.network, FusionEnsemble):
            # layers of the user's may draw random numbers of their own
            warm_up = replace(warm_up, memory=None)
        train_once(plain, "stage 2 of 2, warm start", warm_up)
    learned: dict[str, Any] = {
        "model": GateModel(gate, problem.network, cross_modal, problem.prediction_loss),
        "weights": config.loss_weights(),
        "samples": scored,
        "held_out": validation,
        "failures": Failures(corruption, reference, calibrated.energies, generators.samples),
        "generator": generators.samples,
        "redraw": config.redraw_corruption,
        "annealed": config.coldness_schedule == "annealed" and start is None,
    }
    if learned["annealed"]:
        start_as_identity(gate, problem.network)
    if config.adversarial is None:
        return GatedObjective(**learned)
    if isinstance(config.adversarial, VirtualAdversarial):
        return VirtualAdversarialObjective(config.adversarial, **learned)
    return AdversarialObjective(config.adversarial, **learned)


def train_gate(objective: GatedObjective, config: GateConfig) -> dict[str, np.ndarray]:
    """Train gate and predictor.

    Parameters
    ----------
    objective : GatedObjective
        What :func:`prepare_gate` returned; trained in place.
    config : GateConfig
        Hyperparameters.

    Returns
    -------
    dict of str to ndarray of shape (n_epochs,)
        Losses, and the gate's gain, bias and capacity after each epoch.
    """
    return train(objective, GATE_AND_PREDICTOR, config.training)
