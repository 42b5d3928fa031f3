"""The benchmark of conflicting views: which values it changes, and what it prints."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
VIEWS = {"a": [0, 1], "b": [2, 3, 4], "c": [5]}


@pytest.fixture(scope="module")
def multi_view():
    """The program, imported as if it were run; other tests do not see its modules."""
    before = set(sys.modules)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield importlib.import_module("multi_view")
    sys.path.remove(str(ROOT / "benchmarks"))
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent.name == "benchmarks":
            del sys.modules[name]


@pytest.fixture
def samples():
    rng = np.random.RandomState(0)
    return rng.uniform(size=(400, 6)), np.arange(400) % 3


def changed_views(before, after):
    """Tell which views of which samples have other values, and that all of their columns have."""
    changed = before != after
    whole = np.column_stack([changed[:, columns].all(axis=1) for columns in VIEWS.values()])
    some = np.column_stack([changed[:, columns].any(axis=1) for columns in VIEWS.values()])
    np.testing.assert_array_equal(whole, some)
    return whole


def test_columns_fail_as_the_page_says(multi_view, samples):
    X, y = samples
    test = np.arange(200, 400)
    tests = multi_view.corrupt(X, y, VIEWS, test, 0)
    np.testing.assert_array_equal(tests["clean"], X[test])

    n_replaced = changed_views(X[test], tests["unaligned"]).sum(axis=1)
    assert sorted(np.unique(n_replaced, return_counts=True)[1]) == [100, 100]
    for x, label, before in zip(tests["unaligned"], y[test], X[test], strict=True):
        donor = X[(label + 1) % 3]  # samples 0, 1, 2 are the first ones of their classes
        assert np.isin(x, [before, donor]).all()

    noisy = changed_views(X[test], tests["noise"])
    assert noisy.sum(axis=1).max() == 2  # never all views
    assert 40 < noisy.any(axis=1).sum() < 90  # a third of 100 draws have no view
    difference = (tests["noise"] - X[test])[tests["noise"] != X[test]]
    assert 9 < difference.std() < 11

    conflict = changed_views(X[test], tests["conflict"])
    assert 80 <= conflict.any(axis=1).sum() <= 100


def test_split_scales_by_training_samples(multi_view, samples):
    X, _ = samples
    scaled, train, test = multi_view.split(10 * X - 3, 1)
    assert sorted([*train, *test]) == list(range(400))
    assert len(train) == 320
    np.testing.assert_allclose(scaled[train].min(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled[train].max(axis=0), 1)
    assert not np.array_equal(multi_view.split(X, 2)[1], train)


def test_tables_are_printed_from_saved_figures(multi_view, tmp_path, capsys):
    accuracy = dict(zip(multi_view.COLUMNS, (0.5, 0.25, 0.125, 0.75), strict=True))
    record = {"task": "scene15", "model": "EMMA", "accuracy": accuracy, "seconds": 2.0}
    other = {**record, "accuracy": {**accuracy, "clean": 0.6}}
    path = tmp_path / "figures.json"
    path.write_text(json.dumps([{**record, "seed": 0}, {**other, "seed": 1}]))
    multi_view.main(["--load", str(path)])
    printed = capsys.readouterr().out
    assert "scene15: accuracy in %, 2 splits" in printed
    assert "55.0 ±7.1" in printed
    assert "25.0 ±0.0" in printed
    assert "FUML, published" in printed
