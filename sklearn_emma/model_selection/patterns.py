"""Conformal thresholds for groups of samples with the same pattern of closed modalities."""

from typing import NamedTuple

import numpy as np
import pandas as pd

# Effective number of samples that is enough for a group, relative to the number that a
# finite threshold needs. With fewer, the coverage would vary by more than 0.06 at a level of 0.9.
_ENOUGH = 3.0


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
        Weight of each copy: the probability that its sample occurs as this copy.
    energy : ndarray of shape (n_copies,)
        Total energy, by which scores may be normalized.
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

    Copies of the same sample are not independent, and a sample may have only some of its copies in
    a group, for instance those with the same pattern. The weight :math:`w_{kj}` of copy j of sample
    k is the probability that the sample occurs as this copy. :math:`W_k = \sum_j w_{kj}` is then
    the probability that it occurs in the group, where the sum is over its copies in the group. The
    threshold is

    .. math::
        q = \min \Bigl\{s: \sum_k \sum_j w_{kj} [s_{kj} \le s] \ge
            \mathrm{level} \cdot \Bigl(\sum_k W_k + \bar W\Bigr)\Bigr\}, \qquad
        \bar W = \frac{\sum_k W_k^2}{\sum_k W_k}

    :math:`\bar W` is the expected weight of the sample that a random copy in the group belongs to.
    It takes the place of the weight of the new sample, which is unknown. If all :math:`W_k` are
    equal, the threshold is valid for hierarchical data [2]_, and with one copy of each sample it is
    that of split conformal prediction [1]_. Otherwise it is valid only for many samples. The
    coverage may be lower if a few samples have most of the weight.

    Parameters
    ----------
    score : ndarray of shape (n_copies,)
        Nonconformity scores.
    sample : ndarray of int of shape (n_copies,)
        The sample that each copy was made from.
    weight : ndarray of shape (n_copies,)
        Positive weights :math:`w_{kj}`, up to a common factor.
    level : float
        Coverage, between 0 and 1.

    Returns
    -------
    float
        The threshold. It is infinite if there are too few samples for the level:
        :func:`effective_number` is then less than level / (1 - level).

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
    total = _weight_by_sample(sample, weight)
    order = np.argsort(score, kind="stable")
    reached = np.cumsum(weight[order])
    needed = level * (total.sum() + np.square(total).sum() / total.sum())
    first = int(np.searchsorted(reached, needed - 1e-9 * needed))  # allows for rounding
    return float(score[order[first]]) if first < len(score) else np.inf


def effective_number(sample: np.ndarray, weight: np.ndarray) -> float:
    r"""Return the effective number of samples, :math:`(\sum_k W_k)^2 / \sum_k W_k^2`.

    As many samples of equal weight would estimate a threshold as precisely (Kish, L. (1965). Survey
    sampling. Wiley).

    Parameters
    ----------
    sample : ndarray of int of shape (n_copies,)
        The sample that each copy was made from.
    weight : ndarray of shape (n_copies,)
        Positive weights of the copies.

    Returns
    -------
    float
        Effective number.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.model_selection.patterns import effective_number
    >>> effective_number(np.array([0, 1, 2, 2]), np.array([0.5, 0.5, 0.25, 0.25]))
    3.0
    """
    total = _weight_by_sample(sample, weight)
    return float(total.sum() ** 2 / np.square(total).sum())


def _weight_by_sample(sample: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Return the total weight of the copies of each sample."""
    return np.bincount(np.unique(sample, return_inverse=True)[1], weight)


class PatternThresholds:
    """A conformal threshold for each pattern of closed modalities (Mondrian conformal prediction).

    A pattern with at least `min_samples` calibration samples is a group of its own, unless a few of
    them have most of the weight. Other patterns are grouped by the number of closed modalities. If
    such a group is still too small, or does not occur among the calibration samples, the largest
    threshold is used: of all groups, and of all samples together.

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
        "none"; a number such as "2 of 5"; or "other" for patterns without a group.
        ``n_samples`` is the number of calibration samples, for "other" of all of them, and
        ``threshold`` the threshold.

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
    2  other         60        2.0
    >>> thresholds.of(np.array([[False, False], [False, True]]))
    array([1., 2.])
    """

    def __init__(
        self, calibration: CalibrationScores, level: float, min_samples: int, names: list[str]
    ) -> None:
        closed, sample = calibration.closed, calibration.sample
        patterns, place = np.unique(closed, axis=0, return_inverse=True)
        needed = level / (1.0 - level)
        least = max(needed, min(min_samples, _ENOUGH * needed))

        def is_large(rows: np.ndarray) -> bool:
            """Return whether a group is large enough for a threshold of its own."""
            effective = effective_number(sample[rows], calibration.weight[rows])
            return len(np.unique(sample[rows])) >= min_samples and effective >= least

        own = np.array([is_large(place == i) for i in range(len(patterns))])
        number = patterns.sum(axis=1)
        # from the key of each group to a mask of its copies
        groups: dict[tuple | int | None, np.ndarray] = {
            tuple(patterns[i].tolist()): place == i for i in np.flatnonzero(own)
        }
        for n in np.unique(number[~own]):
            members = np.isin(place, np.flatnonzero(~own & (number == n)))
            if is_large(members):
                groups[int(n)] = members
        groups[None] = np.ones(len(sample), dtype=bool)
        self._keys = list(groups)
        threshold = [
            conformal_threshold(
                calibration.score[rows], sample[rows], calibration.weight[rows], level
            )
            for rows in groups.values()
        ]
        # nothing is known about the patterns without a group
        threshold[-1] = max(threshold)
        self._columns = {
            "closed": [_describe(key, names) for key in groups],
            "n_samples": [len(np.unique(sample[rows])) for rows in groups.values()],
            "threshold": threshold,
        }

    @property
    def table(self) -> pd.DataFrame:
        """One row per group: ``closed``, ``n_samples`` and ``threshold``."""
        return pd.DataFrame(self._columns)

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
        groups = {key: i for i, key in enumerate(self._keys)}
        rest = groups[None]
        found = [
            groups.get(tuple(pattern), groups.get(sum(pattern), rest))
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
        return np.array(self._columns["threshold"])[self.group(closed)]


def _describe(key: tuple | int | None, names: list[str]) -> str:
    """Return the name of a group: a pattern, a number of closed modalities, or other patterns."""
    if key is None:
        return "other"
    if isinstance(key, int):
        return f"{key} of {len(names)}"
    return " + ".join(name for name, closed in zip(names, key, strict=True) if closed) or "none"
