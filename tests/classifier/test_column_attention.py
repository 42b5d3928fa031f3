"""Attention to columns: one bad column does not close its modality."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.mixture import GaussianMixture
from sklearn.tree import DecisionTreeClassifier

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, EMMAClassifierCV, GatedClassifier
from sklearn_emma.inspection import modality_report

ENERGY = DAEEnergyScorer(hidden_layer_sizes=(16,), max_epochs=10, calibration_fraction=0)
QUICK = {
    "modalities": "prefix",
    "energy": ENERGY,
    "hidden_layer_sizes": (8,),
    "pretrain_epochs": 3,
    "max_epochs": 10,
    "l2_regularization": 1.0,
    "periodic_features": False,
    "random_state": 0,
}
WIDTHS = {"a": 4, "b": 6, "c": 1}


@pytest.fixture(scope="module")
def table():
    """Two classes; the columns of a modality explain each other, and one has a single column."""
    rng = np.random.RandomState(0)
    y = rng.randint(2, size=500)
    columns = {}
    for name, width in WIDTHS.items():
        cause = 2.0 * y + rng.normal(size=500)
        for j in range(width):
            columns[f"{name}__{j}"] = cause + 0.3 * rng.normal(size=500)
    return pd.DataFrame(columns), y


@pytest.fixture(scope="module")
def attentive(table):
    return EMMAClassifier(column_attention=True, **QUICK).fit(*table)


@pytest.fixture(scope="module")
def broken(table):
    """One bad column in the first modality, two in the second."""
    X = table[0].copy()
    X[["a__2", "b__0"]] += 12.0
    X["b__5"] -= 15.0
    return X


def test_bad_columns_are_not_read_and_their_modalities_stay_open(table, attentive, broken):
    X, y = table
    bad = X.columns.isin(["a__2", "b__0", "b__5"])
    attention = attentive.attention_to_columns(broken)
    assert attention.shape == X.shape
    assert (attention[:, bad] == 0).mean() > 0.99
    assert (attention[:, ~bad] == 1).mean() > 0.98
    assert (attentive.attention(broken)[:, :2] > 0.5).mean() > 0.95
    assert attentive.score(broken, y) > attentive.score(X, y) - 0.02

    without = EMMAClassifier(**QUICK).fit(X, y)
    assert (without.attention(broken)[:, :2] < 0.5).all()
    assert without.score(broken, y) < attentive.score(broken, y) - 0.05
    assert without.attention_to_columns(broken).all()


def test_what_is_read_shows_in_all_parts_of_the_energy(attentive, table, broken):
    readings = attentive.readings(broken)
    left_out = 1.0 - readings.column_attention[:, 4:10].mean(axis=1)
    price = -3.0 * attentive.potential_scale_[1] * np.log1p(-left_out)
    np.testing.assert_allclose(readings.gap_energy[:, 1], price, atol=1e-9)
    clean = attentive.readings(table[0])
    assert np.median(readings.own_energy[:, 1]) < np.quantile(clean.own_energy[:, 1], 0.9)
    total = readings.own_energy + readings.gap_energy + readings.cross_modal_energy
    np.testing.assert_allclose(readings.energies, total)


def test_a_modality_that_fails_as_a_whole_is_closed(table, attentive):
    X, y = table
    broken = X.copy()
    broken[[f"b__{j}" for j in range(6)]] += 10.0 * np.random.RandomState(1).normal(size=(500, 6))
    assert (attentive.attention(broken)[:, 1] < 0.5).mean() > 0.9
    assert attentive.score(broken, y) > attentive.score(X, y) - 0.05


def test_a_single_column_is_read_as_ever(table, attentive):
    broken = table[0].copy()
    broken["c__0"] = 50.0
    assert attentive.attention_to_columns(broken)[:, -1].all()
    assert (attentive.attention(broken)[:, 2] < 0.1).all()


def test_gaps_are_filled_by_what_explains_them(table, attentive):
    X, y = table
    gaps = X.copy()
    gaps.loc[::2, "a__1"] = np.nan
    gaps.loc[::3, ["b__0", "b__1", "b__2", "b__3", "b__4", "b__5"]] = np.nan
    readings = attentive.readings(gaps)
    assert (readings.column_attention[gaps.isna().to_numpy()] == 0).all()
    assert np.isinf(readings.energies[::3, 1]).all()
    assert (readings.attention[::3, 1] == 0).all()
    given, filled = attentive.transform(X), attentive.transform(gaps)
    alone = np.arange(500) % 6 == 2  # a gap in the first modality, and no other
    np.testing.assert_allclose(
        filled[alone, 1] / readings.attention[alone, 0],
        given[alone, 1] / attentive.attention(X)[alone, 0],
        atol=0.8,
    )
    assert attentive.score(gaps, y) > attentive.score(X, y) - 0.05


def test_samples_are_read_alike_in_any_company_and_precision(attentive, broken):
    whole = attentive.predict_proba(broken)
    np.testing.assert_allclose(attentive.predict_proba(broken[3:4]), whole[3:4], rtol=1e-9)
    np.testing.assert_allclose(pickle.loads(pickle.dumps(attentive)).predict_proba(broken), whole)
    # what is close to the limits may be read either way
    single = attentive.predict_proba(broken.astype(np.float32))
    assert np.mean(np.abs(single - whole) < 1e-3) > 0.98


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_training_reads_clean_samples_as_prediction_does(table, attentive, dtype):
    attention = attentive.attention_to_columns(table[0].astype(dtype))
    assert 0.97 < attention.mean() < 1.0


def test_a_warm_start_keeps_the_attention(table, attentive):
    X, y = table
    warm = EMMAClassifier(column_attention=True, **QUICK | {"warm_start": True, "max_epochs": 2})
    warm.fit(X, y)
    before = warm.column_weights_
    warm.fit(X, y)
    for name, weights in before.items():
        np.testing.assert_allclose(warm.column_weights_[name], weights, rtol=1e-6)
    with pytest.raises(ValueError, match="column_attention was True and now is False"):
        warm.set_params(column_attention=False).fit(X, y)


def test_any_energy_will_do(table, broken):
    params = QUICK | {"energy": GaussianMixture(2, random_state=0), "max_epochs": 2}
    attentive = EMMAClassifier(column_attention=True, **params).fit(*table)
    bad = broken.columns.isin(["a__2", "b__0", "b__5"])
    assert (attentive.attention_to_columns(broken)[:, bad] == 0).mean() > 0.95


def test_the_search_takes_it(table, broken):
    params = QUICK | {"max_epochs": 2}
    search = EMMAClassifierCV(
        param_grid={"coldness": [0.1, 0.3]}, cv=2, column_attention=True, **params
    ).fit(*table)
    assert search.attention_to_columns(broken).mean() < 0.8
    alone = clone(search.best_estimator_).fit(*table)
    np.testing.assert_allclose(alone.predict_proba(broken), search.predict_proba(broken), atol=1e-4)


def test_behind_the_gate_columns_that_are_not_read_are_missing(table, broken):
    X, y = table
    params = {k: v for k, v in QUICK.items() if k not in ("modalities", "random_state")}
    scores = {}
    for attention in (False, True):
        gate = EMMAClassifier(column_attention=attention, **params)
        tree = DecisionTreeClassifier(max_depth=5)
        gated = GatedClassifier(tree, "prefix", gate=gate, random_state=0).fit(X, y)
        scores[attention] = gated.score(broken, y)
    assert scores[True] > scores[False] + 0.03
    assert (gated.attention_to_columns(broken)[:, 2] == 0).mean() > 0.95


def test_the_report_names_the_columns_that_are_not_read(attentive, broken):
    broken = broken.copy()
    broken.loc[:99, "b__1"] = np.nan
    summary = modality_report(attentive, broken).column_summary
    assert summary.index.tolist() == broken.columns.tolist()
    assert summary["modality"].tolist() == [name for name, d in WIDTHS.items() for _ in range(d)]
    assert summary.loc["b__1", "missing"] == pytest.approx(0.2)
    assert summary.loc["b__1", "ignored"] < 0.05
    assert summary.loc["a__2", "ignored"] > 0.95
    assert summary.loc["a__0", "ignored"] < 0.05


def test_categories_have_no_attention_of_their_own(table):
    X, y = table
    X = X.assign(a__0=np.where(X["a__0"] > 0, "high", "low"))
    with pytest.raises(ValueError, match="column_attention=True needs columns of numbers, and 1"):
        EMMAClassifier(**QUICK, column_attention=True).fit(X, y)
