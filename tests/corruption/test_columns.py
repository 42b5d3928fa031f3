"""Corruptions of single columns."""

import numpy as np
import pandas as pd
import pytest
import torch

from sklearn_emma.corruption import Missing, Noise, SomeColumns, Stuck, Swapped

MODALITIES = {"a": [0, 1, 2, 3], "b": [4, 5], "c": [6]}


def make_table(n_samples=2000):
    return np.random.RandomState(0).normal(size=(n_samples, 7))


@pytest.mark.parametrize("corruption", [Noise(3.0), Missing(), Swapped(), Stuck()])
def test_one_random_column_of_a_failing_modality_fails(corruption):
    X = make_table()
    failing = SomeColumns(corruption, n_corrupted=1)
    X_bad, indicator = failing.corrupt(X, MODALITIES, random_state=0)
    changed = X_bad != X
    for i, columns in enumerate(MODALITIES.values()):
        n_changed = changed[:, columns].sum(axis=1)
        assert not n_changed[indicator[:, i] > 0].any()
        # the stuck one may be stuck at a sample's own value
        assert (n_changed[indicator[:, i] < 0] == 1).mean() > 0.99
    share = changed[indicator[:, 0] < 0][:, :4].mean(axis=0)
    np.testing.assert_allclose(share, 0.25, atol=0.06)


def test_the_number_of_columns_is_that_asked_for_or_drawn_up_to_half():
    X = make_table()
    count = np.isnan(SomeColumns(Missing(), 3, only="a").corrupt(X, MODALITIES, 0)[0]).sum(axis=1)
    assert set(count) == {3}
    drawn = SomeColumns(Missing(), None, only="a").corrupt(X, MODALITIES, 0)[0]
    count = np.isnan(drawn).sum(axis=1)
    assert set(count) == {1, 2}
    assert np.mean(count == 1) == pytest.approx(np.sqrt(0.5), abs=0.04)
    most = SomeColumns(Missing(), 9, only="b").corrupt(X, MODALITIES, 0)[0]
    assert np.isnan(most[:, 4:6]).all()


def test_only_what_may_fail_needs_a_reference():
    assert not SomeColumns(Missing()).uses_reference
    assert SomeColumns(Noise()).uses_reference


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"corruption": "noise"}, "must be an instance"),
        ({"n_columns": 0}, "None or a positive integer"),
        ({"n_columns": True}, "None or a positive integer"),
        ({"corruption": Noise(-1.0)}, "sigma=-1.0"),
    ],
)
def test_parameters_are_checked(params, message):
    failing = SomeColumns(**{"corruption": Noise()} | params)
    with pytest.raises(ValueError, match=message):
        failing.corrupt(torch.zeros(3, 2).numpy())


def test_a_categorical_column_fails_like_any_other():
    X = pd.DataFrame({"a__x": np.arange(300.0), "a__kind": ["u", "v", "w"] * 100})
    missing = SomeColumns(Missing()).corrupt(X, "prefix", 0)[0].isna()
    assert (missing.sum(axis=1) == 1).all()
    assert 0.4 < missing["a__kind"].mean() < 0.6
    both = SomeColumns(Missing(), 2).corrupt(X, "prefix", 0)[0]
    assert both.isna().all(axis=None)
