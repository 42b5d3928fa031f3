"""Simulated failures, from which likelihood ratios are learned.

Every failure acts on standardized values, so the units of a data set do not matter. Levels of
categorical columns have neither location nor scale. They are replaced by the levels of other
samples, as in :mod:`sklearn_emma.corruption`, or stay unchanged.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from sklearn_emma.corruption.failures import replaced_share

#: Kinds of failure, as a monitor reports them.
KINDS = ("noise", "offset", "gain", "mismatch", "intermittent", "stuck", "missing")
#: What a monitor reports if no kind has at least half of the probability.
UNKNOWN = "unknown"

#: Default allowance: the density of clean samples in a stream may be up to 1 + ALLOWANCE times that
#: of the calibration samples.
ALLOWANCE = 0.5

#: Allowance of failures of which a sample gives at most about one nat of evidence. The default
#: allowance would cost log 1.5 nats of it.
SMALL_ALLOWANCE = 0.1
# Standard deviations and allowances of noise.
_NOISE = {0.5: ALLOWANCE, 1.0: SMALL_ALLOWANCE, 2.0: ALLOWANCE, 4.0: ALLOWANCE}

Values = Callable[[np.ndarray, np.random.RandomState], np.ndarray]


class Failure(NamedTuple):
    """Simulated failure of one kind and one severity.

    Attributes
    ----------
    kind : str
        One of :data:`KINDS`.
    values : callable
        Function that takes standardized values of shape (n_samples, n_features) and a RandomState,
        and returns the values of the failing modality.
    replaced : float, default=0.0
        Probability that the level of a categorical column is replaced by that of another sample.
    allowance : float, default=0.5
        Allowance of the e-values of this failure if samples are independent, see
        :mod:`sklearn_emma.monitoring.e_values`.
    """

    kind: str
    values: Values
    replaced: float = 0.0
    allowance: float = ALLOWANCE

    def with_levels(
        self, z: np.ndarray, n_categories: int, rng: np.random.RandomState
    ) -> tuple[np.ndarray, np.ndarray]:
        """Simulate the failure of a modality with numerical and categorical columns.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_numbers)
            Standardized values of the numerical columns.
        n_categories : int
            Number of categorical columns.
        rng : RandomState
            Random number generator.

        Returns
        -------
        values : ndarray of shape (n_samples, n_numbers)
            Standardized numerical values of the failing modality.
        donors : ndarray of int of shape (n_samples, n_categories)
            Position of the sample from which each level is taken.
        """
        own = np.arange(len(z))
        if self.kind == "mismatch":  # all values are those of one other sample
            other = rng.permutation(len(z))
            return z[other], np.tile(other[:, None], n_categories)
        others = [
            np.where(rng.uniform(size=len(z)) < self.replaced, rng.permutation(len(z)), own)
            for _ in range(n_categories)
        ]
        return self.values(z, rng), np.stack(others, axis=1)


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


#: Failures that can be detected from single samples.
FAILURES = (
    *(
        Failure("noise", partial(_noise, sigma), float(replaced_share(sigma)), allowance)
        for sigma, allowance in _NOISE.items()
    ),
    *(Failure("offset", partial(_offset, shift)) for shift in (-3.0, -1.0, 1.0, 3.0)),
    *(Failure("gain", partial(_gain, factor)) for factor in (0.25, 0.5, 2.0, 4.0)),
    Failure("mismatch", _mismatch, 1.0),
)
#: Position of the largest noise.
LARGEST_NOISE = max(k for k, failure in enumerate(FAILURES) if failure.kind == "noise")
#: Positions of the offsets.
OFFSETS = [k for k, failure in enumerate(FAILURES) if failure.kind == "offset"]
#: Positions of the largest offset of each sign, and of the largest noise and gain.
LARGE_OFFSETS = np.array(OFFSETS)[[0, -1]]
LIKE_LARGE_OFFSETS = (
    LARGEST_NOISE,
    max(k for k, failure in enumerate(FAILURES) if failure.kind == "gain"),
)
#: A failure that is detected from successive samples.
SATURATION = Failure("gain", partial(_clip, 1.0))
#: Kind of each simulated failure.
SIMULATED_KINDS = tuple(failure.kind for failure in (*FAILURES, SATURATION))


def allowances(n_modalities: int) -> np.ndarray:
    """Return the allowance of each failure if samples are independent.

    Parameters
    ----------
    n_modalities : int
        Number of modalities. With two of them, a mismatch gives little evidence per sample.

    Returns
    -------
    ndarray of shape (n_failures,)
        Allowances of :data:`FAILURES`.
    """
    return np.array(
        [
            SMALL_ALLOWANCE
            if n_modalities == 2 and failure.kind == "mismatch"
            else failure.allowance
            for failure in FAILURES
        ]
    )
