"""The modality of a sample whose energy is highest, and the columns that it comes from."""

from typing import Any, NamedTuple

import numpy as np

from sklearn_emma.energy.scorer import DAEEnergyScorer
from sklearn_emma.gate.readings import Readings
from sklearn_emma.indicators import feature_columns, indicators_of
from sklearn_emma.nn.evidence_price import potential_of_evidence, relative_potential
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
    columns from the training mean, in standard deviations. A categorical column has the shares of
    all indicators of its levels, and of a level that was never seen.

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
        shares = _shares(estimator, i, table[here])
        names = [str(label) for label in labels[positions]]
        for sample, share, missing in zip(here, shares, gaps, strict=True):
            columns[sample] = _write(names, share, missing, reasons[sample])
    names = [estimator.modality_names_[i] for i in worst]
    return Causes(names, reasons.tolist(), columns.tolist())


def _shares(estimator: Any, i: int, table: np.ndarray) -> np.ndarray:
    """Divide the energy of modality i of samples (n_samples, n_columns) among its columns."""
    scorer = estimator.energy_scorers_[estimator.modality_names_[i]]
    columns = estimator.modality_columns_[i]
    x = standardise(table, estimator.mean_, estimator.scale_)
    x = np.where(np.isnan(x), estimator.median_, x)
    indicators = indicators_of(estimator)
    features = x if indicators is None else indicators.expand(x)
    features = features[:, feature_columns(estimator)[i]]
    if isinstance(scorer, DAEEnergyScorer):
        contribution = np.maximum(scorer.attribution(features), 0.0)
    else:
        contribution = np.square(features)
    if indicators is not None:
        found = np.zeros((len(x), indicators.n_features))
        found[:, feature_columns(estimator)[i]] = contribution
        unseen = potential_of_evidence(indicators.unseen(x), estimator.potential_scale_[i])
        contribution = (indicators.sums(found) + unseen)[:, columns]
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
