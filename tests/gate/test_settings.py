"""The grid that a search chooses from."""

import numpy as np
import pytest
from sklearn.model_selection import ParameterGrid, ParameterSampler

from sklearn_emma import EMMAClassifier
from sklearn_emma.gate.settings import DEFAULT_GRID, THESIS_GRID, check_param_grid


def test_the_default_grid_contains_the_defaults():
    assert len(ParameterGrid(check_param_grid(None))) == 45
    default = EMMAClassifier()
    assert set(DEFAULT_GRID) == {"coldness", "lambda_capacity", "lambda_energy"}
    assert all(getattr(default, name) in values for name, values in DEFAULT_GRID.items())


def test_the_grid_of_the_thesis_can_be_searched():
    assert len(ParameterGrid(check_param_grid(THESIS_GRID))) == 125


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"coldness": [0.1, 1.0]}, [{"coldness": [0.1, 1.0]}]),
        ({"coldness": 0.1, "subset_weight": 2}, [{"coldness": [0.1], "subset_weight": [2]}]),
        ([{"coldness": (0,)}, {"lambda_energy": 1}], [{"coldness": [0]}, {"lambda_energy": [1]}]),
        ({"coldness": np.array([0.5, 2.0])}, [{"coldness": [0.5, 2.0]}]),
        ({}, [{}]),
    ],
)
def test_a_grid_becomes_a_list_of_dicts_of_lists(given, expected):
    assert check_param_grid(given) == expected


def test_settings_may_come_from_a_sampler():
    sampler = ParameterSampler({"coldness": [0.1, 0.2, 0.3]}, 2, random_state=0)
    expected = [{"coldness": [setting["coldness"]]} for setting in sampler]
    assert check_param_grid(sampler) == expected


@pytest.mark.parametrize(
    ("grid", "error", "match"),
    [
        ({"learning_rate": [0.1]}, ValueError, "GridSearchCV over EMMAClassifier"),
        ({"coldness": [0.1, -1]}, ValueError, "not negative"),
        ({"coldness": []}, ValueError, "at least one"),
        ({"coldness": [0.1, np.nan]}, ValueError, "finite"),
        ({"coldness": [np.inf]}, ValueError, "finite"),
        ({"coldness": [True]}, ValueError, "coldness"),
        ({"coldness": "cold"}, ValueError, "coldness"),
        ([], TypeError, "dict of lists"),
        (3, TypeError, "dict of lists"),
        ("coldness", TypeError, "dict of lists"),
        ([["coldness"]], TypeError, "dict of lists"),
    ],
)
def test_anything_else_is_refused(grid, error, match):
    with pytest.raises(error, match=match):
        check_param_grid(grid)
