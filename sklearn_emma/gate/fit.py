"""Stage 2 of a fit: calibrate the gate, pretrain the predictor, and train both."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from sklearn_emma.corruption import Adversarial, Corruption, Reference, VirtualAdversarial
from sklearn_emma.engine.objective import TrainingConfig
from sklearn_emma.engine.seeding import make_generator
from sklearn_emma.engine.training import train
from sklearn_emma.engine.training_memory import train_once
from sklearn_emma.engine.weights import load_arrays
from sklearn_emma.gate.adversarial import AdversarialObjective
from sklearn_emma.gate.annealing import start_as_identity
from sklearn_emma.gate.build_gate import build_gate, count_units, hard_attention
from sklearn_emma.gate.calibration import MIN_SLOPES, Calibrated, calibrate_gate
from sklearn_emma.gate.cross_modal import train_cross_modal
from sklearn_emma.gate.objective import GatedObjective, GateModel, LossWeights
from sklearn_emma.gate.plain_objective import PlainObjective
from sklearn_emma.gate.prediction_loss import PredictionLoss
from sklearn_emma.gate.samples import Energies, Samples, ScoredSamples
from sklearn_emma.gate.training_failures import (
    Failures,
    training_corruption,
    training_reference,
    with_fraction,
)
from sklearn_emma.gate.virtual_adversarial import VirtualAdversarialObjective
from sklearn_emma.nn import CrossModalEnergy, EnergyAttention, FusionEnsemble, GatedPredictor

#: Name of the training of gate and predictor in the progress display.
GATE_AND_PREDICTOR = "stage 2 of 2, gate and predictor"
# Smallest number of modalities for a cross-modal energy. If there are only two and they are
# inconsistent, it is unknown which one has failed.
_MIN_MODALITIES = 3


@dataclass(frozen=True)
class GateConfig:
    """Hyperparameters of stage 2, with the same names as the parameters of estimators.

    Attributes
    ----------
    coldness, lambda_capacity, lambda_energy, subset_weight : float
        Coldness of the gate, and weights of the terms of the loss.
    cross_modal : bool
        Whether there is a cross-modal energy.
    corruption : Corruption or None
        Corruption of training samples.
    pretrain_epochs : int
        Number of epochs of the pretraining.
    training : TrainingConfig
        Training configuration of gate and predictor.
    potential_calibration : {"failures", "minimum"}
        Rule for the constants of the gate.
    initial_gain : float or None
        Initial gain of the gate. None means twice the number of modalities.
    importance_floor : float
        Floor of the importance in the energy alignment.
    redraw_corruption : bool
        Whether new failures are drawn in every epoch.
    adversarial : Adversarial or VirtualAdversarial or None
        Attack on training samples.
    coldness_schedule : {"constant", "annealed"}
        Schedule of the coldness. A gate that is trained further is not annealed.
    column_attention : bool, default=False
        Whether there is attention to columns.
    attention_score : str, torch.nn.Module instance, class or callable, default="energy"
        Score that determines the importance of modalities.
    max_modalities : int or None, default=None
        Largest number of open gates of a sample.
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
    """Fitted gate from which further training starts.

    Attributes
    ----------
    gate : mapping of str to ndarray
        Parameters and constants of the gate and, with a prefix, of its score.
    cross_modal : CrossModalEnergy or None
        Cross-modal energy with which the gate was trained.
    """

    gate: Mapping[str, np.ndarray]
    cross_modal: CrossModalEnergy | None


@dataclass(frozen=True)
class Generators:
    """Random number generators of stage 2.

    Attributes
    ----------
    samples : torch.Generator
        Generator of shuffling and failures, on the device of the samples.
    weights : torch.Generator
        Generator of initial weights, on the CPU.
    """

    samples: torch.Generator
    weights: torch.Generator

    @classmethod
    def of_seed(cls, seed: int, device: torch.device) -> Self:
        """Return the generators of a fit.

        Parameters
        ----------
        seed : int
            Seed of the fit.
        device : torch.device
            Device of the samples.

        Returns
        -------
        Generators
            Generators with streams of their own.
        """
        return cls(make_generator(seed, device, stream=1), make_generator(seed, stream=2))


@dataclass(frozen=True)
class GateProblem:
    """Inputs of the fit of gate and predictor.

    Attributes
    ----------
    network : GatedPredictor
        The predictor.
    prediction_loss : PredictionLoss
        The prediction loss.
    samples : Samples
        Clean samples.
    held_out : Tensor of shape (n_held_out,) or None
        Positions of the held-out samples for early stopping.
    energies : Energies
        Energies of the modalities. They include the gap energy only if there is a `start`.
    config : GateConfig
        Hyperparameters.
    generators : Generators
        Random number generators.
    start : GateStart or None
        Fitted gate from which training continues, together with the weights of the network. There
        is then no pretraining of the predictor.
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
    """Calibrate the gate, train the cross-modal energy, and pretrain the predictor.

    Parameters
    ----------
    problem : GateProblem
        Inputs of the fit. The network is trained in place.

    Returns
    -------
    GatedObjective
        Objective of the training of gate and predictor.
    """
    samples, config = problem.samples, problem.config
    generator, start = problem.generators.samples, problem.start
    corruption = training_corruption(config.corruption)
    reference = training_reference(samples, problem.energies.names)
    calibrated = _calibrate(problem, corruption, reference)
    gate = _make_gate(problem, calibrated)
    cross_modal = _cross_modal(problem, calibrated.samples.filled)
    scored, validation = _split(calibrated.samples, problem.held_out)
    if start is None and config.pretrain_epochs:
        _pretrain(problem, scored)
    learned: dict[str, Any] = {
        "model": GateModel(gate, problem.network, cross_modal, problem.prediction_loss),
        "weights": config.loss_weights(),
        "samples": scored,
        "held_out": validation,
        "failures": Failures(corruption, reference, calibrated.energies, generator),
        "generator": generator,
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


def _calibrate(problem: GateProblem, corruption: Corruption, reference: Reference) -> Calibrated:
    """Compute the constants of the gate, or keep those of the start."""
    samples, energies, config = problem.samples, problem.energies, problem.config
    if problem.start is not None:
        return Calibrated(energies.score(samples), energies, problem.start.gate)
    of_all = with_fraction(corruption, 1.0)
    probe = Failures(of_all, reference, energies, problem.generators.samples)
    return calibrate_gate(samples, probe, config.potential_calibration, config.column_attention)


def _make_gate(problem: GateProblem, calibrated: Calibrated) -> EnergyAttention:
    """Build the gate with its constants."""
    config, target = problem.config, problem.samples.target
    gate = build_gate(
        config.attention_score,
        count_units(problem.network, calibrated.samples.filled),
        config.coldness,
        len(problem.energies.names),
        config.initial_gain,
        problem.generators.weights,
        MIN_SLOPES[config.potential_calibration],
    )
    gate.select = hard_attention(config.max_modalities, config.modality_costs)
    load_arrays(gate, calibrated.constants, strict=False)
    return gate.to(target.device)


def _cross_modal(problem: GateProblem, filled: list[Tensor]) -> CrossModalEnergy | None:
    """Train the cross-modal energy, or return that of the start."""
    config, generators = problem.config, problem.generators
    if problem.start is not None:
        return problem.start.cross_modal
    if not config.cross_modal or len(filled) < _MIN_MODALITIES:
        return None
    weight = problem.samples.energy_weight
    return train_cross_modal(
        filled, weight, config.training, generators.samples, generators.weights
    )


def _split(
    samples: ScoredSamples, held_out: Tensor | None
) -> tuple[ScoredSamples, ScoredSamples | None]:
    """Return the samples to learn from, and the held-out samples, if there are any."""
    if held_out is None:
        return samples, None
    learn = torch.ones(len(samples.target), dtype=torch.bool, device=samples.target.device)
    learn[held_out] = False
    return samples.take(learn.nonzero().squeeze(1)), samples.take(held_out)


def _pretrain(problem: GateProblem, samples: ScoredSamples) -> None:
    """Train the predictor on clean samples with all gates open."""
    config, network = problem.config, problem.network
    plain = PlainObjective(network, problem.prediction_loss, samples, problem.generators.samples)
    training = replace(config.training, max_epochs=config.pretrain_epochs, early_stopping=False)
    if not isinstance(network, FusionEnsemble):
        # custom layers may use random numbers that are not part of the cache key
        training = replace(training, memory=None)
    train_once(plain, "stage 2 of 2, pretraining", training)


def train_gate(objective: GatedObjective, config: GateConfig) -> dict[str, np.ndarray]:
    """Train gate and predictor.

    Parameters
    ----------
    objective : GatedObjective
        Result of :func:`prepare_gate`, which is trained in place.
    config : GateConfig
        Hyperparameters.

    Returns
    -------
    dict of str to ndarray of shape (n_epochs,)
        Losses, and gain, bias and capacity of the gate after each epoch.
    """
    return train(objective, GATE_AND_PREDICTOR, config.training)
