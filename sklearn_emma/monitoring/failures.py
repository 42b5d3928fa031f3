"""Simulated failures: what likelihood ratios are learned from.

Every failure acts on standardised values, so that nothing depends on the units of a data set.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

#: Kinds of failure, as a monitor reports them.
KINDS = ("noise", "offset", "gain", "mismatch", "stuck", "missing")
#: What a monitor reports where no kind has half of the probability.
UNKNOWN = "unknown"

Values = Callable[[np.ndarray, np.random.RandomState], np.ndarray]


class Failure(NamedTuple):
    """One way to fail, at one severity.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    values : callable
        Takes standardised values (n_samples, n_features) and a RandomState, and returns the values
        of a failing modality.
    """

    kind: str
    values: Values


def _noise(sigma: float, z: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    return z + sigma * rng.standard_normal(z.shape)


def _offset(shift: float, z: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    return z + shift


def _gain(factor: float, z: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    return z * factor


def _clip(limit: float, z: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    return z.clip(-limit, limit)


def _mismatch(z: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
    return z[rng.permutation(len(z))]


#: Failures whose samples, one by one, differ from clean ones.
FAILURES = (
    *(Failure("noise", partial(_noise, sigma)) for sigma in (0.5, 1.0, 2.0, 4.0)),
    *(Failure("offset", partial(_offset, shift)) for shift in (-3.0, -1.0, 1.0, 3.0)),
    *(Failure("gain", partial(_gain, factor)) for factor in (0.25, 0.5, 2.0, 4.0)),
    Failure("mismatch", _mismatch),
)
#: A failure that shows in successive samples.
SATURATION = Failure("gain", partial(_clip, 1.0))
