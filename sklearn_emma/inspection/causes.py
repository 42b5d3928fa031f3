"""Find the modality with the highest energy of a sample, and the columns that contribute to it."""

from typing import Any, NamedTuple

import numpy as np
import torch

from sklearn_emma.energy.scorer import DAEEnergyScorer
from sklearn_emma.gap_fillings import gap_fillings_of
from sklearn_emma.gate.readings import Readings
from sklearn_emma.indicators import feature_columns, indicators_of
from sklearn_emma.inspection.checks import column_labels
from sklearn_emma.nn.coordinates import standardize
from sklearn_emma.nn.evidence_energy import potential_of_evidence, relative_potential
from sklearn_emma.validation import read_samples

#: Largest number of columns listed for a sample, and smallest share of the energy to be listed.
_MOST, _LEAST = 3, 0.1
_REASONS = ("missing", "gaps", "does not fit the others", "unusual values")


class Causes(NamedTuple):
    """Reasons why samples are out-of-distribution.

    Attributes
    ----------
    modality : list of str
        Worst modality of each sample: the one whose energy exceeds that of clean training samples
        most, in units of its ``potential_scale_``.
    reason : list of str
        "missing"; "gaps" if most of the energy is that of single missing values; "does not fit
        the others" if most of it is cross-modal energy; or "unusual values".
    columns : list of str
        Columns that contribute to the energy and their shares, such as ``"a 70%, b 20%"``. If the
        reason is "gaps", these are the columns with missing values. If the modality does not fit
        the others, the string is empty. If the modality is missing, it is "all".
    """

    modality: list[str]
    reason: list[str]
    columns: list[str]


def find_causes(estimator: Any, X: Any, readings: Readings, chosen: np.ndarray) -> Causes:
    """Find the worst modality of samples, and the columns that contribute to its energy.

    The energy of a :class:`~sklearn_emma.DAEEnergyScorer` is divided among columns by its
    attribution. Any other energy is divided in proportion to the squared distance of the columns
    from the training mean, in standard deviations. The share of a categorical column is the sum of
    the shares of all indicators of its levels, plus the evidence of an unseen level.

    Parameters
    ----------
    estimator : EMMAClassifier, EMMARegressor, GatedClassifier or GatedRegressor
        Fitted estimator.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Samples.
    readings : Readings
        Readings of the estimator for all samples of X.
    chosen : ndarray of int of shape (n_chosen,)
        Positions of the samples to be explained.

    Returns
    -------
    Causes
        Causes, with one entry per chosen sample.
    """
    table = read_samples(estimator, X)[chosen]
    scale = estimator.potential_scale_
    relative = relative_potential(readings.energies[chosen], estimator.potential_min_, scale)
    worst = relative.argmax(axis=1)
    labels = column_labels(estimator, X)
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
    """Return the share of each column in the energy of modality i, (n_samples, n_columns)."""
    scorer = estimator.energy_scorers_[estimator.modality_names_[i]]
    columns = estimator.modality_columns_[i]
    x = standardize(table, estimator.mean_, estimator.scale_)
    indicators, places = indicators_of(estimator), feature_columns(estimator)[i]
    fill = gap_fillings_of(estimator, torch.float64)[i]
    features = fill(torch.from_numpy(indicators.expand(x)[:, places])).numpy()
    if isinstance(scorer, DAEEnergyScorer):
        contribution = np.maximum(scorer.attribution(features), 0.0)
    else:
        contribution = np.square(features)
    found = np.zeros((len(x), indicators.n_features))
    found[:, places] = contribution
    unseen = potential_of_evidence(indicators.unseen(x), estimator.potential_scale_[i])
    contribution = (indicators.sums(found) + unseen)[:, columns]
    total = contribution.sum(axis=1, keepdims=True)
    return np.divide(contribution, total, out=np.zeros_like(contribution), where=total > 0)


def _write(names: list[str], share: np.ndarray, missing: np.ndarray, reason: str) -> str:
    """Return the columns of one sample and their shares as a string."""
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
