"""Train an objective. The import of skorch is deferred, as it takes long."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from sklearn_emma.engine.objective import Objective, TrainingConfig

if TYPE_CHECKING:
    from sklearn_emma.engine.trainer import Trainer


@contextmanager
def gradients() -> Iterator[None]:
    """Enable gradients in torch, even if the caller has disabled them."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def make_trainer(
    objective: Objective, what: str, config: TrainingConfig, kind: "type[Trainer] | None" = None
) -> "Trainer":
    """Create the trainer of an objective.

    Parameters
    ----------
    objective : Objective
        Training objective.
    what : str
        Name of the objective in the progress display.
    config : TrainingConfig
        Training configuration.
    kind : subclass of Trainer, default=None
        Class of the trainer. None uses :class:`~sklearn_emma.engine.trainer.Trainer`.

    Returns
    -------
    Trainer
        Trainer, with a progress display if the configuration is verbose.
    """
    from sklearn_emma.engine.progress import progress_callbacks
    from sklearn_emma.engine.trainer import Trainer

    callbacks = progress_callbacks(config.verbose, what, config.max_epochs)
    return (kind or Trainer)(objective, config, callbacks)


def train(objective: Objective, what: str, config: TrainingConfig) -> dict[str, np.ndarray]:
    """Train an objective.

    Parameters
    ----------
    objective : Objective
        Training objective, whose parameters are trained in place.
    what : str
        Name of the objective in the progress display.
    config : TrainingConfig
        Training configuration.

    Returns
    -------
    dict of str to ndarray of shape (n_epochs,) or (n_epochs, n_models)
        Losses, and the values that the objective monitors, by epoch.
    """
    return make_trainer(objective, what, config).train()
