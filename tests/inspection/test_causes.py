"""Why samples are out-of-distribution: modality, reason, columns."""

import numpy as np
from sklearn.mixture import GaussianMixture

from sklearn_emma.inspection.causes import find_causes


def causes(estimator, X):
    """Explain all samples of X, as a list of (modality, reason, columns)."""
    found = find_causes(estimator, X, estimator.readings(X), np.arange(len(X)))
    return list(zip(*found, strict=True))


def test_unusual_values_are_named_with_their_column(trained, wide):
    X = wide[2][:10].copy()
    X.iloc[5, X.columns.get_loc("modality1__2")] += 30
    X.iloc[6, X.columns.get_loc("modality0__0")] -= 20
    found = causes(trained, X)
    for sample, modality, column in ((5, "modality1", "__2"), (6, "modality0", "__0")):
        assert found[sample][:2] == (modality, "unusual values")
        assert found[sample][2].startswith(modality + column)


def test_only_the_chosen_samples_are_explained(trained, wide):
    X = wide[2][:20]
    everything = causes(trained, X)
    found = find_causes(trained, X, trained.readings(X), np.array([7, 3]))
    assert list(zip(*found, strict=True)) == [everything[7], everything[3]]


def test_missing_values_are_named_by_their_columns(trained, wide):
    X = wide[2][:3].copy()
    X.iloc[0, [3, 4, 5]] = np.nan
    X.iloc[1, [3, 5]] = np.nan
    missing, gaps, _ = causes(trained, X)
    assert missing == ("modality1", "missing", "all")
    assert gaps[1:] == ("gaps", "modality1__0, modality1__2")


def test_modality_of_another_sample_does_not_fit_the_others(trained, wide):
    X = wide[2][:80].copy()
    X.iloc[:, 3:6] = X.iloc[::-1, 3:6].to_numpy()
    misfits = [cause for cause in causes(trained, X) if cause[1] == "does not fit the others"]
    assert len(misfits) > 5
    assert {columns for *_, columns in misfits} == {""}


def test_energy_without_attribution_is_divided_by_the_distance_from_the_mean(table, quick):
    X, y = table
    params = {"energy": GaussianMixture(2), "max_epochs": 1, "pretrain_epochs": 0}
    clf = quick(cross_modal=False, **params).fit(X, y)
    X = X[:5].copy()
    X.iloc[2, 4] = 50
    assert causes(clf, X)[2][2] == "modality1__1 100%"
