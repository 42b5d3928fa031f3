"""Simulated failures: what likelihood ratios are learned from.

Every failure acts on standardised values, so that nothing depends on the units of a data set. The
levels of categorical columns have neither location nor scale: they become those of other samples,
as by :mod:`sklearn_emma.corruption`, or stay as they are.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from sklearn_emma.corruption.failures import replaced_share

#: Kinds of failure, as a monitor reports them.
KINDS = ("noise", "offset", "gain", "mismatch", "stuck", "missing")
#: What a monitor reports where no kind has half of the probability.
UNKNOWN = "unknown"

#: How much more frequent clean samples of a stream may be than among those of the calibration.
ALLOWANCE = 0.5

# Standard deviations and allowances of noise. A sample shows noise of one by about a nat, of which
# the usual allowance would take log 1.5.
_NOISE = {0.5: ALLOWANCE, 1.0: 0.1, 2.0: ALLOWANCE, 4.0: ALLOWANCE}

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
    replaced : float, default=0.0
        Probability that a level becomes that of another sample.
    allowance : float, default=0.5
        By how much clean samples that look like it may be more frequent in a stream of independent
        samples than among those of the calibration, see :mod:`sklearn_emma.monitoring.evidence`.
    """

    kind: str
    values: Values
    replaced: float = 0.0
    allowance: float = ALLOWANCE

    def with_levels(
        self, z: np.ndarray, n_categories: int, rng: np.random.RandomState
    ) -> tuple[np.ndarray, np.ndarray]:
        """Make numbers and categories of a modality fail.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_numbers)
            Standardised numbers.
        n_categories : int
            Number of categorical columns.
        rng : RandomState
            For the failure.

        Returns
        -------
        values : ndarray of shape (n_samples, n_numbers)
            Numbers of the failing modality.
        donors : ndarray of int of shape (n_samples, n_categories)
            Samples whose levels it has.
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


#: Failures whose samples, one by one, differ from clean ones.
FAILURES = (
    *(
        Failure("noise", partial(_noise, sigma), float(replaced_share(sigma)), allowance)
        for sigma, allowance in _NOISE.items()
    ),
    *(Failure("offset", partial(_offset, shift)) for shift in (-3.0, -1.0, 1.0, 3.0)),
    *(Failure("gain", partial(_gain, factor)) for factor in (0.25, 0.5, 2.0, 4.0)),
    Failure("mismatch", _mismatch, 1.0),
)
#: A failure that shows in successive samples.
SATURATION = Failure("gain", partial(_clip, 1.0))
#: Kind of each simulated failure.
SIMULATED_KINDS = tuple(failure.kind for failure in (*FAILURES, SATURATION))
