r"""Evidence of failure in one sample: e-values.

An e-value is a likelihood ratio whose mean over clean samples is at most one, so that large values
are as rare as they are large.

**Likelihood ratios.** A classifier that tells the simulated failures k from clean samples, by the
statistics :math:`\varphi` of a sample, estimates :math:`s_k = p_k(\varphi) / p_{clean}(\varphi)`
(Sugiyama, M. et al. (2012). Density ratio estimation in machine learning). N clean samples by
themselves are no evidence about ratios larger than N. How rare larger ones are is extrapolated:
with the probability :math:`\hat p` that the largest ratio of a clean sample is larger still
(:mod:`sklearn_emma.monitoring.tails`),

.. math:: s'_k = \frac{s_k}{1 + \max_j s_j \min(1 / N, \hat p)}, \qquad
    e_k = \frac{1}{1 + \varepsilon_k}\,
    \frac{(N + 1)\, s'_k}{N \max(1, \overline{s'_k}) + \min(N, \max_j s'_j)}

with the mean over clean samples. Without the first factor, and up to N, it is a conformal e-value
(Vovk, V. (2025). Conformal e-prediction. Pattern Recognition 166); beyond, it is as good as the
extrapolation. With an *allowance* :math:`\varepsilon_k` its mean is at most one also if some clean
samples of the stream are more frequent than among those of the calibration, the density ratio of
the two being at most :math:`1 + \varepsilon_k`. It is a half, which costs .4 nats per sample. That
is nothing for failures that a sample shows by several nats, and half of the evidence of noise of
one standard deviation, which has an allowance of .1 where samples are independent.

**Repeats.** A sensor that is stuck repeats itself. With :math:`h(r)` the probability, on clean
samples, that a run of r repeats goes on,

.. math:: e_{stuck} = \frac{1 - \epsilon}{h(r)} \text{ for a repeat}, \qquad
    \frac{\epsilon}{1 - h(r)} \text{ for a change.}

A repeated sample tells nothing else that its predecessor did not. Modalities of categories repeat
samples as a matter of course: see :mod:`sklearn_emma.monitoring.levels`.
"""

import numpy as np

from sklearn_emma.monitoring.failures import ALLOWANCE
from sklearn_emma.monitoring.levels import LevelRuns
from sklearn_emma.monitoring.statistics import SampleStatistics

__all__ = ["RunLengths", "bound_ratios", "conformal_e_values"]


def bound_ratios(log_ratios: np.ndarray, log_bound: np.ndarray | float) -> np.ndarray:
    r"""Bound likelihood ratios: :math:`s_k / (1 + \max_j s_j / b)`.

    Parameters
    ----------
    log_ratios : ndarray of shape (..., n_failures)
        :math:`\log s_k`.
    log_bound : float or ndarray of shape (...,)
        :math:`\log b`.

    Returns
    -------
    ndarray of shape (..., n_failures)
        Bounded ratios, in the proportions of the given ones.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.evidence import bound_ratios
    >>> bound_ratios(np.log([[1.0, 4.0], [1e6, 1e3]]), np.log(100)).round(2)
    array([[ 0.96,  3.85],
           [99.99,  0.1 ]])
    """
    beyond = log_ratios.max(axis=-1, keepdims=True) - np.expand_dims(log_bound, -1)
    return np.exp(log_ratios - np.logaddexp(0.0, beyond))


def conformal_e_values(
    clean_mean: np.ndarray,
    n_clean: int,
    bounded: np.ndarray,
    allowance: np.ndarray | float = ALLOWANCE,
) -> np.ndarray:
    r"""Conformal e-values of bounded likelihood ratios.

    Parameters
    ----------
    clean_mean : ndarray of shape (n_modalities, n_failures)
        Mean of the bounded ratios over clean samples.
    n_clean : int
        Number N of clean samples.
    bounded : ndarray of shape (..., n_modalities, n_failures)
        Bounded ratios of the samples to judge.
    allowance : float or ndarray of shape (n_failures,), default=0.5
        :math:`\varepsilon_k`.

    Returns
    -------
    ndarray of shape (..., n_modalities, n_failures)
        E-values; where no bounded ratio is beyond N, at most :math:`(N + 1) / (2 + 2
        \varepsilon_k)`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.evidence import conformal_e_values
    >>> conformal_e_values(np.array([[2.0]]), 99, np.array([[2.0]])).round(2)
    array([[0.67]])
    """
    largest = np.minimum(bounded.max(axis=-1, keepdims=True), n_clean)
    e_values = (n_clean + 1) * bounded / (n_clean * np.maximum(clean_mean, 1.0) + largest)
    return e_values / (1.0 + allowance)


class RunLengths:
    """Runs of repeated samples, and how unlikely they are on clean data.

    Parameters
    ----------
    z : ndarray of shape (n_samples, n_features)
        Standardised clean samples, in order.
    statistics : SampleStatistics
        Says which features belong together, and which are constant: those are left out.
    numbers : ndarray of bool of shape (n_features,), default=None
        Which features are numbers, and not indicators of categories. None stands for all.
    rows : ndarray of shape (n_samples, n_features), default=None
        The samples in the order of their table, which says how long levels are kept; `z` by
        default.

    Attributes
    ----------
    tolerance_ : ndarray of shape (n_features,)
        Largest change of a feature, in standard deviations, that is still a repeat: half of the
        smallest difference of two clean values, which is half of a step of a quantised sensor.
    tied_ : ndarray of bool of shape (n_modalities,)
        Whether there are equal clean samples. Sensors with steps, or with a value at which they
        rest, repeat themselves for as long as the process stands still; others never do.
    hazards_ : ndarray of shape (n_lengths, n_modalities)
        :math:`h(r)` for r = 0, 1, ...; the last for all longer runs.
    levels_ : dict of int to LevelRuns
        Takes the place of :math:`h(r)` for modalities with categories and equal clean samples.
    epsilon_ : float
        Probability that a stuck sensor changes.
    """

    def __init__(
        self,
        z: np.ndarray,
        statistics: SampleStatistics,
        numbers: np.ndarray | None = None,
        rows: np.ndarray | None = None,
    ) -> None:
        self._statistics = statistics
        self.tolerance_ = np.array([_smallest_step(x) / 2 for x in z.T])
        self.tied_ = np.array([_has_ties(x) for x in statistics.split(z)])
        hazards = [_hazard(repeat) for repeat in self.repeats(z[1:] - z[:-1]).T]
        longest = max(map(len, hazards))
        self.hazards_ = np.column_stack(
            [np.pad(h, (0, longest - len(h)), mode="edge") for h in hazards]
        )
        self.epsilon_ = 1.0 / (len(z) + 1)
        self.levels_: dict[int, LevelRuns] = {}
        if numbers is not None:
            rows = z if rows is None else rows
            categories = statistics.varies_ & ~numbers
            steps = statistics.over_modalities(np.logical_or, categories[None])[0] & self.tied_
            self.levels_ = {
                i: LevelRuns(self._varying(rows, i)) for i in np.flatnonzero(steps).tolist()
            }

    @property
    def steps_(self) -> np.ndarray:
        """Which modalities have categories and equal clean samples, (n_modalities,)."""
        return np.isin(np.arange(len(self.tied_)), list(self.levels_))

    def _varying(self, z: np.ndarray, i: int) -> np.ndarray:
        """Return the features of a modality that are not constant."""
        varies = self._statistics.split(self._statistics.varies_[None])[i][0]
        return self._statistics.split(z)[i][:, varies]

    def level_hazards(self, z: np.ndarray) -> np.ndarray:
        """Probabilities that samples of modalities with steps are repeated.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_features)
            Standardised samples.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            :math:`h(v)`; NaN for other modalities.
        """
        found = np.full((len(z), len(self.tied_)), np.nan)
        for i, levels in self.levels_.items():
            # below one, at which a change would be infinitely much evidence
            hazards = levels.hazards(self._varying(z, i))
            found[:, i] = np.minimum(hazards, 1.0 - self.epsilon_)
        return found

    def judge(self, repeats: np.ndarray, hazard: np.ndarray) -> np.ndarray:
        """Return the e-values of being stuck.

        Parameters
        ----------
        repeats : ndarray of bool of shape (n_samples, n_modalities)
            Whether a sample repeats the one before.
        hazard : ndarray of shape (n_samples, n_modalities)
            Probability that it would.

        Returns
        -------
        ndarray of shape (n_samples, n_modalities)
            E-values.
        """
        return np.where(repeats, (1 - self.epsilon_) / hazard, self.epsilon_ / (1 - hazard))

    def repeats(self, difference: np.ndarray) -> np.ndarray:
        """Tell which differences of samples are repeats.

        Parameters
        ----------
        difference : ndarray of shape (n_samples, n_features)
            In standard deviations.

        Returns
        -------
        ndarray of bool of shape (n_samples, n_modalities)
            True for repeats; never for modalities that are constant.
        """
        varies, reduce = self._statistics.varies_, self._statistics.over_modalities
        same = reduce(np.logical_and, ~varies | (np.abs(difference) <= self.tolerance_))
        return same & reduce(np.logical_or, varies[None])

    def __call__(
        self, z: np.ndarray, last: np.ndarray, runs: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Judge samples that follow others.

        Parameters
        ----------
        z : ndarray of shape (n_samples, n_features)
            Standardised samples.
        last : ndarray of shape (n_features,)
            The sample before; NaN where there is none.
        runs : ndarray of int of shape (n_modalities,)
            Repeats up to that sample.

        Returns
        -------
        e_values : ndarray of shape (n_samples, n_modalities)
            Evidence of being stuck.
        repeats : ndarray of bool of shape (n_samples, n_modalities)
            Whether a sample repeats the one before.
        runs : ndarray of int of shape (n_modalities,)
            Repeats up to the last sample.
        """
        earlier = np.vstack([last, z[:-1]])
        repeats = self.repeats(z - earlier)
        lengths = _lengths(repeats, runs)
        before = np.vstack([runs, lengths[:-1]])
        modality = np.arange(len(runs))
        hazard = self.hazards_[np.minimum(before, len(self.hazards_) - 1), modality]
        if self.levels_:
            hazard = np.where(self.steps_, self.level_hazards(earlier), hazard)
        e_values = self.judge(repeats, hazard)
        varies = self._statistics.varies_
        e_values[:, ~self._statistics.over_modalities(np.logical_or, varies[None])[0]] = 1.0
        if np.isnan(last).any():
            e_values[0] = 1.0
        return e_values, repeats, lengths[-1]


def _smallest_step(x: np.ndarray) -> float:
    """Return the smallest difference of two values; zero if all are equal."""
    steps = np.diff(np.unique(x))
    return float(steps.min()) if len(steps) else 0.0


def _has_ties(x: np.ndarray) -> bool:
    """Tell whether there are equal samples."""
    return len(np.unique(x, axis=0)) < len(x)


def _lengths(repeats: np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return the repeats up to each sample, `start` of them before the first."""
    position = np.arange(1, len(repeats) + 1)[:, None]
    last_change = np.maximum.accumulate(
        np.vstack([-start, np.where(repeats, -start.max(), position)]), axis=0
    )
    return position - last_change[1:]


def _hazard(repeats: np.ndarray) -> np.ndarray:
    """Return the probability that a run of r repeats goes on, from those of clean samples."""
    before = np.append(0, _lengths(repeats[:, None], np.zeros(1, dtype=int))[:-1])
    reached = np.bincount(before)
    went_on = np.bincount(before, repeats, minlength=len(reached))
    # of runs that are longer than any, few go on
    usual = min(0.5, (repeats.sum() + 1) / (len(repeats) + 2))
    return np.append((went_on + 1) / (reached + 1 / usual), usual)
