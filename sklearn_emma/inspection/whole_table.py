"""Find failures in a table as a whole, whatever the order of its samples."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from sklearn_emma.inspection.checks import column_labels
from sklearn_emma.inspection.two_samples import distance, more_frequent
from sklearn_emma.monitoring.autocorrelation import autocorrelation_time
from sklearn_emma.nn.evidence_energy import evidence_of_potential
from sklearn_emma.validation import read_samples

#: The columns of the result.
TABLE_FIELDS = ("modality", "column", "finding", "n_samples", "statistic", "p_value")
# Smallest number of samples for a test, significance level of all tests together, and smallest
# distance between two distributions that is reported.
_FEWEST, _LEVEL, _DISTANCE = 10, 0.001, 0.15
# Quantile of the reference above which energies are counted, and smallest difference between the
# fractions above it that is reported.
_HIGH, _MORE_HIGH = 0.99, 0.05
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
    * *missing*: a larger fraction of the values is missing than in the reference, by a test of
      :mod:`~sklearn_emma.inspection.two_samples`. The statistic is this fraction. It is reported
      only if it is larger by at least 0.15. Samples in which the whole modality is missing are
      counted for the modality, and not for its columns. Without a reference, modalities and columns
      without any value are reported.
    * *repeated*: the most frequent sample of a modality is more frequent than that of the
      reference, by the same test. The statistic is its fraction.
    * *unlike clean samples*: the distribution differs from that of the reference, by the two-sample
      Kolmogorov-Smirnov test. The statistic is the largest difference between the distribution
      functions. It is reported only if it is at least 0.15.
    * *unusual energies*, *does not fit the others*: the own energy of a modality, or its
      disagreement with the others, differs from that of the reference. Two tests are combined; the
      p-value is twice the smaller one: the Kolmogorov-Smirnov test, which gives the statistic, and
      a test for values above the 99 % quantile of the reference, which detects failures of a part
      of the samples. It is reported only if the statistic is at least 0.15, or if at least 5 %
      more values are above the quantile.

    The tests assume independent samples, or samples in temporal order whose autocorrelation is that
    of the reference.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor, GatedClassifier or GatedRegressor
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
    table = read_samples(estimator, X)
    clean = None
    if reference is not None:
        clean = read_samples(estimator, reference)
    labels = column_labels(estimator, X)
    usual = _constants(estimator)
    found: list[tuple] = []
    n_tests = 2 * table.shape[1] + 4 * len(estimator.modality_names_)
    for name, columns in zip(estimator.modality_names_, estimator.modality_columns_, strict=True):
        own = None if clean is None else clean[:, columns]
        for finding in _in_modality(table[:, columns], own, usual[columns], ordered):
            column, *rest = finding
            found.append((name, "" if column is None else str(labels[columns[column]]), *rest))
    if clean is not None:
        quantities = zip(_energies(estimator, X), _energies(estimator, reference), strict=True)
        for what, (here, there) in zip(
            ("unusual energies", "does not fit the others"), quantities, strict=True
        ):
            for i, name in enumerate(estimator.modality_names_):
                result = _compare_energies(here[:, i], there[:, i], ordered)
                found += [(name, "", what, *result)] if result else []
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
    table: np.ndarray, clean: np.ndarray | None, usual: np.ndarray, ordered: bool
) -> Iterator[tuple[int | None, str, int, float, float]]:
    """Yield findings as tuples of column or None, finding, n_samples, statistic and p-value."""
    yield from _missing(np.isnan(table), None if clean is None else np.isnan(clean), ordered)
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
                time = _time(clean[:, j], ordered)
                p_value = float(np.mean(clean[:, j] == known[0]) ** (len(known) / time))
            yield j, "constant", len(known), np.nan, p_value
        elif clean is not None and _enough(values, clean[:, j]):
            statistic, p_value = distance(values, clean[:, j], _time(clean[:, j], ordered))
            if statistic >= _DISTANCE:
                yield j, "unlike clean samples", len(known), statistic, p_value
    if clean is None or constant.all():
        return
    here, there = (_most_frequent(samples[:, varies]) for samples in (table, clean))
    if here.sum() > 1 and len(here) >= _FEWEST:
        count, p_value = int(here.sum()), more_frequent(here, there, _time(there, ordered))
        yield None, "repeated", count, count / len(here), p_value


def _missing(
    gaps: np.ndarray, clean: np.ndarray | None, ordered: bool
) -> Iterator[tuple[int | None, str, int, float, float]]:
    """Yield the modality if all its columns are missing too often, and single columns."""
    if len(gaps) < _FEWEST:
        return
    whole = np.asarray(gaps.all(axis=1))
    if clean is None:
        empty: list = [None] if whole.all() else np.flatnonzero(gaps.all(axis=0)).tolist()
        yield from ((column, "missing", len(gaps), 1.0, np.nan) for column in empty)
        return
    whole_clean = np.asarray(clean.all(axis=1))
    # samples without any value of the modality are not counted for its single columns
    single = zip((gaps & ~whole[:, None]).T, (clean & ~whole_clean[:, None]).T, strict=True)
    for column, (here, there) in zip(
        [None, *range(gaps.shape[1])], [(whole, whole_clean), *single], strict=True
    ):
        if here.mean() - there.mean() >= _DISTANCE:
            p_value = more_frequent(here, there, _time(there, ordered))
            yield column, "missing", int(here.sum()), float(here.mean()), p_value


def _time(clean: np.ndarray, ordered: bool) -> float:
    """Return the autocorrelation time of clean samples, or one if they are not ordered."""
    return autocorrelation_time(clean.astype(float)) if ordered else 1.0


def _enough(values: np.ndarray, clean: np.ndarray) -> bool:
    """Return whether there are enough values to compare two distributions."""
    return min(np.isfinite(values).sum(), np.isfinite(clean).sum()) >= _FEWEST


def _most_frequent(table: np.ndarray) -> np.ndarray:
    """Return which complete samples are equal to the most frequent one."""
    complete = table[~np.isnan(table).any(axis=1)]
    if complete.size == 0:
        return np.zeros(0, dtype=bool)
    _, number, counts = np.unique(complete, axis=0, return_inverse=True, return_counts=True)
    return number.ravel() == counts.argmax()


def _energies(estimator: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return own energies and the disagreement with the others, NaN for missing modalities."""
    own, gaps, cross_modal = estimator.energy_parts(X)
    whole = np.where(np.isfinite(gaps), own, np.nan)
    disagreement = evidence_of_potential(cross_modal, estimator.potential_scale_)
    return whole, np.where(np.isfinite(gaps), disagreement, np.nan)


def _compare_energies(
    values: np.ndarray, clean: np.ndarray, ordered: bool
) -> tuple[int, float, float] | None:
    """Return n_samples, statistic and p-value if energies are unlike clean ones, else None."""
    if not _enough(values, clean):
        return None
    # that of events above a quantile would be too short, because there are only a few of them
    time = _time(clean, ordered)
    statistic, p_value = distance(values, clean, time)
    high = np.quantile(clean[np.isfinite(clean)], _HIGH)
    above, above_clean = values > high, clean > high
    if max(statistic - _DISTANCE, above.mean() - above_clean.mean() - _MORE_HIGH) < 0:
        return None
    p_value = min(1.0, 2 * min(p_value, more_frequent(above, above_clean, time)))
    return int(np.isfinite(values).sum()), statistic, p_value
