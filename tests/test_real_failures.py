"""The benchmark of real failures: its splits, its peers and its measures."""

import importlib
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("SKLEARN_EMMA_DATA") or ROOT.parent / "shared" / "data")
PEERS = [
    "boosting",
    "boosting, corrupted copies",
    "logistic regression",
    "random forest",
    "late fusion",
    "mask, then boost",
]


@pytest.fixture(scope="module")
def real():
    """The program, imported as if it were run; other tests do not see its modules."""
    before = set(sys.modules)
    sys.path.insert(0, str(ROOT / "benchmarks"))
    yield importlib.import_module("real_failures")
    sys.path.remove(str(ROOT / "benchmarks"))
    for name in set(sys.modules) - before:
        if Path(getattr(sys.modules[name], "__file__", None) or "").parent.name == "benchmarks":
            del sys.modules[name]


@pytest.mark.parametrize(
    "name", ["gas_drift", "heart_4sites", "skab", "hydraulic", "ozone_8h", "occupancy"]
)
def test_natural_splits_use_every_sample_once(real, name):
    if not (DATA / "real" / f"{name}.npz").exists():
        pytest.skip(f"no real/{name}.npz: let SKLEARN_EMMA_DATA name the folder with the real data")
    for case in real.load_cases(name, DATA):
        used = np.concatenate([case.train, *case.tests.values()])
        assert sorted(used) == list(range(len(case.y)))
        columns = np.concatenate(list(case.modalities.values()))
        assert len(set(columns)) == len(columns) > 0
        assert not np.isnan(case.X[case.train][:, columns]).all(axis=0).any()
        random = real.random_case(case, 0)
        assert sorted(np.concatenate([random.train, random.tests["random"]])) == sorted(used)
        assert len(random.train) == len(case.train)


def table_with_gaps(seed, n=240):
    """Two modalities that tell the class; values are missing, alone and together."""
    rng = np.random.default_rng(seed)
    y = rng.integers(2, size=n)
    X = rng.normal(size=(n, 4)) + 2 * y[:, None]
    X[rng.uniform(size=X.shape) < 0.05] = np.nan
    X[: n // 6, 2:] = np.nan
    return X, y


@pytest.mark.parametrize("name", PEERS)
def test_peers_take_missing_values(real, name):
    model = real.MODELS[name](*table_with_gaps(0), {"a": [0, 1], "b": [2, 3]}, 0)
    X, y = table_with_gaps(1)
    proba = real.probabilities(model, X, y, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert (proba[:, 2] == 0).all()  # a class that the training samples lack
    assert (proba.argmax(axis=1) == y).mean() > 0.85


def test_measures_are_those_of_scikit_learn(real):
    rng = np.random.default_rng(0)
    y, p = rng.integers(2, size=200), rng.uniform(size=200)
    proba = np.column_stack([1 - p, p])
    accuracy, balanced, auc, calibration = real.measure(y, proba)[0]
    assert accuracy == (y == (p > 0.5)).mean()
    assert balanced == pytest.approx(balanced_accuracy_score(y, p > 0.5))
    assert auc == pytest.approx(roc_auc_score(y, p))
    assert 0 < calibration < 1
    drawn = np.random.RandomState(0).randint(200, size=(real.N_BOOTSTRAP, 200))[3]
    found = real.bootstrap(y, proba)[3]
    np.testing.assert_allclose(found, real.measure(y[drawn], proba[drawn])[0])
    low, high = np.quantile(np.array(real.bootstrap(y, proba))[:, 0], [0.025, 0.975])
    assert high - low == pytest.approx(4 * np.sqrt(accuracy * (1 - accuracy) / 200), abs=0.04)


def test_ranks_are_shared_by_equals_and_calibration_is_better_low(real):
    scores = np.array([[0.9, 0.9, 0.9, 0.1], [0.9, 0.8, 0.7, 0.2], [0.5, 0.7, 0.8, 0.3]])
    expected = [[1.5, 1, 1, 1], [1.5, 2, 3, 2], [3, 3, 2, 3]]
    np.testing.assert_array_equal(real.rank(scores), expected)
