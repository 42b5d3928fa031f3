"""Train an objective; skorch is imported when it is needed, since it takes long to import."""

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
    """Let torch record gradients, also where the caller has turned that off."""
    with torch.inference_mode(False), torch.enable_grad():
        yield


def make_trainer(
    objective: Objective, what: str, config: TrainingConfig, kind: "type[Trainer] | None" = None
) -> "Trainer":
    """Make the trainer of an objective.

    Parameters
    ----------
    objective : Objective
        What to train.
    what : str
        Its name in the display of progress.
    config : TrainingConfig
        How to train.
    kind : subclass of Trainer, default=None
        Another trainer than :class:`~sklearn_emma.engine.trainer.Trainer`.

    Returns
    -------
    Trainer
        With a display of progress, if wanted.
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
        Trained in place.
    what : str
        Its name in the display of progress.
    config : TrainingConfig
        How to train.

    Returns
    -------
    dict of str to ndarray of shape (n_epochs,) or (n_epochs, n_models)
        Losses, and what the objective monitors.
    """
    return make_trainer(objective, what, config).train()
