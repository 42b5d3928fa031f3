"""Tables of dask are read chunk by chunk, when their results are asked for."""

import copy

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, r2_score

from sklearn_emma import (
    DAEEnergyScorer,
    EMMAClassifier,
    EMMARegressor,
    GatedClassifier,
    SignalEnergyScorer,
)
from sklearn_emma.corruption import Noise
from sklearn_emma.datasets import make_multimodal_classification
from sklearn_emma.inspection import modality_report
from sklearn_emma.lazy import is_lazy
from sklearn_emma.model_selection import (
    PatternConformalClassifier,
    PatternConformalRegressor,
    make_failure_scorer,
    robustness_curve,
)
from sklearn_emma.monitoring import ModalityMonitor

da = pytest.importorskip("dask.array", reason="needs dask, of the extra dask")
dd = pytest.importorskip("dask.dataframe", reason="needs dask, of the extra dask")

ENERGY = DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=2, calibration_fraction=0)
QUICK = {
    "energy": ENERGY,
    "max_epochs": 1,
    "l2_regularization": 1.0,
    "periodic_features": False,
    "random_state": 0,
}
READ_OUTS = ["energies", "importance", "attention", "modal_energy", "total_energy", "transform"]


@pytest.fixture(scope="module")
def table():
    """Samples with gaps, and their classes as words."""
    X, y = make_multimodal_classification(120, random_state=0, return_X_y=True)
    X.iloc[::7, 0] = np.nan
    return X, np.array(["off", "working"])[y]


@pytest.fixture(scope="module")
def classifier(table):
    return EMMAClassifier("prefix", **QUICK).fit(*table)


@pytest.fixture(scope="module")
def scorer(table):
    scorer = DAEEnergyScorer("prefix", hidden_layer_sizes=(8,), max_epochs=2, random_state=0)
    return scorer.fit(table[0])


def check(method, X, chunks=50):
    """Compare a method's results for an array and a DataFrame of dask with those in memory."""
    expected = method(X)
    array = da.from_array(X.to_numpy(), chunks=(chunks, 4))  # columns are cut too
    with pytest.warns(UserWarning, match="feature names"):
        found = method(array)
    assert isinstance(found, da.Array)
    assert found.shape == expected.shape
    assert found.chunks[0] == (50, 50, 20)
    frame = method(dd.from_pandas(X, chunksize=chunks))
    assert isinstance(frame, da.Array)
    for lazy in (found, frame):
        assert lazy.dtype == expected.dtype
        computed = lazy.compute(scheduler="synchronous")
        assert computed.dtype == expected.dtype
        if expected.dtype.kind == "f":
            tolerance = 1e-9 if X.dtypes.iloc[0] == np.float64 else 1e-5
            np.testing.assert_allclose(computed, expected, rtol=tolerance, atol=tolerance)
        else:
            np.testing.assert_array_equal(computed, expected)


pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba", *READ_OUTS])
def test_read_outs_of_a_classifier(classifier, table, method):
    check(getattr(classifier, method), table[0])


@pytest.mark.parametrize("kind", ["classifier", "regressor"])
def test_scores_of_tables_of_dask(classifier, table, kind):
    X, y = table
    model = classifier
    if kind == "regressor":
        y = X["modality1__0"].to_numpy() + 1.0
        model = EMMARegressor("prefix", **QUICK).fit(X, y)
    target = dd.from_pandas(pd.Series(y, index=X.index), chunksize=50)
    expected = model.score(X, y)
    assert expected == pytest.approx(
        {"classifier": accuracy_score, "regressor": r2_score}[kind](y, model.predict(X))
    )
    lazy = dd.from_pandas(X, chunksize=50)
    assert model.score(lazy, y) == pytest.approx(expected)
    assert model.score(lazy, target) == pytest.approx(expected)
    weight = np.arange(len(y)) % 3
    assert model.score(lazy, target, weight) == pytest.approx(model.score(X, y, weight))


@pytest.mark.parametrize(
    "method",
    [
        "transform",
        "score_samples",
        "decision_function",
        "predict",
        "p_values",
        "predict_modality",
        "reconstruct",
        "reconstruction_error",
        "energy_gradient",
        "nearest_typical",
        "attribution",
    ],
)
@pytest.mark.filterwarnings("ignore:With .* samples held out")
def test_read_outs_of_a_scorer(scorer, table, method):
    check(getattr(scorer, method), table[0])


@pytest.mark.parametrize(
    "method", ["transform", "score_samples", "decision_function", "predict", "p_values"]
)
def test_read_outs_of_signals(table, method):
    X = table[0].fillna(0.0)
    scorer = SignalEnergyScorer(n_filters=2, max_epochs=1, random_state=0).fit(X)
    check(getattr(scorer, method), X)


@pytest.mark.parametrize("outputs", [1, 2, "quantile"])
def test_predictions_of_a_regressor(table, outputs):
    X = table[0]
    y = X.iloc[:, 5:7] if outputs == 2 else X.iloc[:, 5]
    loss = "quantile" if outputs == "quantile" else "squared_error"
    regressor = EMMARegressor("prefix", loss=loss, **QUICK).fit(X, y)
    check(regressor.predict, X)
    if outputs == "quantile":
        check(regressor.predict_quantiles, X)


@pytest.mark.parametrize("threshold", [0.5, "mean"])
def test_predictions_behind_a_gate(table, threshold):
    from sklearn.linear_model import LogisticRegression

    gate = EMMAClassifier(**QUICK)
    gated = GatedClassifier(LogisticRegression(), "prefix", gate=gate, threshold=threshold)
    gated.fit(*table)
    check(gated.predict, table[0])
    check(gated.predict_proba, table[0])


def test_prediction_intervals(table):
    X = table[0]
    y = X.iloc[:, 5]
    regressor = EMMARegressor("prefix", max_epochs=2, l2_regularization=3.0, random_state=0)
    regressor.set_params(energy=DAEEnergyScorer(max_epochs=2), periodic_features=False)
    intervals = PatternConformalRegressor(regressor.fit(X, y), random_state=0).conformalize(X, y)
    check(intervals.predict_interval, X)
    check(intervals.closed, X)


def test_single_precision_stays_single(classifier, table):
    X = table[0].astype(np.float32)
    check(classifier.predict_proba, X)
    assert classifier.predict_proba(dd.from_pandas(X, npartitions=2)).dtype == np.float32


def test_lazy_output_is_not_put_into_another_container(classifier, scorer, table):
    X = table[0].fillna(0.0)
    lazy = dd.from_pandas(X, npartitions=2)
    for estimator in (classifier, scorer):
        wants_frames = copy.copy(estimator).set_output(transform="pandas")
        assert wants_frames.transform(X).index.equals(X.index)
        with pytest.raises(ValueError, match="its output cannot be 'pandas'"):
            wants_frames.transform(lazy)
        with config_context(transform_output="polars"), pytest.raises(ValueError, match="'polars'"):
            estimator.transform(lazy)


def test_nothing_is_computed_before_it_is_asked_for(classifier, table):
    seen = []

    def load(block):
        seen.append(len(block))
        return block

    X = table[0].to_numpy()
    lazy = da.from_array(X, chunks=(40, -1)).map_blocks(load, dtype=X.dtype, meta=X[:0])
    found = classifier.attention(lazy)
    assert seen == []
    found[:40].compute(scheduler="synchronous")
    assert seen == [40]


def test_partitions_may_be_empty(classifier, table):
    frame = dd.from_pandas(table[0], npartitions=3)
    chosen = frame.map_partitions(lambda rows: rows[rows.index >= 100])
    found = classifier.predict_proba(chosen).compute(scheduler="synchronous")
    np.testing.assert_allclose(found, classifier.predict_proba(table[0][100:]))


def test_wrong_columns_are_found_at_once(classifier, table):
    frame = dd.from_pandas(table[0].rename(columns={"modality0__0": "other"}), npartitions=2)
    with pytest.raises(ValueError, match="feature names"):
        classifier.predict(frame)
    with pytest.raises(ValueError, match="expecting 15 features"):
        classifier.predict(da.zeros((10, 3)))


def test_one_dimension_is_refused(classifier):
    with pytest.raises(ValueError, match="must have two dimensions"):
        classifier.predict(da.zeros(15))


def test_reports_monitors_and_corruptions_load_the_table(classifier, table):
    X, _ = table
    lazy = dd.from_pandas(X, chunksize=50)
    pd.testing.assert_frame_equal(
        modality_report(classifier, lazy, reference=lazy),
        modality_report(classifier, X, reference=X),
    )
    failed, _ = Noise(2.0).corrupt(lazy, "prefix", random_state=0)
    pd.testing.assert_frame_equal(failed, Noise(2.0).corrupt(X, "prefix", random_state=0)[0])
    monitors = [ModalityMonitor(classifier, random_state=0).fit(each) for each in (X, lazy)]
    in_memory, loaded = (monitor.update(X).failing for monitor in monitors)
    np.testing.assert_array_equal(loaded, in_memory)
    np.testing.assert_array_equal(monitors[0].reset().update(lazy).failing, in_memory)


def test_evidence_needs_samples_in_memory(classifier, table):
    lazy = dd.from_pandas(table[0], npartitions=2)
    for method in (classifier.predict, classifier.predict_proba, classifier.readings):
        with pytest.raises(ValueError, match="evidence was given with a table of dask"):
            method(lazy, evidence=np.zeros((120, 3)))


@pytest.mark.parametrize("X", [np.zeros((2, 2)), pd.DataFrame(), [[1.0]], None])
def test_tables_in_memory_are_not_lazy(X):
    assert not is_lazy(X)


@pytest.mark.slow
# what the event loop of dask leaves behind is not ours
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_a_cluster_reads_the_chunks(classifier, scorer, table):
    distributed = pytest.importorskip("distributed", reason="needs distributed, of the extra dask")
    X = table[0]
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        frame = dd.from_pandas(X, npartitions=4)
        futures = client.compute([classifier.predict_proba(frame), classifier.energies(frame)])
        probabilities, energies = client.gather(futures)
        array = da.from_array(X.fillna(0.0).to_numpy(), chunks=(30, -1))
        scores = scorer.score_samples(array).compute()
    np.testing.assert_allclose(probabilities, classifier.predict_proba(X))
    np.testing.assert_allclose(energies, classifier.energies(X))
    np.testing.assert_allclose(scores, scorer.score_samples(X.fillna(0.0)))


def test_attention_to_columns_is_read_chunk_by_chunk(table):
    X, y = table
    attentive = EMMAClassifier("prefix", column_attention=True, **QUICK).fit(X, y)
    broken = X.copy()
    broken.iloc[:, 0] += 9.0
    check(attentive.attention_to_columns, broken)
    check(attentive.predict_proba, broken)


def test_tools_load_tables(table, classifier):
    X, y = table
    lazy, fails = dd.from_pandas(X, chunksize=50), Noise(4, only="modality0")
    scorer = make_failure_scorer("accuracy", fails, "prefix")
    assert scorer(classifier, lazy, y) == scorer(classifier, X, y)
    params = {"modalities": "prefix", "levels": [4], "cv": 2, "random_state": 0}
    frozen = FrozenEstimator(classifier)
    found, expected = (
        robustness_curve(frozen, each, y, **params).test_scores for each in (lazy, X)
    )
    np.testing.assert_array_equal(found, expected)
    sets = PatternConformalClassifier(classifier, cv="prefit", min_samples=20, random_state=0)
    expected = sets.fit(X, y).predict_set(X)
    found = sets.fit(lazy, y).predict_set(lazy)
    np.testing.assert_array_equal(found.compute(scheduler="synchronous"), expected)
