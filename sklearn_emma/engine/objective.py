"""What can be trained: an objective has parameters, training data and a loss."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_emma.engine.batches import shuffled


@dataclass(frozen=True)
class TrainingConfig:
    """How to train, under the names of the estimators' parameters.

    Attributes
    ----------
    batch_size : int
        Samples per step.
    learning_rate : float
        Largest learning rate of the cycle, or the constant one.
    max_epochs : int
        Epochs to train.
    weight_decay : float
        Strength of an L2 penalty on the parameters, whose gradient is added to that of the loss.
    early_stopping : bool
        Whether to stop when the validation loss has not improved for `n_iter_no_change` epochs, and
        go back to the best epoch.
    n_iter_no_change : int
        Patience in epochs.
    tol : float
        Smallest relative improvement that counts.
    verbose : int or bool
        Whether to show progress.
    schedule : {"one_cycle", "constant"}
        Of the learning rate.
    solver : {"muon", "adam"}
        Optimizer of the weights of hidden layers, where the objective tells them apart; all else
        is trained by Adam.
    memory : joblib.Memory or None
        Where :func:`~sklearn_emma.engine.training_memory.train_once` keeps the outcome.
    """

    batch_size: int
    learning_rate: float
    max_epochs: int
    weight_decay: float = 0.0
    early_stopping: bool = False
    n_iter_no_change: int = 10
    tol: float = 0.0
    verbose: int | bool = False
    schedule: str = "one_cycle"
    solver: str = "adam"
    memory: Any = None


class Objective(nn.Module, ABC):
    """Something to minimise: its parameters, its data, its loss.

    Parameters
    ----------
    generator : torch.Generator
        Source of all random numbers, on the device of the data.
    """

    #: Number of samples in an epoch.
    n_samples: int
    #: Loss of a constant prediction, or of each of several models, to recognise divergence.
    baseline_loss: float | list[float]

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.generator = generator

    def begin_epoch(self, epoch: int, n_epochs: int) -> None:
        """Prepare for an epoch, counted from 0."""

    @abstractmethod
    def epoch_data(self) -> Sequence[Tensor]:
        """Return the samples of one epoch, freshly corrupted, as tensors of equal length."""

    def shuffled_data(self) -> Sequence[Tensor]:
        """Return the samples of one epoch in the order of the batches."""
        return shuffled(self.epoch_data(), self.generator)

    @abstractmethod
    def loss(self, *batch: Tensor) -> Tensor:
        """Return the loss of a batch: a scalar, or one for each of several models."""

    def backward(self, *batch: Tensor) -> Tensor:
        """Return the loss of a batch, detached, and leave its gradient in the parameters."""
        loss = self.loss(*batch)
        loss.sum().backward()
        return loss.detach()

    def validation_loss(self) -> Tensor | None:
        """Return the loss of held-out samples, the same ones every epoch, or None without any."""
        return None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters with optimizer settings of their own.

        Returns
        -------
        list of dict
            As torch's optimizers take them. Where "hidden" is true, "params" are weights of hidden
            layers.
        """
        return [{"params": list(self.parameters())}]

    def after_step(self) -> None:
        """Project parameters onto their constraints."""

    def monitored(self) -> dict[str, float]:
        """Return what the history holds beside the losses."""
        return {}
