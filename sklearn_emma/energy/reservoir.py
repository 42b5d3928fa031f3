"""A uniform sample of a stream of rows."""

from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True)
class Reservoir:
    """Rows kept of a stream, each row of which is as likely to be among them.

    Parameters
    ----------
    seed : int
        Determines which.
    size : int
        How many at most.
    n_seen : int
        How many rows there were so far.
    rows : ndarray of shape (n_kept, n_features)
        The sample.
    held_out : ndarray of bool of shape (n_kept,)
        Rows that are kept from training, for as long as they stay.
    """

    seed: int
    size: int
    n_seen: int = 0
    rows: np.ndarray | None = None
    held_out: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))

    def add(self, rows, held_out_fraction):
        """Take in the next rows.

        Parameters
        ----------
        rows : ndarray of shape (n_samples, n_features)
            New rows.
        held_out_fraction : float
            Probability of each of being held out.

        Returns
        -------
        Reservoir
            A new one; this one stays as it is.
        """
        random = np.random.RandomState([self.seed, self.n_seen % 2**32])
        held_out = random.uniform(size=len(rows)) < held_out_fraction
        if not self.n_seen:
            held_out[:2] = False  # there has to be something to learn from
        n_fill = min(self.size - len(self.held_out), len(rows))
        kept = rows[:n_fill].copy() if self.rows is None else np.vstack([self.rows, rows[:n_fill]])
        kept_out = np.concatenate([self.held_out, held_out[:n_fill]])
        # the n-th row comes in with probability size / n, for one that goes (Vitter's algorithm R)
        place = random.randint(0, self.n_seen + 1 + np.arange(n_fill, len(rows)))
        for row, position in enumerate(place, start=n_fill):
            if position < self.size:
                kept[position], kept_out[position] = rows[row], held_out[row]
        n_seen = self.n_seen + len(rows)
        return replace(self, n_seen=n_seen, rows=kept, held_out=kept_out)
