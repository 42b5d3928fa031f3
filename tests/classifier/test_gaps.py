"""Missing values and missing modalities."""

import math

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_emma.datasets import make_multimodal_classification
from sklearn_emma.gap_fillings import fill_table

NAMES = ["modality0", "modality1", "modality2"]


@pytest.mark.parametrize("modality", NAMES)
def test_a_missing_modality_gets_no_attention(trained, wide, lose, modality):
    _, _, X, y = wide
    i = NAMES.index(modality)
    without = lose(X, modality)
    assert (trained.energies(without)[:, i] == np.inf).all()
    assert (trained.importance(without)[:, i] == 0).all()
    assert (trained.attention(without)[:, i] == 0).all()
    np.testing.assert_allclose(trained.importance(without).sum(axis=1), 1.0)
    assert np.isfinite(trained.total_energy(without)).all()
    assert (trained.transform(without)[:, 3 * i : 3 * i + 3] == 0).all()
    assert trained.score(without, y) > 0.9


def test_without_any_value_the_prediction_is_the_class_prior(quick):
    X, y = make_multimodal_classification(
        400,
        n_modalities=3,
        n_features=3,
        weights=[0.8, 0.2],
        random_state=0,
        return_X_y=True,
    )
    classifier = quick(max_epochs=60).fit(X, y)
    nothing = X[:3].copy()
    nothing.loc[:] = np.nan
    probabilities = classifier.predict_proba(nothing)
    np.testing.assert_allclose(probabilities[:, 0], 0.8, atol=0.05)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
    assert (classifier.importance(nothing) == 0).all()
    assert (classifier.attention(nothing) == 0).all()
    assert (classifier.energies(nothing) == np.inf).all()
    assert np.isfinite(classifier.total_energy(nothing)).all()
    assert (classifier.total_energy(nothing) > classifier.total_energy(X).mean()).all()


@pytest.mark.parametrize("n_missing", [1, 2])
def test_single_gaps_raise_the_energy_as_documented(apart, table, n_missing):
    fitted, X = apart, table[0][:10]
    gaps, filled = X.copy(), X.copy()
    columns = [4, 5][:n_missing]
    gaps.iloc[:, columns] = np.nan
    filled[:] = fill_table(gaps.to_numpy(), fitted)
    rise = fitted.energies(gaps) - fitted.energies(filled)
    expected = -3 * fitted.potential_scale_[1] * math.log(1 - n_missing / 3)
    np.testing.assert_allclose(rise[:, 1], expected, rtol=1e-6)
    assert (rise[:, [0, 2]] == 0).all()
    np.testing.assert_allclose(
        fitted.transform(gaps) / fitted.attention(gaps).repeat(3, axis=1),
        fitted.transform(filled) / fitted.attention(filled).repeat(3, axis=1),
    )


@pytest.mark.parametrize("value", [pytest.param(-9999.0, marks=pytest.mark.slow), 1e20])
def test_failures_are_found_despite_wild_values_among_the_training_samples(
    wide, trained, add_noise, value
):
    X, y, X_test, y_test = wide
    X = X.copy()
    X.iloc[range(X.shape[1]), range(X.shape[1])] = value  # one in each column
    with_them = clone(trained).fit(X, y)
    assert with_them.score(X_test, y_test) > trained.score(X_test, y_test) - 0.03
    noisy = add_noise(X_test, with_them.modality_names_[0], 3.0)
    attention = with_them.attention(noisy).mean(axis=0)
    assert attention[0] < 0.5 * attention[1:].min()


def test_training_samples_may_have_gaps_and_lack_modalities(wide, quick, assert_constraints):
    X, y, X_test, y_test = wide
    rng = np.random.default_rng(0)
    gaps = X.mask(rng.random(X.shape) < 0.05)
    for name in NAMES:
        chosen = gaps.columns.str.startswith(name)
        gaps.loc[rng.random(len(X)) < 0.15, chosen] = np.nan
    gaps.iloc[0] = np.nan
    classifier = quick(max_epochs=20).fit(gaps, y)
    assert classifier.score(X_test, y_test) > 0.93
    present = gaps.notna()
    np.testing.assert_allclose(classifier.mean_, gaps.mean(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        classifier.mean_ + classifier.scale_ * classifier.median_, gaps.median(), atol=1e-9
    )
    assert present.to_numpy().mean() < 0.9
    assert_constraints(classifier)


def test_many_gaps_still_give_an_energy_of_all_samples(wide, quick):
    X, y, *_ = wide
    gaps = np.random.default_rng(0).random(X.shape) < 0.3
    classifier = quick().fit(X.mask(gaps), y)
    assert classifier.score(X, y) > 0.8


def test_gaps_hardly_matter_if_other_columns_tell_their_values(quick):
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=400)
    cause = np.column_stack([y, y]) + 0.5 * rng.normal(size=(400, 2))
    X = np.repeat(cause, 4, axis=1) + 0.05 * rng.normal(size=(400, 8))
    classifier = quick(modalities={"a": range(4), "b": range(4, 8)}, max_epochs=20)
    classifier.fit(X[:200], y[:200])
    gaps = X[200:].copy()
    gaps[:, [0, 5]] = np.nan
    gaps[::2, 1] = np.nan
    change = classifier.predict_proba(gaps) - classifier.predict_proba(X[200:])
    assert np.abs(change).mean() < 0.03
    # in comparison, with values that do not fit
    unfit = np.where(np.isnan(gaps), np.median(X, axis=0), X[200:])
    change_by_medians = classifier.predict_proba(unfit) - classifier.predict_proba(X[200:])
    assert np.abs(change).mean() < 0.5 * np.abs(change_by_medians).mean()
