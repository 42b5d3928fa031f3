"""Something to train, and how to have it trained."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_emma.engine.batches import shuffled


class Task(nn.Module, ABC):
    """Something to train: its parameters, its data, its loss.

    Parameters
    ----------
    generator : torch.Generator
        Source of all random numbers, on the device of the data.
    """

    #: Number of rows in an epoch.
    n_samples: int
    #: Loss of a model that knows nothing, or of each of several, to recognise divergence.
    ignorant_loss: float | list[float]

    def __init__(self, generator: torch.Generator):
        super().__init__()
        self.generator = generator

    @abstractmethod
    def epoch_data(self) -> Sequence[Tensor]:
        """Return the rows of one epoch, corruption drawn afresh, as tensors of equal length."""

    def shuffled_data(self) -> Sequence[Tensor]:
        """Return the rows of one epoch in the order in which they are to be learned."""
        return shuffled(self.epoch_data(), self.generator)

    @abstractmethod
    def loss(self, *batch: Tensor) -> Tensor:
        """Return the loss of a batch: a scalar, or one for each of several models."""

    @abstractmethod
    def validation_loss(self) -> Tensor | None:
        """Return the loss on rows held out, the same rows every epoch, or None without any."""

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters with optimizer settings of their own, as torch takes them."""
        return [{"params": list(self.parameters())}]

    def after_step(self) -> None:
        """Put parameters back within their constraints."""

    def state_of_interest(self) -> dict[str, float]:
        """Return what the history should hold beside the losses."""
        return {}


def train(task: Task, what: str, verbose: int | bool, **parameters: Any) -> dict[str, np.ndarray]:
    """Train a task.

    Parameters
    ----------
    task : Task
        Trained in place.
    what : str
        What is being trained, for the display of progress.
    verbose : int or bool
        Whether there is one.
    **parameters : objects
        Those of :class:`~sklearn_emma.engine.trainer.EpochNet`.

    Returns
    -------
    dict of str to ndarray of shape (n_epochs,) or (n_epochs, n_models)
        Losses, and what the task has to tell.
    """
    # skorch takes longer to import than this package, so that it waits for a fit
    from sklearn_emma.engine.progress import progress_callbacks
    from sklearn_emma.engine.trainer import EpochNet

    callbacks = progress_callbacks(verbose, what, parameters["max_epochs"])
    return EpochNet(task, callbacks=callbacks, **parameters).train()
