"""The form in which every data set is returned."""

import numpy as np
import pandas as pd
from numpy.testing import assert_array_equal

from sklearn_emma.datasets.bunch import make_bunch

FRAME = pd.DataFrame({"a__x": [1.0, 2.0], "b__x": [3.0, 4.0], "a__y": [5.0, 6.0]})


def bunch(**params):
    settings = {"return_X_y": False, "as_frame": True} | params
    return make_bunch(FRAME, np.array([0, 1]), target_names=["no", "yes"], descr="", **settings)


def test_modalities_are_names_in_a_frame_and_positions_in_an_array():
    assert bunch().modalities == {"a": ["a__x", "a__y"], "b": ["b__x"]}
    arrays = bunch(as_frame=False)
    assert arrays.modalities == {"a": [0, 2], "b": [1]}
    assert arrays.frame is None
    assert_array_equal(arrays.data, FRAME)


def test_frame_holds_the_target_beside_the_columns():
    assert bunch().frame.columns.tolist() == [*FRAME.columns, "target"]
    assert "target" not in FRAME


def test_further_entries_are_passed_on():
    assert bunch(filename="a.csv").filename == "a.csv"
    data, target = bunch(return_X_y=True, filename="a.csv")
    assert data.equals(FRAME)
    assert target.name == "target"
