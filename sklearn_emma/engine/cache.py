"""Cache of torch models that are built from fitted attributes of estimators.

An estimator holds only plain arrays, so that it can be pickled, cloned and compared. The torch
modules that compute its results are built from these arrays once, and used by all threads. They are
rebuilt if one of the attributes is replaced.
"""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch

Model = TypeVar("Model")

_MODELS: WeakKeyDictionary[Any, dict[Hashable, tuple[tuple, Any]]] = WeakKeyDictionary()


def cached(owner: Any, key: Hashable, attributes: tuple, build: Callable[[], Model]) -> Model:
    """Return a cached model of an estimator. Build it if it does not exist or is out of date.

    Parameters
    ----------
    owner : estimator
        Estimator of the model. If it is deleted, the model is deleted from the cache.
    key : hashable
        Identifies the model among those of the estimator.
    attributes : tuple
        Objects from which the model is built.
    build : callable
        Function that builds the model.

    Returns
    -------
    object
        The cached or new model.
    """
    models = _MODELS.setdefault(owner, {})
    found = models.get(key)
    if found is not None and _identical(found[0], attributes):
        known: Model = found[1]
        return known
    # gradients of modules that are built in inference mode cannot be computed
    with torch.inference_mode(False):
        model = build()
    models[key] = attributes, model
    return model


def preset(owner: Any, key: Hashable, attributes: tuple, model: Any) -> None:
    """Store a model of an estimator in the cache.

    Parameters
    ----------
    owner, key, attributes : objects
        Parameters of :func:`cached`.
    model : object
        Model to be stored.
    """
    _MODELS.setdefault(owner, {})[key] = attributes, model


def _identical(a: tuple, b: tuple) -> bool:
    return len(a) == len(b) and all(x is y for x, y in zip(a, b, strict=True))
