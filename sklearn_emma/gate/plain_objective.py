"""Objective of the predictor alone, and the parameter groups of its optimizer."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sklearn_emma.engine.objective import Objective
from sklearn_emma.gate.prediction_loss import PredictionLoss
from sklearn_emma.gate.samples import ScoredSamples
from sklearn_emma.nn import GatedPredictor


def penalized_parameters(network: torch.nn.Module) -> set[str]:
    """Return the names of the parameters with an L2 penalty: weights, but not biases."""
    named = network.named_parameters()
    return {name for name, p in named if p.ndim > 1 and "bias" not in name}


def predictor_groups(network: GatedPredictor) -> list[dict[str, Any]]:
    """Return separate groups for weights of hidden layers, other weights, and biases.

    Only weights have an L2 penalty.

    Parameters
    ----------
    network : GatedPredictor
        The predictor.

    Returns
    -------
    list of dict
        Parameter groups in the format of torch optimizers.
    """
    hidden = network.hidden_weights()
    known, penalized = set(map(id, hidden)), penalized_parameters(network)
    weights: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in network.named_parameters():
        if id(parameter) not in known:
            (weights if name in penalized else others).append(parameter)
    return [
        {"params": hidden, "hidden": True},
        {"params": weights},
        {"params": others, "weight_decay": 0.0},
    ]


class PlainObjective(Objective):
    """Objective of the predictor alone, on clean samples, with open gates.

    Parameters
    ----------
    network : GatedPredictor
        The predictor.
    prediction_loss : PredictionLoss
        The prediction loss.
    samples : ScoredSamples
        Training samples.
    generator : torch.Generator
        Random number generator on the device of the samples.
    """

    def __init__(
        self,
        network: GatedPredictor,
        prediction_loss: PredictionLoss,
        samples: ScoredSamples,
        generator: torch.Generator,
    ):
        super().__init__(generator)
        self.network = network
        self.prediction_loss = prediction_loss
        self.samples = samples
        self.n_samples = len(samples.target)
        self.modalities = samples.filled
        # the gates of missing modalities are closed
        self.attention = torch.isfinite(samples.potential).to(samples.weight.dtype)
        self.baseline_loss = prediction_loss.baseline_loss(samples.target, samples.weight)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return separate groups for weights of hidden layers, other weights, and biases."""
        return predictor_groups(self.network)

    def training_samples(self) -> Sequence[Tensor]:
        """Return attention, target, weight and the modalities."""
        return self.attention, self.samples.target, self.samples.weight, *self.modalities

    def epoch_data(self) -> Sequence[Tensor]:
        """Return the samples of an epoch, in the form of :meth:`training_samples`."""
        drawn = self.samples_of_epoch()
        return [tensor[drawn] for tensor in self.training_samples()]

    def loss(self, *batch: Tensor) -> Tensor:
        """Return the prediction loss."""
        attention, target, weight, *modalities = batch
        outputs = self.network.fuse_each(self.network.encode(modalities), attention)
        return self.prediction_loss.of_several(outputs, target, weight)
