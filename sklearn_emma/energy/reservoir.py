"""Reservoir sampling: keep a uniform random sample of a stream."""

from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class Reservoir:
    """Uniform random sample of the samples of a stream.

    Parameters
    ----------
    seed : int
        Seed of the random choices.
    size : int
        Largest number of samples that are kept.
    n_seen : int
        Number of samples of the stream so far.
    samples : ndarray of shape (n_kept, n_features)
        Samples that are kept.
    held_out : ndarray of bool of shape (n_kept,)
        Whether each of them is held out from training, as long as it is in the reservoir.
    """

    seed: int
    size: int
    n_seen: int = 0
    samples: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    held_out: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @classmethod
    def of(cls, samples: np.ndarray, held_out: np.ndarray, seed: int, size: int) -> "Reservoir":
        """Create a reservoir from a first table.

        Parameters
        ----------
        samples : ndarray of shape (n_samples, n_features)
            Table, of which a uniform random sample is kept.
        held_out : ndarray of bool of shape (n_samples,)
            Whether each sample is held out from training.
        seed : int
            Seed of the random choices.
        size : int
            Largest number of samples that are kept.

        Returns
        -------
        Reservoir
            Reservoir with copies of the samples. It has samples to train on if the table has them.
        """
        kept = np.random.RandomState([seed, 1]).permutation(len(samples))[:size]
        training = np.flatnonzero(~held_out)[:2]
        if held_out[kept].all() and len(training):
            kept[: len(training)] = training
        kept = np.sort(kept)
        return cls(seed, size, len(samples), samples[kept], held_out[kept])

    def training_samples(self) -> np.ndarray:
        """Return the samples that are not held out."""
        return self.samples[~self.held_out]

    def add(self, samples: np.ndarray, held_out_fraction: float) -> "Reservoir":
        """Add the next samples of the stream.

        Parameters
        ----------
        samples : ndarray of shape (n_samples, n_features)
            New samples.
        held_out_fraction : float
            Probability that a sample is held out.

        Returns
        -------
        Reservoir
            A new reservoir. This one is not changed.
        """
        random = np.random.RandomState([self.seed, self.n_seen % 2**32])
        held_out = random.uniform(size=len(samples)) < held_out_fraction
        if not self.n_seen:
            held_out[:2] = False  # at least two samples are needed for training
        n_fill = min(self.size - len(self.held_out), len(samples))
        fill = samples[:n_fill]
        kept = np.vstack([self.samples, fill]) if self.n_seen else fill.copy()
        kept_out = np.concatenate([self.held_out, held_out[:n_fill]])
        # Vitter's algorithm R: the n-th sample replaces another with probability size / n
        place = random.randint(0, self.n_seen + 1 + np.arange(n_fill, len(samples)))
        for i, position in enumerate(place, start=n_fill):
            if position < self.size:
                kept[position], kept_out[position] = samples[i], held_out[i]
        n_seen = self.n_seen + len(samples)
        return replace(self, n_seen=n_seen, samples=kept, held_out=kept_out)
