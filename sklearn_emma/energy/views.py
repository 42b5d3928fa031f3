"""Views of a modality: the coordinates of an energy, and the noise that it is trained to remove."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np


@dataclass(frozen=True)
class EnergyView:
    """Settings of one way to learn an energy from the columns of a modality.

    If only the noise level is set, the view is a plain denoising autoencoder.

    Read more in the :doc:`user guide </guide/energies>`.

    Parameters
    ----------
    noise : "auto", float or (float, float)
        Standard deviation of the noise to be removed, in scales of each column. For a range, the
        level of each sample is drawn log-uniformly, and all levels have the same influence on the
        loss. Low noise makes the energy sharp near the training samples, and high noise makes it
        increase far away from them. The range of "auto" begins at the distance between neighboring
        samples.
    noise_ratio : float, default=4.0
        Ratio of the highest to the lowest level of "auto". The highest level is at most one scale.
    scaling : {"standard", "robust"}, default="standard"
        Scaling of columns: by mean and standard deviation, or by median and interquartile range,
        which are less affected by outliers among the training samples.
    clip : float, default=inf
        Distance from the center, in scales, beyond which values are compressed logarithmically, so
        that heavy tails do not dominate.
    lost_fraction : float, default=0.0
        Fraction of samples that are replaced by uniformly distributed ones within 5 scales of the
        center. From them, the energy learns to increase far away from the data.
    n_prototypes : int or "auto", default=0
        Number of prototypes, which are competing hidden units as in a mixture of Gaussians. They
        help to separate clusters. "auto" uses one per 10 training samples, at most 128.
    loss : {"squared", "robust"}, default="squared"
        Loss of a denoised sample: its squared distance from the clean sample, or its distance,
        which reduces the influence of outliers among the training samples.

    Raises
    ------
    ValueError
        If a parameter is not valid.

    See Also
    --------
    make_thesis_scorer : The autoencoder of the thesis, with its training.

    Examples
    --------
    A tied autoencoder with 12 units that removes low noise, the architecture of the thesis:

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
            Number of prototypes.
        """
        return min(128, n_samples // 10) if self.n_prototypes == "auto" else self.n_prototypes


#: Views by name: one that is sharp near the data, and one that increases far away from them.
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
    """Convert the parameter `views` of an estimator to a tuple of views.

    Parameters
    ----------
    views : str, EnergyView, or sequence of them
        Views or their names.

    Returns
    -------
    tuple of EnergyView
        At least one view, in the given order.

    Raises
    ------
    ValueError
        If there is no view, or if an element is not a view.
    """
    given = (views,) if isinstance(views, (str, EnergyView)) else tuple(views)
    resolved = [VIEWS.get(view, view) if isinstance(view, str) else view for view in given]
    if not resolved or not all(isinstance(view, EnergyView) for view in resolved):
        raise ValueError(
            f"views must be {' or '.join(map(repr, VIEWS))}, an EnergyView, or a tuple of them, "
            f"got {views!r}."
        )
    return tuple(view for view in resolved if isinstance(view, EnergyView))
