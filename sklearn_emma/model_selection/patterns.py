"""Conformal thresholds for groups of samples with the same pattern of closed modalities."""

from typing import NamedTuple

import numpy as np
import pandas as pd


class CalibrationScores(NamedTuple):
    """Nonconformity scores and patterns of calibration samples and their copies.

    There is one row per copy; a clean sample also counts as a copy of itself.

    Parameters
    ----------
    score : ndarray of shape (n_copies,)
        Nonconformity score of each copy, given the true label or value of its sample.
    closed : ndarray of bool of shape (n_copies, n_modalities)
        Pattern of each copy: True where a modality is closed.
    sample : ndarray of int of shape (n_copies,)
        Position of the sample that each copy was made from.
    weight : ndarray of shape (n_copies,)
        Weight of each copy, relative to the other copies of its sample.
    energy : ndarray of shape (n_copies,)
        Total energy, by which scores may be normalised.
    """

    score: np.ndarray
    closed: np.ndarray
    sample: np.ndarray
    weight: np.ndarray
    energy: np.ndarray


def conformal_threshold(
    score: np.ndarray, sample: np.ndarray, weight: np.ndarray, level: float
) -> float:
    r"""Compute the threshold that the score of a new sample exceeds with probability <= 1 - level.

    Copies of the same sample are not independent. Therefore each of the K samples has a total
    weight of one, which is divided among its copies: :math:`\sum_j w_{kj} = 1` for the copies j of
    sample k. The threshold is

    .. math::
        q = \min \{s: \sum_k \sum_j w_{kj} [s_{kj} \le s] \ge \mathrm{level} \cdot (K + 1)\}

    With one copy of each sample, this is the threshold of split conformal prediction [1]_. With
    several copies, it is the threshold for hierarchical data [2]_, which is valid for a random copy
    of a new sample.

    Parameters
    ----------
    score : ndarray of shape (n_copies,)
        Nonconformity scores.
    sample : ndarray of int of shape (n_copies,)
        The sample that each copy was made from.
    weight : ndarray of shape (n_copies,)
        Positive weights. They are scaled such that the weights of each sample sum to one.
    level : float
        Coverage, between 0 and 1.

    Returns
    -------
    float
        The threshold. It is infinite if there are too few samples for the level.

    References
    ----------
    .. [1] Papadopoulos, H., Proedrou, K., Vovk, V., & Gammerman, A. (2002). Inductive confidence
       machines for regression. European Conference on Machine Learning, 345-356.
    .. [2] Lee, Y., Barber, R. F., & Willett, R. (2023). Distribution-free inference with
       hierarchical data. arXiv:2306.06342.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.model_selection.patterns import conformal_threshold
    >>> scores = np.arange(9.0)
    >>> float(conformal_threshold(scores, np.arange(9), np.ones(9), level=0.9))
    8.0
    >>> float(conformal_threshold(scores, np.arange(9), np.ones(9), level=0.95))
    inf
    """
    _, place = np.unique(sample, return_inverse=True)
    total = np.bincount(place, weight)
    order = np.argsort(score, kind="stable")
    reached = np.cumsum((weight / total[place])[order])
    needed = level * (len(total) + 1)
    first = int(np.searchsorted(reached, needed - 1e-9 * needed))  # allows for rounding
    return float(score[order[first]]) if first < len(score) else np.inf


class PatternThresholds:
    """A conformal threshold for each pattern of closed modalities (Mondrian conformal prediction).

    A pattern with at least `min_samples` calibration samples is a group of its own. Other patterns
    are grouped by the number of closed modalities. If such a group is still too small, or does not
    occur among the calibration samples, the threshold of all samples is used.

    Parameters
    ----------
    calibration : CalibrationScores
        The calibration samples and their copies.
    level : float
        Coverage, between 0 and 1.
    min_samples : int
        Smallest number of samples of a group.
    names : list of str of length n_modalities
        Names of the modalities.

    Attributes
    ----------
    table : DataFrame of shape (n_groups, 3)
        One row per group. ``closed`` describes the closed modalities: their names, joined by " + ";
        "none"; a number such as "2 of 5"; or "all" for the group of all samples, whatever their
        pattern. ``n_samples`` is the number of calibration samples, and ``threshold`` the
        threshold.

    References
    ----------
    .. [1] Vovk, V., Lindsay, D., Nouretdinov, I., & Gammerman, A. (2003). Mondrian confidence
       machine. Technical report, Royal Holloway, University of London.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.model_selection.patterns import CalibrationScores, PatternThresholds
    >>> closed = np.repeat([[False, False], [True, False]], [40, 20], axis=0)
    >>> scores = np.where(closed[:, 0], 2.0, 1.0)
    >>> calibration = CalibrationScores(scores, closed, np.arange(60), np.ones(60), np.zeros(60))
    >>> thresholds = PatternThresholds(calibration, 0.9, 20, ["radar", "camera"])
    >>> thresholds.table
       closed  n_samples  threshold
    0   none         40        1.0
    1  radar         20        2.0
    2    all         60        2.0
    >>> thresholds.of(np.array([[False, False], [False, True]]))
    array([1., 2.])
    """

    def __init__(
        self, calibration: CalibrationScores, level: float, min_samples: int, names: list[str]
    ) -> None:
        closed, sample = calibration.closed, calibration.sample
        patterns, place = np.unique(closed, axis=0, return_inverse=True)
        size = np.array([len(np.unique(sample[place == i])) for i in range(len(patterns))])
        own = size >= min_samples
        number = patterns.sum(axis=1)
        # from the key of each group to a mask of its copies
        groups: dict[tuple | int | None, np.ndarray] = {
            tuple(patterns[i].tolist()): place == i for i in np.flatnonzero(own)
        }
        for n in np.unique(number[~own]):
            members = np.isin(place, np.flatnonzero(~own & (number == n)))
            if len(np.unique(sample[members])) >= min_samples:
                groups[int(n)] = members
        groups[None] = np.ones(len(sample), dtype=bool)
        self._group = {key: i for i, key in enumerate(groups)}
        self.table = pd.DataFrame(
            {
                "closed": [_describe(key, names) for key in groups],
                "n_samples": [len(np.unique(sample[rows])) for rows in groups.values()],
                "threshold": [
                    conformal_threshold(
                        calibration.score[rows], sample[rows], calibration.weight[rows], level
                    )
                    for rows in groups.values()
                ],
            }
        )

    def group(self, closed: np.ndarray) -> np.ndarray:
        """Find the group of each sample.

        Parameters
        ----------
        closed : ndarray of bool of shape (n_samples, n_modalities)
            The closed modalities.

        Returns
        -------
        ndarray of int of shape (n_samples,)
            Row of the group in `table`.
        """
        patterns, place = np.unique(closed, axis=0, return_inverse=True)
        rest = self._group[None]
        found = [
            self._group.get(tuple(pattern), self._group.get(sum(pattern), rest))
            for pattern in patterns.tolist()
        ]
        return np.array(found, dtype=int)[place]

    def of(self, closed: np.ndarray) -> np.ndarray:
        """Return the threshold of each sample.

        Parameters
        ----------
        closed : ndarray of bool of shape (n_samples, n_modalities)
            The closed modalities.

        Returns
        -------
        ndarray of shape (n_samples,)
            Thresholds.
        """
        return self.table["threshold"].to_numpy()[self.group(closed)]


def _describe(key: tuple | int | None, names: list[str]) -> str:
    """Return the name of a group: a pattern, a number of closed modalities, or all samples."""
    if key is None:
        return "all"
    if isinstance(key, int):
        return f"{key} of {len(names)}"
    return " + ".join(name for name, closed in zip(names, key, strict=True) if closed) or "none"
