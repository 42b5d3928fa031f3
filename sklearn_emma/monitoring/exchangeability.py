r"""Whether samples are exchangeable, as a monitor without order takes them to be.

If they are, all orders of their rows are equally likely. If rows are in the order of time and the
process is slow, neighbours are alike: sums of q successive values vary more than those of q
independent ones. The *variance ratio* of values :math:`r_t`, centred ranks,

.. math:: V_q = \frac{\frac{1}{n - q + 1} \sum_t (r_t + \dots + r_{t + q - 1})^2}
    {q \, \frac{1}{n} \sum_t r_t^2} \approx 1 + 2 \sum_{L < q} \Bigl(1 - \frac{L}{q}\Bigr) \rho_L,

compares both: q successive samples tell as much as :math:`q / V_q` independent ones (Lo, A. W. and
MacKinlay, A. C. (1988). Stock market prices do not follow random walks: evidence from a simple
specification test. Review of Financial Studies 1; with ranks: Wright, J. H. (2000). Alternative
variance-ratio tests using ranks and signs. Journal of Business & Economic Statistics 18). Ranks
make no assumption on how values are distributed.

There are many columns: the largest :math:`V_q` of all of them has to be larger than that of the
same rows in each of 499 other orders, in which the columns stay together. Exchangeable rows are so
with a probability of at most 1 / 500, whatever the columns have in common (Westfall, P. H. and
Young, S. S. (1993). Resampling-based multiple testing).

Rows may have been shuffled before they are given, so that they show nothing, and the samples of the
stream be in order. These are judged by the autocorrelation :math:`\rho_1` of the stream itself
(:mod:`sklearn_emma.monitoring.dependence`): how much less successive samples differ than clean ones
drawn at random, three standard errors on the safe side. A sensor that saturates differs less, too:
so most modalities have to.
"""

import warnings
from collections.abc import Sequence

import numpy as np
from scipy.stats import rankdata

from sklearn_emma.monitoring.statistics import OF_OTHERS
from sklearn_emma.validation import stacklevel_of_user

__all__ = [
    "is_long_enough",
    "variance_ratios",
    "warn_of_dependent_rows",
    "warn_of_dependent_stream",
]

# q
_WINDOW = 8
# The smallest variance ratio that matters.
_LEAST = 1.5
_N_PERMUTATIONS = 499
# Rows that are tested, the last ones.
_N_ROWS = 2000
# Samples of a stream that have to be known, and the largest autocorrelation that does not matter.
_ENOUGH, _LARGEST = 100, 1 / 3


def variance_ratios(values: np.ndarray) -> np.ndarray:
    r"""Variance ratios :math:`V_8` of the ranks of columns.

    Parameters
    ----------
    values : ndarray of shape (n_samples, n_columns)
        Columns, in order; more than eight samples.

    Returns
    -------
    ndarray of shape (n_columns,)
        About 1 for independent values, at most 8; 0 for constant columns.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_emma.monitoring.exchangeability import variance_ratios
    >>> independent = np.random.RandomState(0).standard_normal(500)
    >>> variance_ratios(np.column_stack([independent, independent.cumsum()])).round(1)
    array([1.1, 7.9])
    """
    return _ratios_of_ranks(_centred_ranks(values))


def warn_of_dependent_rows(
    statistics: np.ndarray, names: Sequence[str], rng: np.random.RandomState
) -> None:
    """Warn if neighbouring rows of clean samples are alike.

    The warning comes if the largest variance ratio is at least 1.5, and that is significant at a
    level of 1 / 500. The last 2,000 rows are tested.

    Parameters
    ----------
    statistics : ndarray of shape (n_samples, n_modalities, n_statistics)
        Statistics of the samples, in the order of their rows.
    names : sequence of str of length n_modalities
        Names of the modalities.
    rng : RandomState
        Draws the permutations. It is only used if the largest ratio is at least 1.5.
    """
    n_samples = min(len(statistics), _N_ROWS)
    if n_samples <= _WINDOW:
        return
    own = np.delete(statistics[-n_samples:], OF_OTHERS, axis=-1)
    ranks = _centred_ranks(own.reshape(n_samples, -1))
    ratios = _ratios_of_ranks(ranks)
    largest = ratios.max()
    if largest < _LEAST:
        return
    others = (_ratios_of_ranks(rng.permutation(ranks)) for _ in range(_N_PERMUTATIONS))
    if any(ratios.max() >= largest for ratios in others):
        return
    name = names[int(ratios.reshape(len(names), -1).max(axis=1).argmax())]
    _warn(
        f"Neighbouring rows of the clean samples are alike, most in modality {name!r}: "
        f"{_WINDOW} of them tell as much as {_WINDOW / largest:.1f} independent samples "
        f"(permutation test, p = {1 / (1 + _N_PERMUTATIONS)}).",
        "If the rows are in the order of time, calibrate with ModalityMonitor(..., ordered=True), "
        "on as many successive clean samples as you have. If they are only sorted, for instance "
        "by class, shuffle them before.",
    )


def is_long_enough(n_samples: tuple[int, int]) -> bool:
    """Tell whether a stream has become long enough to be judged by its last samples.

    Parameters
    ----------
    n_samples : tuple of int
        Length of the stream before and after them.

    Returns
    -------
    bool
        True once in a stream.
    """
    before, after = n_samples
    return before < _ENOUGH <= after


def warn_of_dependent_stream(
    n_samples: tuple[int, int], autocorrelation: np.ndarray, names: Sequence[str]
) -> None:
    """Warn if successive samples of a stream are alike, once, when 100 of them are known.

    Parameters
    ----------
    n_samples : tuple of int
        Length of the stream before and after the last call.
    autocorrelation : ndarray of shape (n_modalities,)
        :math:`\\rho_1`. There is a warning if most are more than a third: at that, two samples of
        an autoregressive process of first order tell as much as one that is independent.
    names : sequence of str of length n_modalities
        Names of the modalities.
    """
    if not is_long_enough(n_samples) or np.mean(autocorrelation > _LARGEST) <= 0.5:
        return
    _warn(
        "Successive samples of the stream differ less than clean samples drawn at random, in "
        f"{np.sum(autocorrelation > _LARGEST)} of {len(names)} modalities, most in "
        f"{names[int(autocorrelation.argmax())]!r}: by a factor of about "
        f"{1.0 - autocorrelation.max():.2g} in their squares.",
        "Calibrate with ModalityMonitor(..., ordered=True), on as many successive clean samples as "
        "you have. They have to be in the order of time: do not shuffle them before, as "
        "train_test_split does, unless it is told shuffle=False.",
    )


def _warn(found: str, advice: str) -> None:
    """Warn the user of what was found."""
    warnings.warn(
        f"{found} The monitor was calibrated with ordered=False, which takes samples to be "
        f"exchangeable: there may be more false alarms than promised. {advice}",
        UserWarning,
        stacklevel=stacklevel_of_user(),
    )


def _centred_ranks(values: np.ndarray) -> np.ndarray:
    """Return ranks minus their mean."""
    ranks = rankdata(values, axis=0)
    return ranks - ranks.mean(axis=0)


def _ratios_of_ranks(ranks: np.ndarray) -> np.ndarray:
    """Return variance ratios of centred ranks."""
    totals = np.cumsum(np.vstack([np.zeros(ranks.shape[1]), ranks]), axis=0)
    sums = totals[_WINDOW:] - totals[:-_WINDOW]
    variance = _WINDOW * np.mean(ranks**2, axis=0)
    return np.mean(sums**2, axis=0) / np.where(variance > 0, variance, 1.0)
