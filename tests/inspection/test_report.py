"""modality_report: the state of every modality of every sample."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_emma import EMMARegressor
from sklearn_emma.inspection import ModalityReport, modality_report

FIELDS = ["energy", "percentile", "importance", "attention", "failing"]


@pytest.fixture(scope="module")
def samples(wide, add_noise, lose):
    """Clean samples, some with a noisy modality, and some without one, in the order of time."""
    X = wide[2][:60]
    table = pd.concat([X, add_noise(X, "modality1", 8), lose(X, "modality2")], ignore_index=True)
    return table.set_index(pd.date_range("2030-01-01", periods=180, freq="min"))


@pytest.fixture(scope="module")
def report(trained, wide, samples):
    return modality_report(trained, samples, reference=wide[0], n_worst=5)


def test_columns_are_what_the_estimator_tells(report, trained, samples):
    expected = [(f"modality{i}", field) for i in range(3) for field in FIELDS]
    assert report.columns.tolist() == [*expected, ("total_energy", ""), ("prediction", "")]
    assert report.index.equals(samples.index)
    for field in ("energies", "importance", "attention"):
        values = getattr(trained, field)(samples)
        name = "energy" if field == "energies" else field
        shown = report.xs(name, axis=1, level="quantity")
        np.testing.assert_allclose(shown, values)
    np.testing.assert_allclose(report["total_energy"], trained.total_energy(samples))
    np.testing.assert_array_equal(report["prediction"], trained.predict(samples))


def test_percentiles_are_shares_of_reference_samples_below(report, trained, wide, samples):
    reference = trained.energies(wide[0])
    energy = trained.energies(samples)[7, 1]
    expected = 100 * (reference[:, 1] < energy).mean()
    assert report["modality1", "percentile"].iloc[7] == pytest.approx(expected)
    assert (report["modality2", "percentile"].iloc[120:] == 100).all()
    assert modality_report(trained, samples, n_worst=0)["modality0", "percentile"].isna().all()


def test_failing_is_what_the_gate_closes_on(report, trained, samples):
    for part, i in ((slice(60, 120), 1), (slice(120, 180), 2)):
        assert report[f"modality{i}", "failing"].iloc[part].mean() > 0.95
    assert report.iloc[:60].xs("failing", axis=1, level=1).mean().max() < 0.1
    strict = modality_report(trained, samples, threshold=1.0, n_worst=0)
    assert strict.xs("failing", axis=1, level=1).to_numpy().all()


def test_modalities_that_all_fail_together_are_all_failing(trained, samples):
    report = modality_report(trained, samples[:60] * 30, n_worst=0)
    assert report.xs("failing", axis=1, level=1).mean().min() > 0.95


def test_summary_says_how_often_and_how_badly(report):
    assert report.summary.index.tolist() == ["modality0", "modality1", "modality2"]
    assert report.summary["missing"].tolist() == [0, 0, pytest.approx(1 / 3)]
    failing = report.xs("failing", axis=1, level=1).mean()
    np.testing.assert_allclose(report.summary["failing"], failing)
    assert np.isfinite(report.summary["largest_energy"]).all()
    assert report.summary["median_percentile"].between(0, 100).all()


def test_summary_compares_with_the_reference(trained, wide, samples):
    clean = wide[2]
    found = modality_report(trained, samples, reference=clean, n_worst=0).summary
    expected = modality_report(trained, clean, n_worst=0).summary
    np.testing.assert_allclose(found["failing_in_reference"], expected["failing"])
    assert expected["failing_in_reference"].isna().all()
    assert "failing in reference" in modality_report(trained, samples, reference=clean).to_html()


def test_no_percentile_without_values_to_compare_with(trained, wide):
    clean = wide[2].copy()
    clean.loc[:, clean.columns.str.startswith("modality1")] = np.nan
    report = modality_report(trained, wide[2], reference=clean, n_worst=0)
    assert report["modality1", "percentile"].isna().all()
    assert report["modality0", "percentile"].notna().all()


def test_worst_samples_come_first(trained, wide):
    X = wide[2].copy()
    X.iloc[5, X.columns.get_loc("modality1__2")] += 30
    report = modality_report(trained, X, n_worst=10)
    assert len(report.worst) == 10
    assert report.worst["total_energy"].is_monotonic_decreasing
    assert report.worst.index[0] == X.index[5]
    assert report.worst_positions[0] == 5
    assert report.worst["prediction"].iloc[0] == trained.predict(X)[5]
    assert modality_report(trained, X, n_worst=0).worst.empty


def test_samples_without_any_value_are_the_worst(trained, wide):
    X = wide[2][:40].copy()
    X.iloc[[7, 20]] = np.nan
    report = modality_report(trained, X, n_worst=5)
    assert report.worst_positions[:2].tolist() == [7, 20]
    assert report.worst["total_energy"].iloc[:2].tolist() == [np.inf, np.inf]
    assert np.flatnonzero(np.isinf(report["total_energy"])).tolist() == [7, 20]
    assert report.worst["total_energy"].is_monotonic_decreasing


def test_failing_is_an_attention_of_at_most_the_threshold(trained, wide):
    X = wide[2][:40]
    attention = trained.attention(X)
    report = modality_report(trained, X, threshold=attention[3, 1], n_worst=0)
    assert report["modality1", "failing"].iloc[3]


def test_pipelines_arrays_and_regressors_with_several_outputs(table, quick):
    X, y = table
    X = X.to_numpy()
    groups = {"left": [0, 1, 2, 3], "right": [4, 5, 6, 7, 8]}
    settings = {
        key: value for key, value in quick().get_params(deep=False).items() if key != "class_weight"
    }
    emma = EMMARegressor(**{**settings, "modalities": groups, "max_epochs": 1})
    y = np.column_stack([y, 1 - y])
    model = make_pipeline(FunctionTransformer(np.negative), emma).fit(X, y)
    report = modality_report(model, X, reference=X, n_worst=20)
    np.testing.assert_allclose(report["prediction"], model.predict(X))
    assert report["prediction"].columns.tolist() == [0, 1]
    assert report.index.equals(pd.RangeIndex(len(X)))
    np.testing.assert_allclose(report["left", "energy"], model[-1].energies(-X)[:, 0])
    assert report.worst["prediction"].map(len).eq(2).all()
    assert report["left", "percentile"].max() < 100
    page = report.to_html()
    assert "left" in page
    first, second = report.worst["prediction"].iloc[0]
    assert f'"{first:.4g}, {second:.4g}"' in page


def test_is_a_frame_whose_parts_are_plain_frames(report):
    assert isinstance(report, pd.DataFrame)
    assert isinstance(report, ModalityReport)
    assert type(report.iloc[:3]) is pd.DataFrame
    assert report["modality0"].columns.tolist() == FIELDS
    again = pickle.loads(pickle.dumps(report))
    pd.testing.assert_frame_equal(again.worst, report.worst)
    assert again.gate["capacity"] == report.gate["capacity"]
    assert "<table" in report._repr_html_()


def test_wrong_input_is_explained(fitted, table):
    X, y = table
    with pytest.raises(TypeError, match="modality_report needs a fitted EMMAClassifier"):
        modality_report(LogisticRegression().fit(X, y), X)
    with pytest.raises(ValueError, match="threshold=2 must be a number from 0 to 1"):
        modality_report(fitted, X, threshold=2)
    for n_worst in (-1, 0.5, True, "all"):
        with pytest.raises(ValueError, match="n_worst=.* must be an integer"):
            modality_report(fitted, X, n_worst=n_worst)
    with pytest.raises(ValueError, match="not fitted yet"):
        modality_report(clone(fitted), X)
