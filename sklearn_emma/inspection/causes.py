"""The modality of a sample whose energy is highest, and the columns that it comes from."""

from typing import Any, NamedTuple

import numpy as np

from sklearn_emma.energy.scorer import DAEEnergyScorer
from sklearn_emma.gate.readings import Readings
from sklearn_emma.nn.evidence_price import relative_potential
from sklearn_emma.validation import check_table, standardise

#: Columns named for a sample, and the smallest share of the energy with which one is named.
_MOST, _LEAST = 3, 0.1
_REASONS = ("missing", "gaps", "does not fit the others", "unusual values")


class Causes(NamedTuple):
    """Why samples are out-of-distribution.

    Attributes
    ----------
    modality : list of str
        The worst modality of each sample: the one whose energy is highest above that of clean
        training samples, in units of its ``potential_scale_``.
    reason : list of str
        "missing"; "gaps" where most of the energy is the cost of single missing values; "does not
        fit the others" where most of it comes from the other modalities; or "unusual values".
    columns : list of str
        Columns that the energy comes from and their shares, such as ``"a 70%, b 20%"``; those
        without a value for gaps; none where the modality does not fit the others.
    """

    modality: list[str]
    reason: list[str]
    columns: list[str]


def find_causes(estimator: Any, X: Any, readings: Readings, chosen: np.ndarray) -> Causes:
    """Name the worst modality of samples, and the columns that its energy comes from.

    The energy is divided among columns by the attribution of a
    :class:`~sklearn_emma.DAEEnergyScorer`; that of any other energy by the squared distance of the
    columns from the training mean, in standard deviations.

    Parameters
    ----------
    estimator : EMMAClassifier or EMMARegressor
        Fitted.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.
    readings : Readings
        Of the estimator, for these samples.
    chosen : ndarray of int of shape (n_chosen,)
        Positions of the samples to explain.

    Returns
    -------
    Causes
        With an entry for each chosen sample.
    """
    table = check_table(estimator, X, ensure_all_finite="allow-nan", reset=False)[chosen]
    scale = estimator.potential_scale_
    relative = relative_potential(readings.energies[chosen], estimator.potential_min_, scale)
    worst = relative.argmax(axis=1)
    labels = getattr(estimator, "feature_names_in_", np.arange(estimator.n_features_in_))
    reasons, columns = np.empty(len(worst), dtype=object), np.empty(len(worst), dtype=object)
    for i in np.unique(worst):
        here = np.flatnonzero(worst == i)
        positions = estimator.modality_columns_[i]
        gaps = np.isnan(table[np.ix_(here, positions)])
        half = relative[here, i] * scale[i] / 2
        cost, of_others = (
            part[chosen[here], i] for part in (readings.gap_energy, readings.cross_modal_energy)
        )
        choices = [
            gaps.all(axis=1),
            (cost > half) & gaps.any(axis=1),
            (of_others > half) & (half > 0),
        ]
        reasons[here] = np.select(choices, _REASONS[:3], _REASONS[3])
        filled = _standardise(estimator, table[np.ix_(here, positions)], positions)
        shares = _shares(estimator.energy_scorers_[estimator.modality_names_[i]], filled)
        names = [str(label) for label in labels[positions]]
        for sample, share, missing in zip(here, shares, gaps, strict=True):
            columns[sample] = _write(names, share, missing, reasons[sample])
    names = [estimator.modality_names_[i] for i in worst]
    return Causes(names, reasons.tolist(), columns.tolist())


def _standardise(estimator: Any, x: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the columns of a modality in standard deviations, gaps filled with the median."""
    x = standardise(x, estimator.mean_[columns], estimator.scale_[columns])
    return np.where(np.isnan(x), estimator.median_[columns], x)


def _shares(scorer: Any, x: np.ndarray) -> np.ndarray:
    """Divide the energy of samples (n_samples, n_features) among their columns."""
    if isinstance(scorer, DAEEnergyScorer):
        contribution = np.maximum(scorer.attribution(x), 0.0)
    else:
        contribution = np.square(x)
    total = contribution.sum(axis=1, keepdims=True)
    return np.divide(contribution, total, out=np.zeros_like(contribution), where=total > 0)


def _write(names: list[str], share: np.ndarray, missing: np.ndarray, reason: str) -> str:
    """Name the columns of one sample."""
    if reason == "missing":
        return "all"
    if reason == "does not fit the others":
        return ""
    if reason == "gaps":
        absent = [name for name, gap in zip(names, missing, strict=True) if gap]
        more = f" and {len(absent) - _MOST} more" if len(absent) > _MOST else ""
        return ", ".join(absent[:_MOST]) + more
    order = share.argsort()[::-1][:_MOST]
    return ", ".join(f"{names[j]} {share[j]:.0%}" for j in order if share[j] >= _LEAST)
