"""What modality_report finds in the table as a whole, and over the order of its samples."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from sklearn_emma.corruption import Swapped
from sklearn_emma.inspection import modality_report
from sklearn_emma.monitoring import ModalityMonitor


@pytest.fixture(scope="module")
def night(wide):
    """A stream whose first modality is stuck at the values of an ordinary sample."""
    X = wide[2]
    stuck = X.copy()
    stuck.iloc[60:120, :3] = X.iloc[60, :3].to_numpy()
    return stuck.set_index(pd.date_range("2030-01-01", periods=len(X), freq="min"))


@pytest.fixture(scope="module")
def report(trained, wide, night):
    return modality_report(trained, night, reference=wide[0][:300], n_worst=5, ordered=True)


def findings(estimator, X, reference):
    table = modality_report(estimator, X, reference=reference, n_worst=0).table
    return set(zip(table["modality"], table["finding"], strict=True)), table


def test_nothing_is_found_in_clean_samples(trained, wide):
    found, _ = findings(trained, wide[2], wide[0])
    assert found == set()


def test_constant_columns_are_found_with_or_without_reference(trained, wide):
    X = wide[2].copy()
    X.iloc[:, :3] = X.iloc[0, :3].to_numpy()
    for reference in (wide[0], None):
        found, table = findings(trained, X, reference)
        assert ("modality0", "constant") in found
        constant = table[table["finding"] == "constant"]
        assert constant["column"].tolist() == X.columns[:3].tolist()
        assert (constant["n_samples"] == len(X)).all()
        assert set(constant["modality"]) == {"modality0"}


def test_columns_have_the_labels_of_the_table_if_these_are_integers(wide, quick):
    X, y = wide[0].set_axis([8, 7, 6, 5, 4, 3, 2, 1, 0], axis=1), wide[1]
    modalities = {"a": [0, 1, 2], "b": [3, 4, 5], "c": [6, 7, 8]}
    estimator = quick(modalities=modalities).fit(X, y)
    stuck = X.copy()
    stuck[8] = 0.5
    report = modality_report(estimator, stuck, reference=X, n_worst=3)
    constant = report.table[report.table["finding"] == "constant"]
    assert constant[["modality", "column"]].to_numpy().tolist() == [["a", "8"]]
    assert report.column_summary.index.tolist() == list(range(8, -1, -1))


def test_a_sample_that_comes_too_often_is_found_in_any_order(trained, wide, night):
    order = np.random.RandomState(0).permutation(len(night))
    _, table = findings(trained, night.iloc[order], wide[0])
    repeated = table[table["finding"] == "repeated"]
    assert repeated["modality"].tolist() == ["modality0"]
    assert repeated["n_samples"].tolist() == [60]


def test_shifted_columns_and_swapped_samples_are_found(trained, wide):
    X = wide[2].copy()
    X.iloc[:, 0] += 2 * wide[0].iloc[:, 0].std()
    _, table = findings(trained, X, wide[0])
    row = table[(table["finding"] == "unlike clean samples")].iloc[0]
    assert (row["modality"], row["column"], row["n_samples"]) == ("modality0", X.columns[0], len(X))
    swapped, _ = Swapped(only="modality1").corrupt(wide[2], "prefix", 0, reference=wide[2])
    found, _ = findings(trained, swapped, wide[0])
    assert ("modality1", "does not fit the others") in found
    assert "unlike clean samples" not in {finding for _, finding in found}


@pytest.mark.parametrize("value", [7.0, 0.1])
def test_what_was_constant_in_training_is_not_reported(wide, trained, value):
    X, y = wide[0].copy(), wide[1]
    X["modality0__0"] = value  # the mean of many values of 0.1 is not exactly 0.1
    with pytest.warns(UserWarning, match="onstant"):
        other = clone(trained).set_params(max_epochs=1).fit(X, y)
    new = wide[2].copy()
    new["modality0__0"] = value
    for reference in (X, None):
        assert "constant" not in {finding for _, finding in findings(other, new, reference)[0]}
    assert "constant" not in {f for _, f in findings(other, new.astype(np.float32), None)[0]}


@pytest.mark.parametrize("level", ["x", "y"])
@pytest.mark.parametrize("with_reference", [False, True])
def test_a_category_may_be_stuck_at_any_level(wide, trained, level, with_reference):
    X, y = wide[0].copy(), wide[1]
    X["modality0__kind"] = np.resize(["x", "y", "z"], len(X))
    X["modality0__always"] = "on"
    with pytest.warns(UserWarning, match="always"):
        classifier = clone(trained).set_params(max_epochs=1).fit(X, y)
    stuck = X[:100].assign(modality0__kind=level)
    table = findings(classifier, stuck, X if with_reference else None)[1]
    assert "modality0__kind" in table.loc[table["finding"] == "constant", "column"].tolist()
    assert "modality0__always" not in table["column"].tolist()


def test_a_column_of_scale_one_is_not_taken_for_constant(wide, trained):
    X, y = wide[0].copy(), wide[1]
    X.iloc[:, 0] = np.resize([-1.0, 1.0], len(X))  # its mean is 0, and its scale exactly 1
    classifier = clone(trained).set_params(max_epochs=2).fit(X, y)
    assert classifier.scale_[0] == 1.0
    dead = X.copy()
    dead.iloc[:, 0] = 0.0
    _, table = findings(classifier, dead, X)
    constant = table[table["finding"] == "constant"]
    assert constant["column"].tolist() == [X.columns[0]]


def test_a_report_in_order_sees_a_stuck_sensor(report, trained, night):
    plain = modality_report(trained, night, n_worst=0)
    assert plain.alarms is None
    assert plain["modality0", "failing"].iloc[70:120].mean() < 0.5
    assert report["modality0", "failing"].iloc[70:120].all()
    assert (report["modality0", "kind"].iloc[70:120] == "stuck").all()
    assert report["modality0", "attention"].iloc[70:120].max() < 0.1
    alarm = report.alarms[report.alarms["modality"] == "modality0"].iloc[0]
    assert alarm["kind"] == "stuck"
    assert abs((alarm["first"] - night.index[60]).total_seconds()) <= 180
    assert report.health.alarm.shape == (len(night), 3)


def test_a_monitor_reads_the_table_as_a_stream_of_its_own(trained, wide, night):
    monitor = ModalityMonitor(trained, random_state=0).fit(wide[0][:100])
    monitor.update(wide[2][:10])
    report = modality_report(monitor, night, n_worst=0, ordered=True)
    assert monitor.state_.n_samples == 10
    assert report["modality0", "alarm"].iloc[119]
    with pytest.raises(ValueError, match="ordered=True needs clean samples"):
        modality_report(trained, night, ordered=True)


def data_of(report):
    return json.loads(re.search(r'id="data">(.*?)</script>', report.to_html(), re.DOTALL).group(1))


def test_the_page_shows_alarms_and_findings(report, trained, night):
    data = data_of(report)
    assert data["alarms"]["rows"][0][:2] == ["modality0", "stuck"]
    assert np.shape(data["alarms"]["up"]) == np.shape(data["alarms"]["probability"])
    assert ["modality0", "", "repeated"] in [row[:3] for row in data["table"]]
    assert data_of(modality_report(trained, night, n_worst=0))["alarms"] is None


def test_columns_without_values_are_found(trained, wide):
    reference, X = wide[0], wide[2].copy()
    X.iloc[len(X) // 2 :, 0] = np.nan
    X.iloc[:, 3:6] = np.nan
    table = modality_report(trained, X, reference=reference, n_worst=0).table
    missing = table[table["finding"] == "missing"]
    assert missing[["modality", "column"]].to_numpy().tolist() == [
        ["modality0", X.columns[0]],
        ["modality1", ""],
    ]
    assert missing["statistic"].tolist() == [0.5, 1.0]
    without = modality_report(trained, X, n_worst=0).table
    assert without[["modality", "finding"]].to_numpy().tolist() == [["modality1", "missing"]]
    as_before = reference.copy()
    as_before.iloc[::2, 0] = np.nan
    table = modality_report(trained, X, reference=as_before, n_worst=0).table
    assert "modality0" not in set(table["modality"][table["finding"] == "missing"])


def test_energies_of_a_tenth_of_the_samples_are_found(trained, wide):
    reference, X = wide[0], wide[2].copy()
    X.iloc[: len(X) // 10, :3] += 50 * X.iloc[:, :3].std()
    found, _ = findings(trained, X, reference)
    assert ("modality0", "unusual energies") in found
    assert {modality for modality, _ in found} == {"modality0"}


def test_a_column_is_found_beside_others_that_are_sometimes_missing(trained, wide):
    X = wide[2].iloc[:40].copy()
    X.iloc[:, 0] = np.nan
    X.iloc[::5, 1] = np.nan
    table = modality_report(trained, X, reference=wide[0].iloc[:20], n_worst=0).table
    missing = table[table["finding"] == "missing"]
    assert missing["column"].tolist() == [X.columns[0]]
