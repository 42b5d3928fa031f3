"""A monitor takes the tables that its estimator takes."""

import numpy as np
import pandas as pd
import pytest
import torch

from sklearn_emma.monitoring import ModalityMonitor


def masked(X):
    return np.ma.masked_invalid(X.to_numpy())


def arrow(X):
    # a slice of a DataFrame also has an index, which is no feature
    return pytest.importorskip("pyarrow").Table.from_pandas(X)


def polars(X):
    return pytest.importorskip("polars").from_pandas(X)


def tensor(X):
    return torch.tensor(X.to_numpy())


@pytest.fixture
def failing(stream):
    """Samples of which the later ones miss a modality."""
    X = stream[0][:40].copy()
    X.iloc[20:, X.columns.str.startswith("modality1")] = np.nan
    return X


@pytest.fixture(scope="module")
def expected(fitted, table):
    """A monitor that is calibrated on DataFrames."""
    X, _ = table
    monitor = ModalityMonitor(fitted, recalibrate=True, random_state=0)
    return monitor.fit(X[600:700], reference=X[:200])


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("convert", [masked, tensor, polars, arrow])
def test_other_tables_are_read_as_dataframes_are(fitted, table, failing, expected, convert):
    X, _ = table
    monitor = ModalityMonitor(fitted, recalibrate=True, random_state=0)
    monitor.fit(convert(X[600:700]), reference=convert(X[:200]))
    for recalibrate in (True, False):
        monitor.recalibrate = expected.recalibrate = recalibrate
        health = monitor.reset().update(convert(failing))
        truth = expected.reset().update(failing)
        np.testing.assert_allclose(health.failing, truth.failing, rtol=1e-9)
        assert health.kind[-1].tolist() == ["", "missing", ""]
        np.testing.assert_allclose(
            monitor.predict_proba(convert(failing)), expected.predict_proba(failing), rtol=1e-9
        )


def test_columns_that_the_estimator_ignores_may_hold_anything(table, failing, quick):
    X, y = table

    def extended(X):
        return X.assign(date=pd.Timestamp("2020-01-01"), name="x", bad=np.inf)

    groups = {f"m{i}": [c for c in X if c.startswith(f"modality{i}")] for i in range(3)}
    classifier = quick(modalities=groups, remainder="drop").fit(extended(X[:200]), y[:200])
    monitor = ModalityMonitor(classifier, random_state=0).fit(extended(X[600:700]))
    assert monitor.update(extended(failing)).kind[-1].tolist() == ["", "missing", ""]


def test_columns_of_a_modality_may_be_absent_if_the_estimator_allows_it(table, failing, quick):
    X, y = table
    classifier = quick(missing_modalities="allow").fit(X[:200], y[:200])
    monitor = ModalityMonitor(classifier, random_state=0).fit(X[600:700])
    absent = failing.loc[:, ~failing.columns.str.startswith("modality1")]
    filled = failing.assign(**dict.fromkeys(failing.columns.difference(absent.columns), np.nan))
    for recalibrate in (False, True):
        monitor.recalibrate = recalibrate
        np.testing.assert_array_equal(monitor.predict(absent), monitor.predict(filled))
    assert (monitor.update(absent).kind[:, 1] == "missing").all()
