r"""Detect stuck sensors by runs of repeated samples.

A stuck sensor repeats its last value. With :math:`c(l)` the probability that a run of l repeats
continues in clean samples, its e-value (:mod:`sklearn_emma.monitoring.e_values`) is

.. math:: e_{stuck} = \frac{1 - \epsilon}{c(l)} \text{ for a repeat}, \qquad
    \frac{\epsilon}{1 - c(l)} \text{ for a change.}

Apart from this, a repeated sample holds no new information. Modalities with categorical columns, or
with frequent values such as the zeros of an idle sensor, also repeat samples when they are clean:
see :mod:`sklearn_emma.monitoring.levels`. A missing value is replaced by the last value of its
feature, in clean samples too. If some features of a modality change in every clean sample, samples
in which all of these are missing are left out, and so are features that have not been seen before
in the stream. Otherwise nothing is known until all features have been seen. A sample in which the
whole modality is missing is left out.
"""

from typing import NamedTuple

import numpy as np

from sklearn_emma.monitoring.levels import LevelRuns, has_frequent_values
from sklearn_emma.monitoring.statistics import SampleStatistics


class Stuck(NamedTuple):
    """Evidence of stuck sensors in successive clean samples.

    Attributes
    ----------
    e_values : ndarray of shape (n_samples, n_modalities)
        E-values of a stuck sensor, zero for modalities to which this failure is not applied.
    repeats : ndarray of bool of shape (n_samples, n_modalities)
        Whether each sample repeats the one before.
    """

    e_values: np.ndarray
    repeats: np.ndarray


def fill_forward(z: np.ndarray, last: np.ndarray | None = None) -> np.ndarray:
    """Replace missing values by the last value of the same feature.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_features)
        Successive samples. NaN marks missing values.
    last : ndarray of shape (n_features,), default=None
        Last value of each feature before them, NaN if there is none.

    Returns
    -------
    ndarray of shape (n_samples, n_features)
        Filled samples. Values are NaN if there is no earlier one.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.run_lengths import fill_forward
    >>> fill_forward(np.array([[np.nan, 1.0], [2.0, np.nan]]))
    array([[nan,  1.],
           [ 2.,  1.]])
    """
    start = np.full(z.shape[1], np.nan) if last is None else last
    values = np.vstack([start, z])
    known = np.where(np.isnan(values), 0, np.arange(len(values))[:, None])
    return np.take_along_axis(values, np.maximum.accumulate(known), axis=0)[1:]


class RunLengths:
    """E-values of stuck sensors, from runs of repeated samples.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_features)
        Standardized clean samples, from which the probabilities of repeats are estimated. NaN marks
        missing values.
    statistics : SampleStatistics
        Which features belong to which modality, and which are constant. Constant features
        are ignored.
    numbers : ndarray of bool of shape (n_features,), default=None
        True for numerical features, False for indicators of categories. None means that all
        features are numerical.
    rows : ndarray of shape (n_samples, n_features), default=None
        The same samples in the order of their table, from which the durations of levels and of
        frequent values are estimated. None uses `z`.

    Attributes
    ----------
    tolerance_ : ndarray of shape (n_features,)
        Largest change of a feature, in standard deviations, that still counts as a repeat: half of
        the smallest difference between two clean values, which is half of a quantization step.
    tied_ : ndarray of bool of shape (n_modalities,)
        Whether some clean samples of the modality are equal. Quantized sensors, and sensors with a
        resting value, repeat themselves while the process does not change. Others do not.
    hazards_ : ndarray of shape (n_lengths, n_modalities)
        Probability :math:`c(l)` that a run of l = 0, 1, ... repeats continues. The last row holds
        for all longer runs.
    steps_ : ndarray of bool of shape (n_modalities,)
        Whether a modality has categories and equal clean samples.
    levels_ : dict of int to LevelRuns
        Replaces :math:`c(l)` for these modalities, and for those with frequent values. The keys are
        positions of modalities.
    changes_ : ndarray of bool of shape (n_features,)
        Whether a feature never has the same value in two successive clean samples.
    epsilon_ : float
        Probability :math:`\\epsilon` that the value of a stuck sensor changes.
    """

    def __init__(
        self,
        z: np.ndarray,
        statistics: SampleStatistics,
        numbers: np.ndarray | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        self._statistics = statistics
        self.tolerance_ = np.array([_smallest_step(x[~np.isnan(x)]) / 2 for x in z.T])
        complete = [x[~np.isnan(x).any(axis=1)] for x in statistics.split(z)]
        self.tied_ = np.array([_has_ties(x) for x in complete])
        rows = z if rows is None else rows
        present, present_rows = ~statistics.absent(z), ~statistics.absent(rows)
        z, rows = fill_forward(z), fill_forward(rows)
        difference = z[1:] - z[:-1]
        self.changes_ = statistics.varies_ & ~(np.abs(difference) <= self.tolerance_).any(axis=0)
        repeats = self.repeats(difference)
        hazards = [_hazard(r[p]) for r, p in zip(repeats.T, present[1:].T, strict=True)]
        longest = max(map(len, hazards))
        self.hazards_ = np.column_stack(
            [np.pad(h, (0, longest - len(h)), mode="edge") for h in hazards]
        )
        self.epsilon_ = 1.0 / (len(z) + 1)
        categories = statistics.varies_ & (False if numbers is None else ~numbers)
        self.steps_ = statistics.any_feature(categories) & self.tied_
        self.levels_: dict[int, LevelRuns] = {}
        for i in np.flatnonzero(self.tied_).tolist():
            values = self._varying(rows[present_rows[:, i]], i)
            if self.steps_[i] or has_frequent_values(values):
                self.levels_[i] = LevelRuns(values, self._varying(self._rounding(z), i)[0])

    @property
    def by_level_(self) -> np.ndarray:
        """Whether the probability of a repeat depends on the values, shape (n_modalities,)."""
        return np.isin(np.arange(len(self.tied_)), list(self.levels_))

    def _rounding(self, z: np.ndarray) -> np.ndarray:
        """Return the rounding error of values in single precision, shape (1, n_features)."""
        largest = np.nanmax(np.abs(z), axis=0, keepdims=True, initial=0.0)
        offset = np.abs(self._statistics.mean_) / self._statistics.scale_
        return np.finfo(np.float32).eps * (offset + largest)

    def _varying(self, z: np.ndarray, i: int) -> np.ndarray:
        """Return the features of a modality that are not constant."""
        return z[:, self._statistics.positions(self._statistics.varies_)[i]]

    def level_hazards(self, z: np.ndarray) -> np.ndarray:
        """Return the probability that each sample is followed by a repeat, given its values.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_features)
            Standardized samples.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            Probability :math:`c(v)` of a repeat for the modalities in `levels_`, NaN for others.
        """
        found = np.full((len(z), len(self.tied_)), np.nan)
        for i, levels in self.levels_.items():
            # less than one, because the e-value of a change would be infinite at one
            hazards = levels.hazards(self._varying(z, i))
            found[:, i] = np.minimum(hazards, 1.0 - self.epsilon_)
        return found

    def judge(self, repeats: np.ndarray, hazard: np.ndarray) -> np.ndarray:
        """Return the e-values of a stuck sensor.

        Parameters
        ----------
        repeats : ndarray of bool of shape (n_samples, n_modalities)
            Whether each sample repeats the one before.
        hazard : ndarray of shape (n_samples, n_modalities)
            Probability that a clean sample repeats the one before.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            E-values.
        """
        return np.where(repeats, (1 - self.epsilon_) / hazard, self.epsilon_ / (1 - hazard))

    def repeats(self, difference: np.ndarray) -> np.ndarray:
        """Return which differences between samples are small enough to count as repeats.

        Parameters
        ----------
        difference : ndarray of shape (n_samples, n_features)
            Differences between two samples, in standard deviations.

        Returns
        -------
        ndarray of bool of shape (n_samples, n_modalities)
            True for repeats. Always False for modalities whose features are all constant.
        """
        varies = self._statistics.varies_
        same = self._statistics.all_features(~varies | (np.abs(difference) <= self.tolerance_))
        return same & self._statistics.any_feature(varies)

    def __call__(
        self, z: np.ndarray, last: np.ndarray, runs: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return the e-values of a stuck sensor for the next samples of a stream.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_features)
            The next samples, standardized. NaN marks missing values.
        last : ndarray of shape (n_features,)
            Last standardized value of each feature before them, NaN if there is none.
        runs : ndarray of int of shape (n_modalities,)
            Number of consecutive repeats that end with the sample before.

        Returns
        -------
        e_values : ndarray of shape (n_samples, n_modalities)
            E-values of a stuck sensor, one where the modality is missing.
        repeats : ndarray of bool of shape (n_samples, n_modalities)
            Whether each sample repeats the one before.
        runs : ndarray of int of shape (n_modalities,)
            Number of consecutive repeats that end with the last sample.
        last : ndarray of shape (n_features,)
            Last standardized value of each feature up to the last sample, NaN if there is none.
        """
        absent, gaps, z = self._statistics.absent(z), np.isnan(z), fill_forward(z, last)
        earlier = np.vstack([last, z[:-1]])
        varies, any_feature = self._statistics.varies_, self._statistics.any_feature
        unknown = np.isnan(earlier) & varies
        # the repeat of a feature that always changes is as unlikely as that of all features
        enough = np.where(
            any_feature(self.changes_),
            any_feature(~unknown & ~gaps & self.changes_),
            ~any_feature(unknown),
        )
        repeats = self.repeats(np.where(unknown, 0.0, z - earlier)) & enough
        lengths = _lengths(repeats, absent | ~enough, runs)
        before = np.vstack([runs, lengths[:-1]])
        modality = np.arange(len(runs))
        hazard = self.hazards_[np.minimum(before, len(self.hazards_) - 1), modality]
        if self.levels_:
            hazard = np.where(self.by_level_, self.level_hazards(earlier), hazard)
        e_values = self.judge(repeats, hazard)
        e_values[:, ~any_feature(varies)] = 1.0
        e_values[absent | ~enough] = 1.0
        return e_values, repeats, lengths[-1], z[-1]


def _smallest_step(x: np.ndarray) -> float:
    """Return the smallest difference between two unequal values, or zero if all are equal."""
    steps = np.diff(np.unique(x))
    return float(steps.min()) if len(steps) else 0.0


def _has_ties(x: np.ndarray) -> bool:
    """Return whether at least two samples are equal."""
    return len(np.unique(x, axis=0)) < len(x)


def _lengths(repeats: np.ndarray, absent: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the number of consecutive repeats up to each sample, with `start` before the first.

    Samples in which the modality is absent are left out.
    """
    total = start + np.cumsum(repeats & ~absent, axis=0)
    return total - np.maximum.accumulate(np.where(repeats | absent, 0, total), axis=0)


def _hazard(repeats: np.ndarray) -> np.ndarray:
    """Estimate the probability that a run of r repeats continues in clean data."""
    column = repeats[:, None]
    lengths = _lengths(column, np.zeros_like(column), np.zeros(1, dtype=int))
    before = np.append(0, lengths)[: len(lengths)]
    reached = np.bincount(before)
    went_on = np.bincount(before, repeats, minlength=len(reached))
    # runs that are longer than all observed ones are assumed to continue rarely
    usual = min(0.5, (repeats.sum() + 1) / (len(repeats) + 2))
    return np.append((went_on + 1) / (reached + 1 / usual), usual)
