"""ModalityMonitor: what it says of failing sensors, and what it does to predictions."""

import contextlib
import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from sklearn_emma import DAEEnergyScorer, EMMAClassifier, EMMARegressor, GatedRegressor
from sklearn_emma.corruption import Missing, Noise, Stuck, Swapped
from sklearn_emma.inspection import modality_report
from sklearn_emma.model_selection import stream_curve
from sklearn_emma.monitoring import ModalityMonitor


def fail(corruption, X, first, last, modality="modality0", seed=0):
    """Let a modality fail from one sample to another."""
    failed, _ = corruption.set_params(only=modality).corrupt(X[first:last], "prefix", seed, X)
    return pd.concat([X[:first], failed, X[last:]])


def join(parts):
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def test_samples_may_come_one_by_one_or_together(monitor, stream):
    X = fail(Missing(), fail(Stuck(), stream[0][:90], 20, 50), 60, 70, "modality1")
    together = monitor.update(X)
    for sizes in ([1] * 90, [30, 1, 59]):
        monitor.reset()
        edges = np.cumsum([0, *sizes])
        parts = [monitor.update(X[a:b]) for a, b in zip(edges[:-1], edges[1:], strict=True)]
        for one, other in zip(join(parts), together, strict=True):
            if one.dtype.kind == "f":
                np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-12)
            else:
                np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("recalibrate", [False, True])
def test_long_tables_are_read_in_blocks(monitor, stream, monkeypatch, recalibrate):
    X = fail(Missing(), fail(Stuck(), stream[0][:90], 20, 50), 60, 70, "modality1")
    monitor.set_params(recalibrate=recalibrate)
    whole = monitor.update(X)
    monkeypatch.setattr("sklearn_emma.monitoring.health._BLOCK", 25)
    for one, other in zip(monitor.reset().update(X), whole, strict=True):
        assert len(one) == 90
        if one.dtype.kind == "f":
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-12)
        else:
            np.testing.assert_array_equal(one, other)
    assert monitor.state_.n_samples == 90


def test_a_pickled_monitor_goes_on_where_it_was(monitor, stream):
    X = fail(Stuck(), stream[0], 20, 60)
    monitor.update(X[:40])
    copy = pickle.loads(pickle.dumps(monitor))
    for one, other in zip(monitor.update(X[40:80]), copy.update(X[40:80]), strict=True):
        np.testing.assert_array_equal(one, other)


def test_its_state_does_not_grow(monitor, stream):
    monitor.update(stream[0][:10])
    size = len(pickle.dumps(monitor.state_))
    for _ in range(5):
        monitor.update(stream[0])
    assert len(pickle.dumps(monitor.state_)) <= size + 16
    assert monitor.state_.n_samples == 10 + 5 * len(stream[0])
    assert monitor.reset().state_.n_samples == 0


def test_clean_streams_raise_no_alarm_and_keep_their_predictions(monitor, stream):
    X, _ = stream
    rng = np.random.RandomState(0)
    long = pd.concat([X.iloc[rng.permutation(len(X))] for _ in range(10)])
    health = monitor.update(long)
    assert health.alarm.sum() == 0
    assert health.failing.mean() < 0.02
    plain = monitor.estimator_.predict_proba(X)
    assert np.abs(monitor.reset().predict_proba(X) - plain).mean() < 0.01


@pytest.mark.parametrize(
    ("corruption", "kind", "delay"),
    [
        (Stuck(), "stuck", 8),
        (Stuck(0.0), "stuck", 8),
        (Missing(), "missing", 1),
        (Noise(2.0), "noise", 20),
        (Noise(8.0), "noise", 2),
        (Swapped(), "mismatch", 60),
    ],
    ids=str,
)
def test_a_failure_is_found_named_and_gets_over(monitor, stream, corruption, kind, delay):
    health = monitor.update(fail(corruption, stream[0], 100, 200))
    first = int(health.alarm.any(axis=1).argmax())
    assert health.alarm.any()
    assert 100 <= first < 100 + delay
    assert health.alarm[199].tolist() == [True, False, False]
    assert health.kind[199].tolist() == [kind, "", ""]
    assert 95 <= health.since[first, 0] <= first
    assert health.since[199, 1] == -1
    assert not health.alarm[230:].any()
    assert (health.failing[230:, 0] < 0.5).all()


def test_noise_as_large_as_the_signal_is_found_in_ten_samples(monitor, stream):
    X, _ = stream
    curve = stream_curve(
        monitor, X, corruption=Noise(1.0), kind="noise", n_episodes=8, random_state=0
    )
    assert curve.summary["median_delay"] <= 10
    assert curve.summary["missed"] == 0
    assert curve.summary["right_kind"] == 1
    assert curve.summary["false_alarms"] == 0


def test_a_sensor_whose_range_is_too_small_is_found(monitor, stream):
    X = stream[0][:200].copy()
    own = X.columns[:5]
    X.loc[100:, own] = X.loc[100:, own].clip(X[own].mean() - X[own].std(), None, axis=1)
    health = monitor.update(X)
    first = int(health.alarm.any(axis=1).argmax())
    assert 100 <= first < 120
    assert health.kind[-1].tolist() == ["gain", "", ""]


def test_an_intermittent_failure_is_found_and_closes_the_gate_only_when_it_shows(monitor, stream):
    X, _ = stream
    bad = np.zeros(len(X), dtype=bool)
    bad[100:400:10] = True
    S = X.copy()
    S.loc[bad, [c for c in S if c.startswith("modality1")]] = -999.0
    health = monitor.update(S)
    assert not health.alarm[:100].any()
    assert health.alarm[150:400, 1].mean() > 0.9
    assert (health.kind[150:400, 1] == "intermittent").mean() > 0.9
    assert not health.alarm[450:].any()
    assert not health.alarm[:, [0, 2]].any()
    readings = monitor.estimator_.readings(S, evidence=health.evidence)
    attention = readings.attention[150:400, 1]
    assert attention[bad[150:400]].max() < 0.1
    assert attention[~bad[150:400]].mean() > 0.8


def test_single_wrong_samples_are_no_intermittent_failure(monitor, stream):
    X, _ = stream
    S = X.copy()
    S.loc[[100, 350], [c for c in S if c.startswith("modality1")]] = -999.0
    assert not monitor.update(S).alarm.any()


def test_beside_a_stuck_sensor_the_others_are_not_to_blame():
    # the third modality is too weak to tell which of the other two is right
    rng = np.random.default_rng(0)
    y = rng.integers(2, size=1600)
    X = np.hstack([rng.normal(np.c_[y, y] * strength) for strength in (2.0, 2.0, 0.7)])
    groups = {"a": [0, 1], "b": [2, 3], "c": [4, 5]}
    clf = EMMAClassifier(
        groups,
        max_epochs=20,
        n_networks=1,
        l2_regularization=1.0,
        periodic_features=False,
        random_state=0,
    ).fit(X[:600], y[:600])
    monitor = ModalityMonitor(clf, random_state=0).fit(X[600:1000], reference=X[:600])
    X[1100:, :2] = X[1100, :2]
    health = monitor.update(X[1000:])
    assert (health.kind[110:, 0] == "stuck").all()
    assert health.alarm[:, 1:].mean(axis=0).max() < 0.05


def test_a_stuck_sensor_is_closed(monitor, stream):
    X, y = stream
    stuck = fail(Stuck(), X, 50, len(X), seed=3)
    plain = monitor.estimator_
    assert (plain.attention(stuck)[100:, 0] > 0.3).any()
    closed = plain.readings(stuck, evidence=monitor.update(stuck).evidence).attention
    assert (closed[100:, 0] < 0.05).all()
    gone = fail(Missing(), X, 50, len(X))
    expected = plain.predict_proba(gone)[100:]
    assert np.abs(monitor.reset().predict_proba(stuck)[100:] - expected).mean() < 0.01
    assert np.mean(monitor.predict(stuck) == y) >= np.mean(plain.predict(stuck) == y)


def test_predictions_leave_the_stream_where_it_is(monitor, stream):
    X = fail(Stuck(), stream[0], 10, 40)
    monitor.update(X[:20])
    first = monitor.predict_proba(X[20:30])
    np.testing.assert_array_equal(monitor.predict_proba(X[20:30]), first)
    classes = monitor.estimator_.classes_[first.argmax(axis=1)]
    np.testing.assert_array_equal(monitor.predict(X[20:30]), classes)
    assert monitor.state_.n_samples == 20


def test_constant_features_and_slow_sensors_are_not_stuck():
    rng = np.random.RandomState(0)
    X = rng.standard_normal((900, 5))
    X[:, 0] = 7.0  # constant
    X[:, 1] = np.repeat(rng.standard_normal(90), 10)[:900]  # a new value every ten samples
    scorer = DAEEnergyScorer({"a": [0], "slow": [1], "b": [2, 3, 4]}, max_epochs=3, random_state=0)
    with pytest.warns(UserWarning, match="Constant"):
        scorer.fit(X[:300])
    monitor = ModalityMonitor(scorer, ordered=True, random_state=0).fit(X[300:600])
    health = monitor.update(X[600:])
    assert not (health.kind == "stuck").any()
    stopped = X[600:].copy()
    stopped[100:, 1] = stopped[99, 1]
    assert monitor.reset().update(stopped).kind[-1].tolist() == ["", "stuck", ""]


@pytest.fixture(scope="module")
def slow():
    """Two modalities that follow a slow process, and a scorer of energies."""
    rng = np.random.RandomState(0)
    process = rng.standard_normal((3000, 2))
    for t in range(1, 3000):
        process[t] = 0.98 * process[t - 1] + 0.2 * process[t]
    X = np.repeat(process, 3, axis=1) + 0.3 * rng.standard_normal((3000, 6))
    scorer = DAEEnergyScorer({"a": [0, 1, 2], "b": [3, 4, 5]}, max_epochs=20, random_state=0)
    return X, scorer.fit(X[:800])


@pytest.mark.parametrize("ordered", [True, False])
def test_slow_streams_raise_no_alarms_but_stuck_sensors_do(slow, ordered):
    X, scorer = slow
    monitor = ModalityMonitor(scorer, ordered=ordered, random_state=0)
    no_warning = contextlib.nullcontext()
    with no_warning if ordered else pytest.warns(UserWarning, match="Neighboring rows"):
        monitor.fit(X[800:1800], reference=X[:800])
    with no_warning if ordered else pytest.warns(UserWarning, match="Successive samples"):
        health = monitor.update(X[1800:])
    assert health.alarm.mean() < 0.01
    independent = np.random.RandomState(0).permutation(X[800:])
    assert monitor.reset().update(independent).alarm.sum() == 0
    stuck = X[1800:2100].copy()
    stuck[200:, :3] = stuck[200, :3]
    with no_warning if ordered else pytest.warns(UserWarning, match="Successive samples"):
        health = monitor.reset().update(stuck)
    assert (health.kind[210:, 0] == "stuck").all()


def test_a_process_that_changes_is_no_failure(monitor, stream):
    X = stream[0][:200].copy()
    X.iloc[100:] += 3 * X.std()
    health = monitor.update(X)
    assert health.changed[:100].max() < 0.01
    assert health.changed[150:].mean() > 0.3
    assert health.evidence[150:].mean() < 0.5
    one = stream[0][:200].copy()
    one.iloc[100:, :5] += 2 * one.iloc[:, :5].std()
    health = monitor.reset().update(one)
    assert health.changed.max() < 0.01
    assert health.alarm[150:, 0].mean() > 0.9
    assert not health.alarm[:, 1:].any()


@pytest.mark.parametrize(("shift", "factor"), [(1.5, 1.0), (0.0, 3.0)], ids=["offset", "gain"])
def test_an_offset_or_gain_is_corrected_if_that_is_asked_for(monitor, stream, shift, factor):
    X = stream[0][:300].copy()
    own = X.iloc[100:250, :5]
    std, mean = X.iloc[:, :5].std(), X.iloc[:, :5].mean()
    X.iloc[100:250, :5] = mean + factor * (own - mean) + shift * std
    closed = monitor.predict_proba(X)
    assert not monitor.update(X).corrected.any()
    monitor.reset().set_params(recalibrate=True)
    corrected = monitor.predict_proba(X)
    health = monitor.update(X)
    assert not health.corrected[:130].any()
    assert health.corrected[180:250, 0].all()
    assert not health.corrected[:, 1:].any()
    assert not health.alarm[200:250].any()
    clean = monitor.estimator_.predict_proba(stream[0][:300])
    errors = [np.abs(p - clean)[180:250].mean() for p in (corrected, closed)]
    assert errors[0] < errors[1]
    monitor.reset()
    parts = [monitor.update(X[a:b]) for a, b in ((0, 120), (120, 121), (121, 300))]
    np.testing.assert_array_equal(join(parts)[6], health.corrected)


@pytest.mark.parametrize("recalibrate", [True, False])
def test_the_report_is_about_what_predictions_use(monitor, stream, recalibrate):
    X = stream[0][:300].copy()
    X.iloc[50:, :5] += 1.5 * X.iloc[:, :5].std()
    monitor.set_params(recalibrate=recalibrate)
    given = monitor.correct(X)
    assert given.equals(X) != recalibrate
    report = modality_report(monitor, X, n_worst=0)
    np.testing.assert_array_equal(report["prediction"], monitor.predict(X))
    np.testing.assert_allclose(
        report["modality0", "energy"], monitor.estimator_.energies(given)[:, 0]
    )
    if recalibrate:
        assert report["modality0", "failing"].iloc[150:].mean() < 0.1


def test_other_failures_are_not_corrected(monitor, stream):
    monitor.set_params(recalibrate=True)
    health = monitor.update(fail(Noise(2.0), stream[0][:200], 50, 200))
    assert not health.corrected.any()
    assert health.alarm[100:, 0].all()


def test_fits_an_estimator_that_is_not_fitted(fitted, table):
    X, y = table
    unfitted = clone(fitted).set_params(max_epochs=2, pretrain_epochs=1)
    monitor = ModalityMonitor(unfitted, calibration_fraction=0.4, random_state=0).fit(
        X[:200], y[:200]
    )
    check_is_fitted(monitor.estimator_)
    with pytest.raises(NotFittedError):
        check_is_fitted(unfitted)
    assert monitor.predict(X[:3]).shape == (3,)


def test_probabilities_are_in_the_order_of_its_classes(monitor, fitted, stream):
    np.testing.assert_array_equal(monitor.classes_, fitted.classes_)
    X, y = stream
    likely = monitor.classes_[monitor.predict_proba(X).argmax(axis=1)]
    assert (likely == y).mean() > 0.8
    assert not hasattr(ModalityMonitor(fitted), "classes_")


def test_regressors_and_scorers_too(table):
    X, y = table
    X = X[:400].to_numpy()
    groups = {"a": [0, 1, 2, 3, 4], "b": [5, 6, 7, 8, 9]}
    energy = DAEEnergyScorer(max_epochs=2)
    regressor = EMMARegressor(
        groups, remainder="drop", energy=energy, max_epochs=2, pretrain_epochs=1, random_state=0
    )
    monitor = ModalityMonitor(regressor, random_state=0).fit(X[:300], y[:300].astype(float))
    assert monitor.predict(X[300:]).shape == (100,)
    assert not hasattr(monitor, "predict_proba")
    scorer = DAEEnergyScorer(groups, remainder="drop", max_epochs=2, random_state=0)
    monitor = ModalityMonitor(scorer, random_state=0).fit(X[:300])
    assert monitor.update(X[300:]).failing.shape == (100, 2)
    assert not hasattr(monitor, "predict")


def test_around_a_scorer_missing_values_are_no_error(table):
    X = table[0]
    scorer = DAEEnergyScorer("prefix", max_epochs=3, random_state=0).fit(X[:60])
    monitor = ModalityMonitor(scorer, random_state=0).fit(X[60:120], reference=X[:60])
    stream = fail(Missing(), X[120:].reset_index(drop=True), 10, 20)
    stream.iloc[30, -1] = np.nan  # one value, not the whole modality
    health = monitor.update(stream)
    assert (health.kind[10:20, 0] == "missing").all()
    assert health.alarm[10:20, 0].all()
    assert not health.alarm[30].any()
    parts = [monitor.reset().update(stream[:11]), monitor.update(stream[11:])]
    np.testing.assert_allclose(join(parts)[0], health[0], rtol=1e-6, atol=1e-12)


def test_of_two_modalities_that_do_not_fit_both_are_suspect(table):
    rng = np.random.RandomState(0)
    common = rng.standard_normal((1500, 4))
    X = np.hstack([common, common + 0.1 * rng.standard_normal((1500, 4))])
    scorer = DAEEnergyScorer({"a": [0, 1, 2, 3], "b": [4, 5, 6, 7]}, max_epochs=5, random_state=0)
    scorer.fit(X[:500])
    monitor = ModalityMonitor(scorer, random_state=0).fit(X[500:1000])
    X = X[1000:].copy()
    X[100:200, :4] = X[rng.permutation(100) + 300, :4]
    health = monitor.update(X)
    assert health.kind[199].tolist() == ["mismatch", "mismatch"]
    assert not health.alarm[99].any()


def test_a_gated_regressor_is_watched(table):
    X, y = table
    gate = EMMARegressor(
        energy=DAEEnergyScorer(hidden_layer_sizes=(8,), max_epochs=5),
        hidden_layer_sizes=(8,),
        l2_regularization=1.0,
        periodic_features=False,
        pretrain_epochs=1,
        max_epochs=3,
    )
    model = GatedRegressor(LinearRegression(), "prefix", gate=gate, blend=0.5, random_state=0)
    monitor = ModalityMonitor(model.fit(X[:300], y[:300]), random_state=0).fit(X[300:500])
    stream = X[500:600].copy()
    stream.loc[:, stream.columns.str.startswith("modality0__")] = np.nan
    assert monitor.update(stream).alarm[:, 0].mean() > 0.9


def test_wrong_settings_are_explained(fitted, table):
    X, _ = table
    with pytest.raises(ValueError, match="at least 20 clean samples to calibrate on, got 9"):
        ModalityMonitor(fitted).fit(X[:9])
    with pytest.raises(ValueError, match="recovery_rate=1e-05 must be at least hazard_rate=0.001"):
        ModalityMonitor(fitted, recovery_rate=1e-5).fit(X)
    with pytest.raises(ValueError, match="false_alarms"):
        ModalityMonitor(fitted, false_alarms=0).fit(X)
    with pytest.raises(TypeError, match="has no modalities to monitor.*of a Pipeline, pass its"):
        ModalityMonitor(make_pipeline(fitted)).fit(X)
    with pytest.raises(NotFittedError):
        ModalityMonitor(EMMAClassifier()).update(X)


@pytest.mark.parametrize(
    ("spoil", "match"),
    [
        (lambda X: X[:, :-1], "features, but .* is expecting"),
        (lambda X: np.where(np.arange(X.shape[1]) < 2, np.nan, X), "holds no value of modality"),
        (lambda X: X[:1], "at least"),
    ],
    ids=["width", "missing", "one sample"],
)
@pytest.mark.parametrize("which", ["X", "reference"])
def test_clean_samples_that_teach_nothing(spoil, match, which):
    X = np.random.RandomState(0).standard_normal((120, 4))
    scorer = DAEEnergyScorer({"a": [0, 1], "b": [2, 3]}, max_epochs=1).fit(X)
    tables = {"X": X[:60], "reference": X[60:]}
    tables[which] = spoil(tables[which])
    with pytest.raises(ValueError, match=match):
        ModalityMonitor(scorer, random_state=0).fit(**tables)


def test_predictions_learn_from_all_samples_and_evidence_from_unseen_ones(table, fitted):
    X, y = table
    few = {"max_epochs": 4, "l2_regularization": 1.0, "periodic_features": False}
    quick = clone(fitted).set_params(**few, energy=DAEEnergyScorer(max_epochs=5))
    monitor = ModalityMonitor(clone(quick), random_state=0).fit(X[:900], y[:900])
    everything = clone(quick).fit(X[:900], y[:900])
    np.testing.assert_array_equal(monitor.estimator_.predict_proba(X), everything.predict_proba(X))
    health = monitor.update(fail(Stuck(), X[1000:1200], 50, 200))
    assert health.kind[-1].tolist() == ["stuck", "", ""]
    alone = ModalityMonitor(clone(quick), refit=False, random_state=0).fit(X[:900], y[:900])
    assert alone.estimator_ is alone.calibrated_estimator_
    before = alone.update(fail(Stuck(), X[1000:1200], 50, 200))
    np.testing.assert_array_equal(before.failing, health.failing)


@pytest.mark.filterwarnings("ignore:The monitor is calibrated on 60 clean samples")
def test_classes_that_are_only_among_the_calibration_samples(fitted, table):
    X, y = table
    order = np.argsort(y[:200].to_numpy(), kind="stable")
    X, y = X[:200].iloc[order], np.repeat([0, 1, 2], [80, 70, 50])
    short = clone(fitted).set_params(max_epochs=2)
    monitor = ModalityMonitor(short, ordered=True, random_state=0)
    with pytest.warns(UserWarning, match=r"no samples of the classes \[0\] among the 60"):
        assert len(monitor.fit(X, y).classes_) == 3
    with pytest.raises(
        ValueError, match=r"only \[0, 1\] occur among the samples that are not held"
    ):
        monitor.set_params(refit=False).fit(X, y)


def quick():
    energy = DAEEnergyScorer(max_epochs=2)
    return EMMAClassifier(
        "prefix", energy=energy, max_epochs=2, l2_regularization=1.0, periodic_features=False
    )


def test_a_seed_makes_fits_reproducible_even_of_an_estimator_without_one(table):
    X, y = table
    one, other = (
        ModalityMonitor(quick(), random_state=0).fit(X[:200], y[:200]).predict_proba(X[:5])
        for _ in range(2)
    )
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("output", ["pandas", "polars"])
def test_the_output_of_transformers_may_be_configured(fitted, table, output):
    pytest.importorskip(output)
    X, _ = table
    with config_context(transform_output=output):
        found = ModalityMonitor(fitted, random_state=0).fit(X[600:800]).update(X[800:820])
    expected = ModalityMonitor(fitted, random_state=0).fit(X[600:800]).update(X[800:820])
    np.testing.assert_array_equal(found.evidence, expected.evidence)


def test_a_monitor_of_a_classifier_is_scored_as_a_classifier(table, fitted):
    X, y = table
    monitor = ModalityMonitor(fitted, random_state=0).fit(X[600:800])
    assert monitor.score(X[800:], y[800:]) == np.mean(monitor.predict(X[800:]) == y[800:])
    scores = cross_val_score(
        ModalityMonitor(quick(), random_state=0), X[:400], y[:400], cv=2, scoring="roc_auc"
    )
    assert (scores > 0.7).all()
    assert monitor.n_features_in_ == X.shape[1]
    assert monitor.feature_names_in_.tolist() == X.columns.tolist()
    assert not is_classifier(ModalityMonitor(DAEEnergyScorer("prefix")))


def test_targets_of_another_length_are_refused_even_if_they_are_not_needed(fitted, table):
    X, y = table
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ModalityMonitor(fitted).fit(X[600:800], y[:7])
