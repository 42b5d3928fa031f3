"""Training objectives, which have parameters, training data and a loss."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sklearn_emma.engine.batches import epoch_size, shuffled


@dataclass(frozen=True)
class TrainingConfig:
    """Training configuration, with the same names as the parameters of estimators.

    Attributes
    ----------
    batch_size : int
        Number of samples per step.
    learning_rate : float
        Largest learning rate of the cycle, or the constant learning rate.
    max_epochs : int
        Largest number of epochs.
    weight_decay : float
        Strength of an L2 penalty on the parameters, whose gradient is added to that of the loss.
    early_stopping : bool
        Whether to stop when the validation loss has not improved for `n_iter_no_change` epochs, and
        restore the parameters of the best epoch.
    n_iter_no_change : int
        Number of epochs without improvement before training stops (patience).
    tol : float
        Smallest relative improvement of the validation loss that counts as an improvement.
    verbose : int or bool
        Whether to show progress.
    schedule : {"one_cycle", "constant"}
        Schedule of the learning rate.
    solver : {"muon", "adam"}
        Optimizer of the weights of hidden layers, if the objective marks them. All other parameters
        are trained by Adam.
    memory : joblib.Memory or None
        Cache in which :func:`~sklearn_emma.engine.training_memory.train_once` stores the result.
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
    """Base class of training objectives, with parameters, training data and a loss.

    Parameters
    ----------
    generator : torch.Generator
        Source of all random numbers, on the device of the data.
    """

    #: Number of training samples.
    n_samples: int
    #: Loss of a constant prediction (one per model if there are several), to detect divergence.
    baseline_loss: float | list[float]

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.generator = generator

    def begin_epoch(self, epoch: int, n_epochs: int) -> None:
        """Prepare an epoch, counted from 0."""

    def samples_of_epoch(self) -> Tensor | slice:
        """Draw the samples of an epoch.

        Returns
        -------
        slice or Tensor of int of shape (n_drawn,)
            All samples, or the positions of a random part of them in their order, see
            :func:`~sklearn_emma.engine.batches.epoch_size`.
        """
        n_drawn = epoch_size(self.n_samples)
        if n_drawn == self.n_samples:
            return slice(None)
        generator = self.generator
        order = torch.randperm(self.n_samples, generator=generator, device=generator.device)
        return order[:n_drawn].sort().values

    @abstractmethod
    def epoch_data(self) -> Sequence[Tensor]:
        """Return the samples of one epoch, with new corruptions, as tensors of equal length."""

    def training_samples(self) -> Sequence[Tensor]:
        """Return all training samples, which determine the result of a training."""
        return self.epoch_data()

    def shuffled_data(self) -> Sequence[Tensor]:
        """Return the samples of one epoch in the order of the batches."""
        return shuffled(self.epoch_data(), self.generator)

    @abstractmethod
    def loss(self, *batch: Tensor) -> Tensor:
        """Return the loss of a batch: a scalar, or one value per model if there are several."""

    def backward(self, *batch: Tensor) -> Tensor:
        """Compute the gradients of the loss of a batch, and return the detached loss."""
        loss = self.loss(*batch)
        loss.sum().backward()
        return loss.detach()

    def validation_loss(self) -> Tensor | None:
        """Return the loss of held-out samples, which are the same in all epochs, or None."""
        return None

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameter groups of the optimizer.

        Returns
        -------
        list of dict
            Parameter groups in the format of torch optimizers. If "hidden" is True, "params" are
            weights of hidden layers.
        """
        return [{"params": list(self.parameters())}]

    def after_step(self) -> None:
        """Project parameters onto their constraints."""

    def monitored(self) -> dict[str, float]:
        """Return the values that are added to the history besides the losses."""
        return {}
