"""Likelihood ratios of failures against clean samples, learned from simulated failures."""

import warnings
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier
from sklearn.preprocessing import StandardScaler

from sklearn_emma.monitoring.evidence import bound_ratios, conformal_e_values
from sklearn_emma.monitoring.failures import ALLOWANCE, Failure
from sklearn_emma.monitoring.tails import UpperTail

# Logarithm of a ratio, within the range of floating point numbers.
_LARGEST = 500.0
# Clean samples that stand for what a stream may bring, and the fewest draws of each.
_N_POSSIBLE, _FEWEST_DRAWS = 10_000, 5
# Networks whose logits are averaged, with so many units each.
_N_NETWORKS, _N_HIDDEN = 3, 32
_BATCH_SIZE, _EPOCHS, _STEPS = 256, 30, 4000


class Examples(NamedTuple):
    """Modalities of samples, and how they fail.

    Attributes
    ----------
    features : ndarray of shape (n_examples, n_statistics + n_modalities)
        Statistics, and which modality it is.
    failure : ndarray of int of shape (n_examples,)
        0 for clean, 1 + k for failure k.
    """

    features: np.ndarray
    failure: np.ndarray


def gather_examples(clean: np.ndarray, failing: Mapping[Failure, Sequence[np.ndarray]]) -> Examples:
    """Gather clean and failing modalities.

    While one modality fails the others are clean, and examples of it: otherwise what a failing
    modality does to the statistics of the others would count against them. Only of two modalities
    that do not fit each other both are suspect.

    Parameters
    ----------
    clean : ndarray of shape (n_samples, n_modalities, n_statistics)
        Statistics of clean samples.
    failing : dict of Failure to list of ndarray
        Statistics (n_simulated, n_modalities, n_statistics), by failure and failing modality.

    Returns
    -------
    Examples
        For all modalities together.
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
    """Append which modality it is, as indicators.

    Parameters
    ----------
    statistics : ndarray of shape (n_examples, n_statistics)
        Statistics.
    i : ndarray of int of shape (n_examples,)
        Modalities.
    n_modalities : int
        Their number.

    Returns
    -------
    ndarray of shape (n_examples, n_statistics + n_modalities)
        Features of a classifier.
    """
    return np.hstack([statistics, np.eye(n_modalities)[i]])


class RatioNetwork:
    """A classifier that tells failures from clean samples, as likelihood ratios.

    The mean of the logits of three networks, which is one with three times as many hidden units.

    Parameters
    ----------
    examples : Examples
        To train on.
    random_state : int
        For the training.

    Attributes
    ----------
    layers_ : list of (ndarray, ndarray)
        Weights and biases; the first layer takes the features as they come.
    """

    def __init__(self, examples: Examples, random_state: int) -> None:
        scaler = StandardScaler().fit(examples.features)
        features = scaler.transform(examples.features)
        states = np.random.RandomState(random_state).randint(2**31 - 1, size=_N_NETWORKS)
        networks = [_train(features, examples.failure, int(state)) for state in states]
        first, bias = (np.concatenate([layers[k] for layers in networks], axis=-1) for k in (0, 1))
        second = np.concatenate([layers[2] for layers in networks]) / _N_NETWORKS
        first = first / scaler.scale_[:, None]
        # posterior odds are likelihood ratios times how often the classes come in training
        frequency = np.bincount(examples.failure)
        last_bias = np.mean([layers[3] for layers in networks], axis=0) - np.log(frequency)
        self.layers_ = [(first, bias - scaler.mean_ @ first), (second, last_bias)]

    def __call__(self, features: np.ndarray) -> np.ndarray:
        """Return the log ratios of each failure to clean.

        Parameters
        ----------
        features : ndarray of shape (n_examples, n_features)
            Of the examples.

        Returns
        -------
        ndarray of shape (n_examples, n_failures)
            Logarithms of likelihood ratios.
        """
        (first, bias), (second, last_bias) = self.layers_
        logits = np.maximum(features @ first + bias, 0.0) @ second + last_bias
        return (logits[:, 1:] - logits[:, :1]).clip(-_LARGEST, _LARGEST)


def _train(features: np.ndarray, labels: np.ndarray, random_state: int) -> list[np.ndarray]:
    """Return weights and biases of both layers of a network."""
    batch_size = min(_BATCH_SIZE, len(labels))
    epochs = int(np.clip(_STEPS * batch_size / len(labels), 5, _EPOCHS))
    network = MLPClassifier(
        (_N_HIDDEN,),
        batch_size=batch_size,
        learning_rate_init=5e-3,
        max_iter=epochs,
        random_state=random_state,
    )
    # the number of epochs is given: that the loss still falls is no reason to warn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        network.fit(features, labels)
    return [network.coefs_[0], network.intercepts_[0], network.coefs_[1], network.intercepts_[1]]


class FailureRatios:
    """E-values of every failure, for every modality, from the statistics of a sample.

    Parameters
    ----------
    clean : ndarray of shape (n_samples, n_modalities, n_statistics)
        Statistics of clean samples to calibrate on.
    examples : Examples
        Clean and failing modalities of other samples, to learn ratios from.
    random_state : int
        For the training.
    extrapolate : bool, default=True
        Whether ratios beyond the number of clean samples are believed as far as they are rare. That
        takes clean samples that are independent.
    allowance : float or ndarray of shape (n_failures,), default=0.5
        How much more frequent clean samples of a stream may be than among these.

    Attributes
    ----------
    network_ : RatioNetwork
        Trained on the examples.
    n_clean_ : int
        Number of clean samples.
    tail_ : UpperTail
        Of the largest log ratios of clean samples.
    clean_mean_ : ndarray of shape (n_modalities, n_failures)
        Mean of the bounded ratios over clean samples.
    """

    def __init__(
        self,
        clean: np.ndarray,
        examples: Examples,
        random_state: int,
        extrapolate: bool = True,
        allowance: np.ndarray | float = ALLOWANCE,
    ) -> None:
        self._extrapolate, self._allowance = extrapolate, allowance
        self.network_ = RatioNetwork(examples, random_state)
        self.n_clean_ = len(clean)
        log_ratios = self._log_ratios(clean)
        self.tail_ = UpperTail(log_ratios.max(axis=-1))
        self.clean_mean_ = self._bounded(log_ratios).mean(axis=0)

    def __call__(self, statistics: np.ndarray) -> np.ndarray:
        """E-values of samples.

        Parameters
        ----------
        statistics : ndarray of shape (n_samples, n_modalities, n_statistics)
            Of the samples.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities, n_failures)
            E-values.
        """
        return self._e_values(self._log_ratios(statistics))

    def possible(self, clean: np.ndarray, rng: np.random.RandomState) -> np.ndarray:
        """E-values of clean samples as a stream may bring them, some beyond all that are known.

        Where the largest ratio of a modality is in the tail it is drawn anew from there, and the
        others keep their proportions to it.

        Parameters
        ----------
        clean : ndarray of shape (n_samples, n_modalities, n_statistics)
            Statistics of clean samples.
        rng : RandomState
            Draws.

        Returns
        -------
        ndarray of shape (n_draws, n_samples, n_modalities, n_failures)
            E-values, so often that they are ten thousand in all, but at least five times.
        """
        log_ratios = self._log_ratios(clean)
        largest = log_ratios.max(axis=-1)
        n_draws = max(_FEWEST_DRAWS, _N_POSSIBLE // len(clean))
        drawn = [self.tail_.draw(largest, rng) - largest for _ in range(n_draws)]
        return np.stack([self._e_values(log_ratios + shift[..., None]) for shift in drawn])

    def _log_ratios(self, statistics: np.ndarray) -> np.ndarray:
        """Return log ratios of samples."""
        n_samples, n_modalities, _ = statistics.shape
        modality = np.tile(np.arange(n_modalities), n_samples)
        features = append_modality(np.concatenate(statistics), modality, n_modalities)
        return self.network_(features).reshape(n_samples, n_modalities, -1)

    def _bounded(self, log_ratios: np.ndarray) -> np.ndarray:
        """Return bounded ratios of samples: up to N, or as large as they are rare."""
        bound = np.log(self.n_clean_)
        if self._extrapolate:
            bound = np.maximum(bound, -self.tail_.log_probability(log_ratios.max(axis=-1)))
        return bound_ratios(log_ratios, bound)

    def _e_values(self, log_ratios: np.ndarray) -> np.ndarray:
        """Return e-values of samples."""
        bounded = self._bounded(log_ratios)
        return conformal_e_values(self.clean_mean_, self.n_clean_, bounded, self._allowance)
