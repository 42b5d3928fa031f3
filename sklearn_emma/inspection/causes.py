"""Which modality of a row is the worst, and which of its columns are to blame."""

import numpy as np

from sklearn_emma.energy.readouts import ScoredModalities
from sklearn_emma.nn.cross_modal import NAT
from sklearn_emma.validation import check_table

#: Columns named for a row, and the least share of the blame with which one is named.
_MOST, _LEAST = 3, 0.1
_REASONS = ("missing", "gaps", "does not fit the others", "unusual values")


def blame_columns(estimator, X, rows):
    """Name the worst modality of rows, and the columns to blame for it.

    The worst modality is the one whose energy has risen highest above intact training rows, in
    units of its ``potential_scale_``. Its blame is divided by the attribution of a
    :class:`~sklearn_emma.DAEEnergyScorer`; of other energies by the squared distance of the columns
    from the training mean, in standard deviations.

    Parameters
    ----------
    estimator : EMMAClassifier or EMMARegressor
        Fitted.
    X : array-like or DataFrame of shape (n_samples, n_features)
        Rows.
    rows : ndarray of int of shape (n_chosen,)
        Positions of those to look at.

    Returns
    -------
    modality : list of str
        The worst modality of each row chosen.
    reason : list of str
        "missing"; "gaps" where most of the energy is the price of single missing values; "does not
        fit the others" where most of it comes from the other modalities of the row; or "unusual
        values".
    columns : list of str
        Columns to blame and their shares, such as ``"a 70%, b 20%"``; those without a value for
        gaps; none where the modality only does not fit the others.
    """
    table = check_table(estimator, X, ensure_all_finite="allow-nan", reset=False)[rows]
    modalities = estimator._standardise(table)
    gaps = [np.isnan(x) for x in modalities]
    fills = [estimator.median_[columns] for columns in estimator.modality_columns_]
    filled = [np.where(gap, fill, x) for gap, fill, x in zip(gaps, fills, modalities, strict=True)]
    scale = estimator.potential_scale_
    scorers = estimator._energies(np.zeros(len(scale)))
    by_itself = np.column_stack([e(x) for e, x in zip(scorers, filled, strict=True)])
    with np.errstate(divide="ignore"):
        of_gaps = np.column_stack([-np.log1p(-gap.mean(axis=1)) for gap in gaps]) * NAT * scale
    potential = estimator._in_company(estimator._cross_modal(), filled, by_itself + of_gaps)
    worst = ((potential - estimator.potential_min_) / scale).argmax(axis=1)
    labels = getattr(estimator, "feature_names_in_", np.arange(estimator.n_features_in_))
    reasons, columns = np.empty(len(worst), dtype=object), np.empty(len(worst), dtype=object)
    for i in np.unique(worst):
        here = np.flatnonzero(worst == i)
        gap, own, cost = gaps[i][here], by_itself[here, i], of_gaps[here, i]
        half = (potential[here, i] - estimator.potential_min_[i]) / 2
        with np.errstate(invalid="ignore"):  # of missing modalities, which the first choice takes
            of_others = potential[here, i] - own - cost
            choices = [gap.all(axis=1), cost > half, (of_others > half) & (half > 0)]
        choices[1] &= gap.any(axis=1)
        reasons[here] = np.select(choices, _REASONS[:3], _REASONS[3])
        name = estimator.modality_names_[i]
        shares = _shares(estimator.energy_scorers_[name], filled[i][here])
        names = [str(label) for label in labels[estimator.modality_columns_[i]]]
        for row, share, missing in zip(here, shares, gap, strict=True):
            columns[row] = _write(names, share, missing, reasons[row])
    return [estimator.modality_names_[i] for i in worst], reasons.tolist(), columns.tolist()


def _shares(scorer, x):
    """Divide the blame of rows (n_rows, n_features) among their columns."""
    if isinstance(scorer, ScoredModalities):
        blame = np.maximum(scorer.attribution(x), 0.0)
    else:
        blame = np.square(x)
    total = blame.sum(axis=1, keepdims=True)
    return np.divide(blame, total, out=np.zeros_like(blame), where=total > 0)


def _write(names, share, missing, reason):
    """Name the columns of one row."""
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
