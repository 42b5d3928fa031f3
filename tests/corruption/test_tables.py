"""Arrays and DataFrames go through a corruption and come back as they were."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from sklearn_emma.corruption import (
    Missing,
    Noise,
)

GROUPS = {"a": [0, 1], "b": [2, 3, 4], "c": [5]}


def test_frames_come_back_as_frames_with_the_numbers_of_the_array(corruption, make_table):
    X = make_table()
    frame = pd.DataFrame(X, columns=list("uvwxyz"), index=np.arange(400) + 7)
    frame.insert(2, "label", "text")
    before = frame.copy()
    groups = {"a": ["u", "v"], "b": ["w", "x", "y"], "c": ["z"]}
    corrupted, indicator = corruption.corrupt(frame, groups, random_state=5)
    expected, expected_indicator = corruption.corrupt(X, GROUPS, random_state=5)
    values = corrupted.drop(columns="label").to_numpy()
    np.testing.assert_allclose(values, expected, rtol=1e-12)
    assert_array_equal(indicator, expected_indicator)
    pd.testing.assert_frame_equal(frame, before)
    pd.testing.assert_index_equal(corrupted.index, frame.index)
    assert corrupted.columns.tolist() == frame.columns.tolist()
    assert (corrupted["label"] == "text").all()


def test_nullable_columns_are_copied_to_arrays_that_can_be_written_to():
    """PyTorch warns of others, which is an error in these tests."""
    X = pd.DataFrame({"a": pd.array([1.0, 2.0, None], dtype="Float64")})
    corrupted, _ = Noise(1.0).corrupt(X, random_state=0)
    assert corrupted["a"].isna().tolist() == [False, False, True]
    assert X["a"].tolist()[:2] == [1.0, 2.0]


def test_polars_frames_come_back_as_polars_frames(make_table):
    pl = pytest.importorskip("polars")
    X = make_table()
    frame = pl.DataFrame(X, schema=list("uvwxyz")).with_columns(label=pl.lit("text"))
    groups = {"a": ["u", "v"], "b": ["w", "x", "y"], "c": ["z"]}
    corrupted, _ = Missing().corrupt(frame, groups, random_state=5)
    expected, _ = Missing().corrupt(X, GROUPS, random_state=5)
    assert isinstance(corrupted, pl.DataFrame)
    assert corrupted.columns == frame.columns
    assert_array_equal(corrupted.drop("label").to_numpy(), expected)
    assert_array_equal(frame.drop("label").to_numpy(), X)


def test_integers_become_floats_and_float32_stays():
    frame = pd.DataFrame({"i": [1, 2, 3], "f": np.array([1, 2, 3], np.float32)})
    assert Noise().corrupt(frame, random_state=0)[0].dtypes.tolist() == [np.float64, np.float32]
    assert Noise().corrupt([[1], [2], [3]], random_state=0)[0].dtype == np.float64


def test_input_is_never_modified(corruption, make_table):
    X = make_table()
    X.flags.writeable = False
    corruption.corrupt(X[::-1], GROUPS, random_state=0)
    assert_array_equal(X, make_table())


def test_columns_outside_the_modalities_are_passed_on(make_table):
    X = make_table()
    X_corrupted, indicator = Missing().corrupt(X, {"b": [2, 3, 4]}, random_state=0)
    assert indicator.shape == (400, 1)
    assert_array_equal(np.isnan(X_corrupted).all(axis=0), [0, 0, 1, 1, 1, 0])
    assert_array_equal(X_corrupted[:, [0, 1, 5]], X[:, [0, 1, 5]])


def test_reference_that_does_not_fit_is_refused(make_table):
    X = make_table()
    with pytest.raises(ValueError, match=r"with the 6 columns of X, got shape \(400, 5\)"):
        Noise().corrupt(X, GROUPS, 0, X[:, :5])
    frame = pd.DataFrame(X, columns=list("uvwxyz"))
    with pytest.raises(ValueError, match="in the same order"):
        Noise().corrupt(frame, None, 0, frame[list("zyxwvu")])


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_infinite_values_are_refused(bad, make_table):
    X = make_table()
    X[3, 3] = bad
    with pytest.raises(ValueError, match="contains infinity"):
        Noise().corrupt(X, GROUPS, random_state=0)
