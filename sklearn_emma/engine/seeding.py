"""Seeds and generators of a fit. The global generators of torch are not used."""

from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.utils import check_random_state


def draw_seed(random_state: Any) -> int:
    """Draw a seed for a torch generator from a scikit-learn random state.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        Random state, as in scikit-learn.

    Returns
    -------
    int
        Seed in [0, 2**31 - 1).
    """
    return int(check_random_state(random_state).randint(2**31 - 1))


def draw_seeds(random_state: Any, size: int | tuple[int, ...]) -> np.ndarray:
    """Draw several seeds.

    Parameters
    ----------
    random_state : int, RandomState instance or None
        Random state, as in scikit-learn.
    size : int or tuple of int
        Shape of the result.

    Returns
    -------
    ndarray of int
        Seeds in [0, 2**31 - 1).
    """
    return check_random_state(random_state).randint(2**31 - 1, size=size)


def seeded(estimator: Any, seed: int, deep: bool = True) -> Any:
    """Clone an estimator, and set random states that are None.

    Parameters
    ----------
    estimator : estimator
        Estimator, which is not changed.
    seed : int
        Value for random states that are None.
    deep : bool, default=True
        Whether to set those of nested estimators, too. An estimator of this library sets them
        itself, from its own.

    Returns
    -------
    estimator
        Clone of the estimator.
    """
    estimator = clone(estimator)
    unseeded = [
        key
        for key, value in estimator.get_params(deep).items()
        if value is None and key.rpartition("__")[2] == "random_state"
    ]
    estimator.set_params(**dict.fromkeys(unseeded, seed))  # returns None for a FrozenEstimator
    return estimator


def make_generator(
    seed: int, device: torch.device | str = "cpu", stream: int = 0
) -> torch.Generator:
    """Create a random number generator on a device.

    Parameters
    ----------
    seed : int
        Seed of the generator.
    device : torch.device or str, default="cpu"
        Device on which the random numbers are drawn.
    stream : int, default=0
        Number of one of the independent streams of the seed.

    Returns
    -------
    torch.Generator
        Generator of the stream.
    """
    state = np.random.SeedSequence([seed, stream]).generate_state(1)
    return torch.Generator(device).manual_seed(int(state[0]))
