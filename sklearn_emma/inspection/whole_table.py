"""Find failures in a table as a whole, independent of the order of its samples."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom, ks_2samp

from sklearn_emma.inspection.checks import column_labels
from sklearn_emma.nn.evidence_energy import evidence_of_potential
from sklearn_emma.validation import check_table

#: The columns of the result.
TABLE_FIELDS = ("modality", "column", "finding", "n_samples", "statistic", "p_value")
# Smallest number of samples for a test, significance level of all tests together, and smallest
# distance between two distributions that is reported.
_FEWEST, _LEVEL, _DISTANCE = 10, 0.001, 0.15
_SINGLE = float(np.finfo(np.float32).eps)


def find_in_table(estimator: Any, X: Any, reference: Any = None) -> pd.DataFrame:
    r"""Find columns and modalities that are constant, repeated, or unlike clean samples.

    A failure that leaves every single sample plausible, such as a sensor that is stuck at an
    ordinary value, can be detected in the table as a whole. The tests assume independent samples.
    Their significance level is 0.001 after Bonferroni correction:

    * *constant*: all values are equal. The p-value is :math:`s^n`, where s is the fraction of this
      value in the reference. It is NaN without a reference. A column that was constant in training
      and still has this value is not reported.
    * *repeated*: the most frequent sample of a modality is more frequent than that of the
      reference, by a binomial test. The statistic is its fraction.
    * *unlike clean samples*: the distribution differs from that of the reference, by the two-sample
      Kolmogorov-Smirnov test. The statistic is the largest difference between the distribution
      functions. It is reported only if it is at least 0.15.
    * *unusual energies*, *does not fit the others*: the same test for the own energy of a modality,
      and for its disagreement with the others.

    Parameters
    ----------
    estimator : EMMAClassifier or EMMARegressor
        Fitted estimator.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.
    reference : array-like or DataFrame of shape (n_reference, n_features), default=None
        Clean samples. Without them, only constant columns are found.

    Returns
    -------
    DataFrame of shape (n_findings, 6)
        Findings, with ``modality``, ``column`` (empty if the finding concerns the whole modality),
        ``finding``, ``n_samples`` (the number of samples it is about), ``statistic`` (NaN for
        *constant*) and ``p_value``.
    """
    table = check_table(estimator, X, ensure_all_finite="allow-nan", reset=False)
    clean = None
    if reference is not None:
        clean = check_table(estimator, reference, ensure_all_finite="allow-nan", reset=False)
    labels = column_labels(estimator, X)
    usual = _constants(estimator)
    found: list[tuple] = []
    n_tests = table.shape[1] + 3 * len(estimator.modality_names_)
    for name, columns in zip(estimator.modality_names_, estimator.modality_columns_, strict=True):
        own = None if clean is None else clean[:, columns]
        for finding in _in_modality(table[:, columns], own, usual[columns]):
            column, *rest = finding
            found.append((name, "" if column is None else str(labels[columns[column]]), *rest))
    if clean is not None:
        quantities = zip(_energies(estimator, X), _energies(estimator, reference), strict=True)
        for what, (here, there) in zip(
            ("unusual energies", "does not fit the others"), quantities, strict=True
        ):
            for i, name in enumerate(estimator.modality_names_):
                found += [(name, "", what, *r) for r in _compare(here[:, i], there[:, i])]
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
    table: np.ndarray, clean: np.ndarray | None, usual: np.ndarray
) -> Iterator[tuple[int | None, str, int, float, float]]:
    """Yield findings as tuples of column or None, finding, n_samples, statistic and p-value."""
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
                p_value = float(np.mean(clean[:, j] == known[0]) ** len(known))
            yield j, "constant", len(known), np.nan, p_value
        elif clean is not None:
            yield from ((j, "unlike clean samples", *r) for r in _compare(values, clean[:, j]))
    if clean is None or constant.all():
        return
    count, n_samples = _most_frequent(table[:, varies])
    expected, n_clean = _most_frequent(clean[:, varies])
    if count > 1 and n_samples >= _FEWEST:
        p_value = float(binom.sf(count - 1, n_samples, (expected + 1) / (n_clean + 2)))
        yield None, "repeated", count, count / n_samples, p_value


def _most_frequent(table: np.ndarray) -> tuple[int, int]:
    """Return the count of the most frequent complete sample, and the number of complete samples."""
    complete = table[~np.isnan(table).any(axis=1)]
    if complete.size == 0:
        return 0, 0
    return int(np.unique(complete, axis=0, return_counts=True)[1].max()), len(complete)


def _compare(values: np.ndarray, clean: np.ndarray) -> list[tuple[int, float, float]]:
    """Return n_samples, statistic and p-value if two distributions differ enough, else nothing."""
    values, clean = values[np.isfinite(values)], clean[np.isfinite(clean)]
    if min(len(values), len(clean)) < _FEWEST:
        return []
    test = ks_2samp(values, clean, method="asymp")
    if test.statistic < _DISTANCE:
        return []
    return [(len(values), float(test.statistic), float(test.pvalue))]


def _energies(estimator: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return own energies and the disagreement with the others, NaN for missing modalities."""
    own, gaps, cross_modal = estimator.energy_parts(X)
    whole = np.where(np.isfinite(gaps), own, np.nan)
    disagreement = evidence_of_potential(cross_modal, estimator.potential_scale_)
    return whole, np.where(np.isfinite(gaps), disagreement, np.nan)
