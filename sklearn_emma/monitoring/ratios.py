"""Learn the likelihood ratios of failures against clean samples from simulated failures."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from sklearn_emma.monitoring.e_values import bound_ratios, conformal_e_values
from sklearn_emma.monitoring.failures import (
    ALLOWANCE,
    FAILURES,
    LARGE_OFFSETS,
    LIKE_LARGE_OFFSETS,
    Failure,
)
from sklearn_emma.monitoring.ratio_network import RatioNetwork
from sklearn_emma.monitoring.tails import UpperTail

_MISMATCH = [k for k, failure in enumerate(FAILURES) if failure.kind == "mismatch"]
# Number of simulated e-values of clean samples, and smallest number of draws per sample.
_N_POSSIBLE, _FEWEST_DRAWS = 10_000, 5
#: Largest number of samples with simulated failures, per failure and modality.
N_EXAMPLES = 1000
# Largest number of them per failure.
_MOST_EXAMPLES = 5000
# A log ratio that is above all others.
_ABOVE_ALL = 100.0


def evenly_spaced(start: int, stop: int, at_most: int) -> np.ndarray:
    """Return evenly spaced positions of samples.

    Parameters
    ----------
    start, stop : int
        First position, and the position after the last one.
    at_most : int
        Largest number of positions.

    Returns
    -------
    ndarray of int of shape (n_positions,)
        Positions.

    Examples
    --------
    >>> from sklearn_emma.monitoring.ratios import evenly_spaced
    >>> evenly_spaced(0, 9, 3)
    array([0, 4, 8])
    """
    return np.linspace(start, stop - 1, min(stop - start, at_most)).astype(int)


def positions_of_examples(start: int, stop: int, n_modalities: int) -> np.ndarray:
    """Return the positions of the clean samples on which failures are simulated.

    Parameters
    ----------
    start, stop : int
        First position, and the position after the last one.
    n_modalities : int
        Number of modalities.

    Returns
    -------
    ndarray of int of shape (n_examples,)
        Positions, evenly spaced.
    """
    return evenly_spaced(start, stop, min(N_EXAMPLES, max(_MOST_EXAMPLES // n_modalities, 1)))


def informative_failures(
    e_values: Callable[[np.ndarray], np.ndarray], failing: Sequence[Sequence[np.ndarray]]
) -> np.ndarray:
    """Return whose e-values increase, on average, while the failure lasts.

    Parameters
    ----------
    e_values : callable
        Function that takes statistics of shape (n_samples, n_modalities, n_statistics) and returns
        e-values of shape (n_samples, n_modalities, n_failures).
    failing : sequence of length n_failures of sequence of length n_modalities of ndarray
        Statistics of samples in which one modality fails.

    Returns
    -------
    ndarray of bool of shape (n_modalities, n_failures)
        True where the e-values of the failing modality have a logarithm with a positive mean.
    """
    growth = [
        [np.log(e_values(statistics)[:, i, k]).mean() for i, statistics in enumerate(by_modality)]
        for k, by_modality in enumerate(failing)
    ]
    return np.transpose(growth) > 0.0


class Examples(NamedTuple):
    """Training set of a classifier of failures. Each example is one modality of one sample.

    Attributes
    ----------
    features : ndarray of shape (n_examples, n_statistics + n_modalities)
        Statistics of the modality, followed by its one-hot indicator.
    failure : ndarray of int of shape (n_examples,)
        Label: 0 for clean, 1 + k for failure k.
    """

    features: np.ndarray
    failure: np.ndarray


def gather_examples(clean: np.ndarray, failing: Mapping[Failure, Sequence[np.ndarray]]) -> Examples:
    """Build the training set from statistics of clean samples and of simulated failures.

    While one modality fails, the other modalities of the same sample are added as clean examples.
    Otherwise the effect of a failing modality on the statistics of the others would count as
    evidence against them. The exception is a mismatch between two modalities, which does not show
    which of the two has failed.

    Parameters
    ----------
    clean : ndarray of shape (n_samples, n_modalities, n_statistics)
        Statistics of clean samples.
    failing : dict of Failure to list of ndarray
        For each failure, one array of shape (n_simulated, n_modalities, n_statistics) per failing
        modality.

    Returns
    -------
    Examples
        Training examples of all modalities.
    """
    modalities = range(clean.shape[1])
    parts = [(clean[:, i], i, 0) for i in modalities]
    for k, (failure, by_modality) in enumerate(failing.items()):
        suspect = len(modalities) == 2 and failure.kind == "mismatch"
        for i, statistics in enumerate(by_modality):
            parts.append((statistics[:, i], i, k + 1))
            some = slice(k, None, len(failing))
            parts += [(statistics[some, j], j, 0) for j in modalities if j != i and not suspect]
    features = [append_modality(x, np.full(len(x), i), len(modalities)) for x, i, _ in parts]
    return Examples(
        np.concatenate(features),
        np.concatenate([np.full(len(x), label) for x, _, label in parts]),
    )


def append_modality(statistics: np.ndarray, i: np.ndarray, n_modalities: int) -> np.ndarray:
    """Append the one-hot indicator of the modality to the statistics of each example.

    Parameters
    ----------
    statistics : ndarray of shape (n_examples, n_statistics)
        Statistics.
    i : ndarray of int of shape (n_examples,)
        Modality of each example.
    n_modalities : int
        Number of modalities.

    Returns
    -------
    ndarray of shape (n_examples, n_statistics + n_modalities)
        Features of the classifier.
    """
    return np.hstack([statistics, np.eye(n_modalities)[i]])


class FailureRatios:
    """E-values of each simulated failure and modality, given the statistics of a sample.

    Parameters
    ----------
    clean : ndarray of shape (n_samples, n_modalities, n_statistics)
        Statistics of the clean samples on which e-values are calibrated.
    examples : Examples
        Training set of the likelihood ratios, from other samples.
    random_state : int
        Seed of the training.
    extrapolate : bool, default=True
        Whether ratios may exceed the number of clean samples, up to a bound from their fitted tail.
        This assumes that the clean samples are independent.
    allowance : float or ndarray of shape (n_failures,), default=0.5
        Allowance :math:`\\varepsilon_k`: the density of clean samples of a stream may be
        :math:`1 + \\varepsilon_k` times that of the calibration samples.
    discrete : ndarray of bool of shape (n_modalities,), default=None
        Modalities whose ratios are not extrapolated, as their values are discrete. None means none.

    Attributes
    ----------
    network_ : RatioNetwork
        Network that estimates the likelihood ratios.
    n_clean_ : int
        Number N of clean samples.
    tail_ : UpperTail
        Fitted tail of the largest log ratio of each modality in clean samples.
    clean_mean_ : ndarray of shape (n_modalities, n_failures)
        Mean of the bounded ratios over clean samples.
    """

    def __init__(
        self,
        clean: np.ndarray,
        examples: Examples,
        random_state: int,
        *,
        extrapolate: bool = True,
        allowance: np.ndarray | float = ALLOWANCE,
        discrete: np.ndarray | None = None,
    ) -> None:
        self._extrapolate, self._allowance = extrapolate, allowance
        self.network_ = RatioNetwork(*examples, random_state)
        self.n_clean_ = len(clean)
        log_ratios = self._log_ratios(clean)
        self.tail_ = UpperTail(log_ratios.max(axis=-1), discrete)
        self.clean_mean_ = self._bounded(log_ratios).mean(axis=0)

    def __call__(self, statistics: np.ndarray) -> np.ndarray:
        """Return the e-values of samples.

        Parameters
        ----------
        statistics : ndarray of shape (n_samples, n_modalities, n_statistics)
            Statistics of the samples.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities, n_failures)
            E-values.
        """
        return self._e_values(self._log_ratios(statistics))

    def possible(self, clean: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """Draw e-values of clean samples of a stream, some larger than all observed ones.

        If the largest ratio of a modality is in the tail, a new value is drawn from the fitted
        tail, and all ratios of the modality are multiplied by the same factor. If the modality is
        discrete, all its ratios are instead as large as possible with the probability 1 / (N + 1)
        that the largest ratio of a new sample is higher than those of all clean samples.

        Parameters
        ----------
        clean : ndarray of shape (n_samples, n_modalities, n_statistics)
            Statistics of clean samples.
        rng : RandomState
            Generator of the draws.

        Returns
        -------
        ndarray of shape (n_draws, n_samples, n_modalities, n_failures)
            E-values. The number of draws is about 10,000 / n_samples, but at least five.
        """
        log_ratios = self._log_ratios(clean)
        largest = log_ratios.max(axis=-1)
        n_draws = max(_FEWEST_DRAWS, _N_POSSIBLE // len(clean))
        drawn = [self.tail_.draw(largest, rng) - largest for _ in range(n_draws)]
        e_values = np.stack([self._e_values(log_ratios + shift[..., None]) for shift in drawn])
        if self.tail_.discrete_.any():
            unseen = rng.uniform(size=e_values.shape[:-1]) < 1.0 / (self.n_clean_ + 1)
            highest = self._e_values(np.full(log_ratios.shape[1:], _ABOVE_ALL))
            e_values = np.where((unseen & self.tail_.discrete_)[..., None], highest, e_values)
        return e_values

    def _log_ratios(self, statistics: np.ndarray) -> np.ndarray:
        """Return the log likelihood ratios of samples."""
        n_samples, n_modalities, _ = statistics.shape
        modality = np.tile(np.arange(n_modalities), n_samples)
        features = append_modality(np.concatenate(statistics), modality, n_modalities)
        return self.network_(features).reshape(n_samples, n_modalities, -1)

    def _bounded(self, log_ratios: np.ndarray) -> np.ndarray:
        """Return ratios bounded by N, or by the inverse tail probability if that is larger."""
        bound = np.log(self.n_clean_)
        if self._extrapolate:
            bound = np.maximum(bound, -self.tail_.log_probability(log_ratios.max(axis=-1)))
        return bound_ratios(log_ratios, bound)

    def _e_values(self, log_ratios: np.ndarray) -> np.ndarray:
        """Convert log ratios to e-values.

        A mismatch of two modalities does not show which of them has failed, so it has the same
        e-value for both.
        """
        bounded = self._bounded(log_ratios)
        found = conformal_e_values(self.clean_mean_, self.n_clean_, bounded, self._allowance)
        if found.shape[-2] == 2:  # a mean of e-values is an e-value
            found[..., _MISMATCH] = found[..., _MISMATCH].mean(axis=-2, keepdims=True)
        return found


def include_large_offsets(e_values: np.ndarray) -> np.ndarray:
    """Let the values of the largest noise and gain count as evidence of an offset, too.

    Values with an offset larger than all simulated ones look like noise. Innovations then show that
    it is none. A mean of e-values is an e-value.

    Parameters
    ----------
    e_values : ndarray of shape (n_samples, n_modalities, n_simulated_failures)
        E-values of the values.

    Returns
    -------
    ndarray of shape (n_samples, n_modalities, n_simulated_failures)
        E-values, of which those of the two largest offsets are new.
    """
    found = e_values.copy()
    for offset in LARGE_OFFSETS:
        found[..., offset] = e_values[..., [offset, *LIKE_LARGE_OFFSETS]].mean(axis=-1)
    return found
