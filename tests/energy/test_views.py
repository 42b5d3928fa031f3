"""Views of a modality: what may be asked for, and what is said otherwise."""

import pickle
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from sklearn_emma import EnergyView
from sklearn_emma.energy.views import VIEWS, resolve_views


def test_a_view_of_nothing_but_noise_is_the_autoencoder_of_the_thesis():
    view = EnergyView(0.01)
    assert view.scaling == "standard"
    assert view.clip == np.inf
    assert view.lost_fraction == 0.0
    assert view.n_prototypes == 0
    assert view.loss == "squared"


@pytest.mark.parametrize(
    ("n_prototypes", "n_samples", "expected"),
    [("auto", 9, 0), ("auto", 100, 10), ("auto", 100_000, 128), (0, 100, 0), (7, 2, 7)],
)
def test_automatic_prototypes_are_one_in_ten_samples(n_prototypes, n_samples, expected):
    assert EnergyView("auto", n_prototypes=n_prototypes).count_prototypes(n_samples) == expected


@pytest.mark.parametrize(
    "values",
    [
        {"noise": "auto"},
        {"noise": 1},
        {"noise": (0.1, 0.1)},
        {"noise": [0.1, 2]},
        {"noise": np.float32(0.1)},
        {"noise_ratio": 1},
        {"noise_ratio": np.inf},
        {"clip": 0.1},
        {"clip": np.inf},
        {"lost_fraction": 0},
        {"lost_fraction": 0.99},
        {"n_prototypes": np.int64(3)},
        {"loss": "robust"},
        {"scaling": "robust"},
    ],
    ids=str,
)
def test_what_may_be_asked_for(values):
    EnergyView(**{"noise": 0.1, **values})


@pytest.mark.parametrize(
    ("parameter", "values", "message"),
    [
        (
            "noise",
            [0, -0.1, np.nan, np.inf, "high", None, (0.1,), (0.2, 0.1), (0.0, 1.0), (0.1, np.inf)]
            + [(0.1, "high"), (0.1, 0.2, 0.3), np.array([0.1, 0.2])],
            r'noise must be "auto", a positive number, or a pair \(low, high\) of them.*, got',
        ),
        ("noise_ratio", [0.5, 0, -1, np.nan, "auto", None], "noise_ratio must be at least 1, got"),
        (
            "scaling",
            ["minmax", None, 1, ("standard",)],
            'scaling must be "standard" or "robust", got',
        ),
        ("clip", [0, 0.0, -1.0, np.nan, -np.inf, None, "auto"], "clip must be a positive number"),
        (
            "lost_fraction",
            [-0.1, 1, 1.5, np.nan, None, "some"],
            r"lost_fraction must be in \[0, 1\), got",
        ),
        (
            "n_prototypes",
            [-1, 2.5, None, "many"],
            'n_prototypes must be "auto" or a number of at least 0, got',
        ),
        ("loss", ["huber", None, 1, ["squared"]], 'loss must be "squared" or "robust", got'),
    ],
)
def test_what_may_not(parameter, values, message):
    for value in values:
        with pytest.raises(ValueError, match=message):
            EnergyView(**{"noise": 0.1, parameter: value})
        with pytest.raises(ValueError, match=message):
            replace(EnergyView(0.1), **{parameter: value})


def test_a_view_is_a_value():
    view = EnergyView((0.1, 0.5), clip=3.0)
    assert view == EnergyView((0.1, 0.5), clip=3.0) != EnergyView((0.1, 0.5))
    assert pickle.loads(pickle.dumps(view)) == view
    assert repr(view).startswith("EnergyView(noise=(0.1, 0.5), ")
    with pytest.raises(FrozenInstanceError):
        view.clip = 1.0


@pytest.mark.parametrize(
    ("views", "expected"),
    [
        ("fine", ["fine"]),
        (("coarse", "fine"), ["coarse", "fine"]),
        (["fine", "fine"], ["fine", "fine"]),
        (EnergyView(0.1), [EnergyView(0.1)]),
        (("coarse", EnergyView(0.1)), ["coarse", EnergyView(0.1)]),
    ],
    ids=str,
)
def test_views_by_name_or_as_they_are(views, expected):
    expected = [VIEWS[view] if isinstance(view, str) else view for view in expected]
    assert list(resolve_views(views)) == expected


@pytest.mark.parametrize(
    "views", ["sharp", (), [], ("fine", "sharp"), (None,), ("fine", 0.1), (EnergyView,)], ids=str
)
def test_views_that_are_none(views):
    with pytest.raises(ValueError, match="views must be 'fine' or 'coarse', an EnergyView, or a"):
        resolve_views(views)
