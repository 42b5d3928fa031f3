"""A uniform sample of a stream."""

from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class Reservoir:
    """Samples kept of a stream, each of which is as likely to be among them.

    Parameters
    ----------
    seed : int
        Determines which.
    size : int
        How many at most.
    n_seen : int
        How many samples there were so far.
    samples : ndarray of shape (n_kept, n_features)
        What is kept.
    held_out : ndarray of bool of shape (n_kept,)
        Samples that are kept from training, for as long as they stay.
    """

    seed: int
    size: int
    n_seen: int = 0
    samples: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    held_out: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @classmethod
    def of(cls, samples: np.ndarray, held_out: np.ndarray, seed: int, size: int) -> "Reservoir":
        """Make a reservoir of a first table.

        Parameters
        ----------
        samples : ndarray of shape (n_samples, n_features)
            The table, of which a uniform sample is kept.
        held_out : ndarray of bool of shape (n_samples,)
            Samples that are kept from training.
        seed : int
            Determines which samples are kept.
        size : int
            How many at most.

        Returns
        -------
        Reservoir
            Of memory of its own, with at least two samples to train on if the table has them.
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
        """Take in the next samples.

        Parameters
        ----------
        samples : ndarray of shape (n_samples, n_features)
            New samples.
        held_out_fraction : float
            Probability of each of being held out.

        Returns
        -------
        Reservoir
            A new one; this one stays as it is.
        """
        random = np.random.RandomState([self.seed, self.n_seen % 2**32])
        held_out = random.uniform(size=len(samples)) < held_out_fraction
        if not self.n_seen:
            held_out[:2] = False  # there has to be something to learn from
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
