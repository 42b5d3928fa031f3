"""Trainings that start alike on the same samples: run once, and read from a cache afterwards."""

from dataclasses import replace
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.utils.validation import check_memory

from sklearn_emma.engine.objective import Objective, TrainingConfig
from sklearn_emma.engine.training import train
from sklearn_emma.engine.weights import load_arrays, to_arrays

#: What training leaves behind: parameters and buffers, and the state of the generator.
_Trained = tuple[dict[str, np.ndarray], np.ndarray]


def open_cache(memory: Any) -> joblib.Memory:
    """Return the cache that the parameter `memory` names.

    Parameters
    ----------
    memory : str, joblib.Memory or None
        What the user passed.

    Returns
    -------
    joblib.Memory
        Of None, one that keeps nothing.

    Raises
    ------
    ValueError
        If it is none of these, or a folder that cannot be made.
    """
    try:
        return check_memory(memory)
    except OSError as error:
        raise ValueError(
            f"memory={memory!r} is no folder for a cache: {error.strerror}. Pass a folder that can "
            "be made and written to, or None."
        ) from error


def train_once(objective: Objective, what: str, config: TrainingConfig) -> None:
    """Train an objective, unless the cache knows the outcome.

    Parameters
    ----------
    objective : Objective
        Trained in place, with the same parameters and the same random numbers afterwards in either
        case. All that is random in it comes from its generator.
    what : str
        Its name in the display of progress.
    config : TrainingConfig
        How to train, and the cache.
    """
    if config.memory is None:
        train(objective, what, config)
        return
    run = config.memory.cache(_train, ignore=["objective", "what", "config"])
    arrays, state = run(_start_of(objective, config), objective, what, config)
    load_arrays(objective, arrays)
    objective.generator.set_state(torch.from_numpy(state))


def _train(start: str, objective: Objective, what: str, config: TrainingConfig) -> _Trained:
    """Train an objective; the start is what the cache knows it by."""
    train(objective, what, config)
    return to_arrays(objective), objective.generator.get_state().numpy()


def _start_of(objective: Objective, config: TrainingConfig) -> str:
    """Return the hash of all that decides on the outcome."""
    state = objective.generator.get_state()
    samples = objective.epoch_data()
    # constants of the objective show in its first loss
    with torch.no_grad():
        loss = objective.loss(*[x[: config.batch_size] for x in samples])
    objective.generator.set_state(state)
    numbers = [x.detach().cpu().numpy() for x in (*samples, loss, state)]
    kind, how = type(objective).__qualname__, replace(config, verbose=False, memory=None)
    digest: str = joblib.hash((kind, how, to_arrays(objective), numbers))
    return digest
