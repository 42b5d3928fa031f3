"""Views of a modality: what an energy sees its columns through, and what noise it undoes."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np


@dataclass(frozen=True)
class EnergyView:
    """One way to learn an energy from the columns of a modality.

    With nothing but a level of noise this is the plain denoising autoencoder.

    Parameters
    ----------
    noise : "auto", float or (float, float)
        Standard deviation of the noise to undo, in scales of each column. With a range every sample
        draws its own, log-uniformly, and every level matters as much: little noise makes the energy
        sharp near the training samples, much noise makes it rise far away from them. "auto" begins
        at the distance between neighbouring samples.
    noise_ratio : float, default=4.0
        Where "auto" ends, in multiples of where it begins, but at most one scale.
    scaling : {"standard", "robust"}, default="standard"
        What a column is measured in: mean and standard deviation, or median and interquartile
        range, which outliers among the training samples stretch less.
    clip : float, default=inf
        Scales from the centre beyond which a column's values count logarithmically, so that heavy
        tails do not drown the rest.
    lost_fraction : float, default=0.0
        Fraction of samples that are put anywhere within 5 scales of the centre instead, from where
        the energy learns to lead back.
    n_prototypes : int or "auto", default=0
        Prototypes that compete for a sample beside the hidden layers, as in a mixture of Gaussians:
        they keep clusters apart. "auto" takes one in 10 training samples, at most 128.
    loss : {"squared", "robust"}, default="squared"
        Loss of a denoised sample: its squared distance from the true one, or the distance, under
        which outliers among the training samples pull little.

    Raises
    ------
    ValueError
        If a value is not one of these.

    See Also
    --------
    make_thesis_scorer : The autoencoder of the thesis, with its training.

    Examples
    --------
    One tied autoencoder of 12 units that undoes little noise, the structure of the thesis:

    >>> from sklearn_emma import DAEEnergyScorer, EnergyView
    >>> scorer = DAEEnergyScorer(
    ...     views=EnergyView(noise=0.01), hidden_layer_sizes=(12,), activation="sigmoid"
    ... )
    """

    noise: Any
    noise_ratio: float = 4.0
    scaling: str = "standard"
    clip: float = np.inf
    lost_fraction: float = 0.0
    n_prototypes: Any = 0
    loss: str = "squared"

    def __post_init__(self) -> None:
        noise = self.noise
        levels = tuple(noise) if isinstance(noise, (tuple, list)) else (noise, noise)
        if not (isinstance(noise, str) and noise == "auto") and not (
            len(levels) == 2
            and all(isinstance(level, Real) for level in levels)
            and 0 < levels[0] <= levels[1] < np.inf
        ):
            raise ValueError(
                'noise must be "auto", a positive number, or a pair (low, high) of them with '
                f"low <= high, got {noise!r}."
            )
        if not (isinstance(self.noise_ratio, Real) and self.noise_ratio >= 1):
            raise ValueError(f"noise_ratio must be at least 1, got {self.noise_ratio!r}.")
        if self.scaling not in ("standard", "robust"):
            raise ValueError(f'scaling must be "standard" or "robust", got {self.scaling!r}.')
        if not (isinstance(self.clip, Real) and self.clip > 0):
            raise ValueError(f"clip must be a positive number of scales, got {self.clip!r}.")
        if not (isinstance(self.lost_fraction, Real) and 0 <= self.lost_fraction < 1):
            raise ValueError(f"lost_fraction must be in [0, 1), got {self.lost_fraction!r}.")
        if not (isinstance(self.n_prototypes, str) and self.n_prototypes == "auto") and not (
            isinstance(self.n_prototypes, Integral) and self.n_prototypes >= 0
        ):
            raise ValueError(
                f'n_prototypes must be "auto" or a number of at least 0, got {self.n_prototypes!r}.'
            )
        if self.loss not in ("squared", "robust"):
            raise ValueError(f'loss must be "squared" or "robust", got {self.loss!r}.')

    def count_prototypes(self, n_samples: int) -> int:
        """Return the number of prototypes.

        Parameters
        ----------
        n_samples : int
            Number of training samples.

        Returns
        -------
        int
            How many.
        """
        return min(128, n_samples // 10) if self.n_prototypes == "auto" else self.n_prototypes


#: Views by name: one that is sharp near the data, and one that rises far away from them.
VIEWS = {
    "fine": EnergyView(noise="auto", clip=5.0, n_prototypes="auto", loss="robust"),
    "coarse": EnergyView(
        noise="auto",
        noise_ratio=np.inf,
        scaling="robust",
        clip=3.0,
        lost_fraction=0.2,
        loss="robust",
    ),
}


def resolve_views(views: "str | EnergyView | Sequence[str | EnergyView]") -> tuple[EnergyView, ...]:
    """Return the views that the user wrote, in order.

    Parameters
    ----------
    views : str, EnergyView, or sequence of them
        As given to the estimator.

    Returns
    -------
    tuple of EnergyView
        At least one.

    Raises
    ------
    ValueError
        If one is none.
    """
    given = (views,) if isinstance(views, (str, EnergyView)) else tuple(views)
    resolved = [VIEWS.get(view, view) if isinstance(view, str) else view for view in given]
    if not resolved or not all(isinstance(view, EnergyView) for view in resolved):
        raise ValueError(
            f"views must be {' or '.join(map(repr, VIEWS))}, an EnergyView, or a tuple of them, "
            f"got {views!r}."
        )
    return tuple(view for view in resolved if isinstance(view, EnergyView))
