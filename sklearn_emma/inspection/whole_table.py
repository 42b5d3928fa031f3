"""Find failures in a table as a whole, whatever the order of its samples."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom, ks_2samp, kstwobign, rankdata

from sklearn_emma.inspection.checks import column_labels
from sklearn_emma.nn.evidence_energy import evidence_of_potential
from sklearn_emma.validation import check_table

#: The columns of the result.
TABLE_FIELDS = ("modality", "column", "finding", "n_samples", "statistic", "p_value")
# Smallest number of samples for a test, significance level of all tests together, and smallest
# distance between two distributions that is reported.
_FEWEST, _LEVEL, _DISTANCE = 10, 0.001, 0.15
# Quantile of the reference above which energies are counted.
_HIGH = 0.99
_SINGLE = float(np.finfo(np.float32).eps)


def find_in_table(
    estimator: Any, X: Any, reference: Any = None, ordered: bool = False
) -> pd.DataFrame:
    r"""Find columns and modalities that are constant, missing, repeated, or unlike clean samples.

    A failure that leaves every single sample plausible, such as a sensor that is stuck at an
    ordinary value, can be detected in the table as a whole. The significance level of all tests
    together is 0.001, by Bonferroni correction:

    * *constant*: all values are equal. The p-value is :math:`s^n`, where s is the fraction of this
      value in the reference. It is NaN without a reference. A column that was constant in training
      and still has this value is not reported.
    * *missing*: a larger fraction of the values is missing than in the reference, by a binomial
      test. The statistic is this fraction. It is reported only if it is larger by at least 0.15,
      and once for the modality if all its columns are concerned. Without a reference, columns
      without any value are reported.
    * *repeated*: the most frequent sample of a modality is more frequent than that of the
      reference, by a binomial test. The statistic is its fraction.
    * *unlike clean samples*: the distribution differs from that of the reference, by the two-sample
      Kolmogorov-Smirnov test. The statistic is the largest difference between the distribution
      functions. It is reported only if it is at least 0.15.
    * *unusual energies*, *does not fit the others*: the same test for the own energy of a modality,
      and for its disagreement with the others; or a binomial test for the number of values above
      the 99 % quantile of the reference, which detects failures of a part of the samples better.
      The p-value is twice the smaller one.

    The tests assume independent samples. If samples are in temporal order, numbers of samples are
    divided by the autocorrelation time of the reference,

    .. math:: \tau = 1 + 2 \sum_{L=1}^{W} \rho_L,

    where :math:`\rho_L` is the autocorrelation of the ranks of a column at lag L, and W is the
    smallest window with :math:`W \ge 5 \tau` (Sokal, A. (1997). Monte Carlo methods in statistical
    mechanics).

    Parameters
    ----------
    estimator : EMMAClassifier or EMMARegressor
        Fitted estimator.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.
    reference : array-like or DataFrame of shape (n_reference, n_features), default=None
        Clean samples. Without them, only constant columns and columns without values are found.
    ordered : bool, default=False
        Whether the rows of `X` and `reference` are in temporal order.

    Returns
    -------
    DataFrame of shape (n_findings, 6)
        Findings, with ``modality``, ``column`` (empty if the finding concerns the whole modality),
        ``finding``, ``n_samples`` (the number of samples it is about), ``statistic`` (NaN for
        *constant*) and ``p_value`` (NaN without a reference).
    """
    table = check_table(estimator, X, ensure_all_finite="allow-nan", reset=False)
    clean = None
    if reference is not None:
        clean = check_table(estimator, reference, ensure_all_finite="allow-nan", reset=False)
    labels = column_labels(estimator, X)
    usual = _constants(estimator)
    found: list[tuple] = []
    n_tests = 2 * table.shape[1] + 3 * len(estimator.modality_names_)
    for name, columns in zip(estimator.modality_names_, estimator.modality_columns_, strict=True):
        own = None if clean is None else clean[:, columns]
        tau = np.ones(len(columns))
        if own is not None and ordered:
            tau = np.array([_autocorrelation_time(values) for values in own.T])
        for finding in _in_modality(table[:, columns], own, usual[columns], tau):
            column, *rest = finding
            found.append((name, "" if column is None else str(labels[columns[column]]), *rest))
    if clean is not None:
        quantities = zip(_energies(estimator, X), _energies(estimator, reference), strict=True)
        for what, (here, there) in zip(
            ("unusual energies", "does not fit the others"), quantities, strict=True
        ):
            for i, name in enumerate(estimator.modality_names_):
                time = _autocorrelation_time(there[:, i]) if ordered else 1.0
                pair = here[:, i], there[:, i]
                found += [(name, "", what, *r) for r in _compare(*pair, time, upper_tail=True)]
    frame = pd.DataFrame(found, columns=list(TABLE_FIELDS))
    certain = ~(frame["p_value"].to_numpy(dtype=float) * n_tests > _LEVEL)
    return frame[certain].reset_index(drop=True)


def _constants(estimator: Any) -> np.ndarray:
    """Return the value of each column that was constant in training, and NaN for other columns."""
    # the scale of a column that was constant in training is one
    values = np.where(estimator.scale_ == 1.0, estimator.mean_, np.nan)
    for column, counts in estimator.category_counts_.items():
        values[column] = counts.argmax() if np.count_nonzero(counts) == 1 else np.nan
    return values


def _in_modality(
    table: np.ndarray, clean: np.ndarray | None, usual: np.ndarray, tau: np.ndarray
) -> Iterator[tuple[int | None, str, int, float, float]]:
    """Yield findings as tuples of column or None, finding, n_samples, statistic and p-value."""
    yield from _missing(table, clean, tau)
    if clean is not None:
        varies = np.array([len(np.unique(c[~np.isnan(c)])) > 1 for c in clean.T])
        usual = np.where(varies, np.nan, usual)  # columns that vary may have a scale of one too
    constant = np.zeros(table.shape[1], dtype=bool)
    for j, values in enumerate(table.T):
        known = values[~np.isnan(values)]
        constant[j] = len(known) >= _FEWEST and (known == known[0]).all()
        # samples may be rounded to single precision
        constant[j] &= not np.isclose(known[:1], usual[j], rtol=_SINGLE, atol=0.0).any()
        if constant[j]:
            p_value = np.nan
            if clean is not None:
                p_value = float(np.mean(clean[:, j] == known[0]) ** (len(known) / tau[j]))
            yield j, "constant", len(known), np.nan, p_value
        elif clean is not None:
            differs = _compare(values, clean[:, j], tau[j])
            yield from ((j, "unlike clean samples", *r) for r in differs)
    if clean is None or constant.all():
        return
    count, n_samples = _most_frequent(table[:, varies])
    expected, n_clean = _most_frequent(clean[:, varies])
    if count > 1 and n_samples >= _FEWEST:
        p_value = _more_frequent((count, n_samples), (expected, n_clean), tau.max())
        yield None, "repeated", count, count / n_samples, p_value


def _missing(
    table: np.ndarray, clean: np.ndarray | None, tau: np.ndarray
) -> Iterator[tuple[int | None, str, int, float, float]]:
    """Yield columns with more missing values than in clean samples, or the modality if all have."""
    gaps = np.isnan(table)
    n_samples, counts = len(table), gaps.sum(axis=0)
    if n_samples < _FEWEST:
        return
    if clean is None:
        more = counts == n_samples
        p_values = np.full(len(counts), np.nan)
    else:
        usual = np.isnan(clean).sum(axis=0)
        more = counts / n_samples - usual / len(clean) >= _DISTANCE
        p_values = np.array(
            [
                _more_frequent((count, n_samples), (before, len(clean)), time)
                for count, before, time in zip(counts, usual, tau, strict=True)
            ]
        )
    if more.all():
        count = int(gaps.any(axis=1).sum())
        yield None, "missing", count, count / n_samples, float(p_values.max())
        return
    for j in np.flatnonzero(more):
        yield int(j), "missing", int(counts[j]), counts[j] / n_samples, float(p_values[j])


def _more_frequent(
    found: tuple[int, int], clean: tuple[int, int], autocorrelation_time: float
) -> float:
    """Return the p-value of a number of samples out of all, given those of clean samples."""
    (count, n_samples), (expected, n_clean) = (
        np.array(numbers) / autocorrelation_time for numbers in (found, clean)
    )
    share = (expected + 1) / (n_clean + 2)
    return float(binom.sf(np.floor(count) - 1, np.ceil(n_samples), share))


def _autocorrelation_time(values: np.ndarray) -> float:
    """Return the autocorrelation time of values in temporal order, at least one; NaN is ignored."""
    known = values[np.isfinite(values)]
    n = len(known)
    ranks = rankdata(known) - (n + 1) / 2
    if n < _FEWEST or not ranks.any():
        return 1.0
    spectrum = np.abs(np.fft.rfft(ranks, 2 * n)) ** 2
    autocorrelation = np.fft.irfft(spectrum)[:n]
    times = 2 * np.cumsum(autocorrelation / autocorrelation[0]) - 1
    wide_enough = np.flatnonzero(np.arange(n) >= 5 * times)
    return float(max(times[wide_enough[0] if len(wide_enough) else -1], 1.0))


def _most_frequent(table: np.ndarray) -> tuple[int, int]:
    """Return the count of the most frequent complete sample, and the number of complete samples."""
    complete = table[~np.isnan(table).any(axis=1)]
    if complete.size == 0:
        return 0, 0
    return int(np.unique(complete, axis=0, return_counts=True)[1].max()), len(complete)


def _compare(
    values: np.ndarray, clean: np.ndarray, autocorrelation_time: float, upper_tail: bool = False
) -> list[tuple[int, float, float]]:
    """Return n_samples, statistic and p-value if two distributions differ enough, else nothing."""
    values, clean = values[np.isfinite(values)], clean[np.isfinite(clean)]
    if min(len(values), len(clean)) < _FEWEST:
        return []
    test = ks_2samp(values, clean, method="asymp")
    if test.statistic < _DISTANCE:
        return []
    p_value = test.pvalue
    if autocorrelation_time > 1:
        size = len(values) * len(clean) / (len(values) + len(clean)) / autocorrelation_time
        p_value = kstwobign.sf(np.sqrt(size) * test.statistic)
    if upper_tail:
        high = np.quantile(clean, _HIGH)
        counts = ((values > high).sum(), len(values)), ((clean > high).sum(), len(clean))
        p_value = min(1.0, 2 * min(p_value, _more_frequent(*counts, autocorrelation_time)))
    return [(len(values), float(test.statistic), float(p_value))]


def _energies(estimator: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return own energies and the disagreement with the others, NaN for missing modalities."""
    own, gaps, cross_modal = estimator.energy_parts(X)
    whole = np.where(np.isfinite(gaps), own, np.nan)
    disagreement = evidence_of_potential(cross_modal, estimator.potential_scale_)
    return whole, np.where(np.isfinite(gaps), disagreement, np.nan)
