"""A monitor of a table with categories: what their levels tell, and which sensor fails."""

import pickle

import numpy as np
import pandas as pd
import pytest

from sklearn_emma import DAEEnergyScorer, EMMAClassifier
from sklearn_emma.corruption import Missing, Stuck
from sklearn_emma.inspection import modality_report
from sklearn_emma.monitoring import ModalityMonitor
from sklearn_emma.monitoring.levels import LevelRuns
from sklearn_emma.monitoring.run_lengths import RunLengths
from sklearn_emma.monitoring.statistics import SampleStatistics
from sklearn_emma.monitoring.tables import as_samples, read_table


def make_table(n_samples, seed):
    """Modalities of both, of two categories, of one, and of numbers; and the classes."""
    rng = np.random.RandomState(seed)
    y, product = rng.randint(2, size=n_samples), rng.choice(3, n_samples, p=[0.5, 0.3, 0.2])
    seen = np.where(rng.uniform(size=n_samples) < 0.85, product, rng.randint(3, size=n_samples))
    mode = np.where(rng.uniform(size=n_samples) < 0.8, y, rng.randint(3, size=n_samples))
    X = pd.DataFrame(
        {
            "press__force": y + 0.7 * rng.normal(size=n_samples),
            "line__product": np.array(["red", "green", "blue"])[seen],
            "press__speed": product + 0.7 * rng.normal(size=n_samples),
            "press__mode": pd.Categorical(np.array(["cold", "warm", "hot"])[mode]),
            "line__on": rng.uniform(size=n_samples) < np.where(y == 1, 0.95, 0.7),
            "door__state": np.where(rng.uniform(size=n_samples) < 0.8, "shut", "open"),
            "heat__in": y + product + rng.normal(size=n_samples),
            "heat__out": product - y + rng.normal(size=n_samples),
        }
    )
    return X, y


@pytest.fixture(scope="module")
def _calibrated():
    X, y = make_table(600, 0)
    X.loc[::40, "line__product"] = None
    energy = DAEEnergyScorer(max_epochs=5)
    clf = EMMAClassifier("prefix", energy=energy, max_epochs=5, random_state=0)
    clf.fit(X[:300], y[:300])
    monitor = ModalityMonitor(clf, random_state=0).fit(X[300:], reference=X[:200])
    return pickle.dumps(monitor)


@pytest.fixture
def monitor(_calibrated):
    return pickle.loads(_calibrated)


@pytest.fixture(scope="module")
def stream():
    """Clean samples that neither classifier nor monitor knows."""
    return make_table(6000, 1)


def from_sample(X, first, **values):
    """Set columns to one value from a sample on."""
    X = X.copy()
    for name, value in values.items():
        column = X[name].astype(object)
        column[first:] = value
        X[name] = column
    return X


def test_clean_streams_raise_few_alarms(monitor, stream):
    alarm = monitor.update(stream[0]).alarm
    # one is allowed in ten thousand samples
    assert (alarm[1:] & ~alarm[:-1]).sum() <= 1
    assert alarm.mean() < 0.005


@pytest.mark.parametrize(
    ("values", "kind", "delay"),
    [
        ({"line__product": "blue", "line__on": False}, "stuck", 10),
        ({"line__product": "red", "line__on": True}, "stuck", 30),
        ({"line__product": None, "line__on": None}, "missing", 2),
        ({"line__product": "mauve"}, "noise", 60),
    ],
    ids=["rare level", "usual level", "missing", "unseen"],
)
def test_a_failing_modality_of_categories_is_found_and_named(monitor, stream, values, kind, delay):
    X = stream[0][:200]
    health = monitor.update(pd.concat([from_sample(X, 60, **values), X]))
    found = health.alarm[60:200].any(axis=1)
    assert found.argmax() < delay
    assert health.alarm[199].tolist() == [False, True, False, False]
    assert health.kind[199, 1] == kind
    assert not health.alarm[300:].any()


def test_a_stuck_modality_of_one_category_is_closed(monitor, stream):
    X = from_sample(stream[0][:120], 20, door__state="open")
    evidence = monitor.update(X).evidence
    readings = monitor.estimator_.readings(X, evidence=evidence)
    assert (readings.attention[60:, 2] < 0.05).all()
    assert (evidence[:20, 2] < 1).all()


def test_changing_unseen_levels_are_no_stuck_sensor():
    X, _ = make_table(1500, 3)
    X = X[["door__state", "heat__in", "heat__out"]]
    X.loc[1200:, "door__state"] += [f" {t % 7}" for t in range(300)]
    scorer = DAEEnergyScorer("prefix", max_epochs=3, random_state=0).fit(X[:400])
    monitor = ModalityMonitor(scorer, ordered=True, random_state=0).fit(X[400:1000])
    health = monitor.update(X[1000:])
    assert not health.alarm[:200].any()
    assert health.alarm[210:, 0].all()
    assert set(health.kind[210:, 0]) == {"noise"}


def test_a_stuck_modality_of_numbers_and_categories_is_found(monitor, stream):
    stuck, _ = Stuck(only="press").corrupt(stream[0][:60], "prefix", 0, stream[0])
    assert monitor.update(stuck).kind[-1].tolist() == ["stuck", "", "", ""]


def test_samples_may_come_one_by_one_or_together(monitor, stream):
    X = from_sample(stream[0][:60], 30, line__product="blue", line__on=False)
    together = monitor.update(X)
    monitor.reset()
    parts = [monitor.update(X[i : i + 1]) for i in range(60)]
    for one, other in zip(zip(*parts, strict=True), together, strict=True):
        one = np.concatenate(one)
        if one.dtype.kind == "f":
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-12)
        else:
            np.testing.assert_array_equal(one, other)


def test_predictions_have_the_evidence_of_the_stream(monitor, stream):
    X, y = stream[0][:400], stream[1][:400]
    wrong = from_sample(X, 0, line__product="red", line__on=True)
    plain = monitor.estimator_.predict_proba(from_sample(X, 0, line__product=None, line__on=None))
    assert np.abs(monitor.predict_proba(wrong)[50:] - plain[50:]).mean() < 0.02
    alone = np.mean(monitor.estimator_.predict(wrong) == y)
    assert np.mean(monitor.predict(wrong) == y) >= alone - 0.01


def test_numbers_are_corrected_and_categories_are_not(monitor, stream):
    monitor.set_params(recalibrate=True)
    X = stream[0][:200]
    offset = X.assign(press__force=X["press__force"] + 4.0, press__speed=X["press__speed"] + 4.0)
    health = monitor.update(offset)
    assert health.corrected.any(axis=0).tolist() == [True, False, False, False]
    assert not health.alarm[-50:].any()
    plain = monitor.estimator_.predict_proba(X)
    assert np.abs(monitor.reset().predict_proba(offset)[100:] - plain[100:]).mean() < 0.1


def test_a_report_lists_the_alarms(monitor, stream):
    X = from_sample(stream[0][:100], 50, line__product="blue", line__on=False)
    alarms = modality_report(monitor, X, ordered=True, n_worst=3).alarms
    assert alarms[["modality", "kind"]].to_numpy().tolist() == [["line", "stuck"]]


def test_any_table_of_categories_will_do(stream):
    """A scorer, an array of objects, a level that only the calibration has, in order of time."""
    X = stream[0].to_numpy(dtype=object)
    X[:300, 5], X[300:320, 5] = "shut", "ajar"
    modalities = {"a": [0, 2, 3], "b": [1, 4], "c": [5], "d": [6, 7]}
    scorer = DAEEnergyScorer(modalities, max_epochs=3, random_state=0)
    with pytest.warns(UserWarning, match="Constant"):
        scorer.fit(X[:250])
    monitor = ModalityMonitor(scorer, ordered=True, random_state=0).fit(X[250:500])
    assert not monitor.update(X[500:800]).alarm[:, :2].any()
    X[850:900, [1, 4]] = "blue", False
    assert monitor.update(X[800:900]).kind[-1].tolist()[1] == "stuck"


def test_offset_and_gain_leave_levels_and_are_never_their_fault(monitor, stream):
    X = stream[0][:100]
    offset = X.assign(press__force=X["press__force"] + 3.0, press__speed=X["press__speed"] + 3.0)
    assert monitor.update(offset).kind[-1].tolist() == ["offset", "", "", ""]
    missing, _ = Missing(fraction=0.5, only="line").corrupt(stream[0][:100], "prefix", 0)
    assert not np.isin(monitor.reset().update(missing).kind[:, 1:3], ["offset", "gain"]).any()


def test_features_become_samples_again(monitor, stream):
    X, estimator = stream[0][:50], monitor.estimator_
    again = as_samples(estimator, read_table(estimator, X))
    assert again.columns.tolist() == X.columns.tolist()
    for name in X:
        assert again[name].tolist() == pytest.approx(X[name].tolist())


def test_levels_are_kept_as_long_as_on_clean_data():
    """Rows in order of time tell it, even if the samples are not given as such."""
    rng = np.random.RandomState(0)
    x = np.repeat(rng.randint(3, size=400), 1 + rng.poisson(8, size=400))[:3000, None]
    iid = x[rng.permutation(len(x))]
    slow, quick = LevelRuns(x.astype(float)), LevelRuns(iid.astype(float))
    some = np.arange(3.0)[:, None]
    assert (slow.hazards(some) > 0.85).all()
    assert (quick.hazards(some) < 0.45).all()
    # and a value that was never seen is taken for one that is usual
    assert slow.hazards(np.array([[7.0]])) > 0.8


def test_a_clean_run_is_no_more_evidence_than_its_length_allows():
    """One level lasts a thousand samples, once, and is short-lived otherwise."""
    rng = np.random.RandomState(0)
    x = np.concatenate([rng.randint(2, size=1000), np.zeros(1000)]).astype(float)[:, None]
    runs = LevelRuns(x)
    assert -1000 * np.log(runs.hazards(np.zeros((1, 1)))[0]) <= np.log(2000) + 1e-9


def test_e_values_of_repeated_levels_have_a_mean_of_one_at_most():
    rng = np.random.RandomState(0)
    clean, stream = (rng.choice(3, (n, 1), p=[0.7, 0.25, 0.05]) * 1.0 for n in (1000, 20_000))
    statistics = SampleStatistics(clean, [1])
    z = statistics.relative(clean)
    found = RunLengths(z, statistics, numbers=np.array([False]))
    e_values, *_ = found(statistics.relative(stream), np.full(1, np.nan), np.zeros(1, dtype=int))
    assert e_values.mean() <= 1.0
    before = np.append(np.nan, stream[:-1, 0])
    for level in range(3):
        assert e_values[before == level].mean() <= 1.05
        assert e_values[(before == level) & (stream[:, 0] == level)].min() > 1.2


def test_rows_in_order_of_time_tell_how_long_levels_are_kept():
    """Samples that are not said to be ordered, but are: a mode of a machine that lasts."""
    rng = np.random.RandomState(0)
    mode = np.repeat(rng.randint(3, size=200), 1 + rng.poisson(9, size=200))[:1500]
    X = pd.DataFrame({"mode": np.array(["a", "b", "c"])[mode], "x": rng.normal(size=1500)})
    X["y"] = X["x"] + rng.normal(size=1500)
    modalities = {"mode": ["mode"], "rest": ["x", "y"]}
    scorer = DAEEnergyScorer(modalities, max_epochs=2, random_state=0).fit(X[:300])
    monitor = ModalityMonitor(scorer, random_state=0)
    with pytest.warns(UserWarning, match="Neighboring rows"):
        monitor.fit(X[300:700])
    assert monitor.update(X[700:]).alarm[:, 0].mean() < 0.01
