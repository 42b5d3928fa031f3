"""Cache of trainings: identical trainings are run once, and then read from the cache."""

import inspect
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import joblib
import numpy as np
import torch
from sklearn.utils.validation import check_memory

from sklearn_emma.engine.objective import Objective, TrainingConfig
from sklearn_emma.engine.training import train
from sklearn_emma.engine.weights import load_arrays, to_arrays

#: Result of a training: parameters and buffers, and the state of the generator.
_Trained = tuple[dict[str, np.ndarray], np.ndarray]


def open_cache(memory: Any) -> joblib.Memory:
    """Return the cache given by the parameter `memory` of an estimator.

    Parameters
    ----------
    memory : str, joblib.Memory or None
        Cache, or folder of a cache.

    Returns
    -------
    joblib.Memory
        Cache. For None, it stores nothing.

    Raises
    ------
    ValueError
        If `memory` has another type, or is a folder that cannot be created.
    """
    try:
        return check_memory(memory)
    except OSError as error:
        raise ValueError(
            f"memory={memory!r} cannot be used as a cache folder: {error.strerror}. Pass a folder "
            "that can be created and written to, or None."
        ) from error


def source_of(estimator: Any) -> str | None:
    """Return a hash of the code of an estimator.

    The key of a cached fit must depend on it, because classes and functions are pickled by their
    names only.

    Parameters
    ----------
    estimator : estimator
        Estimator, whose parameters may be estimators, classes and functions.

    Returns
    -------
    str or None
        Hash of the source of the modules of its classes, of their base classes, and of those of its
        parameters. None if a source is unknown, as that of a class that is defined in an
        interactive session; its fits must not be cached.
    """
    modules = {module for code in _codes(estimator) for module in _modules(code)}
    try:
        sources = [inspect.getsource(sys.modules[name]) for name in sorted(modules)]
    except (KeyError, OSError, TypeError):
        return None
    digest: str = joblib.hash(sources)
    return digest


def _codes(value: Any) -> Iterator[Any]:
    """Yield the classes and functions that a parameter of an estimator consists of."""
    if isinstance(value, type) or inspect.isroutine(value):
        yield value
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from _codes(item)
    elif isinstance(value, dict):
        yield from _codes(list(value.values()))
    elif hasattr(value, "get_params"):
        yield type(value)
        yield from _codes(list(value.get_params(deep=False).values()))


def _modules(code: Any) -> Iterator[str]:
    """Yield the names of the modules of a function, or of a class and its base classes."""
    for part in code.__mro__ if isinstance(code, type) else [code]:
        name = getattr(part, "__module__", None) or ""
        if name.partition(".")[0] not in ("builtins", "abc", "numpy"):
            yield name


def train_once(objective: Objective, what: str, config: TrainingConfig) -> None:
    """Train an objective, or read the result from the cache.

    Parameters
    ----------
    objective : Objective
        Training objective, whose parameters are trained in place. All its random numbers must come
        from its generator. The parameters and the state of the generator are the same in both
        cases.
    what : str
        Name of the objective in the progress display.
    config : TrainingConfig
        Training configuration, including the cache.
    """
    if config.memory is None:
        train(objective, what, config)
        return
    run = config.memory.cache(_train, ignore=["objective", "what", "config"])
    arrays, state = run(_start_of(objective, config), objective, what, config)
    load_arrays(objective, arrays)
    objective.generator.set_state(torch.from_numpy(state))


def _train(start: str, objective: Objective, what: str, config: TrainingConfig) -> _Trained:
    """Train an objective. The hash `start` is the key of the cache."""
    train(objective, what, config)
    return to_arrays(objective), objective.generator.get_state().numpy()


def _start_of(objective: Objective, config: TrainingConfig) -> str:
    """Return a hash of everything that determines the result of a training."""
    state = objective.generator.get_state()
    # constants of the objective affect its first loss, which is part of the hash
    with torch.no_grad():
        loss = objective.loss(*[x[: config.batch_size] for x in objective.epoch_data()])
    objective.generator.set_state(state)
    samples = objective.training_samples()
    numbers = [x.detach().cpu().numpy() for x in (*samples, loss, state)]
    kind, how = type(objective).__qualname__, replace(config, verbose=False, memory=None)
    digest: str = joblib.hash((kind, how, to_arrays(objective), numbers))
    return digest
