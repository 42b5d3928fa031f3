r"""Test whether samples are exchangeable, as a monitor with ``ordered=False`` assumes.

Samples are exchangeable if all orders of their rows are equally likely. If the rows are in temporal
order and the process is slow, neighboring rows are similar: sums of q successive values vary more
than sums of q independent values. The *variance ratio* of centered ranks :math:`r_t`,

.. math:: V_q = \frac{\frac{1}{n - q + 1} \sum_t (r_t + \dots + r_{t + q - 1})^2}
    {q \, \frac{1}{n} \sum_t r_t^2} \approx 1 + 2 \sum_{L < q} \Bigl(1 - \frac{L}{q}\Bigr) \rho_L,

compares these variances: q successive samples are worth as much as :math:`q / V_q` independent ones
(Lo, A. W. and MacKinlay, A. C. (1988). Stock market prices do not follow random walks: evidence
from a simple specification test. Review of Financial Studies 1; with ranks: Wright, J. H. (2000).
Alternative variance-ratio tests using ranks and signs. Journal of Business & Economic Statistics
18). Ranks need no assumption about the distribution of the values.

To correct for the number of columns, a permutation test compares the largest :math:`V_q` over all
columns with that of the same rows in 499 random orders. There is a warning only if it is larger
than all of these. This happens for exchangeable rows with a probability of at most 1 / 500,
whatever the dependence between columns (Westfall, P. H. and Young, S. S. (1993). Resampling-based
multiple testing).

The calibration rows may have been shuffled although the samples of the stream are in temporal
order. The test above cannot detect this. The stream is therefore judged by its own autocorrelation
:math:`\rho_1` (:mod:`sklearn_emma.monitoring.dependence`), which measures how much less successive
samples differ than random pairs of clean samples, minus three standard errors. The differences of a
saturating sensor are small, too, so there is a warning only if most modalities are autocorrelated.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from sklearn_emma.monitoring.statistics import OF_OTHERS
from sklearn_emma.user_warnings import stacklevel_of_user

__all__ = [
    "find_dependence",
    "is_long_enough",
    "variance_ratios",
    "warn_of_dependent_rows",
    "warn_of_dependent_stream",
    "warn_of_few_samples",
    "warn_of_long_repeats",
    "warn_of_slow_process",
]

# q
_WINDOW = 8
# The smallest variance ratio that gives a warning.
_LEAST = 1.5
_N_PERMUTATIONS = 499
# Number of rows that are tested. These are the last ones.
_N_ROWS = 2000
# Smallest number of clean samples in temporal order without a warning.
_FEWEST_IN_ORDER = 100
# Stream length at which dependence is tested, and largest autocorrelation without a warning.
_ENOUGH, _LARGEST = 100, 1 / 3


def variance_ratios(values: np.ndarray) -> np.ndarray:
    r"""Return the variance ratio :math:`V_8` of the ranks of each column.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_columns)
        More than eight samples, in the order that is to be tested.

    Returns
    -------
    ndarray of shape (n_columns,)
        Variance ratios: about 1 for independent values, at most 8, and 0 for constant columns.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.exchangeability import variance_ratios
    >>> independent = np.random.RandomState(0).standard_normal(500)
    >>> variance_ratios(np.column_stack([independent, independent.cumsum()])).round(1)
    array([1.1, 7.9])
    """
    return _ratios_of_ranks(_centered_ranks(values))


def find_dependence(values: np.ndarray, rng: np.random.RandomState) -> tuple[str, int] | None:
    """Find out if neighboring rows are similar, by a permutation test at a level of 1 / 500.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_columns)
        Samples in the order of their rows. The last 2,000 are tested.
    rng : RandomState
        Generator that draws the permutations. Used only if the largest ratio is at least 1.5.

    Returns
    -------
    tuple of (str, int) or None
        How many independent samples eight neighboring rows are worth, in words, and the column with
        the largest variance ratio. None if rows are not significantly similar.
    """
    if min(len(values), _N_ROWS) <= _WINDOW:
        return None
    ranks = _centered_ranks(values[-_N_ROWS:])
    ratios = _ratios_of_ranks(ranks)
    largest = ratios.max()
    if largest < _LEAST:
        return None
    others = (_ratios_of_ranks(rng.permutation(ranks)) for _ in range(_N_PERMUTATIONS))
    if any(ratios.max() >= largest for ratios in others):
        return None
    worth = f"{_WINDOW} of them are worth only {_WINDOW / largest:.1f} independent samples"
    return worth, int(ratios.argmax())


def warn_of_dependent_rows(
    statistics: np.ndarray, names: Sequence[str], rng: np.random.RandomState
) -> None:
    """Warn if neighboring rows of clean samples are similar.

    There is a warning if the largest variance ratio is at least 1.5 and significant at a level of
    1 / 500. The last 2,000 rows are tested.

    Parameters
    ----------
    statistics : ndarray of shape (n_samples, n_modalities, n_statistics)
        Statistics of the samples, in the order of their rows.
    names : sequence of str of length n_modalities
        Names of the modalities.
    rng : RandomState
        Generator that draws the permutations. Used only if the largest ratio is at least 1.5.
    """
    own = np.delete(statistics, OF_OTHERS, axis=-1)
    found = find_dependence(own.reshape(len(own), -1), rng)
    if found is None:
        return
    worth, column = found
    name = names[column // own.shape[-1]]
    _warn(
        f"Neighboring rows of the clean samples are similar, most clearly in modality {name!r}: "
        f"{worth} (permutation test, p = {1 / (1 + _N_PERMUTATIONS)}).",
        "If the rows are in temporal order, calibrate with ModalityMonitor(..., ordered=True), "
        "on as many successive clean samples as you have. If they are only sorted, for instance "
        "by class, shuffle them before.",
    )


def warn_of_few_samples(n_samples: int) -> None:
    """Warn if there are too few clean samples in temporal order to calibrate on.

    Parameters
    ----------
    n_samples : int
        Number of clean samples.
    """
    if n_samples < _FEWEST_IN_ORDER:
        warnings.warn(
            f"The monitor is calibrated on {n_samples} clean samples in temporal order. With fewer "
            f"than {_FEWEST_IN_ORDER}, there may be more false alarms than requested. Pass more "
            "successive clean samples.",
            UserWarning,
            stacklevel=stacklevel_of_user(),
        )


def warn_of_slow_process(
    names: Sequence[str], worth: np.ndarray, by_values: np.ndarray, by_innovations: np.ndarray
) -> None:
    """Warn if some modality changes so slowly that simulated failures cannot raise an alarm.

    Parameters
    ----------
    names : sequence of str of length n_modalities
        Names of the modalities.
    worth : ndarray of shape (n_modalities,)
        Number of independent samples that a sample is worth.
    by_values, by_innovations : ndarray of bool of shape (n_modalities,)
        Whether failures can raise an alarm by values and residuals, and by values and innovations.
    """
    _warn_of_slow(
        names,
        worth,
        ~by_values & ~by_innovations,
        "noise, offset, gain and mismatch can hardly raise an alarm. Missing values and, unless "
        "clean values repeat, stuck sensors still can",
    )
    _warn_of_slow(
        names,
        worth,
        ~by_values & by_innovations,
        "a drift, or an offset that starts slowly, can hardly raise an alarm. Noise, sudden "
        "changes and missing values still can, and so can stuck sensors unless clean values repeat",
    )


def _warn_of_slow(names: Sequence[str], worth: np.ndarray, slow: np.ndarray, effect: str) -> None:
    """Warn of modalities that change too slowly, and of the effect."""
    if not slow.any():
        return
    listed = ", ".join(
        f"{names[i]!r} ({1.0 / worth[i]:.0f} samples are worth one independent sample)"
        if worth[i]
        else f"{names[i]!r} (the samples give no evidence)"
        for i in np.flatnonzero(slow).tolist()
    )
    warnings.warn(
        f"The clean samples of modality {listed} depend so strongly on each other that {effect}. "
        "Calibrate on a longer stream, read fewer samples per unit of time, raise false_alarms, or "
        "lower recovery_rate and hazard_rate.",
        UserWarning,
        stacklevel=stacklevel_of_user(),
    )


def warn_of_long_repeats(names: Sequence[str], exponents: np.ndarray) -> None:
    """Warn if clean samples repeat for so long that a stuck sensor cannot raise an alarm.

    Parameters
    ----------
    names : sequence of str of length n_modalities
        Names of the modalities.
    exponents : ndarray of shape (n_modalities,)
        Exponents of the e-values of stuck sensors.
    """
    listed = ", ".join(repr(names[i]) for i in np.flatnonzero(exponents == 0).tolist())
    if listed:
        warnings.warn(
            f"In the clean samples, modality {listed} repeats its values for so long that stuck "
            "values give no evidence of a failure. If the sensor was stuck, leave these samples "
            "out. Otherwise calibrate on a longer stream, or read fewer samples per unit of time.",
            UserWarning,
            stacklevel=stacklevel_of_user(),
        )


def is_long_enough(before: int, after: int) -> bool:
    """Return whether a stream has just reached the length at which its dependence is tested.

    Parameters
    ----------
    before, after : int
        Length of the stream before and after the last update.

    Returns
    -------
    bool
        True for exactly one update of a stream, the one with its 100th sample.
    """
    return before < _ENOUGH <= after


def warn_of_dependent_stream(autocorrelation: np.ndarray, names: Sequence[str]) -> None:
    """Warn if successive samples of a stream are similar.

    Parameters
    ----------
    autocorrelation : ndarray of shape (n_modalities,)
        Autocorrelation :math:`\\rho_1` at a lag of one. There is a warning if it exceeds one third
        in most modalities. At one third, two samples of a first-order autoregressive process are
        worth one independent sample.
    names : sequence of str of length n_modalities
        Names of the modalities.
    """
    if np.mean(autocorrelation > _LARGEST) <= 0.5:
        return
    _warn(
        "Successive samples of the stream differ less than random pairs of clean samples in "
        f"{np.sum(autocorrelation > _LARGEST)} of {len(names)} modalities, most clearly in "
        f"{names[int(autocorrelation.argmax())]!r}: their squared differences are only about "
        f"{1.0 - autocorrelation.max():.2g} times as large.",
        "Calibrate with ModalityMonitor(..., ordered=True), on as many successive clean samples as "
        "you have. They must be in temporal order: do not shuffle them before. Note that "
        "train_test_split shuffles unless shuffle=False.",
    )


def _warn(found: str, advice: str) -> None:
    """Warn the user that the samples are not exchangeable, and give advice."""
    warnings.warn(
        f"{found} The monitor was calibrated with ordered=False, which assumes exchangeable "
        f"samples: there may be more false alarms than requested. {advice}",
        UserWarning,
        stacklevel=stacklevel_of_user(),
    )


def _centered_ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks minus their mean."""
    ranks = rankdata(values, axis=0)
    return ranks - ranks.mean(axis=0)


def _ratios_of_ranks(ranks: np.ndarray) -> np.ndarray:
    """Return variance ratios of centered ranks."""
    totals = np.cumsum(np.vstack([np.zeros(ranks.shape[1]), ranks]), axis=0)
    sums = totals[_WINDOW:] - totals[:-_WINDOW]
    variance = _WINDOW * np.mean(ranks**2, axis=0)
    return np.mean(sums**2, axis=0) / np.where(variance > 0, variance, 1.0)
