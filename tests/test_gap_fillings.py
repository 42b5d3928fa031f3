"""Tables with missing values are filled in their own units."""

import numpy as np
import pandas as pd
import pytest

from sklearn_emma import EMMAClassifier
from sklearn_emma.gap_fillings import fill_table


@pytest.fixture(scope="module")
def fitted():
    """A classifier of two numeric columns that agree, a category of them, and a spare column."""
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=120)
    a = 100.0 + 20.0 * (y + 0.3 * rng.normal(size=120))
    X = pd.DataFrame(
        {
            "a": a,
            "b": -3.0 * a,
            "kind": pd.Categorical(np.where(a < 115, "x", "z")),
            "spare": rng.normal(size=120),
        }
    )
    modalities = {"left": ["a", "b", "kind"]}
    classifier = EMMAClassifier(
        modalities, remainder="drop", max_epochs=2, pretrain_epochs=1, random_state=0
    )
    return classifier.fit(X, y)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_gaps_are_filled_in_the_units_of_the_table(fitted, dtype):
    nan = np.nan
    table = np.array(
        [
            [110, nan, 1, nan],
            [nan, -360, nan, 2],
            [nan, nan, nan, 0],
            [100, -300, nan, 1],
            [100, -300, 0, 1],
        ],
        dtype=dtype,
    )
    filled = fill_table(table, fitted)
    assert filled.dtype == dtype
    known = ~np.isnan(table)
    np.testing.assert_array_equal(filled[known], table[known])
    median = fitted.mean_ + fitted.scale_ * fitted.median_
    np.testing.assert_allclose(filled[0, 1], -330, atol=5)
    np.testing.assert_allclose(filled[1, 0], 120, atol=2)
    assert filled[1, 2] == 1  # "z", which goes with large values of a
    assert filled[3, 2] == 0
    assert filled[2, 2] == fitted.median_[2]  # the most frequent level
    np.testing.assert_allclose(filled[2, :2], median[:2], rtol=1e-6)
    assert filled[0, 3] == 0  # belongs to no modality


def test_complete_tables_are_not_copied(fitted):
    table = np.array([[100.0, -300.0, 0.0, 1.0]])
    assert fill_table(table, fitted) is table


def test_fillings_are_learned_with_sample_weights():
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=120)
    a = y + rng.normal(size=120)
    X = np.column_stack([a, np.where(np.arange(120) < 60, a, -a), rng.normal(size=120)])
    weight = np.where(np.arange(120) < 60, 1.0, 0.001)
    classifier = EMMAClassifier({"a": [0, 1], "b": [2]}, max_epochs=2, random_state=0)
    classifier.fit(X, y, sample_weight=weight)
    filled = fill_table(np.array([[2.0, np.nan, 0.0]]), classifier)
    np.testing.assert_allclose(filled[0, 1], 2.0, atol=0.3)
