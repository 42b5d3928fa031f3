"""Torch models built from fitted attributes: kept beside an estimator, never inside it.

An estimator holds plain arrays, so that it can be pickled, cloned and compared. What answers are
torch modules, built from the arrays once and used by all threads. They are built again when one of
the attributes is replaced.
"""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

Model = TypeVar("Model")

_MODELS: WeakKeyDictionary[Any, dict[Hashable, tuple[tuple, Any]]] = WeakKeyDictionary()


def cached(owner: Any, key: Hashable, attributes: tuple, build: Callable[[], Model]) -> Model:
    """Return a model of an estimator, built when it is not there or out of date.

    Parameters
    ----------
    owner : estimator
        Whose model it is. The model vanishes with it.
    key : hashable
        Which of its models.
    attributes : tuple
        The objects that the model is built from.
    build : callable
        Makes the model.

    Returns
    -------
    object
        The model.
    """
    models = _MODELS.setdefault(owner, {})
    found = models.get(key)
    if found is not None and _identical(found[0], attributes):
        known: Model = found[1]
        return known
    model = build()
    models[key] = attributes, model
    return model


def preset(owner: Any, key: Hashable, attributes: tuple, model: Any) -> None:
    """Set a model of an estimator.

    Parameters
    ----------
    owner, key, attributes : objects
        As for :func:`cached`.
    model : object
        The model.
    """
    _MODELS.setdefault(owner, {})[key] = attributes, model


def _identical(a: tuple, b: tuple) -> bool:
    return len(a) == len(b) and all(x is y for x, y in zip(a, b, strict=True))
